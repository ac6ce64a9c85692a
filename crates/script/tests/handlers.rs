//! Functions that are objects, with methods for shards and slices and a state.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use bytes::Bytes;
use common::{input, json, map, reduce, rows, source, strings};
use mapring_script::js::JsRuntime;
use mapring_script::{
    CallContext, Combiner, FailureCause, Group, Grouping, Handled, ReduceTiming, Runtime,
    ScriptError, ScriptLimits, Span, Stage, Values,
};
use mapring_shuffle::key;

/// Tells of each method, with what the state is by then.
const TELLS: &str = "({
  tell(name) { this.state = (this.state || '') + name + ' '; return [this.state]; },
  begin_shard() { return this.tell('shard'); },
  begin_slice() { return this.tell('slice'); },
  map(v) { return this.tell(v.values[0].data); },
  reduce(k, vs) { return this.tell(k); },
  end_slice() { return this.tell('/slice'); },
  end_shard() { return this.tell('/shard'); }
})";

fn stage(state: Option<&str>, begins: Option<Span>, ends: Option<Span>) -> CallContext {
    let stage = Stage { state: state.map(json), begins, ends };
    CallContext { stage, ..CallContext::default() }
}

type Told = (Vec<String>, Vec<Vec<String>>, Vec<String>, String, bool);

fn told(results: Vec<Vec<String>>, handled: Option<Handled>) -> Told {
    let Handled { state, ended, begun, rest } = handled.unwrap();
    (strings(begun), results, strings(rest), state.0, ended)
}

fn run(
    runtime: &mut JsRuntime,
    text: &str,
    context: CallContext,
    bodies: &[&str],
) -> Result<Told, ScriptError> {
    runtime.enter(context);
    let inputs = bodies.iter().map(|body| input(body)).collect();
    let results = runtime.map(1, &source(text, None), inputs)?;
    Ok(told(results.into_iter().map(strings).collect(), runtime.take_handled()))
}

fn runtime() -> JsRuntime {
    JsRuntime::new(ScriptLimits::default())
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| format!("\"{text} \"")).collect()
}

#[test]
fn methods_are_called_in_their_order() {
    let mut runtime = runtime();
    // By itself a call is a shard, whose state begins anew.
    for _ in 0..2 {
        let (begun, results, rest, state, ended) =
            run(&mut runtime, TELLS, CallContext::default(), &["a"]).unwrap();
        assert_eq!(begun, texts(&["shard", "shard slice"]));
        assert_eq!(results, [texts(&["shard slice a"])]);
        assert_eq!(rest, texts(&["shard slice a /slice", "shard slice a /slice /shard"]));
        assert!(ended && state == texts(&["shard slice a /slice /shard"])[0]);
    }
    let first = stage(None, Some(Span::Shard), None);
    let (_, results, rest, state, ended) = run(&mut runtime, TELLS, first, &["a", "b"]).unwrap();
    assert_eq!(results, [texts(&["shard slice a"]), texts(&["shard slice a b"])]);
    assert!(rest.is_empty() && !ended);
    // It goes on in another worker.
    let mut other = self::runtime();
    let second = stage(Some(&state), None, Some(Span::Slice));
    let (begun, results, rest, state, ended) = run(&mut other, TELLS, second, &["c"]).unwrap();
    assert!(begun.is_empty() && ended);
    assert_eq!(results, [texts(&["shard slice a b c"])]);
    assert_eq!(rest, texts(&["shard slice a b c /slice"]));
    // There need not be inputs.
    let last = stage(Some("\"x \""), Some(Span::Slice), Some(Span::Shard));
    let (begun, results, rest, ..) = run(&mut other, TELLS, last, &[]).unwrap();
    assert!(results.is_empty() && state.contains("/slice"));
    assert_eq!(begun, texts(&["x slice"]));
    assert_eq!(rest, texts(&["x slice /slice", "x slice /slice /shard"]));
}

#[test]
fn objects_group_and_reduce() {
    let mut runtime = runtime();
    let counts = "({ state: {n: 0}, map() { this.state.n++; }, end_slice() { emit('n', this.state.n); this.state.n = 0; } })";
    let grouping = Grouping {
        combine: Some(Combiner::new(common::named("Job.sum", None))),
        ..Grouping::default()
    };
    for _ in 0..2 {
        let inputs = [input("a"), input("b"), input("c")];
        let pairs = runtime.map_pairs(1, &source(counts, None), &grouping, &inputs).unwrap();
        let pair = pairs.pairs.iter().next().unwrap().unwrap();
        assert_eq!((pairs.pairs.count(), pair.input, pair.value), (1, 2, "3"));
        let Handled { state, ended, begun, rest } = runtime.take_handled().unwrap();
        assert!(ended && begun.is_empty() && rest.is_empty() && state.0 == r#"{"n":0}"#);
    }
    let mut bytes = Vec::new();
    key::encode("\"k\"", &mut bytes).unwrap();
    let group = Group { key: Bytes::from(bytes), values: vec![json("1")], old: Vec::new() };
    let results =
        runtime.reduce_groups(1, &source(TELLS, None), Values::List, vec![group.clone()]).unwrap();
    assert_eq!(results.into_iter().map(strings).collect::<Vec<_>>(), [texts(&["shard slice k"])]);
    assert_eq!(runtime.take_handled().unwrap().rest.len(), 2);
    let combiner = Combiner::new(source("({ combine(k, f) { return f.concat(9) } })", None));
    let combined = runtime.combine_groups(1, &combiner, vec![group]).unwrap();
    assert_eq!(combined.values[0].len(), 2);
    let plain = source("({ reduce(vs) { return [vs.length] } })", None);
    assert_eq!(
        reduce(&mut runtime, &plain, ReduceTiming::AtEnd, rows(&["1", "2"])).unwrap(),
        ["2"]
    );
}

#[test]
fn what_is_no_handler() {
    let mut runtime = runtime();
    let error = map(&mut runtime, &source("({ mapp() {} })", None), input("x")).unwrap_err();
    assert_eq!(error.message, "the source is not a function but an object");
    map(&mut runtime, &source("v => [1]", None), input("x")).unwrap();
    assert!(runtime.take_handled().is_none());
    for (text, cause, words) in [
        (
            "({ map() { return [] }, end_shard() { throw new Error('late') } })",
            FailureCause::Thrown,
            "late",
        ),
        (
            "({ map() { this.state = this; return [] } })",
            FailureCause::NotJson,
            "the state of the function",
        ),
        ("({ map() { return [] }, begin_slice() { fail('no') } })", FailureCause::Failed, "no"),
        ("({ map() { return [] }, end_slice() { return 5 } })", FailureCause::NotAList, "a number"),
    ] {
        let error = map(&mut runtime, &source(text, None), input("x")).unwrap_err();
        assert_eq!((error.cause, error.input), (cause, None), "{error:?}");
        assert!(error.message.contains(words), "{error:?}");
    }
    // With a state it is not mapped and reduced at once.
    let fold = source("vs => vs", None);
    assert_eq!(runtime.combine(1, &source(TELLS, None), &[input("a")], &fold).unwrap().inputs, 0);
}
