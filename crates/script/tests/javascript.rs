//! The JavaScript runtime: sources, objects, results, errors, the library, reduces.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use mapring_script::js::JsRuntime;
use mapring_script::limits::CONTEXTS;
use mapring_script::{
    Binary, CombineError, FailureCause, MapInput, PhaseFunction, ReduceState, ReduceTiming, Row,
    Runtime, ScriptError, ScriptLimits,
};
use mapring_types::{BucketId, IndexValue, Link, ObjectId};

fn runtime() -> JsRuntime {
    // Most tests run on threads with stacks of 2 MB.
    JsRuntime::new(ScriptLimits { stack_bytes: 2 << 20, ..ScriptLimits::default() })
}

#[track_caller]
fn maps(function: &str, body: &str, expected: &[&str]) {
    let results = map(&mut runtime(), &source(function, None), input(body));
    assert_eq!(results, Ok(expected.iter().map(|text| (*text).to_owned()).collect()), "{function}");
}

#[track_caller]
fn fails(function: &str, cause: FailureCause, words: &str) -> ScriptError {
    let error = map(&mut runtime(), &source(function, None), input("x")).unwrap_err();
    assert_eq!(error.cause, cause, "{function}: {error:?}");
    assert!(error.message.contains(words), "{function}: {error:?}");
    error
}

#[track_caller]
fn reduces(function: &PhaseFunction, inputs: &[&str], expected: &[&str]) {
    let results = reduce(&mut runtime(), function, ReduceTiming::AtEnd, rows(inputs));
    assert_eq!(results, Ok(expected.iter().map(|text| (*text).to_owned()).collect()));
}

#[test]
fn sources_are_expressions_with_what_may_stand_around_them() {
    maps("function(v){return [1]}", "x", &["1"]);
    maps("function f(v){return [typeof f]}", "x", &["\"function\""]);
    maps("  \n(function(v){return [1]})  ", "x", &["1"]);
    maps("function(v){return [1]};", "x", &["1"]);
    maps("function(v){return [1]} // done", "x", &["1"]);
    maps("/* first */ function(v){return [1]}; /* last */\n", "x", &["1"]);
    maps("v => [v.key]", "x", &["\"k\""]);
    maps("Riak.mapValues", "x", &["\"x\""]);
    maps("(function(){var n = 41; return function(){return [++n]}})()", "x", &["42"]);
}

#[test]
fn sources_that_are_no_function() {
    fails("function(v){return [1}", FailureCause::Syntax, "SyntaxError");
    fails("", FailureCause::Syntax, "SyntaxError");
    fails("42", FailureCause::Syntax, "not a function but a number");
    fails("nowhere", FailureCause::Undefined, "nowhere is not defined");
    fails("Riak.nowhere", FailureCause::Undefined, "Riak.nowhere is not defined");
    let error = map(&mut runtime(), &named("Riak.nowhere", None), input("x")).unwrap_err();
    assert_eq!(error.cause, FailureCause::Undefined);
    assert_eq!(error.message, "Riak.nowhere is not defined");
    let error = map(&mut runtime(), &named("Riak.a.b.c", None), input("x")).unwrap_err();
    assert_eq!(error.cause, FailureCause::Undefined);
}

