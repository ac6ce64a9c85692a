//! Maps whose results are grouped, combiners and grouped reduces in JavaScript.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use bytes::Bytes;
use common::{input, json, missing, named, source, strings};
use mapring_script::js::JsRuntime;
use mapring_script::{
    CallContext, CombineError, CombineMode, Combiner, FailureCause, Group, Grouping, MappedPairs,
    PhaseFunction, ScriptError, ScriptLimits, Values,
};
use mapring_shuffle::key;

fn runtime() -> JsRuntime {
    JsRuntime::new(ScriptLimits { result_bytes: 100_000, ..ScriptLimits::default() })
}

fn group(key: &str, values: &[&str]) -> Group {
    let mut out = Vec::new();
    key::encode(key, &mut out).unwrap();
    let values = values.iter().map(|value| json(value)).collect();
    Group { key: Bytes::from(out), values, old: Vec::new() }
}

fn combiner(text: &str, mode: CombineMode, batch: u32) -> Combiner {
    Combiner { function: source(text, None), mode, batch, lenient: false }
}

fn combine(combiner: Combiner) -> Grouping {
    Grouping { combine: Some(combiner), ..Grouping::default() }
}

/// Pairs as `input key value`.
fn shown(pairs: &MappedPairs) -> Vec<String> {
    let pair = |pair: mapring_types::Result<mapring_shuffle::Pair<'_>>| {
        let pair = pair.unwrap();
        format!("{} {} {}", pair.input, key::decode(pair.key).unwrap(), pair.value)
    };
    pairs.pairs.iter().map(pair).collect()
}

fn map_all(text: &str, grouping: &Grouping, bodies: &[&str]) -> Result<MappedPairs, CombineError> {
    let inputs: Vec<_> = bodies.iter().map(|body| input(body)).collect();
    runtime().map_pairs(1, &source(text, None), grouping, &inputs)
}

#[track_caller]
fn maps(text: &str, grouping: &Grouping, bodies: &[&str], expect: &[&str]) {
    let pairs = map_all(text, grouping, bodies).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    assert_eq!(shown(&pairs), expect, "{text}");
    assert_eq!(pairs.inputs as usize, bodies.len());
}

#[track_caller]
fn map_fails(text: &str, cause: FailureCause, words: &str) {
    let Err(CombineError::Map(error)) = map_all(text, &Grouping::default(), &["a"]) else {
        panic!("{text} does not fail");
    };
    assert_eq!(error.cause, cause, "{error:?}");
    assert!(error.message.contains(words) && error.input == Some(0), "{error:?}");
}

const EMIT: &str = "function(v){ var d = JSON.parse(v.values[0].data); emit(d[0], d[1]); }";

