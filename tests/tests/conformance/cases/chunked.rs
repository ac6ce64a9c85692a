//! Answers in parts.

use crate::case::{Case, Topic, query};
use crate::check::Check;
use crate::phases::{
    emit, map_erl, map_erl_with, map_js, map_named, reduce_erl, reduce_erl_with, reduce_named,
};
use crate::wire::Request;

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("chunked");
    t.fact(69);
    parameter(&mut t);
    parts(&mut t);
    failures(&mut t);
    t.cases
}

const ONE: &str = r#"[["mrc_n","n1"]]"#;
const TWO: &str = r#"[["mrc_n","n1"],["mrc_n","n2"]]"#;
const NO: &str = r#"[["mrc_n","no"]]"#;

fn parameter(t: &mut Topic) {
    let body = query(ONE, &[map_erl("map_object_value")]);
    for path in
        ["/mapred?chunked=false", "/mapred?chunked=foo", "/mapred?chunked", "/mapred?x=true"]
    {
        let request = Request::new("POST", path).body("application/json", body.clone());
        t.ask(path, request).body(r#"["1"]"#);
    }
    let request = Request::new("POST", "/mapred?x=1&chunked=true&y");
    t.ask("among other parameters", request.body("application/json", body))
        .parts(&[(0, r#"["1"]"#)])
        .check(Check::Header("Transfer-Encoding", "chunked".into()))
        .check(Check::NoHeader("Content-Length"));
}

fn parts(t: &mut Topic) {
    let values = map_erl("map_object_value");
    t.chunked("one part", ONE, &[values.clone()]).parts(&[(0, r#"["1"]"#)]);
    t.chunked("several results", r#""mrc_n""#, &[values.clone()])
        .parts(&[(0, r#"["1","2","3","4","5"]"#)]);
    t.chunked("results of JavaScript", r#""mrc_j""#, &[map_js("function(v) { return [v.key]; }")])
        .parts(&[(0, r#"["j1","j2","j3"]"#)]);
    t.chunked(
        "the phase of the results",
        r#""mrc_n""#,
        &[values.clone(), reduce_erl("reduce_string_to_integer"), reduce_erl("reduce_sum")],
    )
    .parts(&[(2, "[15]")]);
    let kept = r#""keep":true"#;
    t.chunked(
        "two kept phases",
        TWO,
        &[map_erl_with("map_object_value", kept), reduce_erl_with("reduce_sort", kept)],
    )
    .parts(&[(0, r#"["1","2"]"#), (1, r#"["1","2"]"#)]);
    t.chunked(
        "the first and third",
        TWO,
        &[
            map_erl_with("map_object_value", kept),
            reduce_erl("reduce_string_to_integer"),
            reduce_erl_with("reduce_sum", kept),
        ],
    )
    .parts(&[(0, r#"["1","2"]"#), (2, "[3]")]);
    t.chunked("nothing is kept", ONE, &[map_erl_with("map_object_value", r#""keep":false"#)])
        .parts(&[]);
    t.chunked("no results", NO, &[map_erl_with("map_object_value", r#""arg":"filter_notfound""#)])
        .parts(&[]);
    t.chunked("no inputs", r#""mrc_never""#, &[values.clone()]).parts(&[]);
    t.chunked("no inputs for a reduce", r#""mrc_never""#, &[reduce_erl("reduce_sum")])
        .parts(&[(0, "[0]")]);
    t.chunked("no phases", TWO, &[]).parts(&[(0, r#"[["mrc_n","n1"],["mrc_n","n2"]]"#)]);
    t.chunked("what was not found", NO, &[map_named("Riak.mapValues")])
        .parts(&[(0, r#"[{"not_found":{"bucket":"mrc_n","key":"no","keydata":"undefined"}}]"#)]);
    let sixty: Vec<String> = (0..60).map(|number| format!("\"{number}\"")).collect();
    t.chunked("sixty results", r#""mrc_big""#, &[values])
        .parts(&[(0, &format!("[{}]", sixty.join(",")))]);
    t.chunked("results that are lists", ONE, &[emit("[[1], [], {a: []}]")])
        .parts(&[(0, r#"[[1],[],{"a":[]}]"#)]);
    t.chunked("not ASCII", r#"[["mrc_u","uni"]]"#, &[map_erl("map_object_value")])
        .status(200)
        .check(Check::Text(r#"{"phase":0,"data":["\u00e9\u2603\ud83d\ude00"]}"#.into()));
    let missing = map_erl_with("map_object_value", r#""arg":"include_notfound""#);
    t.chunked("pairs are an object", NO, &[missing])
        .status(200)
        .check(Check::OddPart { phase: 0, data: serde_json::json!({"error": "notfound"}) });
}

fn failures(t: &mut Topic) {
    let values = map_named("Riak.mapValues");
    t.chunked("a failure and nothing else", ONE, &[map_js("function(v) { throw 'no good'; }")])
        .breaks(0, Some(0), &["no good"]);
    t.chunked("a failing reduce", TWO, &[values.clone(), reduce_erl("reduce_sum")]).breaks(
        0,
        Some(1),
        &["badarith"],
    );
    t.chunked("a failing built-in", ONE, &[map_erl("map_object_value_list")]).breaks(
        0,
        Some(0),
        &["non_list_result"],
    );
    let kept = values.replace("\"language\"", "\"keep\":true,\"language\"");
    t.chunked("a failure after kept results", TWO, &[kept, reduce_erl("reduce_sum")]).breaks(
        2,
        Some(1),
        &["badarith"],
    );
    t.chunked(
        "a failure among results",
        r#""mrc_n""#,
        &[map_js("function(v) { if (v.key === 'n3') { throw 'only n3'; } return [v.key]; }")],
    )
    .breaks(4, Some(0), &["only n3"]);
    t.chunked("no list", ONE, &[emit("7")]).breaks(0, Some(0), &["non_list_result"]);
    t.chunked("no key for the next map", ONE, &[values.clone(), values.clone()]).breaks(
        0,
        Some(0),
        &[],
    );
    t.chunked("an undefined reduce", ONE, &[values, reduce_named("nowhere")]).breaks(
        0,
        Some(1),
        &["nowhere"],
    );
    let filter = r#"{"bucket":"mrc_fw","key_filters":[["bogus"]]}"#;
    t.chunked("an unknown filter", filter, &[]).status(500).check(Check::Text("bogus".into()));
    t.fact(39);
    t.chunked("refusals are as ever", "[]", &[]).refused(&["No inputs were given."]);
    t.chunked("unknown functions are refused as ever", ONE, &[map_erl("zork")])
        .status(400)
        .check(Check::Header("Content-Type", "application/json".into()))
        .check(Check::Failure { phase: Some(0), words: vec!["zork".into()] });
}
