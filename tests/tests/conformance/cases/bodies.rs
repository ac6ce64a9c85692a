//! How results are written, byte for byte.

use crate::case::{Case, Topic};
use crate::phases::{emit, map_erl, map_named, reduce_erl, reduce_js};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("bodies");
    t.fact(68);
    texts(&mut t);
    numbers(&mut t);
    structure(&mut t);
    t.cases
}

const ONE: &str = r#"[["mrc_n","n1"]]"#;

/// Key data of an input that comes back.
fn returned(t: &mut Topic, given: &str, expect: &str) {
    t.query(&format!("comes back: {given}"), &format!(r#"[["mrc_n","n1",{given}]]"#), &[])
        .body(&format!(r#"[["mrc_n","n1",{expect}]]"#));
}

fn texts(t: &mut Topic) {
    let unicode = r#"["\u00e9\u2603\ud83d\ude00"]"#;
    for phase in [map_named("Riak.mapValues"), map_erl("map_object_value")] {
        let name = if phase.contains("erlang") { "Erlang" } else { "JavaScript" };
        t.query(&format!("not ASCII, {name}"), r#"[["mrc_u","uni"]]"#, &[phase.clone()])
            .body(unicode);
        t.query(&format!("escapes, {name}"), r#"[["mrc_u","escapes"]]"#, &[phase])
            .body(r#"["\"\\\n\t/<>\u0001"]"#);
    }
    t.query("controls", ONE, &[emit(r#"['\b\f\r\u001f']"#)]).body(r#"["\b\f\r\u001f"]"#);
    t.query("names of members", ONE, &[emit("[{'\\u00e9': 1, '\"': 2}]")])
        .body(r#"[{"\u00e9":1,"\"":2}]"#);
    t.query("keys that are not ASCII", r#"[["mrc_u","é"]]"#, &[]).body(r#"[["mrc_u","\u00e9"]]"#);
    t.query("what was not found", r#"[["mrc_u","☃/"]]"#, &[map_named("Riak.mapValues")])
        .body(r#"[{"not_found":{"bucket":"mrc_u","key":"\u2603/","keydata":"undefined"}}]"#);
    returned(t, r#""\u00e9\/\u0041""#, r#""\u00e9/A""#);
}

fn numbers(t: &mut Topic) {
    t.query("a sum of floats", ONE, &[emit("[0.1, 0.2]"), reduce_erl("reduce_sum")])
        .body("[0.30000000000000004]");
    t.query("a whole float", ONE, &[emit("[1.5, 1.5]"), reduce_erl("reduce_sum")]).body("[3.0]");
    t.query("integers of JavaScript", ONE, &[emit("[1, 1.0, -7, 1e3]")]).body("[1,1,-7,1000]");
    t.query("floats of JavaScript", ONE, &[emit("[1.5, -0.25, 0.001]")]).body("[1.5,-0.25,0.001]");
    t.query("very large and very small", ONE, &[emit("[1e21, 1.5e300, 1e-7]")])
        .body("[1.0e+21,1.5e+300,1.0e-7]");
    returned(t, "1.0", "1.0");
    returned(t, "1.50", "1.5");
    returned(t, "1e20", "1.0e+20");
    returned(t, "12345678901234567890123", "12345678901234567890123");
    returned(t, "-0", "0");
}

fn structure(t: &mut Topic) {
    t.query("no spaces", ONE, &[emit("[{a: [1, 2], b: {c: null, d: true}}, [], {}]")])
        .body(r#"[{"a":[1,2],"b":{"c":null,"d":true}},[],{}]"#);
    t.query("members in their order", ONE, &[emit("[{b: 1, a: 2, c: 3}]")])
        .body(r#"[{"b":1,"a":2,"c":3}]"#);
    returned(t, r#"{ "b" : [ 1 , 2 ] , "a" : { } }"#, r#"{"b":[1,2],"a":{}}"#);
    returned(t, r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#);
    let object = reduce_js("function(list) { return {a: 1, b: [2, {c: 3}]}; }");
    t.query("pairs as members", ONE, &[emit("[1]"), object]).body(r#"{"a":1,"b":[2,{"c":3}]}"#);
}
