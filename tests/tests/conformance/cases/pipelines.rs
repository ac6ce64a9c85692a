//! Pipelines: steps that follow each other. Each row removes its pipeline.

use serde_json::{Value, json};

use crate::case::{Case, Topic, value};
use crate::check::Check;
use crate::phases::{map_js, map_named, reduce_js_with, reduce_named};
use crate::wire::Request;

use super::groups::{grouped, grouped_with};
use super::shuffles::{DEDUPE, LINE, combine};

const JSON: &str = "application/json";

/// Reads what the first step of the example wrote.
const LETTER_FIRST: &str =
    "function(v){ var e = v.values[0].data.split(' - '); emit(e[1], e[0]); }";

const JOINED: &str = "function(key, vals){ return [key + ' - ' + vals.join(',') + '\\n']; }";

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("pipelines");
    chains(&mut t);
    references(&mut t);
    kinds(&mut t);
    ends(&mut t);
    for case in &mut t.cases {
        case.own();
    }
    t.cases
}

/// A pipeline that is started under an id of its own.
fn start<'t>(t: &'t mut Topic, name: &str, id: &str, steps: &Value) -> &'t mut Case {
    let path = format!("/pipelines/{id}");
    let body = json!({"name": id, "steps": steps}).to_string();
    t.ask(name, Request::new("PUT", &path).body(JSON, body))
        .status(202)
        .check(Check::Header("Location", path.clone()))
        .check(Check::Json(json!({"id": id, "href": path})))
}

fn ends_in<'c>(case: &'c mut Case, id: &str, status: &str) -> &'c mut Case {
    case.then_at_last(&format!("/pipelines/{id}")).status(200).at("/status", &format!("{status:?}"))
}

fn removed<'c>(case: &'c mut Case, id: &str) -> &'c mut Case {
    let path = format!("/pipelines/{id}");
    case.then(Request::new("DELETE", &path))
        .status(204)
        .then(Request::new("GET", &path))
        .status(404)
        .at("/error", r#""not_found""#)
}

