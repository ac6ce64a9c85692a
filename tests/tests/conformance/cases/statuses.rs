//! The order of checks, methods, media types, foreign pages.

use crate::case::{Case, Topic, query};
use crate::check::Check;
use crate::phases::map_erl;
use crate::wire::Request;

fn one() -> String {
    query(r#"[["mrc_n","n1"]]"#, &[map_erl("map_object_value")])
}

const VALUE: &str = r#"["1"]"#;
const BROKEN: &str = "{";

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("statuses");
    methods(&mut t);
    content_types(&mut t);
    accepted_types(&mut t);
    foreign_pages(&mut t);
    paths_and_headers(&mut t);
    t.cases
}

fn methods(t: &mut Topic) {
    t.fact(8);
    for method in ["PUT", "DELETE", "OPTIONS"] {
        t.ask(&format!("{method} is not allowed"), Request::new(method, "/mapred"))
            .status(405)
            .check(Check::List("Allow", ["GET", "HEAD", "POST"].map(String::from).into()));
    }
    t.ask("a method nobody knows", Request::new("PATCH", "/mapred")).status(501);
    let put = Request::new("PUT", "/mapred").body("application/json", BROKEN);
    t.ask("405 comes before 400", put).status(405);
    t.fact(37);
    let get = Request::new("GET", "/mapred");
    t.ask("GET tells the usage", get).refused(&[]);
    let head = Request::new("HEAD", "/mapred");
    t.ask("HEAD is refused as GET is", head).status(400);
    t.post("a POST without a body tells the usage", "").refused(&[]);
}

fn content_types(t: &mut Topic) {
    t.fact(37);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
        t.post(&format!("a body of {kind}"), one()).header("Content-Type", kind).status(415);
    }
    for kind in ["application/json; charset=utf-8", "application/json;charset=UTF-8"] {
        t.post(&format!("a body of {kind}"), one()).header("Content-Type", kind).body(VALUE);
    }
    t.post("no content type", one())
        .without("Content-Type")
        .status(500)
        .riak_only("old clients say nothing of the type, and mean JSON: no reason to fail");
    t.fact(341);
    t.post("no content type, mapring", one()).without("Content-Type").own().body(VALUE);
    t.post("no content type, from a page", one())
        .without("Content-Type")
        .header("Origin", "http://pages.example")
        .own()
        .status(415);
    t.fact(37);
    t.post("400 comes before 415: no JSON", BROKEN)
        .header("Content-Type", "text/plain")
        .status(400);
    t.post("400 comes before 415: no inputs", r#"{"inputs":[],"query":[]}"#)
        .header("Content-Type", "text/plain")
        .refused(&["No inputs were given."]);
    t.fact(7);
    t.post("415 comes before 406", one())
        .header("Content-Type", "text/plain")
        .header("Accept", "text/html")
        .status(415);
    t.post("400 comes before 406", BROKEN).header("Accept", "text/html").status(400);
    t.post("a digest of another body", one())
        .header("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==")
        .riak_only("HTTP has no Content-MD5 any more (RFC 7231), and no client sends it")
        .status(400);
}

fn accepted_types(t: &mut Topic) {
    t.fact(37);
    for accept in ["text/html", "multipart/mixed", "image/png, text/plain"] {
        t.post(&format!("only {accept} accepted"), one()).header("Accept", accept).status(406);
    }
    let chunked = Request::new("POST", "/mapred?chunked=true").body("application/json", one());
    t.ask("chunked, and only multipart accepted", chunked.clone())
        .header("Accept", "multipart/mixed")
        .status(406);
    t.ask("chunked, and JSON accepted", chunked)
        .header("Accept", "application/json")
        .parts(&[(0, VALUE)]);
    t.fact(10);
    for accept in [
        "application/json",
        "*/*",
        "application/*",
        "text/html, */*;q=0.1",
        "multipart/mixed, application/json, */*;q=0.5",
        "multipart/mixed, application/json;q=0.7",
    ] {
        t.post(&format!("{accept} accepted"), one()).header("Accept", accept).body(VALUE);
    }
}

fn foreign_pages(t: &mut Topic) {
    t.fact(9);
    t.post("the origin null", one()).header("Origin", "null").status(403);
    t.post("another origin", one()).header("Origin", "http://pages.example").body(VALUE);
    let own = "http://AUTHORITY/some/page?x";
    t.post("a page of the server's own", one()).header("Referer", own).body(VALUE);
    for page in ["http://pages.example/", "http://127.0.0.1:1/", "https://AUTHORITY/"] {
        t.post(&format!("a page of {page}"), one()).header("Referer", page).status(403);
    }
    t.fact(7);
    t.post("400 comes before 403", BROKEN).header("Origin", "null").status(400);
    t.post("403 comes before 415", one())
        .header("Origin", "null")
        .header("Content-Type", "text/plain")
        .status(403);
    t.post("403 comes before 406", one())
        .header("Origin", "null")
        .header("Accept", "text/html")
        .status(403);
}

fn paths_and_headers(t: &mut Topic) {
    t.fact(3);
    for path in ["/mapred/", "//mapred//"] {
        let request = Request::new("POST", path).body("application/json", one());
        t.ask(&format!("the path {path}"), request).body(VALUE);
    }
    let request = Request::new("POST", "/mapred/?chunked=true").body("application/json", one());
    t.ask("a slash and chunked", request).parts(&[(0, VALUE)]);
    let request = Request::new("POST", "/mapredx").body("application/json", one());
    t.ask("no such path", request).status(404);
    t.fact(12);
    t.post("a date", one()).body(VALUE).check(Check::HeaderStarts("Date", String::new()));
    let chunks =
        format!("5\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n", &one()[..5], one().len() - 5, &one()[5..]);
    t.post("a body in chunks", chunks).header("Transfer-Encoding", "chunked").body(VALUE);
    t.post("a client that asks before it sends", one())
        .header("Expect", "100-continue")
        .body(VALUE);
    t.fact(66);
    t.post("a plain answer has its length", one())
        .body(VALUE)
        .check(Check::Header("Content-Length", "5".into()))
        .check(Check::NoHeader("Transfer-Encoding"));
}
