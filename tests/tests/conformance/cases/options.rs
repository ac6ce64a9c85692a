//! Members of a query that Riak's grammar does not know, and other forms of answers.

use crate::case::{Case, Topic, query};
use crate::check::Check;
use crate::phases::{emit, map_erl, map_js, map_named, reduce_erl, reduce_js};
use crate::wire::Request;

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("mapring's options");
    failures(&mut t);
    limits(&mut t);
    values(&mut t);
    reads(&mut t);
    plans(&mut t);
    refusals(&mut t);
    forms(&mut t);
    generators(&mut t);
    for case in &mut t.cases {
        case.own();
    }
    t.cases
}

const ONE: &str = r#"[["mrc_n","n1"]]"#;

/// Inputs that a map fails for may be left out and told.
fn failures(t: &mut Topic) {
    let mixed = r#"[["mrc_v","list"],["mrc_v","broken"],["mrc_v","number"],["mrc_v","plain"]]"#;
    let json = [map_named("Riak.mapValuesJson")];
    let skip = r#""on_error":{"mode":"skip"}"#;
    t.query("bad inputs are left out", mixed, &json)
        .with(skip)
        .any_order(r#"[[1,[2],"x"],3.5]"#)
        .check(Check::Header("X-Query-Skipped", "2".into()));
    t.query("as many bad inputs as allowed", mixed, &json)
        .with(r#""on_error":{"mode":"skip","max":2}"#)
        .any_order(r#"[[1,[2],"x"],3.5]"#);
    t.query("more bad inputs than allowed", mixed, &json)
        .with(r#""on_error":{"mode":"skip","max":1}"#)
        .status(500)
        .check(Check::Text("\"error\"".into()));
    t.query("bad inputs end a query that says so", mixed, &json)
        .with(r#""on_error":{"mode":"fail"}"#)
        .fails(0, &["SyntaxError"]);
    t.query("nothing is left out where nothing is bad", r#"[["mrc_v","list"]]"#, &json)
        .with(skip)
        .body(r#"[[1,[2],"x"]]"#)
        .check(Check::NoHeader("X-Query-Skipped"));
    t.query(
        "one bad input of a bucket",
        r#""mrc_n""#,
        &[map_js("function(v) { if (v.key === 'n3') { throw 'not this one'; } return [v.key]; }")],
    )
    .with(skip)
    .any_order(r#"["n1","n2","n4","n5"]"#)
    .check(Check::HeaderText("X-Query-Skipped-Inputs", "n3".into()))
    .check(Check::HeaderText("X-Query-Skipped-Inputs", "not this one".into()));
    t.chunked("bad inputs of an answer in parts", mixed, &json)
        .with(skip)
        .status(200)
        .check(Check::Text("\"skipped_count\":2".into()))
        .check(Check::Text("broken".into()));
    let reduce = reduce_js("function(list) { throw 'a reduce'; }");
    t.query("reduces are not left out", ONE, &[emit("[1]"), reduce])
        .with(skip)
        .fails(1, &["a reduce"]);
}

fn limits(t: &mut Topic) {
    let keys = [map_js("function(v) { return [v.key]; }")];
    for limit in [1, 7, 59, 60] {
        t.query(&format!("{limit} results"), r#""mrc_big""#, &keys)
            .with(&format!(r#""limit":{limit}"#))
            .ok()
            .check(Check::Length(limit));
    }
    t.query("fewer results than the limit", r#""mrc_n""#, &keys)
        .with(r#""limit":100"#)
        .any_order(r#"["n1","n2","n3","n4","n5"]"#);
    t.query("one object may give more than the limit", ONE, &[emit("[1, 2, 3, 4]")])
        .with(r#""limit":3"#)
        .body("[1,2,3]");
    t.query("keys up to a limit", r#""mrc_big""#, &[])
        .with(r#""limit":5"#)
        .ok()
        .check(Check::Length(5));
    t.query(
        "a limit is of the last phase",
        r#""mrc_big""#,
        &[map_erl("map_object_value"), reduce_erl("reduce_count_inputs")],
    )
    .with(r#""limit":1"#)
    .body("[60]");
}

/// Values that are not UTF-8.
fn values(t: &mut Topic) {
    let look = [map_js("function(v) { var w = v.values[0]; return [w.data, w.encoding]; }")];
    let base64 = r#""binary":"base64""#;
    t.query("a binary value as base64", r#"[["mrc_bin","latin"]]"#, &look)
        .with(base64)
        .body(r#"["Y2Fm6Q==","base64"]"#);
    t.query("a text stays one", ONE, &look).with(base64).body(r#"["1",null]"#);
    t.query("a binary value is refused by default", r#"[["mrc_bin","latin"]]"#, &look)
        .fails(0, &["bad_utf8_character_code"]);
    t.query("a binary value is refused", r#"[["mrc_bin","latin"]]"#, &look)
        .with(r#""binary":"error""#)
        .fails(0, &["bad_utf8_character_code"]);
}

/// The same answers, whoever reads.
fn reads(t: &mut Topic) {
    for consistency in ["one", "quorum"] {
        let member = format!(r#""consistency":"{consistency}""#);
        let sum = [
            map_erl("map_object_value"),
            reduce_erl("reduce_string_to_integer"),
            reduce_erl("reduce_sum"),
        ];
        for (inputs, expect) in [
            (r#""mrc_big""#, "[1770]"),
            (r#"["conformance","mrc_n"]"#, "[60]"),
            (r#"[["mrc_n","n1"],["mrc_n","n2"],["mrc_n","n1"]]"#, "[4]"),
            (r#""mrc_never""#, "[0]"),
            (r#"{"bucket":"mrc_n","key_filters":[["neq","n5"]]}"#, "[10]"),
            (r#"{"bucket":"mrc_n","index":"$key","start":"n2","end":"n4"}"#, "[9]"),
        ] {
            t.query(&format!("read by {consistency}: {inputs}"), inputs, &sum)
                .with(&member)
                .body(expect);
        }
        let red = r#"{"bucket":"mrc_i","index":"a_bin","start":"blue","end":"red"}"#;
        t.query(&format!("an index read by {consistency}"), red, &[]).with(&member).any_order(
            r#"[["mrc_i","o1"],["mrc_i","o2"],["mrc_i","o2"],["mrc_i","o3"],["mrc_i","over"]]"#,
        );
    }
}

fn plans(t: &mut Topic) {
    let explain = r#""explain":true"#;
    let never = map_js("function(v) { throw 'it runs'; }");
    t.query("a plan instead of results", r#""mrc_n""#, &[never, reduce_erl("reduce_sum")])
        .with(explain)
        .ok()
        .check(Check::Text("\"explain\":{".into()))
        .check(Check::NoText("it runs".into()));
    t.query("no plan of an unknown function", r#""mrc_n""#, &[map_erl("zork")])
        .with(explain)
        .status(400);
    t.query("no plan unless asked", ONE, &[map_erl("map_object_value")])
        .with(r#""explain":false,"profile":false"#)
        .body(r#"["1"]"#)
        .check(Check::HeaderStarts("X-Query-Id", String::new()));
    t.chunked("what a query in parts cost", ONE, &[map_erl("map_object_value")])
        .with(r#""profile":true"#)
        .status(200)
        .check(Check::Text(r#"{"phase":0,"data":["1"]}"#.into()))
        .check(Check::Text(r#""profile":"#.into()));
}

/// Refusals say where.
fn refusals(t: &mut Topic) {
    for (member, name) in [
        (r#""on_error":"skip""#, "on_error"),
        (r#""on_error":{"mode":"skip","max":-1}"#, "on_error"),
        (r#""limit":0"#, "limit"),
        (r#""limit":"3""#, "limit"),
        (r#""consistency":2"#, "consistency"),
        (r#""tombstones":true"#, "tombstones"),
        (r#""binary":"hex""#, "binary"),
        (r#""explain":1"#, "explain"),
    ] {
        t.query(&format!("no such option: {member}"), ONE, &[])
            .with(member)
            .refused(&[&format!("\"{name}")]);
    }
    let map = map_erl("map_object_value");
    for (query, place) in [
        (format!(r#"[{map},{{"reduce":{{"language":"zz"}}}}]"#), "query[1].reduce"),
        (format!(r#"[{map},{{"link":{{"tag":5}}}}]"#), "query[1].link"),
        (r#"[{"zork":{}}]"#.to_owned(), "query[0]"),
    ] {
        t.post(&format!("the place {place}"), format!(r#"{{"inputs":"b","query":{query}}}"#))
            .refused(&[place]);
    }
    for (inputs, place) in [
        (r#"[["b","k"],["b"]]"#, "inputs[1]"),
        (r#"{"bucket":7,"index":"a_bin","key":"x"}"#, "inputs.bucket"),
    ] {
        t.query(&format!("the place {place}"), inputs, &[]).refused(&[place]);
    }
}

/// Answers that tell more than results.
fn forms(t: &mut Topic) {
    let body = query(ONE, &[map_erl("map_object_value")]);
    let ask = |accept: &str| {
        let request = Request::new("POST", "/mapred").body("application/json", body.clone());
        request.header("Accept", Some(accept))
    };
    t.ask("lines", ask("application/x-ndjson"))
        .status(200)
        .check(Check::HeaderStarts("Content-Type", "application/x-ndjson".into()))
        .check(Check::Text("\n{\"phase\":0,\"data\":[\"1\"]}\n".into()))
        .check(Check::Text("\n{\"done\":{".into()));
    t.ask("events", ask("text/event-stream"))
        .status(200)
        .check(Check::HeaderStarts("Content-Type", "text/event-stream".into()))
        .check(Check::Text("data: {\"phase\":0,\"data\":[\"1\"]}\n\n".into()))
        .check(Check::Text("event: done\n".into()));
    t.ask("JSON where anything is accepted", ask("*/*")).body(r#"["1"]"#);
    t.ask("JSON where it is preferred", ask("application/json, text/event-stream;q=0.5"))
        .body(r#"["1"]"#);
    let failing = query(ONE, &[map_js("function(v) { throw 'no good'; }")]);
    let request = Request::new("POST", "/mapred").body("application/json", failing);
    t.ask("lines of a failure", request.header("Accept", Some("application/x-ndjson")))
        .status(200)
        .check(Check::Text("no good".into()))
        .check(Check::NoText("\"done\"".into()));
}

/// Values that no bucket holds.
fn generators(t: &mut Topic) {
    let sum = [reduce_erl("reduce_sum")];
    let sequence = r#"{"module":"mapring","function":"sequence","arg":[1,5]}"#;
    t.query("a sequence", sequence, &sum).body("[15]");
    t.query("a sequence by itself", sequence, &[]).body("[1,2,3,4,5]");
    let long = r#"{"module":"mapring","function":"sequence","arg":[-1000,1000]}"#;
    t.query("a long sequence", long, &sum).body("[0]");
    t.query(
        "the length of a sequence",
        long,
        &[reduce_js(
            "function(l) { return [l.reduce(function(a, b) { return a + (b.n || 1); }, 0)]
            .map(function(n) { return {n: n}; }); }",
        )],
    )
    .body(r#"[{"n":2001}]"#);
    let list = r#"{"module":"mapring","function":"list","arg":["a",{"b":1},[2]]}"#;
    t.query("a list", list, &[reduce_js("function(l) { return l; }")]).body(r#"["a",{"b":1},[2]]"#);
    let keys = r#"{"module":"mapring","function":"list","arg":[["mrc_n","n1"],["mrc_n","n2"]]}"#;
    t.query("a list of keys", keys, &[map_erl("map_object_value")]).any_order(r#"["1","2"]"#);
    t.query("a list that is no keys", list, &[map_erl("map_object_value")]).status(500);
    let none = r#"{"module":"mapring","function":"list","arg":[]}"#;
    t.query("a list of nothing", none, &sum).body("[0]");
    for (function, arg) in [("list", "7"), ("sequence", "[1]"), ("sequence", r#"["a","b"]"#)] {
        let inputs = format!(r#"{{"module":"mapring","function":"{function}","arg":{arg}}}"#);
        t.query(&format!("{function} of {arg}"), &inputs, &[]).refused(&["mapring:"]);
    }
}
