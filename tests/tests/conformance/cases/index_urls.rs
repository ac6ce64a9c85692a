//! Secondary indexes by URL.

use crate::case::{Case, Need, Topic};
use crate::check::Check;
use crate::wire::{self, Request, head};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("index_urls");
    hits(&mut t);
    pages(&mut t);
    details(&mut t);
    streams(&mut t);
    refusals(&mut t);
    t.cases
}

fn get<'t>(t: &'t mut Topic, path: &str) -> &'t mut Case {
    let request = Request::new("GET", &format!("/buckets/mrc_i/index/{path}"));
    t.ask(path, request).needs(Need::Indexes)
}

/// A row whose hits come in their order.
fn row(t: &mut Topic, path: &str, expect: &str) {
    let sort = if path.contains('?') { "&pagination_sort=true" } else { "?pagination_sort=true" };
    get(t, &format!("{path}{sort}")).body(expect);
}

fn hits(t: &mut Topic) {
    t.fact(305);
    row(t, "a_bin/red", r#"{"keys":["o1","o2"]}"#);
    row(t, "A_Bin/red", r#"{"keys":["o1","o2"]}"#);
    row(t, "a_bin/blue/red", r#"{"keys":["o2","o3","over","o1","o2"]}"#);
    row(t, "n_int/-10/0", r#"{"keys":["o4"]}"#);
    row(t, "n_int/2/10", r#"{"keys":["o2","o7","o7","o3"]}"#);
    row(t, "n_int/123456789012345678901234567890", r#"{"keys":["o5"]}"#);
    row(t, "a_bin/gone", r#"{"keys":[]}"#);
    row(t, "a_bin/old", r#"{"keys":[]}"#);
    t.fact(306);
    row(t, "$key/o1/o3", r#"{"keys":["o1","o2","o3"]}"#);
    row(t, "%24key/o4", r#"{"keys":["o4"]}"#);
    row(t, "$key/gone", r#"{"keys":[]}"#);
    let all = r#"{"keys":["none","o1","o2","o3","o4","o5","o7","over"]}"#;
    row(t, "$bucket/mrc_i", all);
    row(t, "$bucket/_", all);
    t.fact(311);
    row(t, "a_bin/green/o?return_terms=true", r#"{"results":[{"green":"o3"},{"new":"over"}]}"#);
    row(t, "n_int/-3/1?return_terms=TRUE", r#"{"results":[{"-3":"o4"},{"1":"o1"}]}"#);
    row(t, "a_bin/red?return_terms=true", r#"{"keys":["o1","o2"]}"#);
    row(t, "$key/o1/o2?return_terms=true", r#"{"keys":["o1","o2"]}"#);
    row(t, "a_bin/x/y?return_terms=true", r#"{"results":[]}"#);
    t.fact(310);
    row(t, "a_bin/a/z?term_regex=%5Eg", r#"{"keys":["o3"]}"#);
    row(t, "$key/o1/o4?term_regex=%5B24%5D", r#"{"keys":["o2","o4"]}"#);
    t.fact(316);
    row(t, "a_bin/red/blue", r#"{"keys":[]}"#);
    row(t, "n_int/10/9", r#"{"keys":[]}"#);
    t.fact(305);
    let typed = Request::new("GET", "/types/conformance/buckets/mrc_i/index/a_bin/red");
    t.ask("typed", typed).needs(Need::Indexes).needs(Need::BucketType).body(r#"{"keys":["ti"]}"#);
    let default = Request::new("GET", "/types/default/buckets/mrc_i/index/n_int/1");
    t.ask("default", default).needs(Need::Indexes).body(r#"{"keys":["o1"]}"#);
}

fn pages(t: &mut Topic) {
    t.fact(312);
    get(t, "a_bin/red?max_results=1")
        .body(r#"{"keys":["o1"],"continuation":"g20AAAACbzE="}"#)
        .then(next("a_bin/red?max_results=1&continuation=g20AAAACbzE%3D"))
        .body(r#"{"keys":["o2"],"continuation":"g20AAAACbzI="}"#)
        .then(next("a_bin/red?max_results=1&continuation=g20AAAACbzI%3D"))
        .body(r#"{"keys":[]}"#);
    get(t, "a_bin/blue/red?max_results=4&return_terms=true")
        .body(
            r#"{"results":[{"blue":"o2"},{"green":"o3"},{"new":"over"},{"red":"o1"}],"continuation":"g2gCbQAAAANyZWRtAAAAAm8x"}"#,
        )
        .then(next("a_bin/blue/red?continuation=g2gCbQAAAANyZWRtAAAAAm8x"))
        .body(r#"{"keys":["o2"]}"#);
    get(t, "$bucket/_?max_results=7")
        .ok()
        .at("/keys", r#"["none","o1","o2","o3","o4","o5","o7"]"#)
        .then(next("$bucket/_?max_results=7&continuation=g20AAAACbzc%3D"))
        .body(r#"{"keys":["over"]}"#);
    get(t, "n_int/1/20?max_results=2")
        .ok()
        .at("/keys", r#"["o1","o2"]"#)
        .check(Check::Text(r#""continuation":"g2gC"#.into()));
}

fn next(path: &str) -> Request {
    Request::new("GET", &format!("/buckets/mrc_i/index/{path}"))
}

fn details(t: &mut Topic) {
    t.fact(313);
    t.ask(
        "anything but true gives no stream",
        wire::get("/buckets/mrc_i/index/a_bin/green?stream=maybe"),
    )
    .needs(Need::Indexes)
    .status(200)
    .exactly(r#"{"keys":["o3"]}"#);
    t.ask(
        "terms in a stream",
        wire::get("/buckets/mrc_i/index/a_bin/green/h?stream=true&return_terms=true"),
    )
    .needs(Need::Indexes)
    .status(200)
    .says(r#"{"results":[{"green":"o3"}]}"#);
    t.fact(312);
    t.ask(
        "fewer hits than were asked for",
        wire::get("/buckets/mrc_i/index/a_bin/red?max_results=3"),
    )
    .needs(Need::Indexes)
    .status(200)
    .exactly(r#"{"keys":["o1","o2"]}"#);
    t.ask("pages of keys", wire::get("/buckets/mrc_i/index/$key/o1/o3?max_results=2"))
        .needs(Need::Indexes)
        .status(200)
        .at("/keys", r#"["o1","o2"]"#)
        .then(wire::get(
            "/buckets/mrc_i/index/$key/o1/o3?max_results=2&continuation=g20AAAACbzI%3D",
        ))
        .status(200)
        .exactly(r#"{"keys":["o3"]}"#);
    t.fact(310);
    t.ask(
        "an expression for terms that are shown",
        wire::get("/buckets/mrc_i/index/a_bin/a/z?term_regex=%5En&return_terms=true"),
    )
    .needs(Need::Indexes)
    .status(200)
    .exactly(r#"{"results":[{"new":"over"}]}"#);
    t.fact(306);
    t.ask(
        "keys of a bucket with a type by index",
        wire::get("/types/conformance/buckets/mrc_n/index/$key/t1/t2?pagination_sort=true"),
    )
    .needs(Need::BucketType)
    .status(200)
    .exactly(r#"{"keys":["t1","t2"]}"#);
    t.fact(305);
    t.ask("HEAD of a query", head("/buckets/mrc_i/index/a_bin/red")).needs(Need::Indexes).ok();
    t.ask(
        "a query of a type that there is not",
        wire::get("/types/mrc_none/buckets/b/index/a_bin/x"),
    )
    .needs(Need::Indexes)
    .status(404);
    t.fact(10);
    t.ask(
        "a query is JSON alone",
        wire::get("/buckets/mrc_i/index/a_bin/red").header("Accept", Some("text/html")),
    )
    .needs(Need::Indexes)
    .status(406);
    t.fact(312);
    t.ask(
        "a continuation that is none",
        wire::get("/buckets/mrc_i/index/a_bin/red?max_results=1&continuation=zork"),
    )
    .own()
    .status(400);
}

fn streams(t: &mut Topic) {
    t.fact(313);
    get(t, "a_bin/green?stream=true")
        .status(200)
        .check(Check::HeaderStarts("Content-Type", "multipart/mixed;boundary=".into()))
        .check(Check::Text(
            "\r\nContent-Type: application/json\r\n\r\n{\"keys\":[\"o3\"]}\r\n--".into(),
        ))
        .check(Check::NoText("continuation".into()));
    get(t, "a_bin/green?stream=true&max_results=1")
        .status(200)
        .check(Check::Text("\r\n\r\n{\"continuation\":\"g20AAAACbzM=\"}\r\n--".into()));
}

fn refusals(t: &mut Topic) {
    t.fact(308);
    for (path, words) in [
        ("a_bin/1?return_terms=x", "Invalid \"return_terms\". \"x\" is not a boolean"),
        ("a_bin/1?pagination_sort=x", "Invalid \"pagination_sort\". \"x\" is not a boolean"),
        ("a_bin/1?max_results=x", "Invalid \"max_results\". \"x\" is not a positive integer"),
        ("a_bin/1?max_results=0", "Invalid \"max_results\". 0 is not a positive integer"),
        ("a_bin/1?timeout=x", "Bad timeout value \"x\". Must be a non-negative integer"),
        ("a_bin/1?timeout=-1", "Bad timeout value -1. Must be a non-negative integer"),
    ] {
        get(t, path).refused(&[words]);
    }
    t.fact(309);
    get(t, "x/1").refused(&["Invalid query: {unknown_field_type,<<\"x\">>}\n"]);
    get(t, "f_int/x")
        .refused(&["Invalid query: {field_parsing_failed,{<<\"f_int\">>,<<\"x\">>}}\n"]);
    t.fact(310);
    get(t, "f_int/1?term_regex=.")
        .refused(&["Can not use term regular expressions on integer queries"]);
    get(t, "f_bin/1?term_regex=(")
        .refused(&["Invalid term regular expression \"(\" : {\"missing )\",1}"]);
    t.fact(307);
    get(t, "x/1?pagination_sort=x&return_terms=y&max_results=z")
        .refused(&["Invalid \"pagination_sort\". \"x\" is not a boolean"]);
    get(t, "x/1?max_results=z&timeout=y").refused(&["unknown_field_type"]);
    get(t, "f_bin/1?max_results=z&timeout=y").refused(&["max_results"]);
    t.fact(315);
    row(t, "a_bin/green?timeout=0", r#"{"keys":["o3"]}"#);
}
