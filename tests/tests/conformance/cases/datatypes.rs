//! Data types, and the counters of Riak 1.4.
//!
//! These rows write, each under a key of its own, which they delete first.

use crate::case::{Case, Need, Topic, query};
use crate::check::Check;
use crate::phases::{map_js, map_named};
use crate::wire::Request;

const JSON: &str = "application/json";

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("datatypes");
    counters(&mut t);
    sets(&mut t);
    maps(&mut t);
    wrong_operations(&mut t);
    contexts(&mut t);
    answers(&mut t);
    refusals(&mut t);
    properties(&mut t);
    old_counters(&mut t);
    in_queries(&mut t);
    hooks(&mut t);
    for case in &mut t.cases {
        case.needs(Need::DataTypes);
    }
    t.cases
}

/// Where a data type lies.
fn path(kind: &str, key: &str) -> String {
    format!("/types/mrc_{kind}s/buckets/mrc_dt/datatypes/{key}")
}

/// An operation that gives back what comes of it. All replicas have it then: the next one may be made at
/// another.
fn update(kind: &str, key: &str, op: &str) -> Request {
    let path = format!("{}?returnbody=true&include_context=false&w=all", path(kind, key));
    Request::new("POST", &path).body(JSON, op)
}

/// Whether there was anything or not.
fn deleted() -> Check {
    Check::HeaderStarts("Content-Type", "text/".into())
}

fn delete(kind: &str, key: &str) -> Request {
    Request::new("DELETE", &format!("/types/mrc_{kind}s/buckets/mrc_dt/keys/{key}?w=all"))
}

/// A row of operations, with the value after each.
fn steps<'t>(t: &'t mut Topic, name: &str, kind: &str, ops: &[(&str, &str)]) -> &'t mut Case {
    let key = name.replace([' ', ','], "-");
    let case = t.ask(name, delete(kind, &key)).check(deleted());
    for (op, value) in ops {
        let document = format!(r#"{{"type":"{kind}","value":{value}}}"#);
        case.then(update(kind, &key, op)).body(&document);
    }
    case
}

