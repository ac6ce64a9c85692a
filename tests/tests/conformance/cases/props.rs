//! Properties of buckets and bucket types.

use crate::case::{Case, Topic};
use crate::check::Check;
use crate::wire::Request;

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("props");
    shown(&mut t);
    refused(&mut t);
    taken(&mut t);
    types(&mut t);
    t.cases
}

const JSON: &str = "application/json";

fn put(path: &str, props: &str) -> Request {
    Request::new("PUT", path).body(JSON, format!("{{\"props\":{props}}}"))
}

fn shown(t: &mut Topic) {
    t.fact(274);
    for path in ["/buckets/mrc_plain/props", "/riak/mrc_plain"] {
        t.ask(&format!("what is shown at {path}"), Request::new("GET", path))
            .ok()
            .at("/props/name", "\"mrc_plain\"")
            .at("/props/node_confirms", "0")
            .at("/props/sync_on_write", "\"backend\"")
            .at("/props/write_once", "false")
            .at("/props/active", "null")
            .at("/props/linkfun", r#"{"mod":"riak_kv_wm_link_walker","fun":"mapreduce_linkfun"}"#);
    }
    let typed = Request::new("GET", "/types/conformance/buckets/mrc_plain/props");
    t.ask("what is shown of a bucket with a type", typed)
        .needs(crate::case::Need::BucketType)
        .ok()
        .at("/props/name", "\"mrc_plain\"")
        .at("/props/active", "true")
        .at("/props/allow_mult", "false")
        .at("/props/dvv_enabled", "true")
        .at("/props/write_once", "null");
    let of_type = Request::new("GET", "/types/conformance/props");
    t.ask("what is shown of a type", of_type)
        .needs(crate::case::Need::BucketType)
        .ok()
        .at("/props/active", "true")
        .at("/props/name", "null");
    let default = Request::new("GET", "/types/default/props");
    t.ask("what is shown of the type default", default)
        .ok()
        .at("/props/active", "null")
        .at("/props/claimant", "null")
        .at("/props/allow_mult", "false");
}

fn refused(t: &mut Topic) {
    t.fact(275);
    for (props, expect) in [
        (r#"{"n_val":0}"#, r#"{"n_val":"not_integer"}"#),
        (r#"{"n_val":"3"}"#, r#"{"n_val":"not_integer"}"#),
        (r#"{"big_vclock":"x"}"#, r#"{"big_vclock":"not_integer"}"#),
        (r#"{"allow_mult":"zzz"}"#, r#"{"allow_mult":"not_boolean"}"#),
        (r#"{"notfound_ok":null}"#, r#"{"notfound_ok":"not_boolean"}"#),
        (r#"{"r":"foo"}"#, r#"{"r":"not_valid_quorum"}"#),
        (r#"{"rw":0}"#, r#"{"rw":"not_valid_quorum"}"#),
        (r#"{"dw":-1}"#, r#"{"dw":"not_valid_quorum"}"#),
        (r#"{"node_confirms":"x"}"#, r#"{"node_confirms":"not_valid_quorum"}"#),
        (r#"{"sync_on_write":"x"}"#, r#"{"sync_on_write":"not_valid_sync_param"}"#),
        (r#"{"n_val":0,"r":"foo","w":2}"#, r#"{"n_val":"not_integer","r":"not_valid_quorum"}"#),
    ] {
        t.ask(&format!("refused: {props}"), put("/buckets/mrc_refused/props", props))
            .status(400)
            .check(Check::Header("Content-Type", JSON.into()))
            .check(Check::Header("Vary", "Accept-Encoding".into()))
            .check(Check::Json(crate::case::value(expect)));
    }
    let text = Request::new("PUT", "/buckets/mrc_refused/props")
        .body("text/plain", r#"{"props":{"n_val":0}}"#);
    t.ask("the type of the body comes first", text)
        .status(415)
        .check(Check::HeaderStarts("Content-Type", "text/html".into()))
        .check(Check::Header("Vary", "Accept-Encoding".into()));
    t.fact(277);
    for (props, words) in [
        (r#"{"write_once":true}"#, r#"{"write_once":"cannot update write_once property"}"#),
        (r#"{"consistent":true}"#, r#"{"consistent":"cannot update consistent property"}"#),
    ] {
        let why = "texts are written as texts, not as numbers of their letters";
        t.ask(&format!("fixed: {props}"), put("/buckets/mrc_refused/props", props))
            .own()
            .status(400)
            .check(Check::Json(crate::case::value(words)));
        t.ask(&format!("fixed, in Riak: {props}"), put("/buckets/mrc_refused/props", props))
            .riak_only(why)
            .status(400);
    }
}

fn taken(t: &mut Topic) {
    t.fact(275);
    for (at, props, name, expect) in [
        (0, r#"{"allow_mult":"TRUE"}"#, "/props/allow_mult", "true"),
        (1, r#"{"basic_quorum":1}"#, "/props/basic_quorum", "true"),
        (2, r#"{"r":10}"#, "/props/r", "10"),
        (3, r#"{"dw":0,"pw":0}"#, "/props/dw", "0"),
        (4, r#"{"node_confirms":2}"#, "/props/node_confirms", "2"),
        (5, r#"{"sync_on_write":"one"}"#, "/props/sync_on_write", "\"one\""),
        (6, r#"{"precommit":[],"postcommit":[]}"#, "/props/precommit", "[]"),
        (7, "{}", "/props/n_val", "3"),
    ] {
        let path = format!("/buckets/mrc_taken{at}/props");
        t.ask(&format!("taken: {props}"), put(&path, props))
            .status(204)
            .check(Check::Header("Content-Type", JSON.into()))
            .then(Request::new("GET", &path))
            .ok()
            .at(name, expect)
            .then(Request::new("DELETE", &path))
            .status(204);
    }
    t.fact(270);
    let path = "/buckets/mrc_confirm/keys/k";
    t.ask("a write by a property", put("/buckets/mrc_confirm/props", r#"{"node_confirms":1}"#))
        .status(204)
        .then(Request::new("PUT", path).body("text/plain", "x"))
        .status(204);
}

fn types(t: &mut Topic) {
    t.fact(278);
    let admin = "/admin/bucket-types/mrc_later";
    let object = "/types/mrc_later/buckets/b/keys/k";
    let case = t.ask("a type that is activated later", put(admin, r#"{"active":false}"#));
    // Of three nodes each runs the row: by then it may be active.
    let exists = "the bucket type mrc_later exists with other properties\n";
    case.own().check(Check::BodyIn(vec![String::new(), exists.to_owned()]));
    case.then(Request::new("GET", admin)).ok().at("/name", "\"mrc_later\"");
    case.then(Request::new("POST", &format!("{admin}/activate"))).status(204);
    case.then(Request::new("GET", admin)).ok().at("/status", "\"active\"");
    case.then(Request::new("PUT", object).body("text/plain", "x")).status(204);
    case.then(Request::new("POST", admin).body(JSON, r#"{"props":{"n_val":2}}"#)).status(204);
    case.then(Request::new("GET", admin)).ok().at("/props/n_val", "2");
    case.then(Request::new("POST", &format!("{admin}/reset"))).status(204);
    case.then(Request::new("GET", admin)).ok().at("/props/n_val", "3");
    case.then(Request::new("POST", admin).body(JSON, r#"{"props":{"active":false}}"#)).status(400);
    t.fact(276);
    let both = r#"{"last_write_wins":true}"#;
    t.ask("a type of the last write", put("/admin/bucket-types/mrc_last", both))
        .own()
        .status(400)
        .at("/dvv_enabled", "\"If last_write_wins is true, dvv_enabled must be false\"");
}
