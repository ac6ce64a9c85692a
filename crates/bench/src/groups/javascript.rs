//! JavaScript through a node, against the same runtime with documents that lie in memory.

use mapring_script::{Binary, Function, PhaseFunction, ReduceTiming};

use crate::data;
use crate::nodes::Nodes;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::report::Row;
use crate::table::digits;
use crate::tool::{Runs, Tool, median};

use super::queries::{check, seconds_row, sum_query};
use super::runtime::{self, Phases, Took};

const GROUP: &str = "javascript";

/// What was aimed at: microseconds an object over the bare runtime.
const OVER: f64 = 2.0;

/// Takes one number out of a document.
const FIELD: &str = "function(v) { return [JSON.parse(v.values[0].data).n]; }";

const COUNT_WORDS: &str = "function(v) { var counts = {}; \
    v.values[0].data.toLowerCase().match(/\\w+/g).forEach(function(w) \
    { counts[w] = (counts[w] || 0) + 1; }); return [counts]; }";

const ADD_COUNTS: &str = "function(values) { var total = {}; \
    values.forEach(function(counts) { for (var w in counts) \
    total[w] = (total[w] || 0) + counts[w]; }); return [total]; }";

/// Texts whose counts are added up at once.
const REDUCE_BATCH: u32 = 1_000;

/// A query, once for a node and once for the bare runtime.
struct Case {
    bucket: &'static str,
    content_type: &'static str,
    what: String,
    objects: u64,
    body: fn(u64) -> String,
    query: String,
    phases: Phases,
}

pub(super) async fn run(plan: &Plan, tool: &Tool) -> Outcome<Vec<Row>> {
    let nodes = Nodes::start(tool, 1).await?;
    let client = nodes.client()?;
    let mut rows = Vec::new();
    for case in [documents(plan.objects), words(plan.texts)] {
        let Case { bucket, content_type, objects, body, .. } = case;
        client.set_bucket_props(&data::place(bucket), r#"{"props":{"n_val":1}}"#).await?;
        data::store(client, bucket, content_type, objects, body).await?;
        rows.push(case.measure(plan, tool, &nodes).await?);
    }
    rows.push(first_part(plan, tool, &nodes).await?);
    rows.extend(super::book::run(plan, &nodes).await?);
    nodes.stop().await?;
    Ok(rows)
}

fn source(text: &str) -> PhaseFunction {
    phase(Function::Source(text.to_owned()))
}

fn phase(function: Function) -> PhaseFunction {
    PhaseFunction { function, arg: None, binary: Binary::default() }
}

fn documents(objects: u64) -> Case {
    let sum = Function::Named("Riak.reduceSum".to_owned());
    Case {
        bucket: "documents",
        content_type: "application/json",
        what: format!(
            "JSON.parse of {} documents of ~200 bytes, one field, Riak.reduceSum",
            digits(objects as f64)
        ),
        objects,
        body: data::document,
        query: sum_query("documents", &format!(r#""source":{}"#, quoted(FIELD))),
        phases: Phases {
            map: source(FIELD),
            reduce: phase(sum),
            timing: ReduceTiming::Every(20),
            prereduce: false,
        },
    }
}

fn words(objects: u64) -> Case {
    Case {
        bucket: "words",
        content_type: "text/plain",
        what: format!(
            "word count of {} texts of {} words",
            digits(objects as f64),
            data::TEXT_WORDS
        ),
        objects,
        body: data::text,
        query: words_query("words"),
        phases: Phases {
            map: source(COUNT_WORDS),
            reduce: source(ADD_COUNTS),
            timing: ReduceTiming::Every(REDUCE_BATCH),
            prereduce: true,
        },
    }
}

/// The word count of the texts in a bucket, with the options that make it fastest.
pub(super) fn words_query(bucket: &str) -> String {
    let (map, reduce) = (quoted(COUNT_WORDS), quoted(ADD_COUNTS));
    format!(
        r#"{{"inputs":"{bucket}","timeout":600000,"query":[{{"map":{{"language":"javascript","source":{map},"arg":{{"do_prereduce":true}}}}}},{{"reduce":{{"language":"javascript","source":{reduce},"arg":{{"reduce_phase_batch_size":{REDUCE_BATCH}}}}}}}]}}"#
    )
}

pub(super) fn quoted(source: &str) -> String {
    serde_json::Value::from(source).to_string()
}

impl Case {
    async fn measure(&self, plan: &Plan, tool: &Tool, nodes: &Nodes) -> Outcome<Row> {
        let (mut ours, mut bares) = (Runs::default(), Vec::new());
        let inputs = data::in_memory(self.bucket, self.content_type, self.objects, self.body);
        for _ in 0..plan.turns {
            ours.push(tool.query(plan, &nodes.urls(), &self.query, self.objects, &[]).await?);
            bares.push(runtime::run(&self.phases, inputs.clone())?);
        }
        let last = bares.last().ok_or("no turn")?;
        self.compare(nodes, &last.results).await?;
        let bare = |of: fn(&Took) -> f64| median(bares.iter().map(of)) / self.objects as f64 * 1e6;
        let figure = ours.median("/server_cpu_us_per_object");
        let over = figure - bare(|took| took.cpu);
        let node = ours.median("/node_cpu_us_per_request") / self.objects as f64;
        let clock = ours.median("/latency_us/p50") / self.objects as f64;
        Ok(Row::new(GROUP, self.what.clone(), figure, "µs/object")
            .against("runtime", bare(|took| took.cpu))
            .target(format!("≤ {OVER} µs over it"), over <= OVER)
            .clock(format!(
                "{} µs over it, {} of them in the node's own process; on all cores {} µs/object (runtime {})",
                digits(over),
                digits(node),
                digits(clock),
                digits(bare(|took| took.clock))
            )))
    }

    /// That both gave the same.
    async fn compare(&self, nodes: &Nodes, bare: &[mapring_script::Row]) -> Outcome {
        let client = nodes.client()?;
        let texts: Vec<&str> = bare.iter().map(mapring_script::Row::text).collect();
        let bare: serde_json::Value = serde_json::from_str(&format!("[{}]", texts.join(",")))?;
        let answer: serde_json::Value =
            serde_json::from_slice(&client.mapred(self.query.clone()).await?)?;
        if answer != bare {
            return Err(format!("{}: node and runtime differ", self.what).into());
        }
        if self.bucket == "documents" {
            let sum = self.objects * self.objects.saturating_sub(1) / 2;
            check(client, &self.query, &format!("[{sum}]")).await?;
        }
        Ok(())
    }
}

/// How soon the first results come of a query whose results are sent as they are found.
async fn first_part(plan: &Plan, tool: &Tool, nodes: &Nodes) -> Outcome<Row> {
    let query = format!(
        r#"{{"inputs":"documents","query":[{{"map":{{"language":"javascript","source":{}}}}}]}}"#,
        quoted(FIELD)
    );
    let mut runs = Runs::default();
    for _ in 0..plan.turns {
        runs.push(tool.query(plan, &nodes.urls(), &query, plan.objects, &["--chunked"]).await?);
    }
    let what = "the first results of these documents, with chunked=true";
    let millis = runs.median("/first_part_us/p50") / 1e3;
    Ok(seconds_row(GROUP, what, millis)
        .clock(format!("all results after {} ms", digits(runs.median("/latency_us/p50") / 1e3))))
}