fn counters(t: &mut Topic) {
    t.fact(205);
    steps(t, "counting up and down", "counter", &[("5", "5"), ("-7", "-2"), ("0", "-2")]);
    steps(t, "words of counters", "counter", &[(r#""increment""#, "1"), (r#""decrement""#, "0")]);
    let by = [(r#"{"increment":9}"#, "9"), (r#"{"decrement":4}"#, "5")];
    steps(t, "words with numbers", "counter", &by);
    let most = "9223372036854775807";
    steps(t, "beyond 64 bits", "counter", &[(most, most), ("1", "9223372036854775808")]);
}

fn sets(t: &mut Topic) {
    t.fact(205);
    let ops = [
        (r#"{"add":"b"}"#, r#"["b"]"#),
        (r#"{"add_all":["a","c","b"]}"#, r#"["a","b","c"]"#),
        (r#"{"remove":"b"}"#, r#"["a","c"]"#),
        (r#"{"remove_all":["a","c"]}"#, "[]"),
    ];
    steps(t, "elements that come and go", "set", &ops);
    let ops = [
        (r#"{"add":"x","add_all":["y","z"]}"#, r#"["x","y","z"]"#),
        (r#"{"update":[{"add":"v"},{"remove_all":["x","y"]}]}"#, r#"["v","z"]"#),
        (r#"{"update":{"remove":"z"}}"#, r#"["v"]"#),
    ];
    steps(t, "several at once", "set", &ops);
    steps(t, "elements beyond ASCII", "set", &[(r#"{"add":"é☃"}"#, r#"["\u00e9\u2603"]"#)]);
    let ops = [(r#"{"add":"b"}"#, r#"["b"]"#), (r#"{"add_all":["b","a"]}"#, r#"["a","b"]"#)];
    steps(t, "a set that only grows", "gset", &ops);
    let ops = [(r#"{"add_all":["a","b","c"]}"#, "3"), (r#"{"add":"c"}"#, "3")];
    steps(t, "distinct texts", "hll", &ops);
}

fn maps(t: &mut Topic) {
    t.fact(206);
    let ops = [
        (
            r#"{"update":{"r_register":"v","c_counter":2,"s_set":{"add":"x"},"f_flag":"enable"}}"#,
            r#"{"c_counter":2,"f_flag":true,"r_register":"v","s_set":["x"]}"#,
        ),
        (
            r#"{"update":{"r_register":{"assign":"w"},"c_counter":-3,"f_flag":"disable"},"remove":"s_set"}"#,
            r#"{"c_counter":-1,"f_flag":false,"r_register":"w"}"#,
        ),
        (r#"{"remove":["r_register","c_counter"]}"#, r#"{"f_flag":false}"#),
    ];
    steps(t, "fields of all kinds", "map", &ops).own();
    let ops = [
        (
            r#"{"update":{"m_map":{"update":{"n_map":{"update":{"c_counter":1}}}}}}"#,
            r#"{"m_map":{"n_map":{"c_counter":1}}}"#,
        ),
        (r#"{"update":{"m_map":{"remove":"n_map"}}}"#, r#"{"m_map":{}}"#),
    ];
    steps(t, "maps in maps", "map", &ops);
    t.fact(201);
    let op = r#"{"update":{"a_set":{"add":"x"},"a_counter":1,"a_b_register":"y"}}"#;
    let value = r#"{"a_counter":1,"a_set":["x"],"a_b_register":"y"}"#;
    steps(t, "fields of one name", "map", &[(op, value)]).own();
}

fn wrong_operations(t: &mut Topic) {
    t.fact(207);
    for (kind, op, named) in [
        ("set", "5", "5"),
        ("set", r#"{"add":5}"#, r#"{"add":5}"#),
        ("set", r#"{"add_all":"x"}"#, r#"{"add_all":"x"}"#),
        ("counter", r#"{"add":5}"#, r#"{"add":5}"#),
        ("counter", r#""up""#, r#""up""#),
        ("gset", r#"{"remove":"x"}"#, r#"{"remove":"x"}"#),
        ("hll", r#"{"remove":"x"}"#, r#"{"remove":"x"}"#),
        ("map", r#"{"grow":1}"#, r#""grow""#),
    ] {
        t.ask(&format!("{op} to a {kind}"), update(kind, "wrong", op))
            .refused(&[])
            .check(Check::Body(format!("Invalid operation on datatype '{kind}': {named}\n")));
    }
    for name in ["x", "x_zork", "set"] {
        let op = format!(r#"{{"update":{{"{name}":1}}}}"#);
        t.ask(&format!("a field called {name}"), update("map", "wrong", &op))
            .refused(&[])
            .check(Check::Body(format!("Invalid map field name '{name}'\n")));
    }
    t.ask("no JSON", update("set", "wrong", "{")).refused(&["Couldn't decode JSON: "]);
    let context = r#"{"remove":"a","context":"zork"}"#;
    t.ask("no context", update("set", "wrong", context)).refused(&["invalid_context"]).own();
    t.fact(208);
    t.ask("a removal of nothing", update("set", "none", r#"{"remove":"x"}"#))
        .status(500)
        .check(Check::Body("Error:\n{precondition,{not_present,<<\"x\">>}}\n".into()));
    t.ask("a removal of no field", update("map", "none", r#"{"remove":"x_set"}"#))
        .status(500)
        .check(Check::Text("{precondition,{not_present,{<<\"x\">>,".into()));
}

fn contexts(t: &mut Topic) {
    t.fact(204);
    for (kind, op, has) in [
        ("counter", "1", false),
        ("set", r#"{"add":"x"}"#, true),
        ("map", r#"{"update":{"f_flag":"enable"}}"#, true),
        ("gset", r#"{"add":"x"}"#, false),
        ("hll", r#"{"add":"x"}"#, false),
    ] {
        let post = Request::new("POST", &(path(kind, "context") + "?w=all")).body(JSON, op);
        let case = t.ask(&format!("the context of a {kind}"), post);
        case.status(204).check(Check::Header("Content-Type", JSON.into()));
        let shown = if has { Check::Text } else { Check::NoText };
        case.then(Request::new("GET", &path(kind, "context"))).ok();
        case.check(shown("\"context\":\"".into()));
        let without = format!("{}?include_context=false", path(kind, "context"));
        case.then(Request::new("GET", &without)).ok().check(Check::NoText("context".into()));
        case.then(Request::new("HEAD", &path(kind, "context"))).ok();
    }
}

fn answers(t: &mut Topic) {
    t.fact(210);
    for kind in ["counter", "set", "map", "gset", "hll"] {
        let document = format!(r#"{{"type":"{kind}","error":"notfound"}}"#);
        t.ask(&format!("no such {kind}"), Request::new("GET", &path(kind, "nowhere")))
            .status(404)
            .check(Check::Header("Content-Type", JSON.into()))
            .check(Check::Body(document.clone()));
        let bucket = format!("/types/mrc_{kind}s/buckets/mrc_dt/datatypes");
        t.ask(&format!("a {kind} without a key"), Request::new("GET", &bucket))
            .status(404)
            .check(Check::Body(document));
    }
    let created = Request::new("POST", "/types/mrc_sets/buckets/mrc_dt/datatypes");
    t.ask("a key that is made for it", created.body(JSON, r#"{"add":"x"}"#))
        .status(201)
        .check(Check::HeaderStarts("Location", "/types/mrc_sets/buckets/mrc_dt/keys/".into()));
    let post = Request::new("POST", &path("set", "type")).body("text/plain", r#"{"add":"x"}"#);
    t.ask("a body that is no JSON by its type", post).status(406);
    t.ask("deleted", Request::new("POST", &(path("counter", "gone") + "?w=all")).body(JSON, "5"))
        .status(204)
        .then(delete("counter", "gone"))
        .status(204)
        .then(Request::new("GET", &path("counter", "gone")))
        .status(404)
        .then(update("counter", "gone", "2"))
        .body(r#"{"type":"counter","value":2}"#);
    t.fact(16);
    let asked = format!("{}?r=many", path("set", "x"));
    t.ask("a quorum that is none", Request::new("GET", &asked))
        .refused(&["r query parameter must be an integer or one of the following words"]);
    for name in ["include_context", "returnbody"] {
        let asked = format!("{}?{name}=maybe", path("set", "x"));
        t.ask(&format!("{name} is a flag"), Request::new("GET", &asked))
            .refused(&[&format!("{name} query parameter must be true or false\n")]);
    }
    let asked = format!("{}?timeout=0", path("set", "x"));
    t.ask("no time at all", Request::new("GET", &asked))
        .refused(&["timeout query parameter must be an integer greater than 0, 0 is invalid\n"]);
}

fn refusals(t: &mut Topic) {
    t.fact(203);
    t.ask("no such type", Request::new("GET", "/types/mrc_nope/buckets/b/datatypes/k"))
        .status(404)
        .check(Check::Body("Unknown bucket type: mrc_nope\n".into()));
    t.ask("the type default", Request::new("GET", "/types/default/buckets/a%20b/datatypes/k"))
        .status(301)
        .check(Check::Header("Location", "/buckets/a+b/counters/k".into()))
        .check(Check::Text("should use the legacy URL\n".into()));
    t.ask("no allow_mult", Request::new("GET", "/types/conformance/buckets/b/datatypes/k"))
        .status(403)
        .check(Check::Body("Bucket must be allow_mult=true\n".into()))
        .needs(Need::BucketType);
    t.ask("PUT", Request::new("PUT", &path("set", "k")))
        .status(405)
        .check(Check::List("Allow", ["GET", "HEAD", "POST"].map(String::from).into()));
}

fn properties(t: &mut Topic) {
    t.fact(202);
    let create = |props: &str| {
        let body = format!(r#"{{"props":{props}}}"#);
        Request::new("PUT", "/admin/bucket-types/mrc_never").body(JSON, body)
    };
    let wrong = r#"{"datatype":"zork"}"#;
    t.ask("a data type that there is not", create(wrong))
        .status(400)
        .own()
        .at("/datatype", r#""zork not supported for bucket datatype property""#);
    let alone = r#"{"datatype":"set","allow_mult":false}"#;
    t.ask("a data type without siblings", create(alone))
        .status(400)
        .own()
        .at("/allow_mult", r#""Data Type buckets must be allow_mult=true""#);
    let put = |path: &str, props: &str| {
        Request::new("PUT", path).body(JSON, format!(r#"{{"props":{props}}}"#))
    };
    for path in ["/types/mrc_sets/props", "/types/mrc_sets/buckets/mrc_dt/props"] {
        t.ask(&format!("siblings taken away at {path}"), put(path, r#"{"allow_mult":false}"#))
            .status(400)
            .at("/allow_mult", r#""Cannot change datatype bucket from allow_mult=true""#);
        t.ask(&format!("read at {path}"), Request::new("GET", path))
            .ok()
            .at("/props/datatype", r#""set""#);
    }
    t.ask("more precision", put("/types/mrc_hlls/props", r#"{"hll_precision":14}"#))
        .status(400)
        .own();
    t.fact(31);
    t.ask("another data type", put("/types/mrc_sets/props", r#"{"datatype":"map"}"#))
        .status(400)
        .at("/datatype", r#""Cannot update datatype on existing bucket""#)
        .own();
}

fn old_counters(t: &mut Topic) {
    let counter = |key: &str| format!("/buckets/mrc_sib/counters/{key}");
    let add = |key: &str, by: &str| {
        let path = format!("{}?returnvalue=true&w=all", counter(key));
        Request::new("POST", &path).body("text/plain", by)
    };
    let delete = |key: &str| Request::new("DELETE", &format!("/buckets/mrc_sib/keys/{key}?w=all"));
    t.fact(211);
    let is = |case: &mut Case, number: &str| {
        case.status(200)
            .check(Check::HeaderStarts("Content-Type", "text/plain".into()))
            .check(Check::Body(number.into()));
    };
    let case = t.ask("an old counter", delete("old")).check(deleted());
    is(case.then(add("old", "3")), "3");
    is(case.then(add("old", "-5")), "-2");
    case.then(Request::new("POST", &(counter("old") + "?w=all")).body("text/plain", "10"))
        .status(204);
    is(case.then(Request::new("GET", &counter("old"))), "8");
    for body in ["", "x", "1.5", " 1"] {
        t.ask(&format!("no number: {body:?}"), add("wrong", body)).status(400);
    }
    t.fact(212);
    let post = Request::new("POST", "/buckets/mrc_n/counters/k").body("text/plain", "1");
    t.ask("a bucket without siblings", post)
        .status(409)
        .check(Check::Body("Counters require bucket property 'allow_mult=true'".into()));
    t.fact(213);
    t.ask("no such old counter", Request::new("GET", &counter("nowhere")))
        .status(404)
        .check(Check::Body("not found\n".into()));
}

fn in_queries(t: &mut Topic) {
    t.fact(214);
    let typed = |kind: &str, key: &str| format!(r#"[["mrc_dt","{key}",null,"mrc_{kind}s"]]"#);
    for (kind, op, value) in [
        ("counter", "7", "7"),
        ("set", r#"{"add_all":["b","a"]}"#, r#"["a","b"]"#),
        ("map", r#"{"update":{"c_counter":2}}"#, r#"{"c_counter":2}"#),
        ("gset", r#"{"add":"x"}"#, r#"["x"]"#),
        ("hll", r#"{"add":"x"}"#, "1"),
    ] {
        let key = "in-queries";
        let shown = "function(v) { var one = v.values[0]; \
                     return [[one.metadata['content-type'], JSON.parse(one.data)]]; }";
        let expect = format!(r#"[["application/riak_{kind}",{value}]]"#);
        t.ask(&format!("a {kind} in a function"), delete(kind, key))
            .own()
            .check(deleted())
            .then(update(kind, key, op))
            .status(200)
            .then_query(query(&typed(kind, key), &[map_js(shown)]))
            .body(&expect);
    }
    t.ask("a built-in function", delete("counter", "built-in"))
        .own()
        .check(deleted())
        .then(update("counter", "built-in", "4"))
        .status(200)
        .then_query(query(&typed("counter", "built-in"), &[map_named("Riak.mapValuesJson")]))
        .body("[4]");
    t.fact(200);
    t.ask("read as an object", update("set", "object", r#"{"add":"x"}"#))
        .status(200)
        .then(Request::new("GET", "/types/mrc_sets/buckets/mrc_dt/keys/object"))
        .status(200)
        .check(Check::Header("Content-Type", "application/riak_set".into()));
}

fn hooks(t: &mut Topic) {
    t.fact(400);
    let props = r#"{"props":{"allow_mult":true,"precommit":[{"source":"function(object) {
        var update = JSON.parse(object.values[0].data);
        return update.add === 'no' || update.increment < 0 ? {fail: 'why'} : object; }"}]}}"#
        .replace('\n', " ");
    let refused = "Error:\n{precommit_fail,<<\"why\">>}\n";
    for (name, bucket, place, no, yes) in [
        (
            "functions before updates",
            "/types/mrc_sets/buckets/mrc_dt_hook",
            "datatypes/k",
            r#"{"add":"no"}"#,
            r#"{"add":"yes"}"#,
        ),
        ("functions before old counters", "/buckets/mrc_dt_hook", "counters/k", "-1", "1"),
    ] {
        let (path, set) = (format!("{bucket}/{place}"), format!("{bucket}/props"));
        let case = t.ask(name, Request::new("PUT", &set).body(JSON, props.as_str()));
        case.own().status(204);
        case.then(Request::new("POST", &path).body(JSON, no)).status(500);
        case.check(Check::Body(refused.into()));
        case.then(Request::new("POST", &path).body(JSON, yes)).status(204);
    }
}
