//! Sources of several statements, and what the engine does wrong by itself.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use mapring_script::js::JsRuntime;
use mapring_script::{Runtime as _, ScriptLimits};

fn runtime() -> JsRuntime {
    JsRuntime::new(ScriptLimits { stack_bytes: 2 << 20, ..ScriptLimits::default() })
}

#[track_caller]
fn gives(function: &str, expected: &[&str]) {
    let results = map(&mut runtime(), &source(function, None), input("x"));
    assert_eq!(results, Ok(expected.iter().map(|text| (*text).to_owned()).collect()), "{function}");
}

/// The engine as it comes forgets items of an array whose length is set only the first time that a
/// place of a text is run.
#[test]
fn lengths_that_are_set_more_than_once() {
    let twice = |body: &str| {
        format!(
            "function(v) {{ function f(l) {{ {body} }} return [f([1, 2, 3]), f([1, 2, 3]), f([1, 2, 3])]; }}"
        )
    };
    for (body, each) in [
        ("l.length = 1; return l;", "[1]"),
        ("l.length=1; l.length = 3; return l;", "[1,null,null]"),
        ("l.length = 1; l[2] = 9; return l;", "[1,null,9]"),
        ("l.length -= 2; return Object.keys(l);", "[\"0\"]"),
        ("l.length--; return 2 in l;", "false"),
        ("--l.length; return l;", "[1,2]"),
        ("var o = {a: [l]}; --o.a[0].length; return l;", "[1,2]"),
        ("l\n.length\n= 1; return l;", "[1]"),
        ("l./* the */length /* number */ = 1; return l;", "[1]"),
        ("l.length = 0; for (var i = 0; i < l.length; i++) return 'item'; return l.length;", "0"),
        ("try { l.length = -1; } catch (e) { return e instanceof RangeError; }", "true"),
        ("l.length = '2'; return l;", "[1,2]"),
        ("return l.length == 3 && l.length === 3 && l.length >= 3;", "true"),
        ("var o = {length: 1}; o.length += 2; return o.length;", "3"),
        ("return eval('l.length = 2; l');", "[1,2]"),
        ("return '.length = 1' + /.length = 1/.source;", "\".length = 1.length = 1\""),
    ] {
        gives(&twice(body), &[each, each, each]);
    }
    gives(
        "function(v) { var buffer = [], r = []; for (var k = 3; k > 0; k--) { buffer.length = 0; \
         for (var i = 0; i < k; i++) buffer.push(k * 10 + i); r.push(buffer.length); } return r; }",
        &["3", "2", "1"],
    );
}

#[test]
fn sources_of_several_statements_end_with_a_function() {
    for source in [
        "function g() { return 3; } (function(v) { return [g()]; })",
        "function g() { return 3; }\n(function(v) { return [g()]; })",
        "function g() { return 3; }\nfunction(v) { return [g()]; }",
        "class A { three() { return 3; } }\nfunction(v) { return [new A().three()]; }",
        "var h = 3; function(v) { return [h]; }",
        "var h = 3\nfunction(v) { return [h]; }",
        "const h = 3; let f = v => [h]; f",
        "'use strict'; var h = 3; (v => [h]);",
        "var h = 3; function named(v) { return [h]; } // the end",
        "if (true) { var h = 3; } function(v) { return [h]; }",
        "var o = {h: 3}; function(v) { for each (var x in o) return [x]; }",
        "/* first */ var h = 3; /* then */ (function(v) { return [h]; }); // done",
    ] {
        gives(source, &["3"]);
    }
    // The places in errors are those of the text.
    let source =
        "var h = 3;\nfunction g() { return h; }\n(function(v) {\n  return missing(g());\n})";
    let error = map(&mut runtime(), &common::source(source, None), input("x")).unwrap_err();
    assert!(
        error.stack.as_deref().unwrap_or_default().starts_with("at <anonymous> (source:4:"),
        "{error:?}"
    );
}

/// Each source has names of its own, whatever the other phases of the query call theirs.
#[test]
fn phases_share_no_names() {
    let map_source =
        source("var h = function(x) { return x + 1; }; (function(v) { return [h(0)]; })", None);
    let reduce_source = source(
        "var h = function(x) { return x * 1; }; (function(l) { var s = 0; \
         l.forEach(function(x) { s += h(x); }); return [s]; })",
        None,
    );
    let mut one = runtime();
    let inputs = vec![input("x"); 300];
    let combined = one.combine(1, &map_source, &inputs, &reduce_source).unwrap();
    assert_eq!(strings(combined.values), ["300"]);
    for word in ["const", "let", "class"] {
        let text = match word {
            "class" => "class K {} (function(v) { return [1]; })".to_owned(),
            word => format!("{word} K = 1; (function(v) {{ return [K]; }})"),
        };
        for query in [7, 7] {
            let again = source(&format!("{text} // {query}"), None);
            assert_eq!(map(&mut one, &again, input("x")).unwrap(), ["1"], "{text}");
            let other = source(&text.replace("1;", "2;").replace("[1]", "[2]"), None);
            assert_eq!(one.map(query, &other, vec![input("x")]).unwrap().len(), 1);
        }
    }
}
