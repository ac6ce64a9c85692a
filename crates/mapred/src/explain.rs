//! What a query would do: its plan, without running it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use mapring_cluster::View;
use mapring_kv::Selection;
use mapring_ring::{Coverage, hash};
use mapring_script::{Function, PhaseFunction, ReduceTiming, native};
use mapring_types::{BucketId, IndexValue, NodeId, Result as KvResult};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::grammar::{
    Callee, Code, Inputs, Layout, Narrowing, OnError, Phase, PhaseKind, Query, Scan, Target,
};
use crate::graph::{Role, StageGraph, StageSpec};
use crate::limits;
use crate::objects::Objects;

/// The plan of a query as JSON.
///
/// # Errors
/// When no plan can be made now.
pub(crate) async fn explain(
    query: &Query,
    view: &View,
    objects: &dyn Objects,
) -> Result<String, Failure> {
    let spec = query.spec();
    let graph = StageGraph::of(spec);
    let mut plan = Map::new();
    let mut shown = inputs(&spec.inputs);
    let first = graph.get(graph.entry());
    // Where no map comes first the keys of a bucket are listed.
    if let (Role::Keys { .. }, false, Some(shown)) =
        (first.role, first.is_final(), shown.as_object_mut())
    {
        shown.insert("prereduce".into(), prereduce(first));
    }
    plan.insert("inputs".into(), shown);
    plan.insert("coverage".into(), coverage(&spec.inputs, view, objects).await?);
    let phases = spec.phases.iter().enumerate().filter_map(|(at, phase)| {
        let mut shown = kind(phase, query, graph.of_phase(at)?);
        shown.insert("keep".into(), phase.keep.into());
        Some(Value::Object(shown))
    });
    plan.insert("phases".into(), phases.collect());
    plan.insert("output".into(), output(query));
    let options = spec.options;
    let skipped = match options.on_error {
        OnError::Fail => Value::from("the query fails"),
        OnError::Skip(most) => json!({ "skip": most }),
    };
    plan.insert(
        "options".into(),
        json!({
            "timeout_ms": u64::try_from(query.timeout().as_millis()).unwrap_or(u64::MAX),
            "consistency": options.consistency.word(),
            "tombstones": if options.tombstones { "pass" } else { "skip" },
            "limit": options.limit,
            "on_error": skipped,
        }),
    );
    plan.insert("ignored".into(), spec.ignored.clone().into());
    Ok(crate::json::encode(&json!({ "explain": plan }).to_string()).into_owned())
}

fn bucket_name(bucket: &BucketId) -> String {
    bucket.to_string()
}

fn inputs(inputs: &Inputs) -> Value {
    match inputs {
        Inputs::Scan(scan) => scanned(scan),
        Inputs::Keys(keys) => json!({ "form": "listed keys", "count": keys.len() }),
        Inputs::Values(values) => json!({ "form": "generator", "count": values.len() }),
        Inputs::Source(source) => json!({ "form": "source", "parts": source.words() }),
    }
}

