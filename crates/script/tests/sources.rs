//! What a function may be written as, and what its author is told when it fails: the message, and a
//! stack in the lines of the author's own text.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use mapring_script::js::JsRuntime;
use mapring_script::{
    FailureCause, Function, PhaseFunction, ReduceTiming, Runtime as _, ScriptError, ScriptLimits,
};

fn runtime() -> JsRuntime {
    JsRuntime::new(ScriptLimits { stack_bytes: 2 << 20, ..ScriptLimits::default() })
}

#[track_caller]
fn gives(function: &str, expected: &[&str]) {
    let results = map(&mut runtime(), &source(function, None), input("1 2 3"));
    assert_eq!(results, Ok(expected.iter().map(|text| (*text).to_owned()).collect()), "{function}");
}

#[track_caller]
fn fails(function: &PhaseFunction) -> ScriptError {
    map(&mut runtime(), function, input("x")).unwrap_err()
}

/// The message, and the frames of the stack one a line.
#[track_caller]
fn tells(function: &str, cause: FailureCause, message: &str, stack: &[&str]) {
    let error = fails(&source(function, None));
    assert_eq!((error.cause, error.message.as_str()), (cause, message), "{function}");
    let found: Vec<&str> = error.stack.as_deref().unwrap_or_default().lines().collect();
    assert_eq!(found, stack, "{function}");
}

#[test]
fn forms_of_a_source() {
    // Each is what stands before `(value, keydata, arg)` in Riak's call, with what users put around it.
    for source in [
        "function(v) { return [1]; }",
        "function(v) { return [1]; };",
        "function(v) { return [1]; };;\n",
        "function(v) { return [1]; } // ones",
        "function(v) { return [1]; } /* ones */",
        "// ones\nfunction(v) { return [1]; }",
        "\n\n  function  map (v, kd, arg) { return [1]; }\n\n",
        "(function(v) { return [1]; })",
        "(function(v) { return [1]; });",
        "((v) => [1])",
        "v => [1]",
        "(v, k, a) => { return [1]; }",
        "({values}) => [values.length]",
        "(class { static map(v) { return [1]; } }).map",
        "class { static map(v) { return [1]; } }.map",
        "(function() { return function(v) { return [1]; }; })()",
        "({map: function(v) { return [1]; }}).map",
        "[function(v) { return [1]; }][0]",
        "function(v) { 'use strict'; return [1]; }",
        "Function('v', 'return [1]')",
        "function(v) { return [1]; }.bind(null)",
        // Several statements that end with a function: in Riak's engine a call could follow them.
        "var one = 1; (function(v) { return [one]; })",
        "const one = 1;\nlet map = v => [one];\nmap",
        "function one() { return 1; } var map = function(v) { return [one()]; }; map;",
    ] {
        gives(source, &["1"]);
    }
    for source in
        ["Riak.mapValues", " Riak.mapValues ; \n", "(Riak.mapValues)", "Riak['mapValues']"]
    {
        gives(source, &["\"1 2 3\""]);
    }
    // A name may be any expression, too, and a function is called as a member of what it is in.
    let named = named("(function(v) { return [v.key]; })", None);
    assert_eq!(map(&mut runtime(), &named, input("x")).unwrap(), ["\"k\""]);
    let members = "var lib = {n: 7, map: function() { return [this.n]; }}; lib.map.bind(lib)";
    gives(members, &["7"]);
    let mut runtime = runtime();
    let define = source(
        "function() { lib = {n: 8, map: function() { return [this.n]; }}; return []; }",
        None,
    );
    assert_eq!(map(&mut runtime, &define, input("")).unwrap(), [""; 0]);
    assert_eq!(map(&mut runtime, &source("lib.map", None), input("")).unwrap(), ["8"]);
}

