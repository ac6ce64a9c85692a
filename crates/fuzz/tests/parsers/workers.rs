//! What a node and its workers say to each other.

use std::fmt::Debug;

use mapring_fuzz::Corpus;
use mapring_script::protocol::{self, HEADER_BYTES, Request, Response};
use mapring_script::sandbox::Sandbox;
use mapring_script::{
    Binary, CallBounds, Function, JsonText, PhaseFunction, ReduceState, Row, ScriptLimits, native,
    without_trailing_commas,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{halves, text};

fn frame(message: &impl Serialize) -> Vec<u8> {
    protocol::encode(message).unwrap()
}

#[track_caller]
fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let mut stream = bytes;
    let Ok(message) = protocol::read::<T>(&mut stream) else { return };
    let taken = bytes.len() - stream.len();
    let length = bytes[..HEADER_BYTES].try_into().unwrap();
    assert_eq!(taken, HEADER_BYTES + protocol::body_length(length).unwrap());
    let written = frame(&message);
    assert_eq!(protocol::read::<T>(&mut written.as_slice()).unwrap(), message);
}

#[test]
fn fuzz_requests_to_workers() {
    let bounds = CallBounds { call_ms: 100, memory_bytes: 1 << 20 };
    let rows = vec![Row::value("1"), Row::value("{\"a\":[]}")];
    let hello = Request::Hello {
        version: protocol::VERSION,
        limits: ScriptLimits::default(),
        sandbox: Sandbox::default(),
    };
    Corpus::made("worker_requests")
        .and(frame(&hello))
        .and(frame(&Request::ReducePush(rows)))
        .and(frame(&Request::StreamValues(vec![JsonText("\"x\"".to_owned())])))
        .and(frame(&Request::Hold(Some(bounds))))
        .and(frame(&Request::Abandon))
        .run(comes_back::<Request>);
}

#[test]
fn fuzz_answers_of_workers() {
    let (accumulator, pending) = (vec![Row::value("[1]")], vec![Row::pair("\"a\"", "1")]);
    let state = ReduceState { accumulator, pending, started: true };
    Corpus::made("worker_answers")
        .and(frame(&Response::Ready { version: protocol::VERSION, sandbox: Vec::new() }))
        .and(frame(&Response::Busy { input: Some(300), call_ms: 5_000 }))
        .and(frame(&Response::Library(vec!["a.js: line 3".to_owned()])))
        .and(frame(&Response::Saved(None)))
        .and(frame(&Response::Suspended(state)))
        .run(comes_back::<Response>);
}

/// What a node makes of a function by its text alone: its source, a line end, its argument.
#[test]
fn fuzz_functions() {
    Corpus::of("functions").run(|bytes| {
        let Some((source, arg)) = text(bytes).map(halves) else { return };
        let arg = (!arg.is_empty()).then(|| JsonText(arg.to_owned()));
        let kinds = [Function::Source(source.to_owned()), Function::Named(source.to_owned())];
        for function in kinds {
            let function = PhaseFunction { function, arg: arg.clone(), binary: Binary::Refuse };
            let runs = native::runs(&function);
            assert!(runs || !native::is_only_here(&function));
            assert!(!(runs && native::may_be_handler(&function)));
            // One that combines its own groups is one of those that a node runs by itself.
            let combiner = native::implied_combiner(&function);
            assert!(combiner.is_none() || native::is_order_free(&function));
            assert!(!native::is_order_free(&function) || native::is_job(&function));
        }
    });
}

#[test]
fn fuzz_trailing_commas() {
    Corpus::of("lenient_json").run(|bytes| {
        let Some(given) = text(bytes) else { return };
        let Some(mended) = without_trailing_commas(given) else { return };
        assert!(mended.len() < given.len());
        assert_eq!(without_trailing_commas(&mended), None, "{mended}");
    });
}
