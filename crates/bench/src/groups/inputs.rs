//! Key filters, secondary indexes and lists of keys, against a plain scan of the same objects.
//!
//! All queries hand the objects on and count them with native functions, so that what differs is
//! how the objects are found.

use std::ops::ControlFlow;

use mapring_engine::{
    Engine as _, ScanDepth, ScanRange, SledConfig, SledEngine, StoreKey, Visitor,
};
use mapring_types::{BucketId, Record};

use crate::data;
use crate::nodes::Nodes;
use crate::outcome::Outcome;
use crate::plan::{CONNECTIONS, KEYS, Plan, VALUE_BYTES};
use crate::report::Row;
use crate::table::digits;
use crate::tool::{Runs, Tool, median};

use super::queries::{check, count_of, native_map, seconds_row};
use super::scan::{Fold, again, copy_all};

const GROUP: &str = "inputs";
const BUCKET: &str = "inputs";

/// A number that no other object has, and a text that one of a hundred has.
const TERMS: [&str; 2] =
    ["X-Riak-Index-number_int: {key}", "X-Riak-Index-ending_bin: ending-{key:2}"];

/// The same kinds of terms, other ones in each write.
const NEW_TERMS: [&str; 2] =
    ["X-Riak-Index-number_int: {random:9}", "X-Riak-Index-ending_bin: ending-{random:2}"];

/// One object in so many is kept or hit.
const ONE_IN: u64 = 100;

/// What was aimed at: this many times the processor time of the plain scan an object, …
const OVER_SCAN: f64 = 1.3;
/// … this share of the plain scan's processor time for a hundredth of the objects, …
const SHARE: f64 = 0.1;
/// … and so many milliseconds for a list of keys.
const LIST_MILLIS: f64 = 10.0;

/// Documents, and how many of them a list names.
const DOCUMENTS: u64 = 10_000;
const LISTED: u64 = 1_000;

pub(super) async fn run(plan: &Plan, tool: &Tool) -> Outcome<Vec<Row>> {
    let plan = &plan.brief();
    let mut rows = Vec::new();
    for count in [1, 3] {
        let mut nodes = Nodes::start(tool, count).await?;
        tool.fill_with(&nodes.urls(), BUCKET, 1, plan.objects, &TERMS).await?;
        let engine = if count == 1 { Some(copied(&mut nodes).await?) } else { None };
        let place = if count == 1 { "one node" } else { "3 nodes" };
        let bench = Bench { plan, tool, nodes: &nodes, place };
        rows.append(&mut bench.found(engine.as_ref()).await?);
        drop(engine);
        rows.append(&mut bench.lists().await?);
        if count == 1 {
            rows.append(&mut bench.first_parts().await?);
            rows.append(&mut bench.puts().await?);
        }
        nodes.stop().await?;
    }
    Ok(rows)
}

/// The engine over a copy of a node's files: those of a running node are not whole.
async fn copied(nodes: &mut Nodes) -> Outcome<SledEngine> {
    let copy = nodes.directory().join("copy");
    let node = nodes.first()?;
    node.stop().await?;
    copy_all(&node.store(), &copy)?;
    node.start().await?;
    Ok(SledEngine::open(&copy, SledConfig::default())?)
}

/// Inputs that are found among all objects.
struct Case {
    what: &'static str,
    inputs: String,
    /// The objects that are found.
    hits: u64,
    kind: Kind,
}

/// What a case is measured by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The plain scan, which the others are compared with.
    Plain,
    /// Every object's key is looked at.
    Filter,
    /// Every object is found over an index.
    WholeIndex,
    /// A hundredth of the objects is found over an index.
    PartOfIndex,
}

