//! The named functions, property by property (fact R75), also called from users' code; and
//! users' own files of functions (`js_source_dir`).
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use mapring_script::js::JsRuntime;
use mapring_script::library::{Library, SourceFile};
use mapring_script::{FailureCause, ReduceTiming, Runtime as _, ScriptError, ScriptLimits};

fn runtime() -> JsRuntime {
    JsRuntime::new(ScriptLimits { stack_bytes: 2 << 20, ..ScriptLimits::default() })
}

/// What an expression gives when user code evaluates it.
#[track_caller]
fn is(expression: &str, expected: &str) {
    let function = source(&format!("function(v) {{ return [{expression}]; }}"), None);
    let results = map(&mut runtime(), &function, input(r#"{"x":1,"s":"t","n":null}"#));
    assert_eq!(results, Ok(vec![expected.to_owned()]), "{expression}");
}

#[track_caller]
fn throws(expression: &str, words: &str) {
    let function = source(&format!("function(v) {{ return [{expression}]; }}"), None);
    let error = map(&mut runtime(), &function, input("{")).unwrap_err();
    assert_eq!(error.cause, FailureCause::Thrown, "{expression}: {error:?}");
    assert!(error.message.contains(words), "{expression}: {error:?}");
}

#[test]
fn helpers() {
    is("RiakHelper.numericSorter(5, 3)", "2");
    is("[10, 9, 1].sort(RiakHelper.numericSorter)", "[1,9,10]");
    is("Riak.getClassName([])", "\"Array\"");
    is("Riak.getClassName({})", "\"Object\"");
    is("Riak.getClassName('')", "null");
    is("Riak.getClassName('s')", "\"String\"");
    is("Riak.getClassName(new Date())", "\"Date\"");
    is("Riak.getClassName(function f() {})", "\"Function\"");
    is("(function Mine() { return Riak.getClassName(new Mine(1)); }).length", "0");
    is("(function() { function Mine() {} return Riak.getClassName(new Mine()); })()", "\"Mine\"");
    is("typeof Riak.getClassName(null)", "\"undefined\"");
    is("typeof Riak.getClassName()", "\"undefined\"");
    is("typeof Riak.getClassName(Object.create(null))", "\"undefined\"");
    is("ejsLog('/tmp/f', 'words')", "true");
    is("ejsLog('/tmp/f', {a: 1})", "true");
    is("ejsLog()", "true");
    is("ejsLog('f', 'x'.repeat(1 << 20))", "true");
    throws("ejsLog('f', Symbol('s'))", "TypeError");
}

#[test]
fn maps() {
    is("Riak.mapValues(v)[0].length", "24");
    is("Riak.mapValues({values: [{data: 'a'}, {data: 'b'}]})", r#"["a"]"#);
    is("Riak.mapValues({values: [{data: [1, [2]]}]})", "[1,[2]]");
    is("Riak.mapValues({not_found: {key: 'k'}})", r#"[{"not_found":{"key":"k"}}]"#);
    is("Riak.mapValuesJson(v)[0].x", "1");
    is("Riak.mapValuesJson({values: [{data: '[1]'}, {data: '2'}]})", "[[1]]");
    is("Riak.mapValuesJson({values: [{data: ['1', '{}']}]})", "[1,{}]");
    is("Riak.mapValuesJson({not_found: 1})", r#"[{"not_found":1}]"#);
    throws("Riak.mapValuesJson(v)", "SyntaxError");
    throws("Riak.mapValuesJson({values: [{data: ''}]})", "SyntaxError");
    throws("Riak.mapValues({})", "TypeError");
    for (fields, found) in [
        ("{}", true),
        ("{x: 1}", true),
        ("{x: '1'}", true),
        ("{x: true}", true),
        ("{x: [1]}", true),
        ("{x: 1, s: 't'}", true),
        ("{x: 1, s: 'u'}", false),
        ("{n: null}", true),
        ("{n: undefined}", true),
        ("{absent: null}", true),
        ("{n: 0}", false),
        ("{absent: 1}", false),
        ("'none'", false),
        ("null", true),
    ] {
        let expected = if found { r#"[{"x":1,"s":"t","n":null}]"# } else { "[]" };
        is(&format!("Riak.mapByFields(v, 'undefined', {fields})"), expected);
    }
    is("Riak.mapByFields({not_found: 1}, null, {})", "[]");
}

#[test]
fn reduces() {
    is(
        "Riak.filterNotFound([1, 's', [], {}, {not_found: 1}, {not_found: null}])",
        r#"[1,"s",[],{}]"#,
    );
    is("Riak.filterNotFound([{not_found: undefined}])", "[{}]");
    is("Riak.filterNotFound([])", "[]");
    throws("Riak.filterNotFound([null])", "TypeError");
    is("Riak.reduceSum([])", "[0]");
    is("Riak.reduceSum([1, 2.5, {not_found: 1}])", "[3.5]");
    is("Riak.reduceSum(['a', 1, 'b'])", r#"["a1b"]"#);
    is("Riak.reduceSum([1, 2, 'b'])", r#"["3b"]"#);
    is("Riak.reduceSum([true, true])", "[2]");
    is("Riak.reduceSum(['7'])", r#"["7"]"#);
    throws("Riak.reduceSum([1, null])", "TypeError");
    is("[Riak.reduceMin([]), Riak.reduceMax([])]", "[[],[]]");
    is("[Riak.reduceMin([3, 1, 2]), Riak.reduceMax([3, 10, 2])]", "[[1],[10]]");
    is("[Riak.reduceMin(['b', 'a']), Riak.reduceMax(['3', '10'])]", r#"[["a"],["3"]]"#);
    // Where neither is better the later one stays.
    is(
        "[Riak.reduceMin([1, '1']), Riak.reduceMax([1, '1']), Riak.reduceMin([{}, 1])]",
        r#"[["1"],["1"],[1]]"#,
    );
    is("Riak.reduceNumericSort([3, 10, -2, 2.5])", "[-2,2.5,3,10]");
    is("Riak.reduceNumericSort([])", "[]");
    for (limit, expected) in [
        ("3", "[1,2]"),
        ("1", "[]"),
        ("9", "[1,2,3,4]"),
        ("0", "[1,2,3]"),
        ("-1", "[1,2]"),
        ("'3'", "[1,2]"),
        ("'none'", "[]"),
        ("null", "[1,2,3]"),
        ("{}", "[]"),
    ] {
        is(&format!("Riak.reduceLimit([1, 2, 3, 4], {limit})"), expected);
    }
    for (bounds, expected) in [
        ("[1, 3]", "[2,3]"),
        ("[0, 4]", "[1,2,3,4]"),
        ("[2, 4]", "[3,4]"),
        ("[2, 5]", "[1,2,3,4]"),
        ("[3, 1]", "[]"),
        ("[-2, 4]", "[3,4]"),
        ("[0, -1]", "[1,2,3]"),
        ("['1', '2']", "[2]"),
        ("'none'", "[]"),
        ("[1]", "[2,3,4]"),
    ] {
        is(&format!("Riak.reduceSlice([1, 2, 3, 4], {bounds})"), expected);
    }
    throws("Riak.reduceSlice([1], null)", "TypeError");
}

#[test]
fn sorts() {
    let sort = |arg: &str| format!("Riak.reduceSort([3, 10, 2], {arg})");
    let (lexical, falling) = ("[10,2,3]", "[10,3,2]");
    is("Riak.reduceSort([3, 10, 2])", lexical);
    for arg in [
        "'function(a, b) { return b - a; }'",
        "'function(a, b) { return b - a; };'",
        "' function(a, b) { return b - a; } // falling'",
        "'(function(a, b) { return b - a; })'",
        "'(a, b) => b - a'",
        "'var compare = function(a, b) { return b - a; }; compare'",
        "function(a, b) { return b - a; }",
    ] {
        is(&sort(arg), falling);
    }
    is(&sort("'RiakHelper.numericSorter'"), "[2,3,10]");
    for arg in [
        "'none'",
        "'no such thing'",
        "'(1'",
        "''",
        "null",
        "{reduce_phase_only_1: true}",
        "7",
        "'7'",
        "'function() { throw 1; }'",
        "'nowhere.compare'",
    ] {
        is(&sort(arg), lexical);
    }
    is("Riak.reduceSort(['é', 'z', 'a', 'B', ''])", "[\"\",\"B\",\"a\",\"z\",\"é\"]");
    // The text sees globals only, and the list is the same one.
    is(
        "(function(falling) { return Riak.reduceSort([1, 2], 'falling'); })(RiakHelper.numericSorter)",
        "[1,2]",
    );
    is("(function(list) { return Riak.reduceSort(list) === list; })([2, 1])", "true");
}

fn library(files: &[(&str, &str)]) -> Library {
    let file =
        |(name, text): &(&str, &str)| SourceFile { name: (*name).into(), text: (*text).into() };
    Library { files: files.iter().map(file).collect(), complaints: Vec::new() }
}

/// A runtime with files, and what is wrong with them.
fn with(files: &[(&str, &str)]) -> (JsRuntime, Vec<String>) {
    let mut runtime = runtime();
    let complaints = runtime.set_library(library(files)).unwrap();
    (runtime, complaints)
}

const FUNCTIONS: &str = "
function keys(v) { return [v.key]; }
var shop = {rate: 2, prices: {
  twice: function(v, kd, arg) { return [Riak.mapValuesJson(v)[0] * this.factor, arg]; },
  factor: 2
}};
const constant = v => [shop.rate];
class Tools { static size(v) { return [this.name.length, v.values[0].data.length]; } }
function failing(v) {
  return v.a.b;
}
function total(vs) { return [vs.reduce((a, b) => a + b, 0)]; }
";

#[test]
fn files_of_functions_are_there_for_queries() {
    let (mut runtime, complaints) = with(&[("a.js", FUNCTIONS), ("b.js", "shop.rate = 3;")]);
    assert_eq!(complaints, [""; 0]);
    let mut run = |function| map(&mut runtime, &function, input("21"));
    assert_eq!(run(named("keys", None)).unwrap(), ["\"k\""]);
    assert_eq!(run(named("shop.prices.twice", Some("5"))).unwrap(), ["42", "5"]);
    assert_eq!(run(named("constant", None)).unwrap(), ["3"]);
    assert_eq!(run(named("Tools.size", None)).unwrap(), ["5", "2"]);
    assert_eq!(run(source("Tools.size", None)).unwrap(), ["5", "2"]);
    assert_eq!(
        run(source("function(v) { return keys(v).concat(constant(v)); }", None)).unwrap(),
        ["\"k\"", "3"]
    );
    let error = run(named("failing", None)).unwrap_err();
    assert_eq!(error.stack.as_deref(), Some("at failing (a.js:10:14)"));
    let error = run(named("nowhere", None)).unwrap_err();
    assert_eq!(
        (error.cause, error.message.as_str()),
        (FailureCause::Undefined, "nowhere is not defined")
    );
    let error = run(named("shop.nowhere.deep", None)).unwrap_err();
    assert_eq!(error.message, "shop.nowhere.deep is not defined");
    let error = run(named("shop.rate", None)).unwrap_err();
    assert_eq!(error.message, "shop.rate is not a function but a number");
    let results =
        reduce(&mut runtime, &named("total", None), ReduceTiming::Every(2), rows(&["1", "2", "3"]));
    assert_eq!(results.unwrap(), ["6"]);
}

#[test]
fn queries_do_not_change_files_for_others_and_a_new_library_is_for_new_queries() {
    let (mut runtime, _) = with(&[("a.js", FUNCTIONS)]);
    let raise = source("function(v) { return [++shop.rate]; }", None);
    let of = |runtime: &mut JsRuntime, query| {
        runtime.map(query, &raise, vec![input("")]).map(|mut results| strings(results.remove(0)))
    };
    assert_eq!(of(&mut runtime, 1).unwrap(), ["3"]);
    assert_eq!(of(&mut runtime, 1).unwrap(), ["4"]);
    assert_eq!(of(&mut runtime, 2).unwrap(), ["3"]);
    runtime.set_library(library(&[("a.js", "var shop = {rate: 100};")])).unwrap();
    assert_eq!(of(&mut runtime, 1).unwrap(), ["5"]);
    assert_eq!(of(&mut runtime, 3).unwrap(), ["101"]);
    runtime.set_library(Library::default()).unwrap();
    assert_eq!(of(&mut runtime, 4).unwrap_err().message, "ReferenceError: shop is not defined");
}

#[track_caller]
fn complains(files: &[(&str, &str)], expected: &[&str]) -> JsRuntime {
    let (mut runtime, complaints) = with(files);
    assert_eq!(complaints, expected);
    // What does not need them works.
    let results =
        map(&mut runtime, &source("function(v) { return Riak.mapValues(v); }", None), input("x"));
    assert_eq!(results, Ok(vec!["\"x\"".to_owned()]));
    runtime
}

#[test]
fn files_that_fail_are_named() {
    let mut runtime = complains(
        &[
            ("bad.js", "var a = 1;\nfunction broken( {\n"),
            ("good.js", "function good() { return [1]; }"),
        ],
        &["bad.js: SyntaxError: unexpected end at line 2, col 19"],
    );
    let results = map(&mut runtime, &named("good", None), input("")).unwrap();
    assert_eq!(results, ["1"]);
    // Whoever misses something is told why.
    for function in [
        named("broken", None),
        source("broken", None),
        source("function(v) { return broken(v); }", None),
    ] {
        let ScriptError { message, .. } = map(&mut runtime, &function, input("")).unwrap_err();
        assert!(
            message.contains("broken is not defined (in js_source_dir: bad.js: SyntaxError"),
            "{message}"
        );
    }
    complains(
        &[("throws.js", "function f() {\n  throw new Error('no');\n}\nf();\n")],
        &["throws.js: Error: no, at f (throws.js:2:9)"],
    );
    complains(
        &[("needs.js", "\nvar x = later();"), ("zlater.js", "function later() { return 1; }")],
        &["needs.js: ReferenceError: later is not defined, at <anonymous> (needs.js:2:9)"],
    );
    complains(
        &[("early.js", "Riak.mine = function() {};")],
        &["early.js: ReferenceError: Riak is not defined, at <anonymous> (early.js:1:1)"],
    );
    complains(
        &[("riak.js", "const Riak = 1;")],
        &[
            "all files are left out, because the built-ins cannot be defined after them: SyntaxError: invalid scope analysis: duplicate lexical declaration",
        ],
    );
    complains(
        &[("frozen.js", "Object.freeze(globalThis);")],
        &[
            "all files are left out, because the built-ins cannot be defined after them: TypeError: cannot declare global variable",
        ],
    );
    complains(
        &[("deep.js", "(function f() { f(); })();")],
        &["deep.js: too much recursion: the calls nested too deeply, at f (deep.js:1:18)"],
    );
}