#[test]
fn the_language_is_a_present_one() {
    gives("v => { const {key, bucket: b = 'none'} = v; return [`${b}/${key}`]; }", &["\"b/k\""]);
    gives(
        "v => [...new Set(v.values[0].data.split(' ').concat('1'))].map(Number)",
        &["1", "2", "3"],
    );
    gives("v => [Object.fromEntries(new Map([['a', 1], ['b', 2]]))]", &[r#"{"a":1,"b":2}"#]);
    gives("v => [v?.nothing?.at?.all ?? 'absent']", &["\"absent\""]);
    gives(
        "v => { class A { #x = 1; get x() { return this.#x; } } class B extends A { y = 2; } \
         const b = new B(); return [b.x + b.y, b]; }",
        &["3", r#"{"y":2}"#],
    );
    gives("v => { function* n() { yield 1; yield* [2, 3]; } return [...n()]; }", &["1", "2", "3"]);
    gives(
        "v => [[1, [2, [3]]].flat(Infinity), 'ab'.padStart(4, '-'), 2 ** 10]",
        &["[1,2,3]", "\"--ab\"", "1024"],
    );
    gives(
        "v => { let out = []; for (const [i, w] of v.values[0].data.split(' ').entries()) { out.push(i + w); } return out; }",
        &["\"01\"", "\"12\"", "\"23\""],
    );
    gives("v => [String(2n ** 70n), Number(12n)]", &["\"1180591620717411303424\"", "12"]);
    gives(
        "v => [/(?<year>\\d)/u.exec('x7').groups.year, 'a-b'.replaceAll('-', '+')]",
        &["\"7\"", "\"a+b\""],
    );
    gives("v => [{a: 1, ...{b: 2}}, Math.max(...[1, 5, 3])]", &[r#"{"a":1,"b":2}"#, "5"]);
    gives(
        "v => { label: for (;;) { try { break label; } finally { } } return [1_000]; }",
        &["1000"],
    );
}

#[test]
fn results_of_modern_kinds() {
    use FailureCause::{NotAList, NotJson};
    let not_a_list =
        |what: &str| format!("non_list_result: the function returned {what}, not a list");
    for (function, what) in [
        ("async v => [1]", "a promise, which nothing waits for"),
        ("async function(v) { return [1]; }", "a promise, which nothing waits for"),
        ("v => new Set([1])", "an object"),
        ("v => 1n", "a BigInt"),
        ("v => Symbol('s')", "another value"),
        ("v => 'text'", "a string"),
    ] {
        tells(function, NotAList, &not_a_list(what), &[]);
    }
    tells("v => [1n]", NotJson, "TypeError: a BigInt has no form in JSON", &[]);
    let nothing =
        "Expression returned undefined: a map returns a list, or calls emit, put, del or count";
    tells("v => {}", NotAList, nothing, &[]);
    tells("function(v) { return; }", NotAList, nothing, &[]);
}

#[test]
fn an_object_is_no_list_but_may_say_that_it_is_an_error() {
    let object = "non_list_result: the function returned an object, not a list";
    tells("v => ({lineno: undefined, a: 1})", FailureCause::NotAList, object, &[]);
    gives("v => [{lineno: 3}]", &[r#"{"lineno":3}"#]);
    tells("v => ({lineno: 3, message: 'mine'})", FailureCause::Thrown, "mine", &[]);
    tells("v => ({lineno: 0})", FailureCause::Thrown, r#"{"lineno":0}"#, &[]);
    let function = source("function(vs) { return {lineno: 1, message: 'from a reduce'}; }", None);
    let error = reduce(&mut runtime(), &function, ReduceTiming::AtEnd, rows(&["1"])).unwrap_err();
    assert_eq!((error.cause, error.message.as_str()), (FailureCause::Thrown, "from a reduce"));
}

#[test]
fn places_are_those_of_the_authors_text() {
    use FailureCause::{Syntax, Thrown, Undefined};
    tells(
        "function(v) {\n  var a;\n  return a.b;\n}",
        Thrown,
        "TypeError: a is null or undefined: it has no property b",
        &["at <anonymous> (source:3:12)"],
    );
    tells(
        "function map(v) {\n  function inner(x) {\n    throw new RangeError('too far');\n  }\n\n  return [1].map(inner);\n}",
        Thrown,
        "RangeError: too far",
        &["at inner (source:3:11)", "at map (source:6:17)"],
    );
    // One line, as clients send it.
    tells(
        "function f(v){ nowhere(); }",
        Thrown,
        "ReferenceError: nowhere is not defined",
        &["at f (source:1:16)"],
    );
    // What a function says itself is left as it is.
    tells(
        "v => { throw new Error('at line 7 of (source:9:1)'); }",
        Thrown,
        "Error: at line 7 of (source:9:1)",
        &["at <anonymous> (source:1:14)"],
    );
    // In a built-in that it calls.
    tells(
        "function(v) {\n  return Riak.mapValuesJson(v);\n}",
        Thrown,
        "SyntaxError: JSON: unexpected character at byte 0",
        &[
            "at <anonymous> (riak.js:57:21)",
            "at mapValuesJson (riak.js:56:53)",
            "at <anonymous> (source:2:28)",
        ],
    );
    tells(
        "function(v) {\n  return [;\n}",
        Syntax,
        "SyntaxError: unexpected token ';', primary expression at line 2, col 11",
        &[],
    );
    tells(
        "function(v) {\n  return [1];\n",
        Syntax,
        "SyntaxError: unexpected end at line 2, col 14",
        &[],
    );
    tells("", Syntax, "SyntaxError: unexpected end at line 1, col 1", &[]);
    tells(
        "function(v) { return [1] } }",
        Syntax,
        "SyntaxError: unexpected token '}', primary expression at line 1, col 28",
        &[],
    );
    tells(
        "function(v) {\n  return 'open\n' }",
        Syntax,
        "SyntaxError: unterminated string literal at line 2, col 10",
        &[],
    );
    // While it is made, and in text that it evaluates itself.
    tells(
        "(function() {\n  throw new Error('early');\n})()",
        Thrown,
        "Error: early",
        &["at <anonymous> (source:2:9)", "at <anonymous> (source:3:3)"],
    );
    tells(
        "(function() {\n  nowhere();\n})()",
        Undefined,
        "ReferenceError: nowhere is not defined",
        &["at <anonymous> (source:2:3)", "at <anonymous> (source:3:3)"],
    );
    tells(
        "function(v) {\n  return eval('1 +');\n}",
        Thrown,
        "SyntaxError: abrupt end",
        &["at <anonymous> (source:2:14)"],
    );
}

#[test]
fn thrown_values_that_are_no_errors() {
    use FailureCause::Thrown;
    let stack = &["at <anonymous> (source:1:14)"];
    for (value, message) in [
        ("'text'", "text"),
        ("{lineno: 3, message: 'mine'}", "mine"),
        ("null", "null"),
        ("undefined", "undefined"),
        ("7", "7"),
        ("{code: 5}", r#"{"code":5}"#),
        ("['a', 1]", r#"["a",1]"#),
    ] {
        let function = format!("v => {{ throw {value}; }}");
        let error = fails(&source(&function, None));
        assert_eq!((error.cause, error.message.as_str()), (Thrown, message), "{function}");
        assert_eq!(error.stack.as_deref(), Some(stack[0]), "{function}");
    }
    tells(
        "v => { throw new (class Mine extends Error {})('of a class'); }",
        Thrown,
        "Error: of a class",
        &["at Mine (source)", "at <anonymous> (source:1:14)"],
    );
}

#[test]
fn stored_functions_are_named_in_stacks() {
    let stored = |object: &str, source: &str| PhaseFunction {
        function: Function::Stored { object: object.to_owned(), source: source.to_owned() },
        ..named("", None)
    };
    let error = fails(&stored("functions/count", "function(v) {\n  return v.a.b;\n}"));
    assert_eq!(error.stack.unwrap(), "at <anonymous> (source of functions/count:2:14)");
    let error = fails(&stored("odd (x)\n/k:1", "function f(v) {\n  throw 'no';\n}"));
    assert_eq!(error.stack.unwrap(), "at f (source of odd ?x??/k:1:2:9)");
    let results = map(&mut runtime(), &stored("f/k", "Riak.mapValues"), input("x")).unwrap();
    assert_eq!(results, ["\"x\""]);
    let error = fails(&stored("f/k", "function(v) {\n  return [;\n}"));
    assert_eq!(error.cause, FailureCause::Syntax);
    assert!(error.message.ends_with("at line 2, col 11"), "{error:?}");
}

#[test]
fn globals_are_a_querys_own() {
    let mut runtime = runtime();
    let set = source(
        "function(v) { shared = (typeof shared === 'number' ? shared : 0) + 1; return [shared]; }",
        None,
    );
    let get = source("function(vs) { return [typeof shared]; }", None);
    assert_eq!(runtime.map(1, &set, vec![input("")]).unwrap(), [rows(&["1"])]);
    assert_eq!(runtime.map(1, &set, vec![input("")]).unwrap(), [rows(&["2"])]);
    // A reduce of the same query sees it, of another does not; nor what another did to the language.
    let state = || mapring_script::ReduceState::default();
    for (query, expected) in [(1, "\"number\""), (2, "\"undefined\"")] {
        runtime.reduce_open(query, &get, ReduceTiming::AtEnd, state()).unwrap();
        assert_eq!(strings(runtime.reduce_finish().unwrap()), [expected]);
    }
    let spoil = source(
        "function(v) { Array.prototype.map = null; JSON.parse = null; Riak = null; return []; }",
        None,
    );
    runtime.map(3, &spoil, vec![input("")]).unwrap();
    let works = source(
        "function(v) { return [1].map(function(x) { return Riak.mapValuesJson(v)[0]; }); }",
        None,
    );
    assert_eq!(runtime.map(4, &works, vec![input("5")]).unwrap(), [rows(&["5"])]);
    assert_eq!(runtime.map(3, &works, vec![input("5")]).unwrap_err().cause, FailureCause::Thrown);
}
