//! Map phases: which function is called, with which arguments, and what it may return.

use serde_json::json;

use crate::case::{Case, Topic};
use crate::check::Check;
use crate::phases::{
    emit, map_erl, map_js, map_js_with, map_named, reduce_js, reduce_js_with, reduce_named,
};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("maps");
    functions(&mut t);
    arguments(&mut t);
    results(&mut t);
    exceptions(&mut t);
    t.cases
}

const ONE: &str = r#"[["mrc_n","n1"]]"#;

/// A phase of these members.
fn phase(kind: &str, members: &str) -> String {
    format!(r#"{{"{kind}":{{"language":"javascript",{members}}}}}"#)
}

fn functions(t: &mut Topic) {
    t.fact(53);
    let source = r#""source":"function(v) { return ['source']; }""#;
    let name = r#""name":"Riak.mapValues""#;
    let stored = r#""bucket":"mrc_src","key":"map""#;
    for (what, members, expect) in [
        ("a source", source.to_owned(), r#"["source"]"#),
        ("a name", name.to_owned(), r#"["1"]"#),
        ("a stored source", stored.to_owned(), r#"["stored n1"]"#),
        ("a source goes before a name", format!("{name},{source}"), r#"["source"]"#),
        ("a source goes before a stored one", format!("{stored},{source}"), r#"["source"]"#),
        ("a name goes before a stored source", format!("{stored},{name}"), r#"["1"]"#),
        ("a source goes before both", format!("{stored},{name},{source}"), r#"["source"]"#),
    ] {
        t.query(what, ONE, &[phase("map", &members)]).body(expect);
    }
    let count = phase("reduce", r#""bucket":"mrc_src","key":"sum""#);
    t.query("a stored reduce", ONE, &[emit("[5, 6, 7]"), count]).body("[3]");
    let arg = phase("map", r#""bucket":"mrc_src","key":"arg","arg":{"x":1}"#);
    t.query("a stored source gets its arguments", r#"[["mrc_n","n1",7]]"#, &[arg])
        .body(r#"[7,{"x":1}]"#);
    let named = phase("map", r#""bucket":"mrc_src","key":"name""#);
    t.query("a stored source may be a name", ONE, &[named]).body(r#"["1"]"#);
    for key in ["none", "broken"] {
        let missing = phase("map", &format!(r#""bucket":"mrc_src","key":"{key}""#));
        t.query(&format!("a stored map that is {key}"), ONE, &[missing]).status(500);
        let missing = phase("reduce", &format!(r#""bucket":"mrc_src","key":"{key}""#));
        t.query(&format!("a stored reduce that is {key}"), ONE, &[emit("[1]"), missing])
            .status(500);
    }
    t.fact(74);
    for (what, source, expect) in [
        ("a function", "function(v) { return [1]; }", "[1]"),
        ("a function with a name", "function f(v) { return [typeof f]; }", r#"["function"]"#),
        ("a function in parentheses", "(function(v) { return [1]; })", "[1]"),
        ("a name as a source", "Riak.mapValues", r#"["1"]"#),
        (
            "a call that gives a function",
            "(function(n) { return function() { return [n]; }; })(3)",
            "[3]",
        ),
        ("a conditional", "true ? Riak.mapValues : null", r#"["1"]"#),
    ] {
        t.query(&format!("source: {what}"), ONE, &[map_js(source)]).body(expect);
    }
    t.fact(53);
    t.query("an Erlang phase", ONE, &[map_erl("map_object_value")]).body(r#"["1"]"#);
}

fn arguments(t: &mut Topic) {
    t.fact(53);
    let given = "function(v, kd, arg) { return [arg]; }";
    t.query("no argument", ONE, &[map_js(given)]).body(r#"["none"]"#);
    for arg in [
        "7",
        "1.5",
        "\"text\"",
        "\"\"",
        "null",
        "false",
        "[]",
        "[1,[\"a\"]]",
        "{}",
        r#"{"a":{"b":[null]}}"#,
    ] {
        let phase = map_js_with(given, &format!(r#""arg":{arg}"#));
        t.query(&format!("the argument {arg}"), ONE, &[phase]).body(&format!("[{arg}]"));
    }
    let given = "function(list, arg) { return [arg]; }";
    t.query("no argument of a reduce", ONE, &[emit("[1]"), reduce_js(given)]).body(r#"["none"]"#);
    for arg in ["null", "[1]", r#"{"a":1}"#] {
        let phase = reduce_js_with(given, &format!(r#""arg":{arg}"#));
        t.query(&format!("the argument {arg} of a reduce"), ONE, &[emit("[1]"), phase])
            .body(&format!("[{arg}]"));
    }
    t.fact(55);
    let number = map_js("function() { return [arguments.length]; }");
    t.query("three arguments", ONE, &[number]).body("[3]");
}

fn results(t: &mut Topic) {
    t.fact(59);
    for (array, expect) in [
        ("[]", "[]"),
        ("[1, 'a', null, true, [2], {b: 3}]", r#"[1,"a",null,true,[2],{"b":3}]"#),
        ("[[]]", "[[]]"),
        ("[[], {}]", "[[],{}]"),
        ("[undefined, NaN, Infinity]", "[null,null,null]"),
    ] {
        t.query(&format!("returns {array}"), ONE, &[emit(array)]).body(expect);
    }
    t.query(
        "lists of several inputs are joined",
        r#"[["mrc_n","n1"],["mrc_n","n2"]]"#,
        &[emit("[v.key, v.key]")],
    )
    .any_order(r#"["n1","n1","n2","n2"]"#);
    for value in ["7", "'text'", "true", "null"] {
        t.query(&format!("returns {value}, no list"), ONE, &[emit(value)])
            .fails(0, &["non_list_result"]);
    }
    let reduce = reduce_js("function(list) { return 7; }");
    t.query("a reduce returns no list", ONE, &[emit("[1]"), reduce]).fails(1, &["non_list_result"]);
    t.query("returns an object", ONE, &[emit("{a: 1, b: [2]}")]).fails(0, &["non_list_result"]);
    let object = reduce_js("function(list) { return {a: list.length, b: [2]}; }");
    t.query("a reduce returns an object", ONE, &[emit("[1]"), object.clone()])
        .body(r#"{"a":1,"b":[2]}"#);
    t.query("a reduce returns an object, twice", ONE, &[emit("[1]"), object.clone(), object])
        .body(r#"{"a":2,"b":[2]}"#);
    t.fact(73);
    let nothing = map_js("function(v) { }");
    t.query("returns nothing", ONE, &[nothing]).fails(0, &["Expression returned undefined"]);
    let error = "{lineno: 7, message: 'made up', source: 'x'}";
    t.query("returns what looks like an error", ONE, &[emit(error)]).fails(0, &["made up"]);
}

fn exceptions(t: &mut Topic) {
    t.fact(73);
    let throws = map_js("function(v) { throw new Error('no good'); }");
    t.query("an exception", ONE, &[throws.clone()]).fails(0, &["no good"]);
    t.query("an exception in a bucket", r#""mrc_n""#, &[throws]).fails(0, &["no good"]);
    let one = map_js("function(v) { if (v.key === 'n4') { throw 'only n4'; } return [1]; }");
    t.query("one bad object ends the query", r#""mrc_n""#, &[one]).fails(0, &["only n4"]);
    let calls = map_js("function(v) { return nowhere(v); }");
    t.query("a call of nothing", ONE, &[calls]).fails(0, &["nowhere is not defined"]);
    t.query("a source that does not parse", ONE, &[map_js("function(v) { return [; }")])
        .fails(0, &["SyntaxError"]);
    let reduce = reduce_js("function(list) { throw 'reduced'; }");
    t.query("an exception in a reduce", ONE, &[emit("[1]"), reduce]).fails(1, &["reduced"]);
    let second = map_js("function(v) { throw 'second'; }");
    t.query("an exception in a later map", ONE, &[emit("[['mrc_n','n2']]"), second])
        .fails(1, &["second"]);
    let binary = r#"[["mrc_bin","latin"]]"#;
    t.query("a value that is not UTF-8", binary, &[map_named("Riak.mapValues")])
        .fails(0, &["bad_utf8_character_code"]);
    t.fact(74);
    t.query("a name of nothing", ONE, &[map_named("nowhere")]).fails(0, &["nowhere"]);
    t.query("a path of nothing", ONE, &[map_named("Riak.nowhere")]).status(500);
    t.query("a reduce of nothing", ONE, &[emit("[1]"), reduce_named("nowhere")])
        .fails(1, &["nowhere"]);
    t.fact(72);
    let throws = map_js("function(v) { throw new Error('no good'); }");
    t.query("failures name the object", r#"[["mrc_n","n3"]]"#, &[throws])
        .own()
        .fails(0, &["no good"])
        .check(Check::Members(json!({"bucket": "mrc_n", "key": "n3", "type": "exception"})));
}
