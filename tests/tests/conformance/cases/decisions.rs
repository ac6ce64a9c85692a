//! What all resources do alike: paths, names, methods, the order of decisions, media types.

use crate::case::{Case, Need, Topic};
use crate::check::Check;
use crate::fixtures::{BARE, SIBLINGS};
use crate::wire::{Request, delete, get, head, post, put};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("decisions");
    paths(&mut t);
    names(&mut t);
    nowhere(&mut t);
    methods(&mut t);
    pages(&mut t);
    order(&mut t);
    conditions(&mut t);
    more_conditions(&mut t);
    media(&mut t);
    vary(&mut t);
    server(&mut t);
    t.cases
}

const TEXT: &str = "text/plain";
const JSON: &str = "application/json";
const LONG_AGO: &str = "Sat, 01 Jan 2000 00:00:00 GMT";

fn paths(t: &mut Topic) {
    t.fact(1);
    t.ask("an object by the path of the first years", get("/riak/mrc_one/bare"))
        .status(200)
        .exactly("bare")
        .has("Link", r#"</riak/mrc_one>; rel="up""#);
    t.ask("an object by the path of its bucket", get(BARE))
        .status(200)
        .exactly("bare")
        .has("Link", r#"</buckets/mrc_one>; rel="up""#);
    t.ask("an object by the path of its type", get("/types/default/buckets/mrc_one/keys/bare"))
        .status(200)
        .exactly("bare")
        .has("Link", r#"</buckets/mrc_one>; rel="up""#);
    t.ask("an object of another type", get("/types/conformance/buckets/mrc_n/keys/t1"))
        .needs(Need::BucketType)
        .status(200)
        .exactly("10");
    t.ask("an object of another type is not in the default", get("/buckets/mrc_n/keys/t1"))
        .status(404);
    t.fact(3);
    t.ask("slashes twice and at the end", get("//buckets//mrc_n/keys//n1/"))
        .status(200)
        .exactly("1");
    t.ask("a slash behind /ping", get("/ping/")).status(200).exactly("OK");
    t.ask("a slash behind an object of the first years", get("/riak/mrc_n/n1/"))
        .status(200)
        .exactly("1");
}

fn names(t: &mut Topic) {
    t.fact(4);
    t.ask("a plus is a space", get("/buckets/mrc_u/keys/a+b")).status(200).exactly("space");
    t.ask("%20 is a space", get("/buckets/mrc_u/keys/a%20b")).status(200).exactly("space");
    t.ask("%2F belongs to the key", get("/buckets/mrc_u/keys/a%2Fb")).status(200).exactly("slash");
    t.ask("%2F belongs to the bucket", get("/buckets/mrc_u%2F1/keys/k"))
        .status(200)
        .exactly("bucket with slash");
    t.ask("escapes in small letters", get("/buckets/mrc_u/keys/%c3%a9"))
        .status(200)
        .exactly("acute");
    t.ask("escapes of what needs none", get("/buckets/mrc%5Fn/k%65ys/n%31"))
        .status(200)
        .exactly("1");
    t.ask("names are decoded once", get("/buckets/mrc_fu/keys/a%252Fb")).status(200).exactly("a");
    t.ask("%2B is a plus", get("/buckets/mrc_fu/keys/c%2Bd")).status(200).exactly("b");
    t.ask("names that are no text", put("/buckets/mrc_req/keys/%FF%FE", TEXT, "odd"))
        .status(204)
        .then(get("/buckets/mrc_req/keys/%ff%fe"))
        .status(200)
        .exactly("odd");
}

fn nowhere(t: &mut Topic) {
    t.fact(5);
    for path in [
        "/nothing",
        "/buckets/mrc_n",
        "/buckets/mrc_n/nothing",
        "/types",
        "/types/conformance",
        "/types/conformance/buckets/b/nothing",
        "/types/conformance/nothing",
        "/mapred/x",
        "/ping/x",
    ] {
        t.ask(&format!("no resource: {path}"), get(path))
            .status(404)
            .begins("Content-Type", "text/html")
            .lacks("Vary");
    }
}

fn methods(t: &mut Topic) {
    t.fact(8);
    for (method, path, allowed) in [
        ("PUT", "/buckets/mrc_n/keys", "GET HEAD"),
        ("DELETE", "/buckets/mrc_n/keys", "GET HEAD"),
        ("PUT", "/buckets", "GET HEAD"),
        ("POST", "/riak", "GET HEAD"),
        ("POST", "/ping", "GET HEAD"),
        ("DELETE", "/stats", "GET HEAD"),
        ("PUT", "/", "GET HEAD"),
        ("DELETE", "/riak/mrc_n", "HEAD GET PUT"),
        ("POST", "/buckets/mrc_n/props", "HEAD GET PUT DELETE"),
        ("POST", "/buckets/mrc_n/index/f_bin/x", "GET HEAD"),
        ("TRACE", "/buckets/mrc_n/keys/n1", "HEAD GET POST PUT DELETE"),
    ] {
        t.ask(&format!("{method} {path}"), Request::new(method, path))
            .status(405)
            .begins("Content-Type", "text/html")
            .check(Check::List("Allow", allowed.split(' ').map(String::from).collect()));
    }
    for (method, path) in [("PATCH", "/buckets/mrc_n/keys/n1"), ("LOCK", "/buckets/mrc_n/props")] {
        t.ask(&format!("{method} {path}"), Request::new(method, path)).status(501).lacks("Allow");
    }
}

fn pages(t: &mut Topic) {
    t.fact(9);
    for (method, path) in [
        ("GET", BARE),
        ("DELETE", BARE),
        ("GET", "/buckets/mrc_n/props"),
        ("GET", "/buckets/mrc_n/keys?keys=true"),
        ("GET", "/buckets?buckets=true"),
        ("GET", "/buckets/mrc_i/index/a_bin/red"),
        ("GET", "/riak/mrc_links/a/_,_,1"),
    ] {
        let request = Request::new(method, path);
        t.ask(&format!("from another page: {method} {path}"), request)
            .header("Referer", "http://pages.example/")
            .status(403)
            .begins("Content-Type", "text/html");
    }
}

fn order(t: &mut Topic) {
    t.fact(7);
    t.ask("405 comes before 400: an object", put("/buckets/mrc_n/keys?timeout=x", TEXT, "x"))
        .status(405);
    t.ask(
        "400 comes before 403: an object",
        get(&format!("{BARE}?r=x")).header("Origin", Some("null")),
    )
    .status(400);
    t.ask(
        "400 comes before 406: an object",
        get(&format!("{BARE}?r=x")).header("Accept", Some("image/png")),
    )
    .status(400);
    t.ask(
        "403 comes before 406: an object",
        get(BARE).header("Origin", Some("null")).header("Accept", Some("image/png")),
    )
    .status(403);
    t.ask(
        "404 comes before 304",
        get("/buckets/mrc_one/keys/nope").header("If-None-Match", Some("*")),
    )
    .status(404);
    t.ask("403 comes before 404", get("/buckets/mrc_one/keys/nope").header("Origin", Some("null")))
        .status(403);
    t.ask(
        "406 comes before 304",
        get(BARE).header("If-None-Match", Some("*")).header("Accept", Some("image/png")),
    )
    .status(406);
    t.ask(
        "406 comes before 412",
        get(BARE).header("If-Match", Some(r#""x""#)).header("Accept", Some("image/png")),
    )
    .status(406);
}

fn conditions(t: &mut Topic) {
    t.fact(13);
    for (name, value, status) in [
        ("If-Modified-Since", LONG_AGO, 200),
        ("If-Modified-Since", "Thu, 01 Jan 2099 00:00:00 GMT", 200),
        ("If-Modified-Since", "soon", 200),
        ("If-Unmodified-Since", LONG_AGO, 412),
        ("If-Unmodified-Since", "Thu, 01 Jan 2099 00:00:00 GMT", 200),
        ("If-Unmodified-Since", "soon", 200),
    ] {
        t.ask(&format!("{name}: {value}"), get(BARE)).header(name, value).status(status);
    }
}

fn more_conditions(t: &mut Topic) {
    t.fact(13);
    t.ask("304 keeps the tag", head(BARE).header("If-None-Match", Some("*")))
        .status(304)
        .begins("ETag", "\"")
        .lacks("Content-Type");
    t.ask(
        "a write on condition of something where nothing is",
        put("/buckets/mrc_req/keys/nowhere", TEXT, "x").header("If-Match", Some("*")),
    )
    .status(412)
    .then(get("/buckets/mrc_req/keys/nowhere"))
    .status(404);
    t.ask(
        "POST creates nothing that is there",
        post(BARE, TEXT, "x").header("If-None-Match", Some("*")),
    )
    .status(412)
    .then(get(BARE))
    .status(200)
    .exactly("bare");
    t.ask("DELETE of another version", delete(BARE).header("If-Match", Some(r#""x""#)))
        .status(412)
        .then(get(BARE))
        .status(200)
        .exactly("bare");
    t.ask(
        "DELETE of an earlier version",
        delete(BARE).header("If-Unmodified-Since", Some(LONG_AGO)),
    )
    .status(412)
    .then(get(BARE))
    .status(200)
    .exactly("bare");
    t.ask("a write since then", put(BARE, TEXT, "x").header("If-Unmodified-Since", Some(LONG_AGO)))
        .status(412)
        .then(get(BARE))
        .status(200)
        .exactly("bare");
}

fn media(t: &mut Topic) {
    t.fact(10);
    for (path, accept, status, content_type) in [
        (BARE, "text/plain", 200, "text/plain"),
        (BARE, "text/*", 200, "text/plain"),
        (BARE, "text/html", 406, "text/html"),
        (BARE, "application/json, text/plain;q=0.1", 200, "text/plain"),
        (SIBLINGS, "*/*", 300, "text/plain"),
        (SIBLINGS, "multipart/mixed", 300, "multipart/mixed; boundary="),
        (SIBLINGS, "multipart/mixed, text/plain", 300, "text/plain"),
        (SIBLINGS, "text/plain, multipart/mixed", 300, "multipart/mixed; boundary="),
        (SIBLINGS, "multipart/mixed;q=0.5, text/plain;q=0.4", 300, "multipart/mixed; boundary="),
        (SIBLINGS, "application/json", 406, "text/html"),
    ] {
        t.ask(&format!("{path} for {accept}"), get(path))
            .header("Accept", accept)
            .status(status)
            .begins("Content-Type", content_type);
    }
}

fn vary(t: &mut Topic) {
    t.fact(11);
    t.ask("an object varies by encoding", get(BARE)).status(200).has("Vary", "Accept-Encoding");
    t.ask("siblings vary by type too", get(SIBLINGS))
        .status(300)
        .has("Vary", "Accept, Accept-Encoding");
    t.ask("the list of resources varies by type too", get("/"))
        .status(200)
        .has("Vary", "Accept, Accept-Encoding");
    t.ask("statistics vary by type too", get("/stats"))
        .status(200)
        .has("Vary", "Accept, Accept-Encoding");
    t.ask("properties vary by encoding", get("/buckets/mrc_n/props"))
        .status(200)
        .has("Vary", "Accept-Encoding");
    t.ask("a write varies by encoding", put("/buckets/mrc_req/keys/vary", TEXT, "x"))
        .status(204)
        .has("Vary", "Accept-Encoding");
    t.fact(12);
    t.ask("a write of JSON is answered as JSON", put("/buckets/mrc_req/keys/kind", JSON, "1"))
        .status(204)
        .has("Content-Type", "application/json")
        .lacks("Content-Length");
    t.ask("a deletion is answered as HTML", put("/buckets/mrc_req/keys/going", TEXT, "x"))
        .status(204)
        .then(delete("/buckets/mrc_req/keys/going"))
        .status(204)
        .begins("Content-Type", "text/html")
        .has("Vary", "Accept-Encoding");
    t.ask("406 is a page", get(BARE).header("Accept", Some("image/png")))
        .status(406)
        .begins("Content-Type", "text/html")
        .says("<html>");
    t.ask("405 is a page", put("/buckets", TEXT, "x"))
        .status(405)
        .begins("Content-Type", "text/html")
        .says("Method Not Allowed");
}

fn server(t: &mut Topic) {
    t.fact(6);
    t.ask("primaries of an object", get("/buckets/mrc_n/keys/n1/preflist"))
        .ok()
        .at("/preflist/0/primary", "true")
        .at("/preflist/2/primary", "true")
        .at("/preflist/3", "null");
    t.ask("primaries of a typed object", get("/types/conformance/buckets/mrc_n/keys/t1/preflist"))
        .needs(Need::BucketType)
        .status(200)
        .at("/preflist/0/primary", "true");
    t.fact(35);
    t.ask("resources by name", get("/").header("Accept", Some("application/json")))
        .status(200)
        .at("/riak_kv_wm_mapred", r#""/mapred""#)
        .at("/riak_kv_wm_ping", r#""/ping""#);
    t.ask("resources in a header", head("/"))
        .status(200)
        .check(Check::HeaderText("Link", r#"</mapred>; rel="riak_kv_wm_mapred""#.into()))
        .check(Check::HeaderText("Link", r#"</stats>; rel="riak_kv_wm_stats""#.into()));
    t.fact(36);
    t.ask("HEAD of /ping", head("/ping")).status(200).has("Content-Length", "2");
    t.ask(
        "a version that clients look for",
        get("/stats").header("Accept", Some("application/json")),
    )
    .ok()
    .says(r#""riak_kv_version":""#)
    .says(r#""riak_core_version":""#);
}