#[test]
fn results_are_what_json_makes_of_them() {
    maps("function(){return []}", "x", &[]);
    maps(
        "function(){return [undefined, function(){}, NaN, Infinity, -0, 1.5, 1e21, null, true]}",
        "x",
        &["null", "null", "null", "null", "0", "1.5", "1e+21", "null", "true"],
    );
    maps(
        "function(){return [{a: undefined, f: function(){}, n: null, 2: 'b', 1: 'a'}]}",
        "x",
        &[r#"{"1":"a","2":"b","n":null}"#],
    );
    maps(
        "function(){return [new Date(0), {toJSON: function(k){return 'key ' + k}}, [1,,2]]}",
        "x",
        &["\"1970-01-01T00:00:00.000Z\"", "\"key \"", "[1,null,2]"],
    );
    maps("function(){return [{a: {toJSON: function(k){return k}}}]}", "x", &[r#"{"a":"a"}"#]);
    maps(
        "function(){return ['\\ud800', '\\ud83d\\ude00é\\u0001\"']}",
        "x",
        &["\"\\ud800\"", "\"😀é\\u0001\\\"\""],
    );
    maps(
        "function(){return [new Number(3), new String('s'), new Boolean(false), new Map()]}",
        "x",
        &["3", "\"s\"", "false", "{}"],
    );
    maps(
        "function(){return [Object.create({a: 1}, {b: {value: 2}, c: {value: 3, enumerable: true}})]}",
        "x",
        &[r#"{"c":3}"#],
    );
    maps("function(){return [{get a(){return 7}}]}", "x", &[r#"{"a":7}"#]);
    maps("function(){return [new Proxy([1,2], {})]}", "x", &["[1,2]"]);
}

#[test]
fn results_that_are_no_list() {
    fails("function(){}", FailureCause::NotAList, "Expression returned undefined");
    for (value, kind) in [
        ("null", "null"),
        ("3", "a number"),
        ("'[]'", "a string"),
        ("function(){}", "a function"),
        ("new Date(0)", "a string"),
        ("{b: 1, a: [2]}", "an object"),
        ("new Map()", "an object"),
        ("Promise.resolve([1])", "a promise"),
    ] {
        let error = fails(&format!("function(){{return {value}}}"), FailureCause::NotAList, kind);
        assert!(error.message.starts_with("non_list_result"));
    }
    let five = source("function(list){ return 5; }", None);
    let error = reduce(&mut runtime(), &five, ReduceTiming::AtEnd, rows(&["1"])).unwrap_err();
    assert_eq!(
        error.message,
        "non_list_result: the function returned a number, not a list: a reduce that is called for \
         each key needs \"group\":true"
    );
}

#[test]
fn results_that_json_cannot_have() {
    on_large_stack(|| {
        fails("function(){var a = []; a.push(a); return a}", FailureCause::NotJson, "cyclic");
        fails("function(){return [10n]}", FailureCause::NotJson, "BigInt");
        fails(
            "function(){var a = []; for (var i = 0; i < 5000; i++) a = [a]; return a}",
            FailureCause::NotJson,
            "levels deep",
        );
        // What user code throws on the way has a place in it.
        for thrower in ["{toJSON: function(){throw 'no'}}", "{get x(){throw 'no'}}"] {
            let source = format!("function(){{return [{thrower}]}}");
            let error = fails(&source, FailureCause::Thrown, "no");
            assert!(error.stack.unwrap().contains("(source:1:"));
        }
        fails(
            "function(){var p = []; p.push(p); return [new Set(p), p]}",
            FailureCause::NotJson,
            "",
        );
        fails("function(){return ['x'.repeat(17 << 20)]}", FailureCause::ResultSize, "larger than");
        fails("function(){return new Array(1e9)}", FailureCause::ResultSize, "larger than");
    });
}

#[test]
fn thrown_values_come_as_words_with_their_place() {
    let error = fails("function(v) {\n  return v.a.b;\n}", FailureCause::Thrown, "TypeError");
    assert_eq!(error.input, Some(0));
    assert!(error.stack.as_deref().unwrap().contains("(source:2:"), "{error:?}");
    let error = fails(
        "function map(v) {\n  function inner() { throw new RangeError('too far'); }\n  inner();\n}",
        FailureCause::Thrown,
        "RangeError: too far",
    );
    let stack = error.stack.unwrap();
    assert!(
        stack.contains("at inner (source:2:") && stack.contains("at map (source:3:"),
        "{stack}"
    );
    fails("function(){throw 'plain words'}", FailureCause::Thrown, "plain words");
    fails("function(){throw {message: 'm', code: 5}}", FailureCause::Thrown, "m");
    fails("function(){throw {code: 5}}", FailureCause::Thrown, r#"{"code":5}"#);
    fails("function(){throw null}", FailureCause::Thrown, "null");
    fails("function(){nowhere()}", FailureCause::Thrown, "nowhere is not defined");
    let long = "var s = 'long '; while (s.length < 8e6) s += s;";
    for (thrown, start) in [
        ("new Error(s)", "Error: long long"),
        ("s", "long long"),
        ("{message: s}", "long long"),
        ("[s]", "long long"),
        ("[Symbol(s), {a: {b: s}}]", ""),
    ] {
        let source = format!("function(){{\n{long}\nthrow {thrown}\n}}");
        let error = fails(&source, FailureCause::Thrown, start);
        assert!(error.message.len() < 5_000, "{}", error.message.len());
        assert!(error.stack.unwrap().contains("(source:3:"));
    }
    let error = fails("function(v) {\n\n  return [;\n}", FailureCause::Syntax, "SyntaxError");
    assert!(error.message.contains("line 3"), "{error:?}");
    let body = r#"function(v){ return Riak.mapValuesJson(v); }"#;
    let error = fails(body, FailureCause::Thrown, "SyntaxError: JSON: unexpected character");
    assert!(error.stack.unwrap().contains("riak.js"));
}

#[test]
fn deep_recursion_is_an_error() {
    on_large_stack(|| {
        fails("function f(v){return f(v)}", FailureCause::Stack, "too deeply");
        fails("function f(v){return [1].map(f)}", FailureCause::Stack, "too deeply");
        let caught = "function f(v){try { return f(v) } catch (e) { return [1] }}";
        assert_eq!(map(&mut runtime(), &source(caught, None), input("")).unwrap(), ["1"]);
    });
}

#[test]
fn the_object_form_is_riaks() {
    let everything = "function(v, kd, arg){return [v, kd, arg]}";
    let results = map(&mut runtime(), &source(everything, None), input("é")).unwrap();
    let clock = mapring_types::Record::decode(&input("é").record.unwrap()).unwrap().clock;
    let tag = sibling(1, b"").vtag();
    let object = format!(
        "{{\"bucket_type\":\"default\",\"bucket\":\"b\",\"key\":\"k\",\"vclock\":\"{}\",\
         \"values\":[{{\"metadata\":{{\"content-type\":\"text/plain\",\"X-Riak-VTag\":\"{tag}\",\
         \"X-Riak-Last-Modified\":\"Sun, 09 Sep 2001 01:46:40 GMT\",\"Links\":[],\
         \"X-Riak-Meta\":{{}},\"index\":[]}},\"data\":\"é\"}}]}}",
        clock.to_header()
    );
    assert_eq!(results, vec![object.as_str(), "\"undefined\"", "\"none\""]);
}

#[test]
fn the_object_form_has_all_metadata_and_all_siblings() {
    let mut first = sibling(1, b"one");
    first.metadata.charset = Some("utf-8".into());
    first.metadata.content_encoding = Some("gzip".into());
    first.metadata.links = vec![Link { bucket: "lb".into(), key: "lk".into(), tag: "t".into() }];
    first.metadata.user = vec![("X-Riak-Meta-Foo".into(), "bar".into())];
    first.metadata.indexes = vec![
        ("f_bin".into(), IndexValue::Bin("a".into())),
        ("f_bin".into(), IndexValue::Bin("b".into())),
        ("n_int".into(), IndexValue::Int("-12".into())),
    ];
    let mut second = sibling(2, b"");
    second.deleted = true;
    let mut input = input_of(vec![first.clone(), second]);
    input.id = ObjectId::new(BucketId::typed("t", "b"), "k");
    input.keydata = Some(json("{\"a\":[1]}"));
    let function = source(
        "function(v, kd, arg){var m = v.values[0].metadata, d = v.values[1];\
         return [v.bucket_type, v.values.length, m.charset, m['content-encoding'], m.Links,\
         m['X-Riak-Meta'], m.index, d.metadata['X-Riak-Deleted'], d.data, kd, arg]}",
        Some("[\"arg\"]"),
    );
    let results = map(&mut runtime(), &function, input).unwrap();
    let expected = [
        "\"t\"",
        "2",
        "\"utf-8\"",
        "\"gzip\"",
        "[[\"lb\",\"lk\",\"t\"]]",
        "{\"X-Riak-Meta-Foo\":\"bar\"}",
        "{\"f_bin\":[\"a\",\"b\"],\"n_int\":-12}",
        "\"true\"",
        "\"\"",
        "{\"a\":[1]}",
        "[\"arg\"]",
    ];
    assert_eq!(results, expected);
    // The same through the shape for common objects.
    first.metadata.charset = None;
    first.metadata.content_encoding = None;
    let function =
        source("function(v){var m = v.values[0].metadata; return [m.Links, m.index]}", None);
    let results = map(&mut runtime(), &function, input_of(vec![first])).unwrap();
    assert_eq!(results, ["[[\"lb\",\"lk\",\"t\"]]", "{\"f_bin\":[\"a\",\"b\"],\"n_int\":-12}"]);
}

#[test]
fn missing_objects_do_not_reach_the_function() {
    let function = source("function(v){throw 'called'}", None);
    let results = map(&mut runtime(), &function, missing()).unwrap();
    assert_eq!(results, [r#"{"not_found":{"bucket":"b","key":"k","keydata":"undefined"}}"#]);
    let id = ObjectId::new(BucketId::typed("t", "b"), "k");
    let typed = MapInput { id, keydata: Some(json("[1]")), record: None };
    let results = map(&mut runtime(), &function, typed).unwrap();
    let expected = r#"{"not_found":{"bucket_type":"t","bucket":"b","key":"k","keydata":[1]}}"#;
    assert_eq!(results, [expected]);
}

#[test]
fn values_must_be_text_or_come_as_base64() {
    let function = source("function(v){return [v.values[0], Riak.mapValues(v)[0]]}", None);
    let binary = || input_of(vec![sibling(1, b"a\xff")]);
    let error = map(&mut runtime(), &function, binary()).unwrap_err();
    assert_eq!(error.cause, FailureCause::NotUtf8);
    assert!(error.message.contains("bad_utf8_character_code"));
    let function = PhaseFunction { binary: Binary::Base64, ..function };
    let results = map(&mut runtime(), &function, binary()).unwrap();
    assert!(results[0].ends_with(",\"data\":\"Yf8=\",\"encoding\":\"base64\"}"), "{results:?}");
    assert_eq!(results[1], "\"Yf8=\"");
    // Text stays text, and each sibling has its own form.
    let results = map(&mut runtime(), &function, input("Yf8=")).unwrap();
    assert!(results[0].ends_with(",\"data\":\"Yf8=\"}"), "{results:?}");
    let forms = "function(v){return v.values.map(function(s){return [s.data, s.encoding]})}";
    let forms = PhaseFunction { binary: Binary::Base64, ..source(forms, None) };
    let siblings = input_of(vec![sibling(1, b"\0\xfe"), sibling(2, "é".as_bytes())]);
    let results = map(&mut runtime(), &forms, siblings).unwrap();
    assert_eq!(results, [r#"["AP4=","base64"]"#, r#"["é",null]"#]);
}

#[test]
fn the_failing_input_is_named() {
    let function = source("function(v){return [JSON.parse(v.values[0].data)]}", None);
    let inputs = vec![input("1"), input("2"), input("three"), input("4")];
    let error = runtime().map(1, &function, inputs).unwrap_err();
    assert_eq!(error.input, Some(2));
    assert_eq!(error.cause, FailureCause::Thrown);
}

#[test]
fn globals_last_as_long_as_the_query() {
    let mut runtime = runtime();
    let count = source("function(){return [n = (typeof n === 'undefined' ? 0 : n) + 1]}", None);
    let again = source("function(){return [n]}", None);
    assert_eq!(
        runtime.map(1, &count, vec![input(""), input("")]).unwrap(),
        [rows(&["1"]), rows(&["2"])]
    );
    assert_eq!(runtime.map(1, &again, vec![input("")]).unwrap(), [rows(&["2"])]);
    assert_eq!(runtime.map(2, &count, vec![input("")]).unwrap(), [rows(&["1"])]);
    // Many queries later the context is gone, but nothing breaks.
    for query in 3..3 + CONTEXTS as u64 {
        assert_eq!(runtime.map(query, &count, vec![input("")]).unwrap(), [rows(&["1"])]);
    }
    assert_eq!(runtime.map(1, &count, vec![input("")]).unwrap(), [rows(&["1"])]);
    // So it is after a rest.
    assert_eq!(runtime.map(1, &count, vec![input("")]).unwrap(), [rows(&["2"])]);
    runtime.rest();
    assert_eq!(runtime.map(1, &count, vec![input("")]).unwrap(), [rows(&["1"])]);
}

#[test]
fn what_ended_queries_hold_is_given_back() {
    // Half of the memory is less than this test program has: each change of query finds too much.
    let limits = ScriptLimits { stack_bytes: 2 << 20, memory_bytes: 1 << 20, ..Default::default() };
    let mut runtime = JsRuntime::new(limits);
    let count = source("function(){return [n = (typeof n === 'undefined' ? 0 : n) + 1]}", None);
    assert_eq!(runtime.map(1, &count, vec![input("")]).unwrap(), [rows(&["1"])]);
    assert_eq!(runtime.map(1, &count, vec![input("")]).unwrap(), [rows(&["2"])]);
    assert_eq!(runtime.map(2, &count, vec![input("")]).unwrap(), [rows(&["1"])]);
    assert_eq!(runtime.map(1, &count, vec![input("")]).unwrap(), [rows(&["1"])]);
}

#[test]
fn json_of_the_language() {
    maps(
        "function(){return [JSON.stringify({a:[1,undefined,'x']}), JSON.stringify(undefined) === undefined]}",
        "x",
        &[r#""{\"a\":[1,null,\"x\"]}""#, "true"],
    );
    maps(
        "function(){return [JSON.stringify([1,{a:2}], null, 1), JSON.stringify({a:1,b:2}, ['b'])]}",
        "x",
        &[r#""[\n 1,\n {\n  \"a\": 2\n }\n]""#, r#""{\"b\":2}""#],
    );
    maps(
        "function(){return [JSON.parse('[1,2]', function(k, v){return Array.isArray(v) ? v : v + 1})]}",
        "x",
        &["[2,3]"],
    );
    maps(
        "function(){return [JSON.parse(' {\"a\":{\"b\":[1,2.5,\"\\\\u00e9\"]}, \"a\": 3, \"__proto__\":1} '), JSON.parse(7)]}",
        "x",
        &[r#"{"a":3,"__proto__":1}"#, "7"],
    );
    maps(
        "function(){try { JSON.parse('{bad') } catch (e) { return [e instanceof SyntaxError, e.name] }}",
        "x",
        &["true", "\"SyntaxError\""],
    );
    maps(
        "function(){try { var a = []; a[0] = a; JSON.stringify(a) } catch (e) { return [e instanceof TypeError] }}",
        "x",
        &["true"],
    );
    maps(
        "function(){return [JSON.parse('\"\\\\ud800\"').length, Object.keys(JSON), 1/JSON.parse('-0') < 0]}",
        "x",
        &["1", "[]", "true"],
    );
}

#[test]
fn the_library_of_maps() {
    let js = "{\"a\":1,\"b\":\"x\"}";
    maps("Riak.mapValues", js, &[r#""{\"a\":1,\"b\":\"x\"}""#]);
    maps("Riak.mapValuesJson", js, &[js]);
    maps("function(v){return Riak.mapValues({values:[{data:[1,2]}]})}", js, &["1", "2"]);
    maps(
        "function(v){return Riak.mapValues({not_found:{}}).concat(Riak.mapByFields({not_found:{}}))}",
        js,
        &["{\"not_found\":{}}"],
    );
    maps(
        "function(v){return [Riak.getClassName([]), Riak.getClassName('s'), typeof Riak.getClassName(null)]}",
        js,
        &["\"Array\"", "\"String\"", "\"undefined\""],
    );
    for (fields, found) in [
        (r#"{"a":1}"#, true),
        (r#"{"a":"1"}"#, true),
        (r#"{"a":1,"b":"x"}"#, true),
        (r#"{"a":2}"#, false),
        (r#"{"c":1}"#, false),
        ("{}", true),
    ] {
        let results = map(&mut runtime(), &named("Riak.mapByFields", Some(fields)), input(js));
        assert_eq!(results.unwrap().len(), usize::from(found), "{fields}");
    }
    maps("function(v){return [ejsLog('/tmp/file', 'words')]}", js, &["true"]);
    maps("function(v){return [RiakHelper.numericSorter(5, 3)]}", js, &["2"]);
}

#[test]
fn the_library_of_reduces() {
    let of = |name: &str| named(&format!("Riak.{name}"), None);
    let with = |name: &str, arg: &str| named(&format!("Riak.{name}"), Some(arg));
    let gone = r#"{"not_found":{"bucket":"b","key":"k"}}"#;
    reduces(&of("reduceSum"), &[], &["0"]);
    reduces(&of("reduceSum"), &["1", gone, "2.5"], &["3.5"]);
    reduces(&of("reduceSum"), &["\"a\"", "1"], &["\"a1\""]);
    reduces(&of("reduceSum"), &[gone], &["0"]);
    reduces(&of("reduceMin"), &[], &[]);
    reduces(&of("reduceMin"), &["3", "1", "2"], &["1"]);
    reduces(&of("reduceMax"), &["3", "10", "2"], &["10"]);
    reduces(&of("reduceMax"), &["\"3\"", "\"10\""], &["\"3\""]);
    reduces(&of("reduceSort"), &["3", "10", "2"], &["10", "2", "3"]);
    reduces(
        &with("reduceSort", "\"function(a,b){return b-a}\""),
        &["3", "10", "2"],
        &["10", "3", "2"],
    );
    reduces(
        &with("reduceSort", "\"RiakHelper.numericSorter\""),
        &["3", "10", "2"],
        &["2", "3", "10"],
    );
    reduces(&with("reduceSort", "\"no such thing\""), &["3", "10", "2"], &["10", "2", "3"]);
    reduces(&with("reduceSort", "{\"reduce_phase_only_1\":true}"), &["3", "10"], &["10", "3"]);
    reduces(&with("reduceSort", "null"), &["3", "10"], &["10", "3"]);
    reduces(&of("reduceNumericSort"), &["3", "10", "2"], &["2", "3", "10"]);
    reduces(&with("reduceLimit", "3"), &["1", "2", "3", "4"], &["1", "2"]);
    reduces(&with("reduceLimit", "1"), &["1", "2"], &[]);
    reduces(&with("reduceLimit", "0"), &["1", "2"], &["1"]);
    reduces(&of("reduceLimit"), &["1", "2"], &[]);
    reduces(&with("reduceSlice", "[1,3]"), &["1", "2", "3", "4"], &["2", "3"]);
    reduces(&with("reduceSlice", "[1,9]"), &["1", "2", "3"], &["1", "2", "3"]);
    reduces(&of("filterNotFound"), &["1", gone, "[]", "\"s\""], &["1", "[]", "\"s\""]);
    let error = reduce(&mut runtime(), &of("filterNotFound"), ReduceTiming::AtEnd, rows(&["null"]));
    assert_eq!(error.unwrap_err().cause, FailureCause::Thrown);
}

#[test]
fn reduces_keep_their_values_and_their_timing() {
    on_large_stack(|| {
        let function = source("function(vs, arg){return [vs.length, arg]}", Some("{\"a\":1}"));
        let inputs = |count: usize| vec![row("1"); count];
        let run = |count| reduce(&mut runtime(), &function, ReduceTiming::Every(3), inputs(count));
        assert_eq!(run(0).unwrap(), ["0", "{\"a\":1}"]);
        assert_eq!(run(3).unwrap(), ["3", "{\"a\":1}"]);
        assert_eq!(run(4).unwrap(), ["3", "{\"a\":1}"]);
        // Results become plain data, as JSON text and back would make them.
        let function = source(
            "function(vs){return vs.length == 1 ? \
         [undefined, NaN, new Date(0), {a: undefined, b: function(){}, c: {toJSON: function(){}}}, 'x'] : \
         [vs.map(function(v){return v === null ? 'null' : typeof v}), vs[3]]}",
            None,
        );
        let results = reduce(&mut runtime(), &function, ReduceTiming::Every(1), inputs(2));
        let kinds = r#"["null","null","string","object","string","number"]"#;
        assert_eq!(results.unwrap(), [kinds, "{}"]);
        let error = |source_text: &str| {
            let function = source(source_text, None);
            reduce(&mut runtime(), &function, ReduceTiming::Every(1), inputs(2)).unwrap_err().cause
        };
        assert_eq!(error("function(vs){return new Map()}"), FailureCause::NotAList);
        assert_eq!(error("function(vs){return {lineno: 1, a: 2}}"), FailureCause::Thrown);
        assert_eq!(error("function(vs){}"), FailureCause::NotAList);
        assert_eq!(error("function(vs){vs.push(vs); return vs}"), FailureCause::NotJson);
        assert_eq!(
            error("function(vs){vs = {a: {}}; vs.a.a = vs; return [vs]}"),
            FailureCause::NotJson
        );
        assert_eq!(error("function(vs){return [{get x(){throw 1}}]}"), FailureCause::Thrown);
        assert_eq!(error("function(vs){return ['x'.repeat(17 << 20)]}"), FailureCause::ResultSize);
        assert_eq!(error("function(vs){throw 1}"), FailureCause::Thrown);
    });
}

/// Riak takes an object that a reduce returns for the list of its members.
#[test]
fn a_reduce_that_returns_an_object_gives_its_members() {
    let run = |text: &str, count| {
        let inputs = vec![row("1"); count];
        reduce(&mut runtime(), &source(text, None), ReduceTiming::Every(2), inputs).unwrap()
    };
    let object = "function(vs){return {b: vs.length, a: [2], u: undefined, 7: {toJSON: () => 8}}}";
    assert_eq!(run(object, 2), [r#" {"7":8}"#, r#" {"b":2}"#, r#" {"a":[2]}"#]);
    // The next call gets each as an object of its own.
    let seen = "function(vs){return vs[0] === 1 && vs.length == 2 ? {n: 5} : [vs[0].n, vs.length]}";
    assert_eq!(run(seen, 3), ["5", "2"]);
    assert_eq!(run("function(vs){return {}}", 2), [""; 0]);
}

/// What a map and a reduce give in one call is what they give apart.
#[test]
fn a_map_and_its_reduce_in_one_call() {
    on_large_stack(|| {
        let words = source(
            "function(v){return v.values[0].data.split(' ').map(function(w){var o = {}; o[w] = 1; return o})}",
            None,
        );
        let merge = source(
            "function(vs, arg){var r = {}; vs.forEach(function(o){for (var w in o) r[w] = (r[w] || 0) + o[w]}); return [r]}",
            Some("7"),
        );
        let inputs: Vec<MapInput> =
            (0..100).map(|at| input(&format!("a b w{} w{}", at % 7, at % 3))).collect();
        let mut one = runtime();
        let combined = one.combine(1, &words, &inputs, &merge).unwrap();
        assert_eq!((combined.inputs, combined.made), (100, 400));
        let mapped = runtime().map(1, &words, inputs.clone()).unwrap();
        let bytes: u64 = mapped.iter().flatten().map(|value| value.bytes() as u64 + 8).sum();
        assert!(combined.made_bytes.abs_diff(bytes) < bytes / 2);
        let apart: Vec<Row> = mapped.into_iter().flatten().collect();
        let apart = reduce(&mut runtime(), &merge, ReduceTiming::AtEnd, apart).unwrap();
        assert_eq!(strings(combined.values), apart);
        // Too few results for a call are given as they are.
        let few = one.combine(1, &words, &inputs[..2], &merge).unwrap();
        assert_eq!(few.values.len(), 8);
        assert_eq!(few.values[2].text(), r#"{"w0":1}"#);
        // A reduce of the same query that is under way has no part in it.
        one.reduce_open(1, &merge, ReduceTiming::AtEnd, ReduceState::default()).unwrap();
        one.reduce_push(rows(&[r#"{"x":3}"#])).unwrap();
        one.combine(1, &words, &inputs, &merge).unwrap();
        assert_eq!(strings(one.reduce_finish().unwrap()), [r#"{"x":3}"#]);
    });
}

#[test]
fn of_two_functions_in_one_call_the_failing_one_is_named() {
    let map = source("function(v){return v.values[0].data == 'bad' ? x : [1]}", None);
    let sum = source("function(vs){if (vs.length > 20) throw 'many'; return vs}", None);
    let mut inputs = vec![input("good"); 130];
    let gone = MapInput { record: None, ..input("x") };
    inputs[3] = gone;
    let mut runtime = runtime();
    let error = runtime.combine(1, &map, &inputs, &sum).unwrap_err();
    assert!(matches!(&error, CombineError::Reduce(error) if error.message == "many"), "{error:?}");
    inputs[7] = input("bad");
    let error = runtime.combine(1, &map, &inputs, &sum).unwrap_err();
    assert!(matches!(&error, CombineError::Map(error) if error.input == Some(7)), "{error:?}");
    let first = runtime.combine(1, &map, &inputs[..5], &sum).unwrap();
    assert!(first.values[3].text().contains("not_found"));
    let error = runtime.combine(1, &map, &inputs, &source("function(", None)).unwrap_err();
    assert!(matches!(&error, CombineError::Reduce(error) if error.cause == FailureCause::Syntax));
}

/// However much a map gives, what is held at once is bounded: the call ends before its inputs do.
#[test]
fn a_call_of_two_functions_ends_when_it_holds_much() {
    let map = source("function(v){return ['x'.repeat(300000)]}", None);
    let all = source("function(vs){return vs}", None);
    let combined = runtime().combine(1, &map, &vec![input("x"); 50], &all).unwrap();
    assert_eq!((combined.inputs, combined.values.len()), (4, 4));
    // Each result has its own limit, whatever stands beside it.
    let inputs = [input("small"), input("large")];
    let map = source(
        "function(v){return ['x'.repeat(v.values[0].data == 'small' ? 900000 : 15 << 20)]}",
        None,
    );
    let combined = runtime().combine(1, &map, &inputs, &all).unwrap();
    assert_eq!((combined.inputs, combined.values.len()), (2, 2));
}

#[test]
fn a_reduce_goes_on_in_another_runtime() {
    let function =
        source("function(vs){return [vs.reduce(function(a, b){return a + b}, '')]}", None);
    let timing = ReduceTiming::Every(4);
    let letters: Vec<Row> = ('a'..='j').map(|c| Row::value(format!("\"{c}\""))).collect();
    let mut state = ReduceState::default();
    for letter in letters {
        let mut runtime = runtime();
        runtime.reduce_open(9, &function, timing, state).unwrap();
        runtime.reduce_push(vec![letter]).unwrap();
        let saved = runtime.reduce_save(10_000).unwrap().unwrap();
        assert_eq!(runtime.reduce_save(5).unwrap(), None);
        state = runtime.reduce_suspend().unwrap();
        assert_eq!((saved, runtime.reduce_save(5).is_err()), (state.clone(), true));
        assert!(runtime.reduce_finish().is_err());
    }
    assert_eq!(state.pending.len(), 2);
    let mut runtime = runtime();
    runtime.reduce_open(9, &function, timing, state).unwrap();
    // Maps of other queries come in between.
    for query in 10..20 {
        runtime.map(query, &named("Riak.mapValues", None), vec![input("x")]).unwrap();
    }
    assert_eq!(strings(runtime.reduce_finish().unwrap()), ["\"abcdefghij\""]);
}