#[test]
fn emitted_and_returned_pairs() {
    let all = Grouping::default();
    maps(EMIT, &all, &["[\"a\",1]", "[2,{\"b\":[null]}]"], &["0 \"a\" 1", "1 2 {\"b\":[null]}"]);
    maps("v => [[v.key, 1], [[1, 2], 'x']]", &all, &["a"], &["0 \"k\" 1", "0 [1,2] \"x\""]);
    maps(
        "function*(v){ yield ['a', 1]; emit('b', 2); yield ['c', 3]; }",
        &all,
        &["a"],
        &["0 \"a\" 1", "0 \"b\" 2", "0 \"c\" 3"],
    );
    maps("v => {}", &all, &["a", "b"], &[]);
    maps(
        "v => { emit(true, true); emit(null, null); emit(undefined, undefined); emit(NaN, NaN); \
          emit(-0, -0); emit(1.5, 1.5); emit('é€😀', 'é€😀'); emit({b: 1, a: 2}, {b: 1, a: 2}) }",
        &all,
        &["a"],
        &[
            "0 true true",
            "0 null null",
            "0 null null",
            "0 null null",
            "0 0 0",
            "0 1.5 1.5",
            "0 \"é€😀\" \"é€😀\"",
            "0 {\"a\":2,\"b\":1} {\"b\":1,\"a\":2}",
        ],
    );
    let strings = Grouping { string_keys: true, ..Grouping::default() };
    maps(
        "v => { emit(1, 1); emit('1', 2); emit(1.50, 3); emit(null, 4); emit([1], 5); emit(true, 6) }",
        &strings,
        &["a"],
        &["0 \"1\" 1", "0 \"1\" 2", "0 \"1.5\" 3", "0 \"null\" 4", "0 \"[1]\" 5", "0 \"true\" 6"],
    );
    let none = runtime().map_pairs(1, &source("v => fail('called')", None), &all, &[missing()]);
    let none = none.unwrap();
    assert_eq!((none.inputs, none.made), (1, 0));

    map_fails("v => [1]", FailureCause::NotAPair, "is [key, value], not 1");
    map_fails("v => [['a', 1, 2]]", FailureCause::NotAPair, r#"not ["a",1,2]"#);
    map_fails("v => 'a'", FailureCause::NotAList, "a string");
    map_fails("v => emit('x'.repeat(70000), 1)", FailureCause::Thrown, "65536");
    map_fails("v => { for (;;) emit('a', 'xxxxxxxxx') }", FailureCause::ResultSize, "100000");
    map_fails("v => { emit('a', 1); throw new Error('late') }", FailureCause::Thrown, "late");
}

#[test]
fn pairs_are_folded_by_built_in_combiners() {
    let sum = combine(Combiner::new(named("Job.sum", None)));
    maps(
        EMIT,
        &sum,
        &["[\"a\",1]", "[\"b\",2.5]", "[\"a\",3]"],
        &["0 \"a\" 4", "1 \"b\" ~s0;2.5e0"],
    );
    let distinct = combine(Combiner::new(named("Job.distinct", None)));
    maps(EMIT, &distinct, &["[1,\"x\"]", "[1.0,\"y\"]", "[1,\"x\"]"], &["0 1 \"x\"", "0 1 \"y\""]);
    let count = combine(Combiner::new(named("Job.count", None)));
    maps(
        "v => { for (const w of v.values[0].data.split(' ')) emit(w, 1) }",
        &count,
        &["a b a", "b a"],
        &["0 \"a\" ~c3", "0 \"b\" ~c2"],
    );
    let error = map_all("v => { emit('a', 'text') }", &sum, &["x"]);
    let Err(CombineError::Map(error)) = error else { panic!("{error:?}") };
    assert!(error.message.contains("Job.sum takes numbers, not \"text\""), "{error:?}");
}

const SUM: &str =
    "function(key, fresh, old){ return [fresh.concat(old).reduce(function(a,b){return a+b;},0)]; }";
const DEDUPE: &str = "function*(key, fresh, old){ var seen = new Set(old); yield* old; \
                      for (const x of fresh) if (!seen.has(x)) { seen.add(x); yield x; } }";
/// As an article printed it: it knows nothing of what it gave before, and never adds to its set.
const PRINTED: &str = "function*(key, fresh, old){ var seen = new Set(old); \
                       for (const x of fresh) if (!seen.has(x)) yield x; }";

#[test]
fn combiners_make_few_values_of_many() {
    use CombineMode::{Append, Replace};
    let numbers: Vec<String> = (0..40).map(|n| format!("[{},{n}]", n % 4)).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    for batch in [1, 2, 3, 1_000] {
        maps(
            EMIT,
            &combine(combiner(SUM, Replace, batch)),
            &numbers,
            &["0 0 180", "1 1 190", "2 2 200", "3 3 210"],
        );
    }
    let letters =
        ["[1,\"d\"]", "[1,\"h\"]", "[8,\"z\"]", "[1,\"d\"]", "[8,\"m\"]", "[1,\"v\"]", "[8,\"z\"]"];
    let expect = ["0 1 \"d\"", "0 1 \"h\"", "0 1 \"v\"", "2 8 \"z\"", "2 8 \"m\""];
    for batch in [1, 2, 1_000] {
        maps(EMIT, &combine(combiner(DEDUPE, Replace, batch)), &letters, &expect);
    }
    maps(EMIT, &combine(combiner(PRINTED, Append, 1)), &letters, &expect);
    // What it does where it is not added to: only the values of the last call are left.
    maps(EMIT, &combine(combiner(PRINTED, Replace, 1)), &letters[..2], &["0 1 \"h\""]);
}

#[track_caller]
fn combines(combiner: &Combiner, group: Group, expect: &[&str]) {
    let out = runtime().combine_groups(1, combiner, vec![group]).unwrap();
    let values: Vec<_> = out.values[0].iter().map(|value| value.0.as_str()).collect();
    assert_eq!(values, expect);
}

#[test]
fn groups_are_combined() {
    use CombineMode::{Append, Replace};
    let with_old =
        |old: &str, values: &[&str]| Group { old: vec![json(old)], ..group("\"k\"", values) };
    combines(&combiner(SUM, Replace, 2), with_old("10", &["1", "2", "3"]), &["16"]);
    combines(&combiner(SUM, Append, 2), with_old("10", &["1", "2"]), &["10", "13"]);
    combines(&combiner(SUM, Replace, 2), with_old("10", &[]), &["10"]);
    combines(
        &combiner("function(k, f, o, arg){ return [k, f, o, arg] }", Replace, 9),
        group("[1]", &["2"]),
        &["[1]", "[2]", "[]", "\"none\""],
    );
    // What a built-in gave comes as it is.
    combines(
        &combiner("function(k, f){ return f }", Replace, 9),
        group("1", &["~c2", "7", "~c3"]),
        &["5", "7"],
    );
}

#[test]
fn combiners_that_give_no_list() {
    for (text, what) in
        [("() => 5", "a number"), ("() => {}", "undefined"), ("() => ({a: 1})", "an object")]
    {
        let bad = combiner(text, CombineMode::Replace, 1_000);
        let words = format!("the combiner returned {what}: combine must return a list");
        let check = |error: ScriptError| {
            assert_eq!(error.cause, FailureCause::NotAList);
            assert!(error.message.contains(&words), "{error:?}");
        };
        match map_all(EMIT, &combine(bad.clone()), &["[\"a\",2]"]) {
            Err(CombineError::Reduce(error)) => {
                assert!(error.message.ends_with(r#" (key "a")"#), "{error:?}");
                check(error);
            }
            other => panic!("{other:?}"),
        }
        let groups = vec![group("1", &["1"])];
        check(runtime().combine_groups(1, &bad, groups).unwrap_err());
    }
    // Also where a key has enough for a call before the inputs end.
    let throws = combiner("k => { throw new Error('no') }", CombineMode::Replace, 1);
    match map_all(EMIT, &combine(throws), &["[[7],2]", "[1,2]"]) {
        Err(CombineError::Reduce(error)) => {
            assert_eq!(error.cause, FailureCause::Thrown);
            assert_eq!(error.message, "Error: no (key [7])");
        }
        other => panic!("{other:?}"),
    }
    let emits = combiner("(k, f) => { emit(k, 1); return f }", CombineMode::Replace, 1_000);
    let error = runtime().combine_groups(1, &emits, vec![group("1", &["1"])]).unwrap_err();
    assert!(error.message.contains("only a map and a reduce"), "{error:?}");
    let mut runtime = runtime();
    let counts = combiner("(k, f) => { count('c'); return f }", CombineMode::Replace, 1_000);
    runtime
        .map_pairs(1, &source(EMIT, None), &combine(counts), &[input("[1,2]"), input("[2,2]")])
        .unwrap();
    assert_eq!(runtime.take_effects().counts["c"], 2);
}

fn reduce_all(
    text: &str,
    values: Values,
    groups: Vec<Group>,
) -> Result<Vec<Vec<String>>, ScriptError> {
    let results = runtime().reduce_groups(1, &source(text, Some("7")), values, groups)?;
    Ok(results.into_iter().map(strings).collect())
}

#[track_caller]
fn reduces(text: &str, group: Group, expect: &[&str]) {
    for values in [Values::List, Values::Stream] {
        let results = reduce_all(text, values, vec![group.clone()]).unwrap();
        assert_eq!(results, [expect], "{text}, {values:?}");
    }
}

#[test]
fn groups_are_reduced() {
    let k = || group("\"k\"", &["1", "2"]);
    reduces("(k, vs) => { var n = 0; for (const v of vs) n += v; return n }", k(), &[r#"["k",3]"#]);
    reduces("(k, vs) => [[k, Array.from(vs)], 5]", k(), &[r#"["k",[1,2]]"#, "5"]);
    reduces(
        "function*(k, vs){ for (const v of vs) { yield v; emit(v, k) } }",
        k(),
        &["1", r#"[1,"k"]"#, "2", r#"[2,"k"]"#],
    );
    reduces("(k, vs, arg) => ({arg: arg})", k(), &[r#"["k",{"arg":7}]"#]);
    reduces("() => {}", k(), &[]);
    reduces("() => null", k(), &[]);
    reduces("() => [null]", k(), &["null"]);
    reduces("() => false", k(), &[r#"["k",false]"#]);
    reduces("k => ({lineno: 5})", k(), &[r#"["k",{"lineno":5}]"#]);
    reduces(
        "k => k",
        group("{\"b\":[1.0],\"a\":null}", &[]),
        &[r#"[{"a":null,"b":[1]},{"a":null,"b":[1]}]"#],
    );
    reduces("(k, vs) => [...vs]", group("1", &["~m2;3", "~m1;3"]), &["2"]);
    let old = Group { old: vec![json("0")], ..k() };
    reduces("(k, vs) => [...vs]", old, &["0", "1", "2"]);
    // A loop that is left early.
    reduces("(k, vs) => { for (const v of vs) return v }", k(), &[r#"["k",1]"#]);
    // What only a list has.
    for part in ["length", "0"] {
        let part = format!("(k, vs) => typeof vs[{part:?}]");
        assert_eq!(reduce_all(&part, Values::List, vec![k()]).unwrap(), [[r#"["k","number"]"#]]);
        let error = reduce_all(&part, Values::Stream, vec![k()]).unwrap_err();
        assert_eq!(error.cause, FailureCause::Thrown);
        assert!(error.message.starts_with("TypeError: values is a stream"), "{error:?}");
        assert!(error.message.contains("for (const value of values)"), "{error:?}");
    }
    let error = reduce_all(
        "(k, vs) => { for (var i = 0; i < vs.length; i++) return vs[i] }",
        Values::Stream,
        vec![k()],
    );
    assert!(error.unwrap_err().message.contains("has no length"));
}

#[test]
fn failing_reduces_name_their_group() {
    let groups = || vec![group("1", &["1"]), group("2", &["2"])];
    for (text, cause, words) in [
        ("k => { if (k > 1) throw new Error('two') }", FailureCause::Thrown, "two"),
        ("k => k > 1 ? function(){} : 1", FailureCause::NotJson, "a function, which has no JSON"),
        ("k => k > 1 ? Promise.resolve(1) : 1", FailureCause::NotJson, "a promise"),
        ("k => k > 1 ? fail('enough') : 1", FailureCause::Failed, "enough"),
        ("k => k > 1 ? 'x'.repeat(200000) : 1", FailureCause::ResultSize, "100000"),
    ] {
        let error = reduce_all(text, Values::List, groups()).unwrap_err();
        assert_eq!((error.cause, error.input), (cause, Some(1)), "{text}: {error:?}");
        assert!(error.message.contains(words), "{error:?}");
    }
    // An iterator that is kept gives nothing after its group.
    let keeps = "var kept = []; (k, vs) => { kept.push(vs); return [...kept[0]].length }";
    assert_eq!(reduce_all(keeps, Values::Stream, groups()).unwrap(), [["[1,1]"], ["[2,0]"]]);
}

#[test]
fn large_results_end_a_batch_early() {
    let mut runtime = JsRuntime::new(ScriptLimits::default());
    let large = source("k => 'x'.repeat(700000)", None);
    let groups = vec![group("1", &["1"]); 5];
    let results = runtime.reduce_groups(1, &large, Values::List, groups).unwrap();
    assert_eq!(results.len(), 2);
    let large = source("v => { emit(v.key, 'x'.repeat(700000)) }", None);
    let inputs = vec![input("x"); 5];
    let pairs = runtime.map_pairs(1, &large, &Grouping::default(), &inputs).unwrap();
    assert_eq!((pairs.inputs, pairs.made), (2, 2));
}

#[test]
fn random_numbers_of_a_group_follow_from_its_key() {
    let draw = |seed, groups: Vec<Group>| {
        let mut runtime = runtime();
        runtime.enter(CallContext { seed, ..CallContext::default() });
        let function: PhaseFunction = source("k => [ctx.random()]", None);
        let results = runtime.reduce_groups(1, &function, Values::List, groups).unwrap();
        results.into_iter().flat_map(strings).collect::<Vec<_>>()
    };
    let [a, b] = [group("1", &["1"]), group("2", &["2"])];
    let both = draw(1, vec![a.clone(), b.clone()]);
    assert_eq!(both[1..], draw(1, vec![b]));
    assert_ne!(both[..1], draw(2, vec![a]));
}
