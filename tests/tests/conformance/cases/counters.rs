//! What queries count: by themselves, and what their functions do.

use crate::case::{Case, Topic, query};
use crate::phases::{map_js, map_named};
use crate::wire::Request;

use super::groups::{ages, grouped_with};
use super::outputs::LOWER;
use super::shuffles::{ADD, BY_FOUR, COMBINE, TWICE, combine};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("counters");
    calls(&mut t);
    reads(&mut t);
    writes(&mut t);
    names(&mut t);
    for case in &mut t.cases {
        case.own();
    }
    t.cases
}

const PROFILE: &str = r#""profile":true"#;

fn calls(t: &mut Topic) {
    let none = [("combiner-calls", 0), ("writes", 0), ("map-errors", 0), ("inputs-missing", 0)];
    t.query("of a grouped reduce", r#""myInput""#, &ages())
        .with(PROFILE)
        .counts(&[("mapper-calls", 4), ("reducer-calls", 3), ("groups", 3)])
        .counts(&none);
    let sums = [map_js(BY_FOUR), grouped_with(ADD, &combine(COMBINE, ""))];
    t.query("of App Engine's test of combiners", TWICE, &sums).with(PROFILE).counts(&[
        ("mapper-calls", 400),
        ("reducer-calls", 4),
        ("groups", 4),
    ]);
}

fn reads(t: &mut Topic) {
    let keys = r#"{"bucket":"people","keys_only":true}"#;
    let key = "function(v){ return [v.key]; }";
    t.query("of keys alone", keys, &[map_js(key)])
        .with(PROFILE)
        .counts(&[("mapper-calls", 5), ("io-read-bytes", 0)]);
    let listed = r#"[["people","p1"],["people","nobody"],["people","p2"]]"#;
    t.query("of keys that are not there", listed, &[map_named("Riak.mapValues")])
        .with(PROFILE)
        .counts(&[("mapper-calls", 2), ("inputs-missing", 1)]);
    let parse = "function(v){ return [JSON.parse(v.values[0].data).age]; }";
    t.query("of inputs that are left out", r#""people""#, &[map_js(parse)])
        .with(r#""profile":true,"on_error":{"mode":"skip","max":10}"#)
        .counts(&[("mapper-calls", 5), ("map-errors", 1)]);
}

fn writes(t: &mut Topic) {
    let put = |key: &str, body: &str| {
        let path = format!("/buckets/counted/keys/{key}");
        Request::new("PUT", &path).body("application/json", body.as_bytes())
    };
    let lower = query(r#""counted""#, &[map_js(LOWER)]);
    t.ask("of objects that are changed", put("1", r#"{"text":"HELLO"}"#))
        .status(204)
        .then(put("2", r#"{"text":"World"}"#))
        .status(204)
        .then_query(lower.replacen('{', &format!("{{{PROFILE},"), 1))
        .counts(&[("mapper-calls", 2), ("lowered", 2), ("writes", 2), ("write-batches", 1)]);
}

fn names(t: &mut Topic) {
    for name in ["mapper-calls", "groups", "io-write-msec", "inputs-missing"] {
        let counted = format!("function(v){{ count('{name}'); return []; }}");
        t.query(&format!("no function counts {name}"), r#""myInput""#, &[map_js(&counted)])
            .fails(0, &["counted by the store itself"]);
    }
}
