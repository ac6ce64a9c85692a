//! Requests for objects: parameters, negotiation, conditions, hooks.

use crate::case::{Case, Topic};
use crate::check::Check;
use crate::fixtures::BARE;
use crate::wire::{Request, get, put};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("requests");
    parameters(&mut t);
    negotiation(&mut t);
    conditions(&mut t);
    order(&mut t);
    hooks(&mut t);
    t.cases
}

const WORDS: &str = "must be an integer or one of the following words: 'one', 'quorum' or 'all'";

fn parameters(t: &mut Topic) {
    t.fact(265);
    for (name, words) in [
        ("r", WORDS),
        ("pr", WORDS),
        ("node_confirms", WORDS),
        ("basic_quorum", "must be true or false"),
        ("notfound_ok", "must be true or false"),
        ("asis", "must be true or false"),
        ("sync_on_write", "must be one of the following words: [default,backend,one,all]"),
    ] {
        let text = format!("{name} query parameter {words}\n");
        t.ask(&format!("{name}=evil"), get(&format!("{BARE}?{name}=evil")))
            .refused(&[])
            .check(Check::Body(text));
    }
    let both = format!("r query parameter {WORDS}\npr query parameter {WORDS}\n");
    t.ask("two that are wrong", get(&format!("{BARE}?pr=x&r=x")))
        .refused(&[])
        .check(Check::Body(both));
    t.ask("a timeout alone", get(&format!("{BARE}?r=x&timeout=soon")))
        .refused(&[])
        .check(Check::Body("Bad timeout value \"soon\"\n".into()));
    for query in ["notfound_ok=TRUE", "sync_on_write=One", "asis=Default", "pr=quorum&pw=1"] {
        t.ask(&format!("a read with {query}"), get(&format!("{BARE}?{query}")))
            .status(200)
            .check(Check::Body("bare".into()));
    }
    t.fact(271);
    for sync in ["backend", "one", "all"] {
        let path = format!("/buckets/mrc_req/keys/s_{sync}");
        t.ask(
            &format!("a write with sync_on_write={sync}"),
            put(&format!("{path}?sync_on_write={sync}"), "text/plain", sync),
        )
        .status(204)
        .then_read(&path, "text/plain", sync);
    }
    t.fact(270);
    let path = "/buckets/mrc_req/keys/confirmed";
    t.ask("one node confirms", put(&format!("{path}?node_confirms=1"), "text/plain", "x"))
        .status(204)
        .then(get(&format!("{path}?node_confirms=1")))
        .status(200);
    t.ask("more nodes than replicas", put(&format!("{path}?node_confirms=4"), "text/plain", "x"))
        .refused(&["invalid for bucket n value of 3"]);
}

fn negotiation(t: &mut Topic) {
    t.fact(266);
    // Stored in utf-8 and an encoding of its own.
    let full = "/buckets/mrc_one/keys/k";
    for (name, value, status) in [
        ("Accept-Encoding", "x-own", 200),
        ("Accept-Encoding", "gzip, *;q=0.1", 200),
        ("Accept-Encoding", "identity", 406),
        ("Accept-Encoding", "gzip", 406),
        ("Accept-Charset", "UTF-8", 200),
        ("Accept-Charset", "iso-8859-1", 406),
        ("Accept-Charset", "iso-8859-1, *;q=0.1", 200),
    ] {
        t.ask(&format!("{name}: {value}"), get(full).header(name, Some(value))).status(status);
    }
    for (value, status) in
        [("identity;q=0, *;q=0", 406), ("br", 200), ("*", 200), ("identity;q=0", 406)]
    {
        let name = "Accept-Encoding";
        t.ask(&format!("plain, {name}: {value}"), get(BARE).header(name, Some(value)))
            .status(status);
    }
    t.fact(10);
    let json = get("/ping").header("Accept", Some("application/json"));
    t.ask("/ping is HTML alone", json).status(406);
    for (accept, content_type) in [
        ("application/json", "application/json"),
        ("text/html", "text/html"),
        ("*/*", "text/html"),
        ("multipart/mixed, application/json, */*;q=0.5", "application/json"),
    ] {
        t.ask(&format!("/ for {accept}"), get("/").header("Accept", Some(accept)))
            .status(200)
            .check(Check::HeaderStarts("Content-Type", content_type.into()))
            .check(Check::HeaderText("Link", "rel=\"riak_kv_wm_object\"".into()));
    }
    t.fact(8);
    t.ask("OPTIONS of an object", Request::new("OPTIONS", BARE)).status(405).check(Check::List(
        "Allow",
        ["HEAD", "GET", "POST", "PUT", "DELETE"].map(String::from).into(),
    ));
}

fn conditions(t: &mut Topic) {
    t.fact(267);
    let none = |value: &str| get(BARE).header("If-None-Match", Some(value));
    t.ask("If-None-Match: *", none("*")).status(304).check(Check::NoHeader("Content-Type"));
    t.ask("a star among tags is none", none("\"x\", *")).status(200);
    t.ask("a tag without quotes is none", none("x")).status(200);
    t.ask("If-Match: *", get(BARE).header("If-Match", Some("*"))).status(200);
    t.ask("If-Match: another", get(BARE).header("If-Match", Some("\"x\""))).status(412);
    // The last of them is in the past once it is asked for.
    let later = none("\"x\"").header("If-Modified-Since", Some("Sat, 01 Jan 2000 00:00:00 GMT"));
    t.ask("another tag, and changed since", later).status(200);
    let path = "/buckets/mrc_req/keys/once";
    let create = put(path, "text/plain", "1").header("If-None-Match", Some("*"));
    t.ask("what is there is not created", put(path, "text/plain", "0"))
        .status(204)
        .then(create)
        .status(412)
        .then_read(path, "text/plain", "0");
}

