//! Requests as client libraries write them.

use crate::case::{Case, Topic};
use crate::check::Check;
use crate::wire::Request;

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("clients");
    t.fact(79);
    python(&mut t);
    t.fact(79);
    ruby(&mut t);
    others(&mut t);
    t.cases
}

fn post(path: &str, accept: &str, body: &str) -> Request {
    Request::new("POST", path)
        .body("application/json", body)
        .header("Accept", Some(accept))
        .header("X-Riak-ClientId", Some("py_b'MTIzNA=='"))
}

/// Key data and arguments are always there, be it as null; so is `keep`.
fn python(t: &mut Topic) {
    let accept = "multipart/mixed, application/json, */*;q=0.5";
    for (what, body, expect) in [
        (
            "a map and a reduce",
            r#"{"inputs": [["mrc_n", "n1", null], ["mrc_n", "n2", null]], "query": [
                {"map": {"language": "javascript", "keep": false, "arg": null, "name": "Riak.mapValuesJson"}},
                {"reduce": {"language": "javascript", "keep": true, "arg": null, "name": "Riak.reduceSum"}}]}"#,
            "[3]",
        ),
        (
            "an argument that is null",
            r#"{"inputs": [["mrc_n", "n1", null]], "query": [
                {"map": {"language": "javascript", "keep": true, "arg": null,
                         "source": "function (v, kd, arg) { return [kd, arg]; }"}}]}"#,
            "[null,null]",
        ),
        (
            "key data and a bucket type",
            r#"{"inputs": [["mrc_n", "t2", null, "conformance"]], "query": [
                {"map": {"language": "javascript", "keep": true, "arg": null, "name": "Riak.mapValues"}}]}"#,
            r#"["20"]"#,
        ),
        (
            "links and values",
            r#"{"inputs": [["mrc_links", "b", null]], "query": [
                {"link": {"bucket": "mrc_links", "tag": "_", "keep": false}},
                {"map": {"language": "javascript", "keep": true, "arg": null, "name": "Riak.mapValues"}}]}"#,
            r#"["C"]"#,
        ),
        (
            "filters",
            r#"{"inputs": {"bucket": "mrc_n", "key_filters": [["ends_with", "4"]]}, "query": [
                {"map": {"language": "javascript", "keep": true, "arg": null, "name": "Riak.mapValuesJson"}}]}"#,
            "[4]",
        ),
        (
            "filters joined",
            r#"{"inputs": {"bucket": "mrc_n", "key_filters": [["or", [["ends_with", "4"]], [["eq", "n1"]]]]},
                "query": [
                {"map": {"language": "javascript", "keep": false, "arg": null, "name": "Riak.mapValuesJson"}},
                {"reduce": {"language": "javascript", "keep": true, "arg": null, "name": "Riak.reduceSum"}}]}"#,
            "[5]",
        ),
        (
            "an index",
            r#"{"inputs": {"bucket": "mrc_i", "index": "n_int", "start": 1, "end": 2}, "query": [
                {"map": {"language": "javascript", "keep": false, "arg": null,
                         "source": "function (v) { return [v.key]; }"}},
                {"reduce": {"language": "javascript", "keep": true, "arg": null, "name": "Riak.reduceSort"}}]}"#,
            r#"["o1","o2"]"#,
        ),
        (
            "a slice",
            r#"{"inputs": "mrc_n", "query": [
                {"map": {"language": "javascript", "keep": false, "arg": null, "name": "Riak.mapValuesJson"}},
                {"reduce": {"language": "javascript", "keep": false, "arg": null, "name": "Riak.reduceNumericSort"}},
                {"reduce": {"language": "javascript", "keep": true, "arg": [0, 2], "name": "Riak.reduceSlice"}}]}"#,
            "[1,2]",
        ),
    ] {
        t.ask(&format!("Python: {what}"), post("/mapred", accept, body)).body(expect);
    }
    let body = r#"{"inputs": [["mrc_n", "n1", null]], "query": [
        {"map": {"language": "javascript", "keep": true, "arg": null, "name": "Riak.mapValues"}},
        {"map": {"language": "javascript", "keep": true, "arg": null, "source": "function (v) { throw 'x'; }"}}]}"#;
    t.ask("Python: any error will do", post("/mapred", accept, body)).status(500);
    let body = r#"{"inputs": [["mrc_n", "n1", null]], "query": [
        {"map": {"language": "javascript", "keep": true, "arg": null, "name": "Riak.mapValues"}}]}"#;
    t.ask("Python: a stream", post("/mapred?chunked=true", accept, body)).parts(&[(0, r#"["1"]"#)]);
    let body = r#"{"inputs": [["mrc_n", "n1", null]], "query": [
        {"map": {"language": "erlang", "keep": true, "arg": null, "source": "fun(V, _, _) -> [V] end."}}]}"#;
    t.ask("Python: Erlang is not allowed", post("/mapred", accept, body))
        .status(500)
        .check(Check::Text("worker_startup_failed".into()));
}

/// Always in parts.
fn ruby(t: &mut Topic) {
    let body = r#"{"inputs":[["mrc_n","n1"],["mrc_n","n2"]],"query":[
        {"map":{"language":"javascript","keep":true,"name":"Riak.mapValuesJson"}},
        {"reduce":{"language":"javascript","keep":true,"name":"Riak.reduceSum"}}],"timeout":20000}"#;
    t.ask("Ruby: two phases", post("/mapred?chunked=true", "application/json", body))
        .parts(&[(0, "[1,2]"), (1, "[3]")]);
    let body = r#"{"inputs":"mrc_n","query":[
        {"map":{"language":"javascript","keep":true,"source":"function(v) { throw 'x'; }"}}]}"#;
    t.ask("Ruby: a failure", post("/mapred?chunked=true", "application/json", body)).breaks(
        0,
        Some(0),
        &["x"],
    );
}

fn others(t: &mut Topic) {
    let body = r#"{"inputs":[["mrc_n","n1"]],"query":[{"map":{"language":"erlang",
        "module":"riak_kv_mapreduce","function":"map_object_value","arg":null,"keep":true}}]}"#;
    t.fact(79);
    let request = post("/mapred/?chunked=true", "multipart/mixed, */*;q=0.9", body);
    t.ask("Erlang", request).parts(&[(0, r#"["1"]"#)]);
    t.fact(79);
    t.ask("PHP", post("/mapred", "*/*, multipart/mixed", body)).body(r#"["1"]"#);
}