fn cases(objects: u64) -> Vec<Case> {
    let few = objects / ONE_IN;
    let last = data::key(few - 1);
    let filter = |filters: &str| format!(r#"{{"bucket":"{BUCKET}","key_filters":[{filters}]}}"#);
    let range = |index: &str, from: &str, to: &str| {
        format!(r#"{{"bucket":"{BUCKET}","index":"{index}","start":{from},"end":{to}}}"#)
    };
    let numeric = r#"["tokenize","-",1],["string_to_int"]"#;
    let between = format!(r#"{numeric},["between",0,{}]"#, few - 1);
    let case = |what, inputs, hits, kind| Case { what, inputs, hits, kind };
    vec![
        case("plain scan", format!("\"{BUCKET}\""), objects, Kind::Plain),
        case("key filter ends_with", filter(r#"["ends_with","42"]"#), few, Kind::Filter),
        case("key filter matches", filter(r#"["matches","42$"]"#), few, Kind::Filter),
        case("key filter tokenize, string_to_int, between", filter(&between), few, Kind::Filter),
        case(
            "key filter starts_with, keeps all",
            filter(r#"["starts_with","0"]"#),
            objects,
            Kind::Filter,
        ),
        case(
            "index _int, a range",
            range("number_int", "0", &(few - 1).to_string()),
            few,
            Kind::PartOfIndex,
        ),
        case(
            "index _int, all",
            range("number_int", "0", &objects.to_string()),
            objects,
            Kind::WholeIndex,
        ),
        case(
            "index _bin, one term",
            format!(r#"{{"bucket":"{BUCKET}","index":"ending_bin","key":"ending-42"}}"#),
            few,
            Kind::PartOfIndex,
        ),
        case(
            "index $key, a range",
            range("$key", &format!("\"{}\"", data::key(0)), &format!("\"{last}\"")),
            few,
            Kind::PartOfIndex,
        ),
    ]
}

/// Nodes with objects.
struct Bench<'a> {
    plan: &'a Plan,
    tool: &'a Tool,
    nodes: &'a Nodes,
    place: &'static str,
}

impl Bench<'_> {
    /// Rows of all that finds its inputs among all objects, measured in turns.
    async fn found(&self, engine: Option<&SledEngine>) -> Outcome<Vec<Row>> {
        let mut cases = cases(self.plan.objects);
        // Which filter it is matters beside the data, not between nodes.
        let mut filters = 0;
        cases.retain(|case| {
            let few = case.kind == Kind::Filter && case.hits < self.plan.objects;
            filters += u32::from(few);
            engine.is_some() || !few || filters == 1
        });
        for case in &cases {
            let expected = format!("[{}]", case.hits);
            check(self.nodes.client()?, &count_of(&case.inputs), &expected).await?;
        }
        let mut all: Vec<Runs> = cases.iter().map(|_| Runs::default()).collect();
        let mut folds = Vec::new();
        for _ in 0..self.plan.turns {
            for (case, runs) in cases.iter().zip(&mut all) {
                runs.push(self.query(&count_of(&case.inputs), case.hits).await?);
            }
            if let Some(engine) = engine {
                folds.push(again(self.plan, || filtered(engine, self.plan))?);
            }
        }
        let fold = (!folds.is_empty()).then(|| median(folds.iter().map(|fold: &Fold| fold.cpu)));
        let plain = all.first().ok_or("no case")?;
        let plain = (micros(plain), plain.median("/latency_us/p50") / 1e3);
        let rows = cases.iter().zip(&all);
        Ok(rows.map(|(case, runs)| self.row(case, runs, plain, fold)).collect())
    }

    /// A row of a case; `plain` is the processor time of a plain scan in microseconds, and its
    /// milliseconds by the clock.
    fn row(&self, case: &Case, runs: &Runs, plain: (f64, f64), fold: Option<f64>) -> Row {
        let objects = self.plan.objects as f64;
        let (cpu, millis) = (micros(runs), runs.median("/latency_us/p50") / 1e3);
        let what = format!(
            "{}: {} of {} objects, {}",
            case.what,
            digits(case.hits as f64),
            digits(objects),
            self.place
        );
        let whole = cpu <= OVER_SCAN * plain.0;
        let (each, unit) = match case.kind {
            Kind::Plain | Kind::Filter => (objects, "µs/object"),
            Kind::WholeIndex | Kind::PartOfIndex => (case.hits as f64, "µs/hit"),
        };
        let row = Row::new(GROUP, what, cpu / each, unit);
        let row = match (case.kind, fold) {
            (Kind::Plain, _) => return row.clock(format!("{} ms", digits(millis))),
            (Kind::Filter, Some(fold)) if case.hits < self.plan.objects => {
                row.against("fold", fold)
            }
            (Kind::Filter | Kind::WholeIndex, _) => row.against("plain scan", plain.0 / objects),
            (Kind::PartOfIndex, _) => row,
        };
        let row = match case.kind {
            Kind::PartOfIndex => {
                row.target(format!("≤ {SHARE} × the plain scan in all"), cpu <= SHARE * plain.0)
            }
            _ => row.target(format!("≤ {OVER_SCAN} × plain scan"), whole),
        };
        row.clock(format!(
            "{} ms, p99 {} ms; {:.2} × the plain scan's processor time",
            digits(millis),
            digits(runs.median("/latency_us/p99") / 1e3),
            cpu / plain.0
        ))
    }

    /// Rows of a list of keys.
    async fn lists(&self) -> Outcome<Vec<Row>> {
        const DOCUMENTS_BUCKET: &str = "documents";
        let client = self.nodes.client()?;
        data::store(client, DOCUMENTS_BUCKET, "application/json", DOCUMENTS, data::document)
            .await?;
        let named = (0..LISTED).map(|number| {
            format!(r#"["{DOCUMENTS_BUCKET}","{}"]"#, data::key(number * (DOCUMENTS / LISTED)))
        });
        let list = format!("[{}]", named.collect::<Vec<_>>().join(","));
        let native = count_of(&list);
        let scripted = r#"{"map":{"language":"javascript","name":"Riak.mapValuesJson"}}"#;
        let scripted = native.replacen(&native_map(), scripted, 1);
        let kinds = [("native count", native), ("Riak.mapValuesJson and count", scripted)];
        let mut rows = Vec::new();
        for (name, query) in kinds {
            check(client, &query, &format!("[{LISTED}]")).await?;
            let mut runs = Runs::default();
            for _ in 0..self.plan.turns {
                runs.push(self.query(&query, LISTED).await?);
            }
            let millis = runs.median("/latency_us/p50") / 1e3;
            let what =
                format!("list of {} keys, {name}, n_val 3, {}", digits(LISTED as f64), self.place);
            rows.push(
                seconds_row(GROUP, &what, millis)
                    .target(format!("< {LIST_MILLIS} ms"), millis < LIST_MILLIS)
                    .clock(format!(
                        "p99 {} ms; {} µs/key of processor time",
                        digits(runs.median("/latency_us/p99") / 1e3),
                        digits(runs.median("/server_cpu_us_per_object"))
                    )),
            );
        }
        Ok(rows)
    }

    /// How soon the first of all objects come when they are sent as they are found.
    async fn first_parts(&self) -> Outcome<Vec<Row>> {
        let objects = self.plan.objects;
        let index =
            format!(r#"{{"bucket":"{BUCKET}","index":"number_int","start":0,"end":{objects}}}"#);
        let mut rows = Vec::new();
        for (name, inputs) in [("a plain scan", format!("\"{BUCKET}\"")), ("index _int", index)] {
            let query =
                format!(r#"{{"inputs":{inputs},"timeout":600000,"query":[{}]}}"#, native_map());
            let mut runs = Runs::default();
            for _ in 0..self.plan.turns {
                let urls = self.nodes.urls();
                runs.push(
                    self.tool.query(self.plan, &urls, &query, objects, &["--chunked"]).await?,
                );
            }
            let what = format!(
                "the first values of {name} of {} objects, with chunked=true, {}",
                digits(objects as f64),
                self.place
            );
            let millis = runs.median("/first_part_us/p50") / 1e3;
            let all = runs.median("/latency_us/p50") / 1e3;
            rows.push(seconds_row(GROUP, &what, millis).clock(format!(
                "all values after {} ms; {} µs/object",
                digits(all),
                digits(runs.median("/server_cpu_us_per_object"))
            )));
        }
        Ok(rows)
    }

    /// What index terms cost a write.
    async fn puts(&self) -> Outcome<Vec<Row>> {
        const KINDS: [(&str, &str, &[&str]); 3] = [
            ("put0", "without index terms", &[]),
            ("put1", "with two index terms, the same as before", &TERMS),
            ("put2", "with two index terms, new ones each time", &NEW_TERMS),
        ];
        let urls = self.nodes.urls();
        for (bucket, _, headers) in KINDS {
            self.tool.fill_with(&urls, bucket, 3, KEYS, headers).await?;
        }
        let mut all = KINDS.map(|_| Runs::default());
        let plan = Plan { duration: self.plan.duration * 2, ..self.plan.clone() };
        for _ in 0..self.plan.turns {
            for ((bucket, _, headers), runs) in KINDS.into_iter().zip(&mut all) {
                runs.push(self.tool.kv_with(&plan, &urls, "put", bucket, headers).await?);
            }
        }
        let plain = all.first().map_or(f64::NAN, micros);
        let row = |name: &str, runs: &Runs| {
            let what = format!(
                "PUT {VALUE_BYTES} bytes {name}, n_val 3, {}, {CONNECTIONS} connections",
                self.place
            );
            Row::new(GROUP, what, micros(runs), "µs/request").clock(format!(
                "{}/s, p50 {} ms, p99 {} ms",
                digits(runs.median("/per_second")),
                digits(runs.median("/latency_us/p50") / 1e3),
                digits(runs.median("/latency_us/p99") / 1e3)
            ))
        };
        let rows = KINDS.into_iter().zip(&all).map(|((_, name, headers), runs)| {
            let row = row(name, runs);
            if headers.is_empty() { row } else { row.against("without", plain) }
        });
        Ok(rows.collect())
    }

    async fn query(&self, query: &str, objects: u64) -> Outcome<crate::tool::Run> {
        let url = format!("http://{}", self.nodes.client()?.address());
        self.tool.query(self.plan, &url, query, objects, &[]).await
    }
}

/// Microseconds of processor time of a whole query, or of a write.
fn micros(runs: &Runs) -> f64 {
    runs.median("/server_cpu_us_per_request")
}

/// Folds over everything and reads the objects that the filter of the first case keeps.
fn filtered(engine: &SledEngine, plan: &Plan) -> Outcome<u64> {
    let mut kept = Kept::default();
    for vnode in engine.vnodes() {
        let bucket = Some(BucketId::untyped(BUCKET));
        // With one replica a vnode holds its own partition alone.
        let range = ScanRange { bucket, ..ScanRange::home(vnode) };
        engine.walk(vnode, &range, ScanDepth::Records, &mut kept)?;
    }
    if (kept.looked_at, kept.read) != (plan.objects, plan.objects / ONE_IN) {
        return Err(format!("the fold kept {} of {} objects", kept.read, kept.looked_at).into());
    }
    Ok(kept.looked_at)
}

/// What a fold with a filter has seen.
#[derive(Default)]
struct Kept {
    looked_at: u64,
    read: u64,
}

impl Visitor for Kept {
    fn wants(&mut self, key: &StoreKey) -> ControlFlow<(), bool> {
        self.looked_at += 1;
        ControlFlow::Continue(key.id.key.ends_with(b"42"))
    }

    fn visit(&mut self, key: StoreKey, record: Record) -> ControlFlow<()> {
        std::hint::black_box((key, record));
        self.read += 1;
        ControlFlow::Continue(())
    }
}
