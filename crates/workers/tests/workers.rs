//! Worker processes under friendly and hostile functions. The processes are this test program
//! itself, started again as the test `script_worker_process`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::poll;
use futures::stream::{FuturesUnordered, StreamExt};
use mapring_script::protocol::{self, Request, Response, VERSION};
use mapring_script::sandbox::Sandbox;
use mapring_script::{
    Binary, CallBounds, CallContext, CombineError, FailureCause, Function, MapInput, PhaseFunction,
    Priority, ReduceTiming, Reduced, Row, ScriptError, ScriptLimits,
};
use mapring_types::{
    ActorId, BucketId, Dot, Metadata, Object, ObjectId, Record, Sibling, VersionVector,
};
use mapring_workers::{CallTerms, ProcessConfig, ProcessWorkers, Reduce, Workers};

/// As in the program itself: how the allocator reserves memory matters for the worker's limit.
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

fn config(workers: usize) -> ProcessConfig {
    let program = std::env::current_exe().unwrap().display().to_string();
    let arguments = [&format!("{MARK}=1"), &program, "--exact", "script_worker_process"];
    ProcessConfig {
        program: PathBuf::from("/usr/bin/env"),
        arguments: arguments.map(String::from).into_iter().chain(["--nocapture".into()]).collect(),
        workers,
        limits: ScriptLimits { call_ms: 1_000, ..ScriptLimits::default() },
        // The harness has threads of its own.
        sandbox: Sandbox::Off,
        queue: 100,
        js_source_dir: None,
    }
}

async fn start(workers: usize) -> Arc<ProcessWorkers> {
    ProcessWorkers::start(config(workers)).await.unwrap()
}

/// With a limit that what is not about time keeps even on a busy machine.
async fn start_patient(workers: usize, call_ms: u64) -> Arc<ProcessWorkers> {
    let limits = ScriptLimits { call_ms, ..ScriptLimits::default() };
    ProcessWorkers::start(ProcessConfig { limits, ..config(workers) }).await.unwrap()
}

fn source(source: &str) -> Arc<PhaseFunction> {
    phase(Function::Source(source.to_owned()))
}

fn named(name: &str) -> Arc<PhaseFunction> {
    phase(Function::Named(name.to_owned()))
}

fn erlang(function: &str) -> Arc<PhaseFunction> {
    let module = "riak_kv_mapreduce".to_owned();
    phase(Function::Erlang { module, function: function.to_owned() })
}

fn phase(function: Function) -> Arc<PhaseFunction> {
    Arc::new(PhaseFunction { function, arg: None, binary: Binary::default() })
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
    let id = ObjectId::new(BucketId::untyped("b"), body.to_owned());
    MapInput { id, keydata: None, record: Some(Record::encode(&object)) }
}

fn row(text: &str) -> Row {
    Row::value(text)
}

async fn map(workers: &dyn Workers, function: &Arc<PhaseFunction>, bodies: &[&str]) -> Mapped {
    let inputs = bodies.iter().map(|body| input(body)).collect();
    workers.map(1, 0, function, &Arc::default(), inputs).await.map(|mapped| mapped.results)
}

type Mapped = Result<Vec<Vec<Row>>, ScriptError>;

