//! What functions give beside what they return: pairs, writes, counts, lines of the log, an end; what
//! `ctx` shows; and what counts as a list.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use common::{input, json, map, missing, named, reduce, rows, source, strings};
use mapring_script::js::JsRuntime;
use mapring_script::{
    CallContext, Counter, Effects, FailureCause, LogLevel, ReduceTiming, Runtime, ScriptError,
    ScriptLimits, WriteOp,
};
use mapring_types::{IndexValue, Quorum};

fn runtime() -> JsRuntime {
    JsRuntime::new(ScriptLimits { result_bytes: 10_000, ..ScriptLimits::default() })
}

fn body(body: &str) -> String {
    format!("function(v){{ {body} }}")
}

/// The results of a function on one input, and what it asked for.
fn run(text: &str) -> Result<(Vec<String>, Effects), ScriptError> {
    let mut runtime = runtime();
    let results = map(&mut runtime, &source(text, None), input("x"))?;
    Ok((results, runtime.take_effects()))
}

#[track_caller]
fn gives(text: &str, expect: &[&str]) {
    let (results, effects) = run(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    assert_eq!(results, expect, "{text}");
    assert!(effects.counts.is_empty() && effects.writes.is_empty(), "{text}");
}

#[track_caller]
fn fails(text: &str, cause: FailureCause, words: &str) {
    let error = run(text).expect_err(text);
    assert_eq!(error.cause, cause, "{text}: {error:?}");
    assert!(error.message.contains(words), "{text}: {error:?}");
}

#[test]
fn what_is_emitted_stands_among_the_results() {
    gives(&body("emit('a', 1)"), &[r#"["a",1]"#]);
    gives(
        &body("emit('a', 1); emit([2], {b: 3}); return [4]"),
        &[r#"["a",1]"#, r#"[[2],{"b":3}]"#, "4"],
    );
    gives(&body("emit(undefined, function(){}); return []"), &["[null,null]"]);
    gives(&body("emit('a')"), &[r#"["a",null]"#]);
    gives(&body("emit(new Date(0), NaN)"), &[r#"["1970-01-01T00:00:00.000Z",null]"#]);
    gives(
        &body("var o = {n: 1}; emit('a', o); o.n = 2; emit('a', o)"),
        &[r#"["a",{"n":1}]"#, r#"["a",{"n":2}]"#],
    );
    gives("function(v){ v.values.forEach(function(x){ emit(x.data, 1); }); }", &[r#"["x",1]"#]);
    fails(&body("var o = {}; o.o = o; emit('a', o)"), FailureCause::Thrown, "cyclic");
    fails(&body("emit('a', 1); return 5"), FailureCause::NotAList, "a number");
    fails(&body("emit('a', 'x'.repeat(20000))"), FailureCause::ResultSize, "more than 10000 bytes");
    fails(
        &body("for (;;) try { emit('a', 1) } catch (e) { return [] }"),
        FailureCause::ResultSize,
        "10000",
    );
}

#[test]
fn nothing_is_a_list_where_something_was_given() {
    fails(&body(""), FailureCause::NotAList, "Expression returned undefined");
    fails(&body("log('info', 'x')"), FailureCause::NotAList, "Expression returned undefined");
    gives(&body("if (false) emit('a', 1); return []"), &[]);
    for given in ["count('n')", "put('b', 'k', 1)", "del('b', 'k')", "emit('a', 1)"] {
        assert!(run(&body(given)).is_ok(), "{given}");
    }
}

#[test]
fn generators_stand_for_lists() {
    gives("function*(v){ yield 1; yield [2]; }", &["1", "[2]"]);
    gives("function*(v){ yield 1; emit('a', 2); yield* [3, 4]; }", &["1", r#"["a",2]"#, "3", "4"]);
    gives(
        "function*(v){ var o = {n: 1}; yield o; o.n = 2; yield o; }",
        &[r#"{"n":1}"#, r#"{"n":2}"#],
    );
    gives("function*(v){ return 7 }", &[]);
    gives(&body("return new Set([1, 2, 1]).values()"), &["1", "2"]);
    gives(&body("return [1, 2].entries()"), &["[0,1]", "[1,2]"]);
    gives("({ map: function*(v){ yield this.n; }, n: 5 }).map", &["null"]);
    fails("function*(v){ yield 1; throw new Error('later'); }", FailureCause::Thrown, "later");
    fails("function*(v){ for (;;) yield 'xxxxxxxxxx'; }", FailureCause::ResultSize, "10000");
    fails("function*(v){ yield 1n; }", FailureCause::NotJson, "BigInt");
    fails("async function(v){ return [1] }", FailureCause::NotAList, "a promise");
    fails(&body("return new Set([1])"), FailureCause::NotAList, "an object");
    let error = run("function*(v){\n  yield 1;\n  v.x.y;\n}").unwrap_err();
    assert!(error.stack.as_deref().is_some_and(|stack| stack.contains("source:3:")), "{error:?}");

    let mut runtime = runtime();
    let sum = source("function*(vs){ var n = 0; for (var v of vs) n += v; yield n; }", None);
    let inputs = rows(&["1", "2", "3"]);
    assert_eq!(reduce(&mut runtime, &sum, ReduceTiming::Every(2), inputs).unwrap(), ["6"]);
    let combined = {
        let words = source("function*(v){ yield 1; yield 2; emit('a', v.key); }", None);
        let count = source("function(vs){ return vs }", None);
        runtime.combine(1, &words, &[input("x")], &count).unwrap()
    };
    assert_eq!(strings(combined.values), [r#"["a","k"]"#, "1", "2"]);
}

#[test]
fn counts_and_logs() {
    let (_, effects) = run(&body(
        "count('a'); count('a', 4); count('b', -1); count(7, 0); \
         log('warn', 'w\\n1'); log('l'); log('DEBUG', {a: [1]}); log('error', 'x'.repeat(5000))",
    ))
    .unwrap();
    let counts: Vec<_> = effects.counts.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    assert_eq!(counts, [("7", 0), ("a", 5), ("b", -1)]);
    let lines: Vec<_> = effects.logs.iter().map(|l| (l.level, l.message.as_str())).collect();
    let expect =
        [(LogLevel::Warn, "w 1"), (LogLevel::Info, "l"), (LogLevel::Debug, r#"{"a":[1]}"#)];
    assert_eq!(lines[..3], expect);
    assert_eq!((lines[3].0, lines[3].1.len()), (LogLevel::Error, 1_024));

    fails(&body("count()"), FailureCause::Thrown, "the name is not a string but undefined");
    fails(&body("count('')"), FailureCause::Thrown, "1 to 200 bytes");
    fails(&body("count('x'.repeat(201))"), FailureCause::Thrown, "1 to 200 bytes");
    fails(&body("count('a', 0.5)"), FailureCause::Thrown, "not a whole number");
    fails(&body("count('a', '1')"), FailureCause::Thrown, "not a whole number");
    for counter in Counter::ALL {
        let counted = body(&format!("count('{counter}')"));
        fails(&counted, FailureCause::Thrown, "is counted by the store itself");
    }
    fails(
        &body("for (var i = 0; ; i++) count('n' + i)"),
        FailureCause::Thrown,
        "more than 1000 names",
    );
    fails(&body("log('fatal', 'x')"), FailureCause::Thrown, "debug, info, warn, error");
    let (_, effects) = run(&body("for (var i = 0; i < 250; i++) log('x'); return []")).unwrap();
    assert_eq!((effects.logs.len(), effects.logs_dropped), (100, 150));
}

/// What a function writes, in short.
fn written(text: &str) -> String {
    let (_, effects) = run(&body(text)).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    let write = |write: &WriteOp| match write {
        WriteOp::Delete { id } => format!("del {id}"),
        WriteOp::Put { id, metadata, body, w } => {
            let mut line = format!("put {id} {:?} {}", &body[..], metadata.content_type);
            for (field, value) in &metadata.indexes {
                let kind = if matches!(value, IndexValue::Int(_)) { 'i' } else { 'b' };
                line += &format!(" {field}={kind}{}", String::from_utf8_lossy(value.as_bytes()));
            }
            for link in &metadata.links {
                line += &format!(
                    " <{}>",
                    [&link.bucket[..], &link.key, &link.tag].concat().escape_ascii()
                );
            }
            if *w != Quorum::Default {
                line += &format!(" w={w:?}");
            }
            line
        }
    };
    effects.writes.iter().map(write).collect::<Vec<_>>().join("; ")
}

#[track_caller]
fn writes(text: &str, expect: &str) {
    assert_eq!(written(text).replace('"', "'"), expect.replace('"', "'"), "{text}");
}

#[test]
fn objects_are_put_and_deleted() {
    let body = |text: &str| format!("{:?}", text.as_bytes());
    writes("put('b', 'k', 'text')", &format!("put b/k {} text/plain", body("text")));
    writes(
        "put(['t', 'b'], 'k', {a: 1})",
        &format!("put t/b/k {} application/json", body(r#"{"a":1}"#)),
    );
    writes("put('b', 7, null)", &format!("put b/7 {} application/json", body("null")));
    writes(
        "put('b', 'k', 'a,b', {content_type: 'text/csv', w: 2}); del(['t', 'b'], 'k')",
        &format!("put b/k {} text/csv w=Count(2); del t/b/k", body("a,b")),
    );
    writes(
        "put('b', 'k', '', {indexes: {N_int: [10, '9', 10], n_bin: 'é'}, w: 'all', links: [['b', 'k', 't']]})",
        &format!("put b/k {} text/plain n_bin=bé n_int=i9 n_int=i10 <bkt> w=All", body("")),
    );
    writes(
        "put('b', 'k', 1, undefined); put('b', 'k', 2, {w: undefined})",
        &format!("put b/k {} application/json; put b/k {} application/json", body("1"), body("2")),
    );
}

#[test]
fn writes_that_are_none_are_refused() {
    let refused = |text: &str, words: &str| fails(&body(text), FailureCause::Thrown, words);
    refused("put('b', 'k')", "there is no value");
    refused("put('b', '', 1)", "1 to 65536 bytes");
    refused("put('b', {}, 1)", "put: the key is not a string but an object");
    refused("put(['b'], 'k', 1)", r#"the bucket is "b" or ["type","b"]"#);
    refused("put(null, 'k', 1)", "put: the bucket is not a string but null");
    refused("put('b', 'k', '\\ud800')", "half of a surrogate pair");
    refused("put('b\\udfff', 'k', 1)", "put: the bucket holds half of a surrogate pair");
    refused("del('b', '\\ud800')", "del: the key holds half of a surrogate pair");
    refused(
        "put('b', 'k', 1, {indexes: {'\\ud800_bin': 'x'}})",
        "a name holds half of a surrogate",
    );
    refused("put('b', 'k', 1, {indexes: {x_bin: '\\ud800'}})", "x_bin holds half of a surrogate");
    refused("put('b', 'k', 1, {links: [['b', 'k', '\\ud800']]})", "holds half of a surrogate");
    refused("put('b', 'k', 1, 'w')", "the options are not an object");
    refused(
        "put('b', 'k', 1, {ttl: 5})",
        "there is no option ttl, only content_type, indexes, links, w",
    );
    for given in ["5", "''", r"'text/plain\r\nX-Other: 1'", r"'text/\u0000'", "' a/b'", "'a/é'"] {
        let put = format!("put('b', 'k', 1, {{content_type: {given}}})");
        refused(&put, "content_type is a text of 1 to 256 visible ASCII characters");
    }
    refused("put('b', 'k', 1, {w: 0})", "w is a number of replicas");
    refused("put('b', 'k', 1, {w: 'most'})", "w is a number of replicas");
    refused("put('b', 'k', 1, {indexes: {n: 1}})", "the index n ends in neither _int nor _bin");
    refused("put('b', 'k', 1, {indexes: {n_int: 1.5}})", "takes whole numbers, not 1.5");
    refused("put('b', 'k', 1, {links: [['b', 'k']]})", "a link is [bucket, key, tag]");
    refused("del('b')", "del: the key is not a string but undefined");
    fails(
        &body("for (;;) put('b', 'k', 'x'.repeat(1000))"),
        FailureCause::ResultSize,
        "10000 bytes",
    );
}

#[test]
fn what_a_failed_batch_asked_for_is_gone() {
    let mut runtime = runtime();
    let text =
        "function(v){ count('n'); put('b', v.key, 1); if (v.values[0].data === 'bad') throw 1; }";
    let function = source(text, None);
    let bad = || vec![input("x"), input("bad")];
    assert_eq!(runtime.map(1, &function, bad()).unwrap_err().input, Some(1));
    assert!(runtime.take_effects().is_empty());
    runtime.map(1, &function, vec![input("x"), input("y")]).unwrap();
    let effects = runtime.take_effects();
    assert_eq!((effects.counts["n"], effects.writes.len()), (2, 2));
    assert!(runtime.take_effects().is_empty());
    // A batch ends early for what is written, too.
    let mut runtime = JsRuntime::new(ScriptLimits::default());
    let large = source("function(v){ put('b', 'k', 'x'.repeat(700000)) }", None);
    let results = runtime.map(1, &large, vec![input("x"); 5]).unwrap();
    assert_eq!((results.len(), runtime.take_effects().writes.len()), (2, 2));
}

#[test]
fn plain_reduces_count_and_cannot_emit() {
    let mut runtime = runtime();
    let count = source("function(vs){ count('calls'); return [vs.length] }", None);
    reduce(&mut runtime, &count, ReduceTiming::Every(2), rows(&["1", "2", "3", "4"])).unwrap();
    assert_eq!(runtime.take_effects().counts["calls"], 2);
    let emits = source("function(vs){ emit('a', 1); return vs }", None);
    let error = reduce(&mut runtime, &emits, ReduceTiming::AtEnd, rows(&["1"])).unwrap_err();
    assert!(error.message.contains("only a map and a reduce with \"group\" can emit"), "{error:?}");
}

#[test]
fn functions_end_themselves() {
    fails(&body("fail('bad data')"), FailureCause::Failed, "bad data");
    fails(&body("retry('later')"), FailureCause::Retry, "later");
    fails(
        &body("try { fail('first') } catch (e) {} fail('second'); return []"),
        FailureCause::Failed,
        "first",
    );
    fails(&body("try { fail('caught') } catch (e) { return [1] }"), FailureCause::Failed, "caught");
    fails(
        &body("try { fail('both') } catch (e) { throw new Error('other') }"),
        FailureCause::Failed,
        "both",
    );
    fails("function*(v){ yield 1; fail('within') }", FailureCause::Failed, "within");
    fails(&body("fail()"), FailureCause::Failed, "the function called fail");
    let error = run("function(v){\n  fail('here');\n}").unwrap_err();
    assert!(error.message == "here" && error.stack.unwrap().contains("source:2:"));
    // The next call knows nothing of it.
    let mut runtime = runtime();
    map(&mut runtime, &source(&body("fail('x')"), None), input("x")).unwrap_err();
    assert_eq!(map(&mut runtime, &source(&body("return [1]"), None), input("x")).unwrap(), ["1"]);
}

#[test]
fn ctx_shows_where_a_call_belongs() {
    let mut runtime = runtime();
    let show = source(
        "function(v){ return [ctx.job.id, ctx.job.name, ctx.phase, ctx.shard.number, ctx.shard.attempt, \
         ctx.slice, ctx.params, Object.keys(ctx).join()] }",
        None,
    );
    let members = r#""job,phase,shard,slice,params""#;
    let shown = map(&mut runtime, &show, input("x")).unwrap();
    assert_eq!(shown, [r#""""#, "null", "0", "0", "0", "0", "{}", members]);
    runtime.enter(CallContext {
        job: "j-1".into(),
        name: Some("counting \"ages\"".into()),
        phase: 2,
        shard: 3,
        attempt: 4,
        slice: 5,
        params: Some(json(r#"{"min_age":21}"#)),
        ..CallContext::default()
    });
    let shown = map(&mut runtime, &show, input("x")).unwrap();
    let name = r#""counting \"ages\"""#;
    assert_eq!(shown, [r#""j-1""#, name, "2", "3", "4", "5", r#"{"min_age":21}"#, members]);
    // Names of one's own are one's own.
    let own = "var ctx = 1, emit = 2; function(v){ var count = 3; return [ctx + emit + count] }";
    assert_eq!(map(&mut runtime, &source(own, None), input("x")).unwrap(), ["6"]);
}

#[test]
fn random_numbers_follow_from_seed_and_input() {
    let text = "function(v){ var a = ctx.random(), b = ctx.random(); \
                return [a, a !== b && a >= 0 && a < 1 && b >= 0 && b < 1] }";
    let draw = |seed, input| {
        let mut runtime = runtime();
        runtime.enter(CallContext { seed, ..CallContext::default() });
        let mut drawn = map(&mut runtime, &source(text, None), input).unwrap();
        assert_eq!(drawn.pop().as_deref(), Some("true"));
        drawn.remove(0)
    };
    assert_eq!(draw(1, input("x")), draw(1, input("other body")));
    assert_ne!(draw(1, input("x")), draw(2, input("x")));
    let keydata = mapring_script::MapInput { keydata: Some(json("1")), ..input("x") };
    assert_ne!(draw(1, input("x")), draw(1, keydata));
}

#[test]
fn missing_objects_are_not_looked_at() {
    let mut runtime = runtime();
    let results = map(&mut runtime, &source(&body("fail('called')"), None), missing()).unwrap();
    assert!(results[0].contains("not_found"));
    assert_eq!(map(&mut runtime, &named("Riak.mapValues", None), input("x")).unwrap(), ["\"x\""]);
}