fn job(inputs: &str, phases: &[String], members: &str) -> Value {
    let comma = if members.is_empty() { "" } else { "," };
    let phases = phases.join(",");
    json!({"job": value(&format!(r#"{{"inputs":{inputs},"query":[{phases}]{comma}{members}}}"#))})
}

fn output(name: &str) -> String {
    format!(
        r#""output":{{"bucket":"pipes","layout":"single","name":"{name}","format":"text","content_type":"text/plain"}}"#
    )
}

/// The number of an item and a letter, which both follow from the item.
const NUMBERED: &str = "function(v, kd){ emit(1 + kd.index % 10, v.values[0].data); }";

fn chains(t: &mut Topic) {
    let random = r#"{"random":{"count":500,"string_length":1,"seed":2013}}"#;
    let line = grouped_with(LINE, &combine(DEDUPE, ""));
    let letters = json!({
        "dedupe": job(random, &[map_js(NUMBERED), line], &output("d500")),
        "index": job(
            r#"{"lines":{"$from":"dedupe"}}"#,
            &[map_js(LETTER_FIRST), grouped(JOINED)],
            &output("i500"),
        ),
    });
    let case = start(t, "the article's two jobs", "pi-01", &letters);
    ends_in(case, "pi-01", "done")
        .at("/abort_message", "null")
        .at("/steps/dedupe/status", r#""done""#)
        .at("/steps/dedupe/outputs/default/value", r#"[["pipes","d500"]]"#)
        .at("/steps/dedupe/outputs/result_status/value", r#""success""#)
        .at("/steps/index/after", r#"["dedupe"]"#)
        .at("/steps/index/status", r#""done""#);
    // Whatever lines there are, turned round twice they are the same.
    let back = "function(v){ var e = v.values[0].data.split(' - '); \
        e[1].split(',').forEach(function(n){ emit(Number(n), e[0]); }); }";
    let sorted = reduce_js_with(LINE, r#""group":true"#);
    let query = |key: &str, map: &str| {
        let phases = [map_js(map), sorted.clone(), reduce_named("Riak.reduceSort")].join(",");
        format!(r#"{{"inputs":{{"lines":[["pipes","{key}"]]}},"query":[{phases}]}}"#)
    };
    let forth = "function(v){ var e = v.values[0].data.split(' - '); emit(Number(e[0]), e[1]); }";
    for (key, map) in [("d500", forth), ("i500", back)] {
        case.then_query(query(key, map)).ok().check(Check::Text(r#""1 - "#.into()));
    }
    removed(case, "pi-01");
    case.then(Request::new("GET", "/buckets/pipes/keys/i500"))
        .status(200)
        .check(Check::HeaderStarts("Content-Type", "text/plain".into()));
}

fn references(t: &mut Topic) {
    let numbers = job(r#"{"range":{"start":0,"end":5}}"#, &[map_named("Riak.mapValuesJson")], "");
    let groups = job(
        r#"{"range":{"start":0,"end":9}}"#,
        &[
            map_js("function(v){ emit(Number(v.values[0].data) % 3, 1); }"),
            grouped("function(k, vs){ return vs.length; }"),
        ],
        "",
    );
    let params = job(
        r#"{"items":[1]}"#,
        &[map_js("function(v){ return [ctx.params.limit + 1]; }")],
        r#""params":{"limit":{"$from":"a.counters.groups"}}"#,
    );
    let case = start(t, "a reference within", "pi-05", &json!({"a": groups, "b": params}));
    ends_in(case, "pi-05", "done").at("/steps/b/outputs/default/value", "[4]");
    removed(case, "pi-05");
    let sum = [map_named("Riak.mapValuesJson"), reduce_named("Riak.reduceSum")];
    let sum = job(r#"{"items":{"$from":"a"}}"#, &sum, "");
    let case = start(t, "results as inputs", "pi-results", &json!({"a": numbers, "b": sum}));
    ends_in(case, "pi-results", "done").at("/steps/b/outputs/default/value", "[10]");
    removed(case, "pi-results");
    let refused = |t: &mut Topic, what: &str, steps: Value, field: &str| {
        let body = json!({ "steps": steps }).to_string();
        t.ask(what, Request::new("POST", "/pipelines").body(JSON, body)).refuses(field);
    };
    let of = |step: &str| job(&format!(r#"{{"lines":{{"$from":"{step}"}}}}"#), &[], "");
    refused(t, "an unknown step", json!({"a": of("z")}), "steps.a.job.inputs.lines");
    refused(t, "a circle", json!({"a": of("b"), "b": of("a")}), "steps.a");
    refused(t, "no steps", json!({}), "steps");
    refused(t, "a step that does nothing", json!({"a": {}}), "steps.a");
}

fn kinds(t: &mut Topic) {
    let numbers = job(r#"{"range":{"start":0,"end":5}}"#, &[map_named("Riak.mapValuesJson")], "");
    let source = "function(deps){ return deps.a.length * 10; }";
    let script = json!({"script": {"language": "javascript", "source": source}, "after": ["a"]});
    let pause = json!({"delay_ms": 10, "after": ["b"]});
    let steps = json!({"a": numbers, "b": script, "c": pause});
    let case = start(t, "a script and a pause", "pi-script", &steps);
    ends_in(case, "pi-script", "done").at("/steps/b/outputs/default/value", "50");
    removed(case, "pi-script");
    let asked = json!({"approve": {"message": "really?"}});
    let case = start(t, "consent", "pi-approve", &json!({"ask": asked}));
    case.then_at_last("/pipelines/pi-approve").at("/steps/ask/status", r#""run""#);
    case.then(Request::new("POST", "/pipelines/pi-approve/steps/other/approve")).status(404);
    case.then(Request::new("POST", "/pipelines/pi-approve/steps/ask/approve")).status(202);
    ends_in(case, "pi-approve", "done");
    removed(case, "pi-approve");
}

fn ends(t: &mut Topic) {
    let slow = "function(v){ var n = 0; while (n < 1000000) n++; return [n]; }";
    let slow = job(r#"{"range":{"start":0,"end":100000}}"#, &[map_js(slow)], "");
    let case = start(t, "abort", "pi-07", &json!({"a": slow}));
    case.then(Request::new("DELETE", "/pipelines/pi-07")).status(409);
    case.then_send("POST", "/pipelines/pi-07/abort", r#"{"message":"enough"}"#).status(202);
    ends_in(case, "pi-07", "aborted").check(Check::WordsAt("/abort_message", "enough".into()));
    removed(case, "pi-07");
    let once = json!({"a": {"delay_ms": 1}});
    let case = start(t, "one id, two documents", "pi-09", &once);
    let same = json!({"name": "pi-09", "steps": once}).to_string();
    case.then_send("PUT", "/pipelines/pi-09", same).status(202).at("/id", r#""pi-09""#);
    let other = json!({"name": "pi-09", "steps": {"b": {"delay_ms": 1}}}).to_string();
    case.then_send("PUT", "/pipelines/pi-09", other).status(409).at("/error", r#""conflict""#);
    ends_in(case, "pi-09", "done");
    removed(case, "pi-09");
    let boom = map_js("function(v){ fail('no good'); }");
    let fails = json!({"job": {"inputs": {"items": [1]}, "query": [value(&boom)]},
        "retries": {"max_attempts": 1}});
    let case = start(t, "a step that fails", "pi-fails", &json!({"a": fails}));
    ends_in(case, "pi-fails", "aborted").at("/steps/a/status", r#""aborted""#);
    removed(case, "pi-fails");
    for (method, path) in [
        ("GET", "/pipelines/nobody"),
        ("POST", "/pipelines/nobody/abort"),
        ("DELETE", "/pipelines/nobody"),
    ] {
        t.ask(&format!("unknown: {method} {path}"), Request::new(method, path)).status(404);
    }
}