/// The pool works as if nothing had been.
async fn check_health(workers: &dyn Workers) {
    let function = source("function(v){return [v.values[0].data + '!']}");
    for _ in 0..4 {
        let results = map(workers, &function, &["a", "b"]).await.unwrap();
        assert_eq!(results, [[row("\"a!\"")], [row("\"b!\"")]]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_functions_cost_a_worker_and_have_a_cause() {
    use FailureCause::{Memory, NotAList, Stack, Syntax, Thrown, Time};
    let workers = start_patient(2, 4_000).await;
    let deep_source =
        format!("function(v){{return {}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let deep_proxy = "function(v){var p = {}; for (var i = 0; i < 200000; i++) p = new Proxy(p, {}); return [p.x]}";
    for (function, causes) in [
        ("function(v){for(;;){}}", &[Time][..]),
        ("function(v){/^(a+)+$/.test('a'.repeat(40) + 'b'); return []}", &[Time]),
        ("(function(){for(;;){}})()", &[Time]),
        ("function f(v){return f(v)}", &[Stack]),
        ("function f(v){return [1].map(f)}", &[Stack]),
        (deep_proxy, &[Stack]),
        (&deep_source, &[Stack, Syntax]),
        ("function(v){return ['x'.repeat(1073741824)]}", &[Memory]),
        (
            "function(v){var a = []; for(;;) a.push('x'.repeat(1000000) + a.length)}",
            &[Memory, Time],
        ),
        ("function(v){var a = []; for(;;) a.push([a.length])}", &[Memory, Time]),
        ("function(v){return [", &[Syntax]),
        ("function(v){throw new Error('mine')}", &[Thrown]),
        ("function(v){return 'text'}", &[NotAList]),
    ] {
        let shown = &function[..function.len().min(80)];
        let error = map(workers.as_ref(), &source(function), &["x"]).await.expect_err(shown);
        assert!(causes.contains(&error.cause), "{shown}: {error:?}");
        check_health(workers.as_ref()).await;
    }
    // A comparator that contradicts itself may break the interpreter, or be borne.
    let function = source(
        "function(v){var i = 0, a = []; while (a.length < 999) a.push(a.length); \
        a.sort(function(){return (i = i * 7 + 3 & 1023) % 3 - 1}); return [a.length]}",
    );
    match map(workers.as_ref(), &function, &["x"]).await {
        Ok(results) => assert_eq!(results, [[row("999")]]),
        Err(error) => assert_eq!(error.cause, Thrown, "{error:?}"),
    }
    check_health(workers.as_ref()).await;
    workers.shutdown().await;
}

/// A map and a reduce in one call: who fails is named, and what ends a worker is left to the functions
/// apart, which tell more.
#[tokio::test(flavor = "multi_thread")]
async fn two_functions_in_one_call_fail_apart() {
    let workers = start(2).await;
    let combine = |map: &str, reduce: &str, inputs: usize| {
        let (workers, map, reduce) = (Arc::clone(&workers), source(map), source(reduce));
        async move {
            let inputs: Vec<MapInput> = (0..inputs).map(|at| input(&at.to_string())).collect();
            workers
                .combine(1, 0, &map, &reduce, &Arc::default(), &inputs)
                .await
                .map(|(outcome, _)| outcome)
        }
    };
    let (one, sum) =
        ("function(v){return [1]}", "function(vs){return [vs.reduce((a, b) => a + b, 0)]}");
    let combined = combine(one, sum, 200).await.unwrap().unwrap();
    assert_eq!((combined.inputs, combined.made), (200, 200));
    assert_eq!(combined.values, [row("200")]);
    let seventh = "function(v){if (v.key == '7') for(;;){} return [1]}";
    let slow = combine(seventh, sum, 200).await.unwrap();
    assert!(
        matches!(slow, Err(CombineError::Map(error)) if error.cause == FailureCause::Time && error.input == Some(7))
    );
    let thrown = combine(one, "function(vs){throw 'no'}", 200).await.unwrap();
    assert!(matches!(thrown, Err(CombineError::Reduce(error)) if error.message == "no"));
    for hostile in ["function(vs){for(;;){}}", "function(vs){return ['x'.repeat(1073741824)]}"] {
        assert_eq!(combine(one, hostile, 200).await, None, "{hostile}");
    }
    // Built-ins need no worker.
    let inputs = [input("1")];
    assert!(
        workers
            .combine(1, 0, &source(one), &named("Riak.reduceSum"), &Arc::default(), &inputs)
            .await
            .is_none()
    );
    check_health(workers.as_ref()).await;
}

/// Whether a source is a function is found out to the end, whoever still wants to know: giving up in
/// the middle would cost the worker.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_a_function_that_nobody_waits_for_costs_no_worker() {
    let workers = start(2).await;
    let before = workers.processes();
    for query in 0..50 {
        let function = source(&format!("function(v){{ return [{query}"));
        let check = workers.check(query, 1, &function);
        futures::pin_mut!(check);
        assert!(poll!(&mut check).is_pending());
    }
    let function = source("function(v){ return [");
    let error = workers.check(99, 1, &function).await.unwrap_err();
    assert_eq!(error.cause, FailureCause::Syntax);
    assert!(workers.check(99, 1, &source("function(v){ return [1]; }")).await.is_ok());
    check_health(workers.as_ref()).await;
    assert_eq!(workers.processes(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_that_is_promised_can_be_used() {
    let workers = start_patient(1, 20_000).await;
    // Garbage beyond the limit, and 150 of 256 MB held at once.
    let function = source(
        "function(v){var a = [], n = 0; \
        for (var i = 0; i < 150; i++) { a.push('x'.repeat(1000000) + i); n += ('y' + a[i]).length } \
        return [a.length]}",
    );
    for _ in 0..3 {
        assert_eq!(map(workers.as_ref(), &function, &["x"]).await.unwrap(), [[row("150")]]);
    }
    workers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_input_that_ends_a_worker_is_named() {
    let workers = start_patient(1, 4_000).await;
    let bodies: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    for (deed, cause) in [
        ("for(;;){}", FailureCause::Time),
        ("'x'.repeat(1 << 30)", FailureCause::Memory),
        (
            "var p = {}; for (var i = 0; i < 200000; i++) p = new Proxy(p, {}); p.x",
            FailureCause::Stack,
        ),
        ("throw 1", FailureCause::Thrown),
        (
            "var i = 0, a = []; while (a.length < 999) a.push(a.length); \
            a.sort(function(){return (i = i * 7 + 3 & 1023) % 3 - 1}); throw 1",
            FailureCause::Thrown,
        ),
    ] {
        let function =
            source(&format!("function(v){{if (v.key == '17') {{{deed}}} return [v.key]}}"));
        let error = map(workers.as_ref(), &function, &bodies).await.unwrap_err();
        assert_eq!((error.cause, error.input), (cause, Some(17)), "{error:?}");
    }
    workers.shutdown().await;
}

/// Where a process ends in a call that has run for long, the call is not made again to see which it
/// was: the caller would wait twice. The one after it is not taken for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_call_that_ends_its_worker_is_made_once() {
    let workers = start_patient(1, 20_000).await;
    let bodies: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let wait = "var end = Date.now() + 2500; while (Date.now() < end);";
    for (deed, longest) in [
        (format!("if (v.key == '17') {{ {wait} 'x'.repeat(1 << 30); }}"), 5),
        (format!("if (v.key == '16') {{ {wait} }} if (v.key == '17') 'x'.repeat(1 << 30);"), 10),
    ] {
        let function = source(&format!("function(v){{ {deed} return [v.key] }}"));
        let began = Instant::now();
        let error = map(workers.as_ref(), &function, &bodies).await.unwrap_err();
        assert_eq!((error.cause, error.input), (FailureCause::Memory, Some(17)), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(longest), "{:?}", began.elapsed());
    }
    workers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_is_for_a_call_and_not_for_a_batch() {
    let workers = start(1).await;
    let function =
        source("function(v){var end = Date.now() + 150; while (Date.now() < end); return [1]}");
    let bodies: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let results = map(workers.as_ref(), &function, &bodies).await.unwrap();
    assert_eq!(results.len(), 10);
    workers.shutdown().await;
}

#[tokio::test]
async fn large_results_end_a_batch() {
    let workers = start_patient(1, 20_000).await;
    let large = source("function(v) { return [v.key, 'x'.repeat(600 << 10)]; }");
    let bodies = ["0", "1", "2", "3", "4"];
    let results = map(workers.as_ref(), &large, &bodies).await.unwrap();
    let keys: Vec<&str> = results.iter().map(|values| values[0].text()).collect();
    assert_eq!(keys, ["\"0\"", "\"1\""], "the rest has to be asked for again");
    let one = source("function(v) { return ['x'.repeat(3 << 20)]; }");
    assert_eq!(map(workers.as_ref(), &one, &bodies).await.unwrap().len(), 1);
    let small = source("function(v) { return [v.key]; }");
    assert_eq!(map(workers.as_ref(), &small, &bodies).await.unwrap().len(), 5);
    workers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_wait_for_workers_and_later_phases_come_first() {
    let workers = start_patient(1, 60_000).await;
    let slow =
        source("function(v){var end = Date.now() + 300; while (Date.now() < end); return [1]}");
    let quick = source("function(v){return [1]}");
    let context = Arc::default();
    let mut calls = FuturesUnordered::new();
    for (phase, function) in [(0, &slow), (1, &quick), (3, &quick), (2, &quick), (3, &quick)] {
        let call = workers.map(1, phase, function, &context, vec![input("x")]);
        let mut call = Box::pin(async move { call.await.map(|_| phase) });
        // The first poll takes the worker, or a place in the queue.
        assert!(poll!(&mut call).is_pending());
        calls.push(call);
    }
    let mut order = Vec::new();
    while let Some(phase) = calls.next().await {
        order.push(phase.unwrap());
    }
    assert_eq!(order, [0, 3, 3, 2, 1]);
    workers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_call_frees_its_worker() {
    let workers = start_patient(1, 60_000).await;
    let endless = source("function(v){for(;;){}}");
    let started = Instant::now();
    let bodies: Vec<MapInput> = vec![input("x")];
    let context = Arc::default();
    let call = workers.map(1, 0, &endless, &context, bodies);
    assert!(tokio::time::timeout(Duration::from_millis(200), call).await.is_err());
    check_health(workers.as_ref()).await;
    // Without the withdrawal the worker would have been busy until its limit.
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    workers.shutdown().await;
}

async fn feed(reduce: &mut Box<dyn Reduce>, from: u32, to: u32) {
    let inputs = (from..to).map(|n| Row::value(n.to_string())).collect();
    reduce.push(inputs).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn reduces_give_up_their_worker_for_others() {
    let workers = start(1).await;
    let function = source("function(vs){return [vs.reduce(function(a, b){return a + b}, 0)]}");
    let mut reduces = Vec::new();
    for query in 0..5 {
        let timing = ReduceTiming::Every(7);
        reduces.push(workers.reduce(query, 1, &function, &Arc::default(), timing).await.unwrap());
    }
    for round in 0..6 {
        for reduce in &mut reduces {
            feed(reduce, round * 10, round * 10 + 10).await;
        }
        check_health(workers.as_ref()).await;
    }
    for reduce in reduces {
        assert_eq!(reduce.finish().await.unwrap().results, [row("1770")]);
    }
    workers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reduces_go_on_elsewhere_with_what_others_have_come_to() {
    let workers = start(1).await;
    let timing = ReduceTiming::Every(7);
    let sum = "function(vs){count('calls'); return [vs.reduce(function(a, b){return a + b}, 0)]}";
    for function in [source(sum), named("Riak.reduceSum"), erlang("reduce_sum")] {
        let begin =
            async || workers.reduce(1, 1, &function, &Arc::default(), timing).await.unwrap();
        let mut reduce = begin().await;
        for round in 0..6 {
            feed(&mut reduce, round * 10, round * 10 + 10).await;
            assert_eq!(reduce.save(3).await.unwrap(), None);
            let saved = reduce.save(1_000).await.unwrap().unwrap();
            let mut next = begin().await;
            next.restore(saved).await.unwrap();
            // The one before goes on as if nothing had been.
            assert_eq!(reduce.save(1_000).await.unwrap(), next.save(1_000).await.unwrap());
            reduce = next;
            check_health(workers.as_ref()).await;
        }
        let Reduced { results, effects } = reduce.finish().await.unwrap();
        assert_eq!(results, [row("1770")]);
        let calls = effects.counts.get("calls").copied().unwrap_or_default();
        assert_eq!(calls, if function == source(sum) { 9 } else { 0 });
    }
    // What a built-in left to JavaScript stays there.
    let sums = named("Riak.reduceSum");
    let mut reduce = workers.reduce(1, 1, &sums, &Arc::default(), timing).await.unwrap();
    reduce.push(["1", "{\"a\":1}"].map(row).to_vec()).await.unwrap();
    let saved = reduce.save(1_000).await.unwrap().unwrap();
    let mut next = workers.reduce(1, 1, &sums, &Arc::default(), timing).await.unwrap();
    next.restore(saved).await.unwrap();
    next.push(vec![row("2")]).await.unwrap();
    assert_eq!(next.finish().await.unwrap().results, reduce_of(reduce, "2").await);
    workers.shutdown().await;
}

async fn reduce_of(mut reduce: Box<dyn Reduce>, more: &str) -> Vec<Row> {
    reduce.push(vec![row(more)]).await.unwrap();
    reduce.finish().await.unwrap().results
}

#[tokio::test(flavor = "multi_thread")]
async fn reduces_fail_with_their_cause_and_stay_failed() {
    let workers = start(1).await;
    let timing = ReduceTiming::Every(2);
    let function = source("function(vs){for(;;){}}");
    let mut reduce = workers.reduce(1, 1, &function, &Arc::default(), timing).await.unwrap();
    reduce.push(vec![row("1")]).await.unwrap();
    let error = reduce.push(vec![row("1")]).await.unwrap_err();
    assert_eq!(error.cause, FailureCause::Time);
    let error = reduce.push(vec![row("1")]).await.unwrap_err();
    assert_eq!(error.cause, FailureCause::Time);
    assert_eq!(reduce.finish().await.unwrap_err().cause, FailureCause::Time);
    let error =
        workers.reduce(1, 1, &source("function("), &Arc::default(), timing).await.err().unwrap();
    assert_eq!(error.cause, FailureCause::Syntax);
    // One that is dropped in the midst of things leaves nothing behind.
    let kept = workers
        .reduce(1, 1, &source("function(vs){return vs}"), &Arc::default(), timing)
        .await
        .unwrap();
    drop(kept);
    check_health(workers.as_ref()).await;
    workers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn built_ins_run_here_and_leave_what_they_cannot_do_to_javascript() {
    let workers = start(1).await;
    let results = map(workers.as_ref(), &erlang("map_object_value"), &["10", "20"]).await.unwrap();
    assert_eq!(results, [[row("\"10\"")], [row("\"20\"")]]);
    let results =
        map(workers.as_ref(), &named("Riak.mapValuesJson"), &["{\"a\":1}"]).await.unwrap();
    assert_eq!(results, [[row("{\"a\":1}")]]);
    let error = map(workers.as_ref(), &named("Riak.mapValuesJson"), &["1", "{"]).await.unwrap_err();
    assert_eq!((error.cause, error.input), (FailureCause::Thrown, Some(1)));
    assert!(error.message.starts_with("SyntaxError"), "{error:?}");
    let timing = ReduceTiming::Every(2);
    let mut reduce =
        workers.reduce(1, 1, &named("Riak.reduceSum"), &Arc::default(), timing).await.unwrap();
    for value in ["1", "2", "{\"a\":1}", "3", "4"] {
        reduce.push(vec![row(value)]).await.unwrap();
    }
    assert_eq!(reduce.finish().await.unwrap().results, [row("\"3[object Object]34\"")]);
    let mut reduce =
        workers.reduce(1, 1, &erlang("reduce_sum"), &Arc::default(), timing).await.unwrap();
    let error = reduce.push(vec![row("\"a\""), row("\"b\"")]).await.unwrap_err();
    assert_eq!(error.cause, FailureCause::BadArgument);
    workers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_process_stays_behind() {
    let workers = start(3).await;
    check_health(workers.as_ref()).await;
    let endless = source("function(v){for(;;){}}");
    let context = Arc::default();
    let mut call = workers.map(1, 0, &endless, &context, vec![input("x")]);
    assert!(poll!(&mut call).is_pending());
    let identity = source("function(vs){return vs}");
    let reduce =
        workers.reduce(1, 1, &identity, &Arc::default(), ReduceTiming::AtEnd).await.unwrap();
    let ((), result) = futures::join!(workers.shutdown(), call);
    let error = result.unwrap_err();
    assert_eq!(reduce.finish().await.unwrap_err().message, "the node is stopping");
    assert_eq!(error.message, "the node is stopping");
    assert_eq!(
        map(workers.as_ref(), &source("1"), &["x"]).await.unwrap_err().message,
        "the node is stopping"
    );
}

/// A worker ends with its node, even while JavaScript spins.
#[test]
fn a_worker_ends_with_its_socket() {
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let config = config(1);
    let mut process = std::process::Command::new(&config.program)
        .arg("MIMALLOC_ARENA_RESERVE=32M")
        .args(&config.arguments)
        .stdin(std::os::fd::OwnedFd::from(theirs))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let (limits, sandbox) = (ScriptLimits::default(), Sandbox::Off);
    let hello = Request::Hello { version: VERSION, limits, sandbox };
    protocol::write(&mut ours, &hello).unwrap();
    let ready = protocol::read::<Response>(&mut ours).unwrap();
    assert_eq!(ready, Response::Ready { version: VERSION, sandbox: Vec::new() });
    let function = PhaseFunction::clone(&source("function(v){for(;;){}}"));
    let request = Request::Map {
        query: 1,
        function,
        context: CallContext::default(),
        inputs: vec![input("x")],
    };
    protocol::write(&mut ours, &request).unwrap();
    // News come while the call runs.
    let busy = protocol::read::<Response>(&mut ours).unwrap();
    assert!(matches!(busy, Response::Busy { input: Some(0), .. }), "{busy:?}");
    drop(ours);
    assert!(process.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_no_worker_is_an_error_at_the_start() {
    let wrong = ProcessConfig { program: PathBuf::from("/bin/false"), ..config(1) };
    let error = ProcessWorkers::start(wrong).await.err().unwrap();
    assert!(error.to_string().contains("no script worker can be started"), "{error}");
    let missing = ProcessConfig { program: PathBuf::from("/nowhere/at/all"), ..config(1) };
    assert!(ProcessWorkers::start(missing).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_query_leaves_behind_costs_the_next_one_nothing() {
    let workers = start_patient(1, 20_000).await;
    // More than half of the memory, but not all of it; and an error, so that it is not collected
    // before the worker has answered.
    let texts = |count: u32| {
        format!(
            "var s = 'x'; while (s.length < 8e6) s += s;
             for (var i = 0; i < {count}; i++) a.push(JSON.parse('\"' + s + i + '\"'));"
        )
    };
    let greedy =
        source(&format!("function(v){{ globalThis.a = []; {} throw 'enough' }}", texts(20)));
    let modest = source(&format!("function(v){{ var a = []; {} return [a.length] }}", texts(12)));
    for query in 100..102 {
        let error = map(workers.as_ref(), &greedy, &["1"]).await.unwrap_err();
        assert_eq!(error.cause, FailureCause::Thrown, "{error:?}");
        let reduce =
            workers.reduce(query, 1, &modest, &Arc::default(), ReduceTiming::AtEnd).await.unwrap();
        assert_eq!(reduce.finish().await.unwrap().results, [row("12")]);
    }
    workers.shutdown().await;
}

/// Maps one input with a named function, in a query of its own.
async fn query(workers: &dyn Workers, name: &str) -> Result<String, ScriptError> {
    static QUERY: AtomicU64 = AtomicU64::new(1_000);
    let query = QUERY.fetch_add(1, Ordering::Relaxed);
    let results =
        workers.map(query, 0, &named(name), &Arc::default(), vec![input("x")]).await?.results;
    Ok(results[0].iter().map(|result| result.text()).collect::<Vec<_>>().join(" "))
}

/// Waits until a named function gives something, or fails with such words.
async fn until(workers: &dyn Workers, name: &str, expected: &str) {
    let mut last = String::new();
    for _ in 0..400 {
        last = query(workers, name).await.unwrap_or_else(|error| error.message);
        if last.contains(expected) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{name} does not give {expected} but {last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_functions_are_in_use_and_changes_are_taken_up() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("a.js", "var shop = {rate: function(v) { return [rate, v.key]; }}; var rate = 1;");
    let js_source_dir = Some(directory.path().to_path_buf());
    let workers =
        ProcessWorkers::start(ProcessConfig { js_source_dir, ..config(2) }).await.unwrap();
    let workers = workers.as_ref();
    assert_eq!(query(workers, "shop.rate").await.unwrap(), "1 \"x\"");
    assert_eq!(query(workers, "later").await.unwrap_err().message, "later is not defined");
    write("b.js", "rate = 20; function later(v) { return shop.rate(v); }");
    until(workers, "later", "20").await;
    write("b.js", "function later( {");
    until(workers, "later", "later is not defined (in js_source_dir: b.js: SyntaxError").await;
    assert_eq!(query(workers, "shop.rate").await.unwrap(), "1 \"x\"");
    // What costs workers their lives is left out, and queries that do without go on.
    write("b.js", "for (;;) {}");
    until(workers, "later", "in js_source_dir: all files are left out: timeout").await;
    check_health(workers).await;
    let error = query(workers, "shop.rate").await.unwrap_err();
    assert_eq!(error.cause, FailureCause::Undefined);
    write("b.js", "function later(v) { return [300]; }");
    until(workers, "later", "300").await;
    assert_eq!(query(workers, "shop.rate").await.unwrap(), "1 \"x\"");
    std::fs::remove_dir_all(directory.path()).unwrap();
    until(workers, "later", "cannot be read").await;
    check_health(workers).await;
    workers.shutdown().await;
}

/// Calls of a query may be held to less, or to more, than those of others in the same worker.
#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_query_are_held_to_terms_of_its_own() {
    use FailureCause::{Memory, Time};
    let workers = start_patient(1, 3_000).await;
    let terms = |call_ms, megabytes: u64| CallTerms {
        bounds: CallBounds { call_ms, memory_bytes: megabytes << 20 },
        priority: Priority::Normal,
    };
    let endless = source("function(v){for(;;){}}");
    let waits = source(
        "function(v){var until = Date.now() + 1200; while (Date.now() < until) {} return [1]}",
    );
    let grows =
        source("function(v){var a = []; for (var i = 0; i < 4e6; i++) a.push({i}); return [1]}");
    // `map` asks for the query 1.
    let hold = workers.hold(1, terms(300, 64));
    let began = Instant::now();
    assert_eq!(map(workers.as_ref(), &endless, &["x"]).await.unwrap_err().cause, Time);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(map(workers.as_ref(), &waits, &["x"]).await.unwrap_err().cause, Time);
    // Another query has the worker's own limits.
    let other = workers.map(2, 0, &waits, &Arc::default(), vec![input("x")]).await.unwrap();
    assert_eq!(other.results, [[row("1")]]);
    check_health(workers.as_ref()).await;
    // What came last counts, and all of it ends with the last one.
    let longer = workers.hold(1, terms(60_000, 16));
    drop(hold);
    assert_eq!(map(workers.as_ref(), &waits, &["x"]).await.unwrap(), [[row("1")]]);
    assert_eq!(map(workers.as_ref(), &grows, &["x"]).await.unwrap_err().cause, Memory);
    check_health(workers.as_ref()).await;
    drop(longer);
    assert_eq!(map(workers.as_ref(), &endless, &["x"]).await.unwrap_err().cause, Time);
}

/// What a query leaves behind does not count against the memory that its next calls may take.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_of_a_query_with_little_memory_is_collected_in_time() {
    let workers = start_patient(1, 60_000).await;
    let bounds = CallBounds { call_ms: 60_000, memory_bytes: 24 << 20 };
    let _terms = workers.hold(1, CallTerms { bounds, priority: Priority::Low });
    let litters =
        source("function(v){var a = []; for (var i = 0; i < 2e4; i++) a.push({i}); return [1]}");
    for _ in 0..30 {
        let found = map(workers.as_ref(), &litters, &["a", "b", "c"]).await.unwrap();
        assert_eq!(found.len(), 3);
    }
}
