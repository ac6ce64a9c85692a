//! Requests of clients of Riak's first years, which know the paths below `/riak` alone: txriak 0.3.2 and
//! riakasaurus 1.1.1, which need Python 2.

use crate::case::{Case, Topic, query};
use crate::check::Check;
use crate::phases::{map_named, reduce_named};
use crate::wire::Request;

/// With a space before the `q`.
const ACCEPT: &str = "text/plain, */*; q=0.5";
const TEXT: &str = "text/plain";

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("old paths");
    t.fact(342);
    objects(&mut t);
    siblings(&mut t);
    buckets(&mut t);
    queries(&mut t);
    t.cases
}

/// A write as txriak makes it: `Link` is always there, be it empty.
fn txriak(path: &str, kind: &str, links: &str, body: &str) -> Request {
    Request::new("PUT", path)
        .body(kind, body)
        .header("Accept", Some(ACCEPT))
        .header("X-Riak-ClientId", Some("TEST"))
        .header("Link", Some(links))
}

fn objects(t: &mut Topic) {
    let path = "/riak/mrc_old/store?returnbody=true&w=2&dw=0";
    t.ask("txriak: an object's life", txriak(path, "text/json", "", "[1]"))
        .status(200)
        .check(Check::Header("Content-Type", "text/json".into()))
        .check(Check::Header("Link", r#"</riak/mrc_old>; rel="up""#.into()))
        .check(Check::Body("[1]".into()))
        .then_read("/riak/mrc_old/store?r=2", "text/json", "[1]")
        .then(Request::new("DELETE", "/riak/mrc_old/store?dw=0"))
        .status(204)
        .then(Request::new("GET", "/riak/mrc_old/store?r=2"))
        .status(404)
        .check(Check::Body("not found\n".into()));
    let links = r#"</riak/mrc_old/foo1>; riaktag="mrc_old", </riak/mrc_old/foo2>; riaktag="tag""#;
    let linked = txriak("/riak/mrc_old/linked?returnbody=true&w=2&dw=0", "text/json", links, "2");
    t.ask("txriak: links and metadata", linked.header("X-Riak-Meta-foo", Some("bar")))
        .status(200)
        .then(Request::new("GET", "/riak/mrc_old/linked?r=2"))
        .status(200)
        .check(Check::Header("X-Riak-Meta-Foo", "bar".into()))
        .check(Check::HeaderText("Link", r#"</riak/mrc_old/foo1>; riaktag="mrc_old""#.into()))
        .check(Check::HeaderText("Link", r#"</riak/mrc_old/foo2>; riaktag="tag""#.into()));
    let posted = Request::new("POST", "/riak/mrc_old?returnbody=true").body(TEXT, "posted");
    t.ask("riakasaurus: a key is made", posted.header("Accept", Some(ACCEPT)))
        .status(201)
        .check(Check::HeaderStarts("Location", "/riak/mrc_old/".into()))
        .check(Check::Body("posted".into()));
    let once = Request::new("PUT", "/riak/mrc_n/n1?returnbody=false").body(TEXT, "1");
    let once = once.header("Accept", Some(ACCEPT)).header("If-None-Match", Some("*"));
    t.ask("riakasaurus: only what is new", once).status(412);
    t.ask("riakasaurus: metadata alone", Request::new("HEAD", "/riak/mrc_one/k?"))
        .status(200)
        .check(Check::HeaderStarts("Content-Type", "text/html".into()));
}

fn siblings(t: &mut Topic) {
    let props = r#"{"props":{"allow_mult":true}}"#;
    let path = "/riak/mrc_old_sib/k?returnbody=true&w=2&dw=0";
    let allow = Request::new("PUT", "/riak/mrc_old_sib").body("application/json", props);
    t.ask("txriak: siblings are a list of tags", allow)
        .status(204)
        .then(txriak("/riak/mrc_old_sib/k?w=2&dw=0", TEXT, "", "one"))
        .status(204)
        .then(txriak(path, TEXT, "", "two"))
        .status(300)
        .check(Check::Header("Content-Type", TEXT.into()))
        .check(Check::Text("Siblings:\n".into()))
        .then(Request::new("GET", "/riak/mrc_old_sib/k?r=2"))
        .status(300)
        .check(Check::Header("Content-Type", TEXT.into()))
        .check(Check::Text("Siblings:\n".into()));
}

fn buckets(t: &mut Topic) {
    let get = |path: &str| Request::new("GET", path);
    t.ask("properties without keys", get("/riak/mrc_n?props=True&keys=False"))
        .ok()
        .at("/props/name", "\"mrc_n\"")
        .at("/keys", "null");
    t.ask("properties and keys", get("/riak/mrc_n?props=True&keys=true"))
        .ok()
        .at("/props/name", "\"mrc_n\"")
        .check(Check::Text(r#""keys":["#.into()));
    // The client splits before each list.
    t.ask("txriak: keys as they come", get("/riak/mrc_n?keys=stream"))
        .ok()
        .check(Check::Text(r#"{"props":{"#.into()))
        .check(Check::Text(r#"{"keys":["#.into()));
    t.ask("buckets", get("/riak?buckets=true")).ok().check(Check::Text("\"mrc_n\"".into()));
    t.ask("a slash more", get("/riak/?buckets=true")).ok().check(Check::Text("\"mrc_n\"".into()));
    t.ask("alive", get("/ping")).status(200).check(Check::Body("OK".into()));
    let reset = Request::new("DELETE", "/buckets/mrc_old_reset/props");
    t.ask("riakasaurus: properties are reset", reset).status(204);
}

fn queries(t: &mut Topic) {
    t.fact(341);
    let phases = [map_named("Riak.mapValuesJson"), reduce_named("Riak.reduceSum")];
    let sum = query(r#"[["mrc_n","n1"],["mrc_n","n2"]]"#, &phases);
    t.post("txriak: a query without a type", sum).without("Content-Type").own().body("[3]");
}
