//! Grouped maps, combiners and grouped reduces in worker processes: this test program itself, started
//! again as the test `script_worker_process`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mapring_script::sandbox::Sandbox;
use mapring_script::{
    Binary, CallContext, CombineError, Combiner, FailureCause, Function, Group, Grouping, JsonText,
    MapInput, MappedPairs, PhaseFunction, Row, ScriptLimits, Span, Stage, Values,
};
use mapring_shuffle::key;
use mapring_types::{
    ActorId, BucketId, Dot, Metadata, Object, ObjectId, Record, Sibling, VersionVector,
};
use mapring_workers::{ProcessConfig, ProcessWorkers, Workers};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MARK: &str = "MAPRING_TEST_WORKER";

/// Not a test: what the processes run. Does nothing unless started as one.
#[test]
fn script_worker_process() {
    if std::env::var_os(MARK).is_some() {
        std::process::exit(mapring_script::worker::main());
    }
}

async fn start(workers: usize, limits: ScriptLimits) -> Arc<ProcessWorkers> {
    let program = std::env::current_exe().unwrap().display().to_string();
    let arguments = [&format!("{MARK}=1"), &program, "--exact", "script_worker_process"];
    let config = ProcessConfig {
        program: PathBuf::from("/usr/bin/env"),
        arguments: arguments.map(String::from).into_iter().chain(["--nocapture".into()]).collect(),
        workers,
        limits,
        // The harness has threads of its own.
        sandbox: Sandbox::Off,
        queue: 100,
        js_source_dir: None,
    };
    ProcessWorkers::start(config).await.unwrap()
}

fn patient() -> ScriptLimits {
    ScriptLimits { call_ms: 60_000, ..ScriptLimits::default() }
}

fn function(function: Function) -> Arc<PhaseFunction> {
    Arc::new(PhaseFunction { function, arg: None, binary: Binary::default() })
}

fn source(text: &str) -> Arc<PhaseFunction> {
    function(Function::Source(text.to_owned()))
}

fn job(name: &str) -> Arc<PhaseFunction> {
    function(Function::Named(name.to_owned()))
}

fn input(body: &str) -> MapInput {
    let sibling = Sibling {
        dot: Dot { actor: ActorId(7), counter: 1 },
        last_modified: 0,
        deleted: false,
        metadata: Metadata { content_type: "text/plain".to_owned(), ..Metadata::default() },
        body: Bytes::copy_from_slice(body.as_bytes()),
    };
    let mut object = Object::default();
    object.update(&VersionVector::new(), sibling);
    let id = ObjectId::new(BucketId::untyped("b"), "k");
    MapInput { id, keydata: None, record: Some(Record::encode(&object)) }
}

fn inputs(bodies: &[&str]) -> Vec<MapInput> {
    bodies.iter().map(|body| input(body)).collect()
}

fn canonical(json: &str) -> Bytes {
    let mut out = Vec::new();
    key::encode(json, &mut out).unwrap();
    Bytes::from(out)
}

fn group(key: &str, values: &[&str]) -> Group {
    let values = values.iter().map(|value| JsonText((*value).to_owned())).collect();
    Group { key: canonical(key), values, old: Vec::new() }
}

fn combine(function: &Arc<PhaseFunction>) -> Arc<Grouping> {
    let combine = Some(Combiner::new(PhaseFunction::clone(function)));
    Arc::new(Grouping { combine, ..Grouping::default() })
}

fn shown(pairs: &MappedPairs) -> String {
    let pair = |pair: mapring_types::Result<mapring_shuffle::Pair<'_>>| {
        let pair = pair.unwrap();
        format!("{} {}", key::decode(pair.key).unwrap(), pair.value)
    };
    pairs.pairs.iter().map(pair).collect::<Vec<_>>().join(", ")
}

fn texts(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(Row::text).collect()
}

const WORDS: &str =
    "v => { for (const w of v.values[0].data.split(' ')) emit(w, 1); count('texts') }";
const SUM: &str = "(k, fresh, old) => [fresh.concat(old).reduce((a, b) => a + b, 0)]";