/// What is read of a bucket, and what is tested of it.
fn scanned(scan: &Scan) -> Value {
    let Scan { bucket, selection, filters, narrowing, every_type, consistency } = scan;
    let bucket = match every_type {
        true => format!("*/{}", String::from_utf8_lossy(&bucket.name)),
        false => bucket_name(bucket),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut shown = match selection {
        Selection::All if filters.is_some() => {
            json!({ "form": "bucket with key filters", "bucket": bucket })
        }
        Selection::All => json!({ "form": "bucket", "bucket": bucket }),
        Selection::Keys { from, to } => json!({
            "form": "keys of a bucket", "bucket": bucket, "from": text(from), "to": text(to),
        }),
        Selection::KeysFrom { from } => json!({
            "form": "keys of a bucket", "bucket": bucket, "from": text(from),
        }),
        Selection::Terms { field, from, to } => {
            let mut shown = json!({
                "form": "secondary index", "bucket": bucket, "index": field, "from": term(from),
            });
            // What is behind all terms is said by nothing.
            if let (Some(shown), true) = (shown.as_object_mut(), is_a_term(field, to)) {
                shown.insert("to".into(), term(to).into());
            }
            shown
        }
    };
    if let (Some(shown), false) = (shown.as_object_mut(), narrowing.is_none()) {
        let Narrowing { conditions, keys_only, batch, samples: _ } = narrowing;
        shown.insert("conditions".into(), conditions.len().into());
        shown.insert("reads".into(), if *keys_only { "keys" } else { "objects" }.into());
        shown.extend(batch.map(|batch| ("batch_size".to_owned(), batch.into())));
    }
    if let (Some(shown), Some(consistency)) = (shown.as_object_mut(), consistency) {
        shown.insert("consistency".into(), consistency.word().into());
    }
    shown
}

/// Whether a bound of a range is one that the index can hold.
fn is_a_term(field: &str, bound: &IndexValue) -> bool {
    match bound {
        IndexValue::Int(_) => true,
        IndexValue::Bin(bytes) => field.ends_with("_bin") && std::str::from_utf8(bytes).is_ok(),
    }
}

fn term(term: &IndexValue) -> String {
    match term {
        IndexValue::Int(text) => text.clone(),
        IndexValue::Bin(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Which node would work on what.
async fn coverage(inputs: &Inputs, view: &View, objects: &dyn Objects) -> Result<Value, Failure> {
    match inputs {
        Inputs::Scan(scan) => {
            let mut shown = Vec::new();
            for one in scan.of_each_type(view.state.bucket_types.keys().map(String::as_str)) {
                if view.least_n_val(&one.bucket).is_none() {
                    return Err(Failure::no_bucket_type_of(&one));
                }
                let coverage = plan(&one.bucket, view, objects).await?;
                let mut nodes: BTreeMap<NodeId, Vec<u16>> = BTreeMap::new();
                for entry in &coverage.entries {
                    nodes.entry(entry.node).or_default().push(entry.home.0);
                }
                shown.extend(nodes.into_iter().map(|(node, partitions)| {
                    let mut of = json!({ "node": name(view, node), "partitions": partitions });
                    if let (Some(of), true) = (of.as_object_mut(), scan.every_type) {
                        of.insert("bucket".into(), bucket_name(&one.bucket).into());
                    }
                    of
                }));
            }
            Ok(Value::Array(shown))
        }
        Inputs::Keys(keys) => {
            // Which replicas are complete depends on how many there are, and on nothing else.
            let mut plans: BTreeMap<u32, BTreeMap<u16, NodeId>> = BTreeMap::new();
            let mut nodes: BTreeMap<NodeId, u64> = BTreeMap::new();
            let (mut at, mut since) = (0, 0);
            while let Some((input, next)) = keys.read(at) {
                (at, since) = (next, since + 1);
                if since >= limits::BATCH_INPUTS {
                    since = 0;
                    tokio::task::yield_now().await;
                }
                let bucket = &input.id.bucket;
                let n_val = replicas(bucket, view)?;
                if let Entry::Vacant(missing) = plans.entry(n_val) {
                    let entries = plan(bucket, view, objects).await?.entries.into_iter();
                    missing.insert(entries.map(|entry| (entry.home.0, entry.node)).collect());
                }
                let home = hash::home(view.plan().ring_size(), bucket, &input.id.key);
                if let Some(node) = plans.get(&n_val).and_then(|plan| plan.get(&home.0)) {
                    *nodes.entry(*node).or_default() += 1;
                }
            }
            let shown = nodes
                .into_iter()
                .map(|(node, inputs)| json!({ "node": name(view, node), "inputs": inputs }));
            Ok(shown.collect())
        }
        // Where they lie is found out when they are divided.
        Inputs::Values(_) | Inputs::Source(_) => Ok(Value::Array(Vec::new())),
    }
}

fn replicas(bucket: &BucketId, view: &View) -> Result<u32, Failure> {
    view.least_n_val(bucket).ok_or_else(|| Failure::no_bucket_type(bucket))
}

async fn plan(bucket: &BucketId, view: &View, objects: &dyn Objects) -> Result<Coverage, Failure> {
    let n_val = replicas(bucket, view)?;
    let found: KvResult<Coverage> = objects.coverage(n_val, &BTreeSet::new()).await;
    found.map_err(Failure::from)
}

fn name(view: &View, node: NodeId) -> String {
    view.state.members.get(&node).map_or_else(|| node.to_string(), |member| member.name.clone())
}

fn kind(phase: &Phase, query: &Query, stage: &StageSpec) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("kind".into(), stage.role.word().into());
    match &phase.kind {
        PhaseKind::Link(_) => {
            shown.insert("runs".into(), "in the node, beside the data".into());
            shown.insert("prereduce".into(), prereduce(stage));
        }
        PhaseKind::Map(code) => {
            shown.insert("function".into(), stage.function.clone().into());
            shown.insert("runs".into(), format!("{}, beside the data", engine(code, query)).into());
            shown.insert("prereduce".into(), prereduce(stage));
        }
        PhaseKind::Group(group) => {
            shown.insert("function".into(), stage.function.clone().into());
            let runs = format!("{}, at the owners of the groups", engine(&group.code, query));
            shown.insert("runs".into(), runs.into());
            shown.insert("group".into(), true.into());
            let combine = match &group.combine {
                Some(combine) => Some(engine(&combine.code, query)),
                None if combines_itself(&group.code, query) => Some("native, by itself"),
                None => None,
            };
            shown.insert("combine".into(), combine.into());
            shown.insert("partitions".into(), group.partitions.into());
        }
        PhaseKind::Reduce(code) => {
            shown.insert("function".into(), stage.function.clone().into());
            let runs = format!("{}, at the coordinator", engine(code, query));
            shown.insert("runs".into(), runs.into());
            let batch = match code.timing() {
                ReduceTiming::Every(inputs) => Value::from(inputs),
                ReduceTiming::AtEnd => "all".into(),
                ReduceTiming::Adaptive | ReduceTiming::IfSmaller => "adaptive".into(),
            };
            shown.insert("batch".into(), batch);
        }
    }
    shown
}

/// Whether the reduce that a stage feeds runs beside the data first.
fn prereduce(stage: &StageSpec) -> Value {
    match stage.prereduce.map(|copy| copy.timing) {
        Some(ReduceTiming::IfSmaller) => "if it makes the results smaller".into(),
        Some(_) => true.into(),
        None => false.into(),
    }
}

/// Whether a grouped reduce is its own combiner.
fn combines_itself(code: &Code, query: &Query) -> bool {
    let Callee::Given(function) = &code.callee else { return false };
    let (function, binary) = (function.clone(), query.spec().options.binary);
    native::implied_combiner(&PhaseFunction { function, arg: code.arg.clone(), binary }).is_some()
}

/// What becomes of the results of the last phase.
fn output(query: &Query) -> Value {
    let spec = match &query.output().target {
        Target::Answer(_) => return "the answer".into(),
        Target::Objects(spec) => spec,
    };
    let layout = match spec.layout {
        Layout::PerKey => "per_key",
        Layout::Single(_) => "single",
        Layout::PerShard(_) => "per_shard",
    };
    json!({ "bucket": bucket_name(&spec.bucket), "layout": layout, "replaces": !spec.only_new })
}

/// What runs a function: the node itself, or JavaScript in a worker.
fn engine(code: &Code, query: &Query) -> &'static str {
    let function = match &code.callee {
        Callee::Given(function) => function.clone(),
        Callee::Stored(_) => Function::Source(String::new()),
        Callee::ErlangSource => return "refused",
    };
    let binary = query.spec().options.binary;
    let function = PhaseFunction { function, arg: code.arg.clone(), binary };
    if native::runs(&function) { "native" } else { "javascript" }
}
