//! Phases that follow one another.

use crate::case::{Case, Topic};
use crate::phases::{
    emit, link, map_erl, map_erl_with, map_js, map_named, reduce_erl, reduce_js, reduce_named,
};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("chains");
    keys(&mut t);
    no_keys(&mut t);
    not_found(&mut t);
    reduces(&mut t);
    t.cases
}

const ONE: &str = r#"[["mrc_n","n1"]]"#;

/// What a second map gets of what the first gives: the value and the key data.
fn second(t: &mut Topic, emitted: &str, expect: &str) {
    let look = map_js("function(v, kd) { return [v.bucket_type, v.values[0].data, kd]; }");
    t.query(&format!("a map of {emitted}"), ONE, &[emit(&format!("[{emitted}]")), look])
        .body(expect);
}

fn keys(t: &mut Topic) {
    t.fact(60);
    second(t, "['mrc_n','n2']", r#"["default","2","undefined"]"#);
    second(t, "['mrc_n','n2','kd']", r#"["default","2","kd"]"#);
    second(t, "['mrc_n','n2',{a: [1]}]", r#"["default","2",{"a":[1]}]"#);
    second(t, "['mrc_n','n2',0]", r#"["default","2",0]"#);
    second(t, "['mrc_n','n2',false]", r#"["default","2",false]"#);
    second(t, "['mrc_n','t2','kd','conformance']", r#"["conformance","20","kd"]"#);
    // Between phases, null is no key data.
    second(t, "['mrc_n','n2',null]", r#"["default","2","undefined"]"#);
    second(t, "['mrc_n','t2',null,'conformance']", r#"["conformance","20","undefined"]"#);
    let to = |keys: &str| vec![emit(keys), map_named("Riak.mapValues")];
    t.query("several keys from one object", ONE, &to("[['mrc_n','n1'],['mrc_n','n2']]"))
        .any_order(r#"["1","2"]"#);
    t.query("a key from several objects", r#""mrc_n""#, &to("[['mrc_del','here']]"))
        .body(r#"["here","here","here","here","here"]"#);
    t.query("no keys", ONE, &to("[]")).body("[]");
    t.query("a missing object in a second map", ONE, &to("[['mrc_n','no','x']]"))
        .body(r#"[{"not_found":{"bucket":"mrc_n","key":"no","keydata":"x"}}]"#);
    let third = [
        emit("[['mrc_n','n2','a']]"),
        emit("[['mrc_n','n3',arguments[1]]]"),
        map_js("function(v, kd) { return [v.key, kd]; }"),
    ];
    t.query("three maps", ONE, &third).body(r#"["n3","a"]"#);
    let pairs = map_js("function(v) { return [[v.bucket, v.key]]; }");
    t.query(
        "sixty keys go round",
        r#""mrc_big""#,
        &[pairs.clone(), pairs, reduce_erl("reduce_count_inputs")],
    )
    .body("[60]");
}

/// Anything else ends the query, in the phase that gave it.
fn no_keys(t: &mut Topic) {
    t.fact(60);
    for emitted in [
        "'n2'",
        "7",
        "null",
        "{a: 1}",
        "[]",
        "['mrc_n']",
        "['mrc_n',2]",
        "[1,'n2']",
        "['mrc_n','n2',1,'t',5]",
    ] {
        let phases = [emit(&format!("[{emitted}]")), map_named("Riak.mapValues")];
        t.query(&format!("a map of no key: {emitted}"), ONE, &phases).fails(0, &[]);
    }
    t.query("a link of no key", ONE, &[emit("['n2']"), link("")]).fails(0, &[]);
    t.query("a map of values", ONE, &[map_erl("map_object_value"), map_erl("map_object_value")])
        .fails(0, &[]);
    let count = [reduce_erl("reduce_count_inputs"), map_erl("map_object_value")];
    t.query("a map of a count", ONE, &count).fails(0, &[]);
}

fn not_found(t: &mut Topic) {
    t.fact(62);
    let missing = r#"[["mrc_n","no"]]"#;
    let value = map_named("Riak.mapValues");
    t.query("a map of what was not found", missing, &[value.clone(), value.clone()]).fails(0, &[]);
    t.query("a link of what was not found", missing, &[value.clone(), link("")]).fails(0, &[]);
    let same = reduce_js("function(list) { return list; }");
    t.query("a reduce of what was not found", missing, &[value.clone(), same])
        .body(r#"[{"not_found":{"bucket":"mrc_n","key":"no","keydata":"undefined"}}]"#);
    let filter = reduce_named("Riak.filterNotFound");
    t.query(
        "a filter of what was not found",
        r#"[["mrc_n","no"],["mrc_n","n1"]]"#,
        &[value.clone(), filter],
    )
    .body(r#"["1"]"#);
    let look = reduce_js(
        "function(list) { return list.map(function(x) {
            return x.not_found ? {'mapred_test_pass': 1} : x; }); }",
    );
    t.fact(57);
    t.query("a reduce can tell what was not found", missing, &[value, look])
        .body(r#"[{"mapred_test_pass":1}]"#);
    let instead = map_erl_with("map_object_value", r#""arg":{"sub":["0"]}"#);
    t.query(
        "something else for what was not found",
        missing,
        &[instead, reduce_erl("reduce_string_to_integer")],
    )
    .body("[0]");
}

fn reduces(t: &mut Topic) {
    t.fact(60);
    let values = map_erl("map_object_value");
    t.query(
        "keys through a reduce into a map",
        r#""mrc_n""#,
        &[reduce_erl("reduce_identity"), values.clone()],
    )
    .any_order(r#"["1","2","3","4","5"]"#);
    let one = reduce_js("function(list) { return [['mrc_n','n5','from a reduce']]; }");
    let look = map_js("function(v, kd) { return [v.values[0].data, kd]; }");
    t.query("a reduce gives keys with key data", ONE, &[emit("[1]"), one, look])
        .body(r#"["5","from a reduce"]"#);
    t.query(
        "a reduce into a link",
        r#"[["mrc_links","b"]]"#,
        &[reduce_erl("reduce_identity"), link("")],
    )
    .body(r#"[["mrc_links","c","z"]]"#);
    t.query(
        "a value into integers into a sum",
        r#""mrc_n""#,
        &[values.clone(), reduce_erl("reduce_string_to_integer"), reduce_erl("reduce_sum")],
    )
    .body("[15]");
    t.fact(80);
    let sums: Vec<String> = [map_js("function(v) { return [Number(v.values[0].data)]; }")]
        .into_iter()
        .chain((0..5).map(|_| reduce_named("Riak.reduceSum")))
        .collect();
    t.query("a sum summed again and again", r#""mrc_n""#, &sums).body("[15]");
    let typed = [map_named("Riak.mapValuesJson"), reduce_named("Riak.reduceSum")];
    t.query("a sum over a typed bucket", r#"["conformance","mrc_n"]"#, &typed).body("[60]");
}