#[tokio::test(flavor = "multi_thread")]
async fn pairs_are_made_and_combined_in_workers_and_here() {
    let workers = start(1, patient()).await;
    let context = Arc::default();
    for (combiner, expect) in [
        (Some(source(SUM)), "\"a\" 3, \"b\" 2"),
        (Some(job("Job.sum")), "\"a\" 3, \"b\" 2"),
        (Some(job("Job.count")), "\"a\" ~c3, \"b\" ~c2"),
        (None, "\"a\" 1, \"b\" 1, \"a\" 1, \"b\" 1, \"a\" 1"),
    ] {
        let grouping = combiner.map_or_else(Arc::default, |combiner| combine(&combiner));
        let given = inputs(&["a b a", "b a"]);
        let (pairs, _) = workers.map_pairs(1, 0, &source(WORDS), &grouping, &context, given).await;
        let pairs = pairs.unwrap();
        assert_eq!(shown(&pairs), expect);
        assert_eq!((pairs.inputs, pairs.made, pairs.effects.counts["texts"]), (2, 5, 2));
    }
    // Without a worker, and where a worker decides.
    let sum = combine(&job("Job.sum"));
    let given = inputs(&["[1,2]", "[1,3]"]);
    for map in [job("Riak.mapValuesJson"), job("Job.values")] {
        let (pairs, _) = workers.map_pairs(1, 0, &map, &sum, &context, given.clone()).await;
        assert_eq!(shown(&pairs.unwrap()), "1 5");
    }
    let bad = inputs(&["[1,2]", "5"]);
    for map in [job("Riak.mapValuesJson"), job("Job.values"), source("v => [5]")] {
        let (pairs, _) = workers.map_pairs(1, 0, &map, &sum, &context, bad.clone()).await;
        let Err(CombineError::Map(error)) = pairs else { panic!("{pairs:?}") };
        assert_eq!(error.cause, FailureCause::NotAPair);
    }
    let wrong = combine(&source("() => 5"));
    let (pairs, _) =
        workers.map_pairs(1, 0, &source(WORDS), &wrong, &context, inputs(&["a"])).await;
    assert!(matches!(pairs, Err(CombineError::Reduce(_))), "{pairs:?}");
    workers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_combined_and_reduced() {
    let workers = start(1, patient()).await;
    let context: Arc<CallContext> = Arc::default();
    let groups = || vec![group("1", &["1", "2"]), group("2", &["3"])];
    for combiner in [source(SUM), job("Job.sum")] {
        let combiner = Arc::new(Combiner::new(PhaseFunction::clone(&combiner)));
        let combined = workers.combine_groups(1, 1, &combiner, &context, groups()).await.unwrap();
        let values: Vec<_> = combined.values.iter().flatten().map(|value| &value.0).collect();
        assert_eq!(values, ["3", "3"]);
    }
    let sum = "(k, vs) => { var n = 0; for (const v of vs) n += v; count('reduced'); return n }";
    for values in [Values::List, Values::Stream] {
        for reduce in [source(sum), job("Job.sum")] {
            let reduced = workers.reduce_groups(1, 1, &reduce, values, &context, groups()).await;
            let reduced = reduced.unwrap();
            let results: Vec<_> = reduced.results.iter().map(|rows| texts(rows)).collect();
            assert_eq!(results, [["[1,3]"], ["[2,3]"]]);
        }
    }
    let throws = source("k => { if (k > 1) throw new Error('two') }");
    let error = workers.reduce_groups(1, 1, &throws, Values::List, &context, groups()).await;
    assert_eq!(error.unwrap_err().input, Some(1));
    workers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_larger_than_a_worker_is_reduced_as_its_values_come() {
    let limits = ScriptLimits { memory_bytes: 96 << 20, ..patient() };
    let workers = start(1, limits).await;
    let context = Arc::default();
    let text = "(k, vs) => { var n = 0; for (const v of vs) n += v.length; count('c'); return n }";
    // Of other kinds of values too: what the engine does not count as garbage, and what it does.
    let value = JsonText(format!("\"{}\"", "x".repeat(99_998)));
    for (function, each) in [
        (text, 99_998),
        ("(k, vs) => { var n = 0; for (const v of vs) n += v[0].length; return n }", 99_996),
    ] {
        let value = match each {
            99_998 => value.clone(),
            _ => JsonText(format!("[\"{}\",{{}}]", "x".repeat(99_996))),
        };
        let mut stream = workers
            .reduce_stream(1, 1, &source(function), &context, canonical("\"k\""))
            .await
            .unwrap();
        for _ in 0..200 {
            assert!(stream.push(vec![value.clone(); 20]).await.unwrap());
        }
        let reduced = stream.finish().await.unwrap();
        assert_eq!(texts(&reduced.results), [format!("[\"k\",{}]", each * 4_000)]);
    }
    // The worker is free again.
    let (same, groups) = (source("k => k"), vec![group("1", &[])]);
    let reduced = workers.reduce_groups(1, 1, &same, Values::List, &context, groups);
    assert_eq!(texts(&reduced.await.unwrap().results[0]), ["[1,1]"]);
    workers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_in_many_ways() {
    let workers = start(1, ScriptLimits { call_ms: 2_000, ..ScriptLimits::default() }).await;
    let context = Arc::default();
    let values = |n: usize| (0..n).map(|n| JsonText(n.to_string())).collect::<Vec<_>>();
    let key = || canonical("\"k\"");
    let open = |text: &str| {
        let (workers, context, function) = (workers.clone(), Arc::clone(&context), source(text));
        async move { workers.reduce_stream(1, 1, &function, &context, key()).await }
    };
    // It never asks; it has enough; it asks again after the end.
    let mut stream = open("k => 5").await.unwrap();
    assert!(!stream.push(values(3)).await.unwrap());
    assert_eq!(texts(&stream.finish().await.unwrap().results), ["[\"k\",5]"]);
    let mut stream = open("(k, vs) => { for (const v of vs) if (v > 4) return v }").await.unwrap();
    assert!(stream.push(values(3)).await.unwrap());
    assert!(!stream.push(values(9)).await.unwrap() && !stream.push(values(9)).await.unwrap());
    assert_eq!(texts(&stream.finish().await.unwrap().results), ["[\"k\",5]"]);
    let twice = "function*(k, vs){ for (const v of vs) yield v; yield vs.next().done; yield [...vs].length }";
    let mut stream = open(twice).await.unwrap();
    assert!(stream.push(values(2)).await.unwrap());
    assert_eq!(texts(&stream.finish().await.unwrap().results), ["0", "1", "true", "0"]);
    // It fails at once, later, or takes too long over what it has got.
    assert_eq!(open("k => {").await.err().unwrap().cause, FailureCause::Syntax);
    let mut stream = open("(k, vs) => { for (const v of vs) v.x.y }").await.unwrap();
    let error = stream.push(values(1)).await.unwrap_err();
    assert!(error.cause == FailureCause::Thrown && error.stack.is_some(), "{error:?}");
    drop(stream);
    let mut stream =
        open("(k, vs) => { for (const v of vs) if (v == 1) for (;;); }").await.unwrap();
    // Time that it waits does not count.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(stream.push(values(1)).await.unwrap());
    assert_eq!(stream.push(values(2)).await.unwrap_err().cause, FailureCause::Time);
    drop(stream);
    // It is dropped in the midst: its worker is another's soon.
    let mut stream =
        open("(k, vs) => { for (;;) try { for (const v of vs); } catch (e) {} }").await.unwrap();
    stream.push(values(1)).await.unwrap();
    drop(stream);
    let began = Instant::now();
    let stream = open("k => k").await.unwrap();
    assert_eq!(texts(&stream.finish().await.unwrap().results), ["[\"k\",\"k\"]"]);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    // Here, too.
    let mut stream = workers.reduce_stream(1, 1, &job("Job.max"), &context, key()).await.unwrap();
    stream.push(values(5)).await.unwrap();
    assert_eq!(texts(&stream.finish().await.unwrap().results), ["[\"k\",4]"]);
    workers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_goes_through_the_requests_of_a_batch() {
    let workers = start(2, patient()).await;
    let text = "({ state: 0, map(v) { return [++this.state] }, end_slice() { return ['slice'] },
                   end_shard() { return ['shard'] }, begin_shard() { return ['begin'] } })";
    // More than one request takes.
    let large = "x".repeat(3 << 20);
    let bodies = [large.as_str(); 3];
    let stage = |state, begins, ends| {
        Arc::new(CallContext { stage: Stage { state, begins, ends }, ..CallContext::default() })
    };
    let first = stage(None, Some(Span::Shard), Some(Span::Slice));
    let mapped = workers.map(1, 0, &source(text), &first, inputs(&bodies)).await.unwrap();
    assert_eq!(mapped.results.concat().iter().map(Row::text).collect::<Vec<_>>(), ["1", "2", "3"]);
    let handled = mapped.handled.unwrap();
    assert_eq!(
        (texts(&handled.begun), texts(&handled.rest)),
        (vec!["\"begin\""], vec!["\"slice\""])
    );
    assert!(handled.ended && handled.state.0 == "3");
    let last = stage(Some(handled.state), Some(Span::Slice), Some(Span::Shard));
    let mapped = workers.map(1, 0, &source(text), &last, Vec::new()).await.unwrap();
    let handled = mapped.handled.unwrap();
    assert_eq!(texts(&handled.rest), ["\"slice\"", "\"shard\""]);
    // A function of a phase without inputs is looked at, whatever it is for.
    workers.check(1, 0, &source(text)).await.unwrap();
    assert!(
        workers
            .combine(1, 0, &source(text), &source("vs => vs"), &first, &inputs(&["a"]))
            .await
            .is_none()
    );
    workers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_pair_that_breaks_a_worker_is_named() {
    let limits = ScriptLimits { memory_bytes: 128 << 20, ..patient() };
    let workers = start(1, limits).await;
    let hungry =
        source("v => { if (v.values[0].data === 'bad') 'x'.repeat(1073741824); emit('a', 1) }");
    let (pairs, _) = workers
        .map_pairs(
            1,
            0,
            &hungry,
            &combine(&job("Job.sum")),
            &Arc::default(),
            inputs(&["a", "bad", "c"]),
        )
        .await;
    let Err(CombineError::Map(error)) = pairs else { panic!("{pairs:?}") };
    assert_eq!((error.cause, error.input), (FailureCause::Memory, Some(1)), "{error:?}");
    workers.shutdown().await;
}
