//! Walks along links by URL.

use crate::case::{Case, Need, Topic};
use crate::check::Check;
use crate::wire::{Request, get, head, put};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("walks");
    steps(&mut t);
    parts(&mut t);
    more_steps(&mut t);
    refusals(&mut t);
    t.cases
}

const FROM_A: &str = "/buckets/mrc_links/keys/a";

/// A walk that gives some values, each so often, and not others of the graph.
fn walk(t: &mut Topic, path: &str, values: &[(&str, usize)]) {
    let request = Request::new("GET", path);
    let case = t.ask(path, request).status(200);
    case.check(Check::HeaderStarts("Content-Type", "multipart/mixed; boundary=".into()));
    for (value, times) in values {
        case.check(Check::Times(format!("\r\n\r\n{value}\r\n--"), *times));
    }
}

fn steps(t: &mut Topic) {
    t.fact(300);
    walk(t, &format!("{FROM_A}/_,_,1"), &[("B", 2), ("C", 1), ("1", 1)]);
    walk(t, &format!("{FROM_A}/_,_,_"), &[("B", 2), ("C", 1), ("1", 1)]);
    walk(t, &format!("{FROM_A}/_,_,0"), &[("B", 2), ("C", 1), ("1", 1)]);
    walk(t, "/riak/mrc_links/a/mrc_links,x,1", &[("B", 1), ("C", 1), ("1", 0)]);
    walk(t, "/types/default/buckets/mrc_links/keys/a/_,y,1", &[("B", 1), ("1", 1), ("C", 0)]);
    walk(t, "/buckets/mrc_links/keys/coded/_,t%20g,1", &[("slash", 1)]);
    walk(t, &format!("{FROM_A}/_,y,_/_,z,_"), &[("B", 0), ("C", 1)]);
    walk(t, &format!("{FROM_A}/_,y,1/_,z,0/_,w,1"), &[("B", 1), ("1", 1), ("C", 0), ("3", 1)]);
    t.fact(304);
    walk(t, "/buckets/mrc_links/keys/c/_,_,1", &[("3", 1)]);
    walk(t, "/buckets/mrc_links/keys/lone/_,_,1", &[("3", 0)]);
    walk(t, "/buckets/mrc_sib/keys/two/_,_,1", &[("1", 1), ("2", 1)]);
}

fn parts(t: &mut Topic) {
    t.fact(302);
    t.ask("a part a step", Request::new("GET", &format!("{FROM_A}/_,x,1/_,nope,1")))
        .status(200)
        .check(Check::Times("\r\nContent-Type: multipart/mixed; boundary=".into(), 2));
    t.ask("expires", Request::new("GET", &format!("{FROM_A}/_,x,1")))
        .status(200)
        .check(Check::HeaderText("Expires", "GMT".into()));
    t.fact(303);
    for (path, location) in [
        ("/riak/mrc_links/a/_,x,1", "\r\nLocation: /riak/mrc_links/c\r\n"),
        ("/buckets/mrc_links/keys/a/_,x,1", "\r\nLocation: /buckets/mrc_links/keys/c\r\n"),
    ] {
        t.ask(path, Request::new("GET", path))
            .status(200)
            .check(Check::Text(location.into()))
            .check(Check::Text("\r\nX-Riak-Vclock: ".into()))
            .check(Check::Text("\r\nEtag: ".into()));
    }
    t.fact(300);
    t.ask("POST does nothing", Request::new("POST", &format!("{FROM_A}/_,_,1")))
        .status(204)
        .check(Check::HeaderStarts("Content-Type", "multipart/mixed".into()));
}

fn more_steps(t: &mut Topic) {
    t.fact(300);
    t.ask("HEAD of a walk", head("/buckets/mrc_links/keys/a/_,_,1"))
        .status(200)
        .begins("Content-Type", "multipart/mixed; boundary=");
    t.fact(303);
    t.ask(
        "siblings on the way",
        put("/buckets/mrc_req/keys/to_siblings", "text/plain", "x")
            .header("Link", Some(r#"</buckets/mrc_sib/keys/two>; riaktag="t""#)),
    )
    .status(204)
    .then(get("/buckets/mrc_req/keys/to_siblings/_,t,1"))
    .status(200)
    .says("\r\nLocation: /buckets/mrc_sib/keys/two?vtag=")
    .says("\r\nX-Riak-Sibling-VTags: ")
    .check(Check::Times("\r\nEtag: ".into(), 1));
    t.ask(
        "siblings on the way, in the first style",
        put("/riak/mrc_req/to_siblings2", "text/plain", "x")
            .header("Link", Some(r#"</riak/mrc_sib/two>; riaktag="t""#)),
    )
    .status(204)
    .then(get("/riak/mrc_req/to_siblings2/_,t,1"))
    .status(200)
    .says("\r\nLocation: /riak/mrc_sib/two?vtag=");
    t.fact(300);
    t.ask(
        "nothing of several steps is kept, in Riak",
        get("/buckets/mrc_links/keys/b/_,_,0/_,_,0"),
    )
    .riak_only("it is the answer of a walk of one step")
    .status(500);
    t.ask("nothing of several steps is kept", get("/buckets/mrc_links/keys/b/_,_,0/_,w,0"))
        .own()
        .status(200)
        .says("\r\n\r\n3\r\n--");
    t.fact(302);
    t.ask("a walk may be kept for ten minutes", get("/riak/mrc_links/lone/_,_,1"))
        .status(200)
        .begins("Content-Type", "multipart/mixed; boundary=")
        .check(Check::HeaderText("Expires", " GMT".into()));
}

fn refusals(t: &mut Topic) {
    t.fact(301);
    for step in ["b", "b,t", "b,,1", "b,t,1,2", "_,_,1/x"] {
        t.ask(step, Request::new("GET", &format!("{FROM_A}/{step}")))
            .refused(&["Invalid link walk query submitted. Valid link walk query format is: "]);
    }
    t.ask("nothing to begin with", Request::new("GET", "/riak/mrc_links/nope/_,_,1")).status(404);
    t.ask("typed", Request::new("GET", "/types/conformance/buckets/mrc_links/keys/typed/_,_,1"))
        .needs(Need::BucketType)
        .status(403)
        .check(Check::Text("Link-walking is not allowed on keys stored in bucket-types.".into()));
}