fn order(t: &mut Topic) {
    t.fact(272);
    let odd = put("/buckets/mrc_req/keys/o", "garbage", "x");
    t.ask("a type that is none", odd.clone())
        .status(415)
        .check(Check::HeaderStarts("Content-Type", "text/plain".into()))
        .check(Check::Header("Vary", "Accept-Encoding".into()));
    t.ask("406 before 415", odd.header("Accept", Some("text/plain"))).status(406);
    let many = put("/buckets/mrc_req/keys/o?w=9", "text/plain", "x");
    t.ask("406 before w", many.header("Accept", Some("text/html"))).status(406);
    t.fact(273);
    let wrong = put("/buckets/mrc_req/keys/o", "text/plain", "x")
        .header("X-Riak-Index-n_int", Some("a, 1, b"));
    t.ask("two terms that are wrong", wrong).refused(&[
        "Could not parse field 'n_int', value 'a'.\n",
        "Could not parse field 'n_int', value 'b'.\n",
    ]);
    t.fact(268);
    let page = "text/html";
    for path in [
        "/types/mrc_none/props",
        "/types/mrc_none/buckets/b/props",
        "/types/mrc_none/buckets/b/keys?keys=true",
        "/types/mrc_none/buckets?buckets=true",
    ] {
        t.ask(&format!("no such type: {path}"), get(path))
            .status(404)
            .check(Check::HeaderStarts("Content-Type", page.into()))
            .check(Check::Header("Vary", "Accept-Encoding".into()));
    }
    t.ask("no such type: an object", get("/types/mrc_none/buckets/b/keys/k"))
        .status(404)
        .check(Check::Body("Unknown bucket type: mrc_none".into()));
    t.fact(269);
    t.ask("/riak/B without all", get("/riak/mrc_n?props=false"))
        .status(404)
        .check(Check::HeaderStarts("Content-Type", page.into()))
        .check(Check::NoHeader("Vary"));
}

const HOOK: &str = "function (object) {
    var value = object.values[0];
    if (value.metadata['X-Riak-Deleted']) return object;
    if (value.data === 'no') return 'fail';
    if (value.data === 'why') return {fail: 'not \\u00e9'};
    if (value.data === 'odd') return 7;
    if (value.data === 'throw') throw new Error('x');
    value.data = value.data.toUpperCase();
    value.metadata['X-Riak-Meta']['X-Riak-Meta-Seen'] = object.key;
    return object;
}";

/// Each row sets its bucket up by itself: rows run in any order.
fn hooks(t: &mut Topic) {
    t.fact(279);
    let json = "application/json";
    let stored = r#"{"props":{"precommit":[{"bucket":"mrc_req","key":"hook"}]}}"#;
    let refused = "PUT aborted by pre-commit hook.";
    let case = t.ask("a stored function", put("/buckets/mrc_req/keys/hook", "text/plain", HOOK));
    case.own().status(204);
    case.then(put("/buckets/mrc_hook/props", json, stored)).status(204);
    case.check(Check::NoHeader("Warning"));
    let path = "/buckets/mrc_hook/keys/k";
    case.then(put(path, "text/plain", "words")).status(204);
    case.then_read(path, "text/plain", "WORDS");
    case.check(Check::Header("X-Riak-Meta-Seen", "k".into()));
    for (value, status, text) in [
        ("no", 403, refused),
        ("throw", 403, refused),
        ("why", 403, "not é"),
        ("odd", 500, "gave no object"),
    ] {
        case.then(put(path, "text/plain", value)).status(status);
        case.check(Check::HeaderStarts("Content-Type", "text/plain".into()));
        case.check(Check::Text(text.into()));
    }
    case.then(Request::new("POST", "/buckets/mrc_hook/keys").body("text/plain", "no")).status(403);
    case.check(Check::Body("POST aborted by pre-commit hook.".into()));
    case.then_read(path, "text/plain", "WORDS");
    case.then(Request::new("DELETE", path)).status(204);
    let source = r#"{"props":{"precommit":[{"source":"function(o, arg) { return {fail: arg}; }",
                                             "arg":"as told"}]}}"#;
    t.ask("a source with an argument", put("/buckets/mrc_hook2/props", json, source))
        .own()
        .status(204)
        .then(put("/buckets/mrc_hook2/keys/k", "text/plain", "x"))
        .status(403)
        .check(Check::Body("as told".into()));
    let named = r#"{"props":{"precommit":[{"name":"Riak.noSuchFunction"}]}}"#;
    t.ask("a name that nobody knows", put("/buckets/mrc_hook3/props", json, named))
        .own()
        .status(204)
        .then(put("/buckets/mrc_hook3/keys/k", "text/plain", "x"))
        .status(403)
        .check(Check::Body(refused.into()));
    let after = r#"{"props":{"postcommit":[{"source":"function(o) { throw new Error('x'); }"}]}}"#;
    t.ask("a function after a write", put("/buckets/mrc_hook4/props", json, after))
        .own()
        .status(204)
        .then(put("/buckets/mrc_hook4/keys/k", "text/plain", "x"))
        .status(204)
        .then_read("/buckets/mrc_hook4/keys/k", "text/plain", "x");
}
