//! Shared by the tests of both runtimes.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use bytes::Bytes;
use mapring_script::{
    Binary, Function, JsonText, MapInput, PhaseFunction, ReduceState, ReduceTiming, Row, Runtime,
    ScriptError,
};
use mapring_types::{
    ActorId, BucketId, Dot, Metadata, Object, ObjectId, Record, Sibling, VersionVector,
};

pub(crate) fn json(text: &str) -> JsonText {
    JsonText(text.to_owned())
}

/// A row; what begins with a space is a pair.
pub(crate) fn row(text: &str) -> Row {
    match text.strip_prefix(' ') {
        Some(pair) => Row::pair_of(pair.to_owned()),
        None => Row::value(text),
    }
}

pub(crate) fn rows(texts: &[&str]) -> Vec<Row> {
    texts.iter().map(|text| row(text)).collect()
}

/// The texts that [`row`] reads.
pub(crate) fn strings(rows: Vec<Row>) -> Vec<String> {
    let text = |row| match row {
        Row::Value(text) => text.0,
        Row::Pair(text) => format!(" {}", text.0),
    };
    rows.into_iter().map(text).collect()
}

pub(crate) fn source(source: &str, arg: Option<&str>) -> PhaseFunction {
    phase(Function::Source(source.to_owned()), arg)
}

pub(crate) fn named(name: &str, arg: Option<&str>) -> PhaseFunction {
    phase(Function::Named(name.to_owned()), arg)
}

pub(crate) fn erlang(function: &str, arg: Option<&str>) -> PhaseFunction {
    let module = "riak_kv_mapreduce".to_owned();
    phase(Function::Erlang { module, function: function.to_owned() }, arg)
}

fn phase(function: Function, arg: Option<&str>) -> PhaseFunction {
    PhaseFunction { function, arg: arg.map(json), binary: Binary::default() }
}

pub(crate) fn sibling(counter: u64, body: &[u8]) -> Sibling {
    Sibling {
        dot: Dot { actor: ActorId(7), counter },
        last_modified: 1_000_000_000_000_000,
        deleted: false,
        metadata: Metadata { content_type: "text/plain".to_owned(), ..Metadata::default() },
        body: Bytes::copy_from_slice(body),
    }
}

pub(crate) fn input_of(siblings: Vec<Sibling>) -> MapInput {
    let mut object = Object::default();
    for sibling in siblings {
        object.update(&VersionVector::new(), sibling);
    }
    let record = Some(Record::encode(&object));
    MapInput { id: ObjectId::new(BucketId::untyped("b"), "k"), keydata: None, record }
}

pub(crate) fn input(body: &str) -> MapInput {
    input_of(vec![sibling(1, body.as_bytes())])
}

pub(crate) fn missing() -> MapInput {
    MapInput { record: None, ..input("") }
}

pub(crate) fn map(
    runtime: &mut dyn Runtime,
    function: &PhaseFunction,
    input: MapInput,
) -> Result<Vec<String>, ScriptError> {
    let mut results = runtime.map(1, function, vec![input])?;
    assert_eq!(results.len(), 1);
    Ok(strings(results.remove(0)))
}

pub(crate) fn reduce(
    runtime: &mut dyn Runtime,
    function: &PhaseFunction,
    timing: ReduceTiming,
    inputs: Vec<Row>,
) -> Result<Vec<String>, ScriptError> {
    runtime.reduce_open(1, function, timing, ReduceState::default())?;
    runtime.reduce_push(inputs)?;
    runtime.reduce_finish().map(strings)
}

/// Runs a test on a stack like a worker's.
pub(crate) fn on_large_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(test).unwrap();
    thread.join().unwrap();
}
