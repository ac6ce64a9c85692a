//! Forms of inputs, key data, missing objects.

use crate::case::{Case, Topic};
use crate::check::Check;
use crate::phases::{map_erl, map_js, map_named, reduce_erl};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("inputs");
    buckets(&mut t);
    key_lists(&mut t);
    keydata(&mut t);
    missing(&mut t);
    odd_names(&mut t);
    t.cases
}

fn buckets(t: &mut Topic) {
    let values = [map_erl("map_object_value")];
    t.fact(41);
    t.query("a bucket", r#""mrc_n""#, &values).any_order(r#"["1","2","3","4","5"]"#);
    t.query("a bucket of a type", r#"["conformance","mrc_n"]"#, &values)
        .any_order(r#"["10","20","30"]"#);
    t.query("a bucket of the default type", r#"["default","mrc_n"]"#, &values)
        .any_order(r#"["1","2","3","4","5"]"#);
    t.query("a pair of strings is no key", r#"["mrc_n","n1"]"#, &values)
        .check(Check::NoText(r#"["1"]"#.into()));
    t.query("a bucket that is not there", r#""mrc_never""#, &values).body("[]");
    t.query("a large bucket", r#""mrc_big""#, &[reduce_erl("reduce_count_inputs")]).body("[60]");
    t.fact(67);
    t.query("the keys of a bucket", r#""mrc_n""#, &[]).any_order(
        r#"[["mrc_n","n1"],["mrc_n","n2"],["mrc_n","n3"],["mrc_n","n4"],["mrc_n","n5"]]"#,
    );
    t.query("the keys of a typed bucket", r#"["conformance","mrc_n"]"#, &[]).any_order(
        r#"[["mrc_n","t1",null,"conformance"],["mrc_n","t2",null,"conformance"],
            ["mrc_n","t3",null,"conformance"]]"#,
    );
    t.query("the keys of no bucket", r#""mrc_never""#, &[]).body("[]");
    t.fact(46);
    let kd = [map_js("function(v, kd) { return [kd]; }")];
    t.query("inputs from a bucket have no key data", r#""mrc_j""#, &kd)
        .body(r#"["undefined","undefined","undefined"]"#);
}

fn key_lists(t: &mut Topic) {
    let values = [map_erl("map_object_value")];
    t.fact(42);
    for (name, inputs, expect) in [
        ("one key", r#"[["mrc_n","n1"]]"#, r#"["1"]"#),
        ("a key with key data", r#"[["mrc_n","n1","x"]]"#, r#"["1"]"#),
        ("a key with null", r#"[["mrc_n","n1",null]]"#, r#"["1"]"#),
        ("a key of a type", r#"[["mrc_n","t1",null,"conformance"]]"#, r#"["10"]"#),
        ("a key of the default type", r#"[["mrc_n","n1",null,"default"]]"#, r#"["1"]"#),
        ("several keys", r#"[["mrc_n","n1"],["mrc_n","n2"]]"#, r#"["1","2"]"#),
        (
            "forms mixed",
            r#"[["mrc_n","n1"],["mrc_n","n2",7],["mrc_n","t3",null,"conformance"],
                ["mrc_n","t1","kd","conformance"]]"#,
            r#"["1","2","30","10"]"#,
        ),
        (
            "several buckets",
            r#"[["mrc_n","n1"],["mrc_del","here"],["mrc_one","bare"]]"#,
            r#"["1","here","bare"]"#,
        ),
        (
            "a key three times",
            r#"[["mrc_n","n1"],["mrc_n","n1"],["mrc_n","n1"]]"#,
            r#"["1","1","1"]"#,
        ),
        (
            "a key twice with other key data",
            r#"[["mrc_n","n1",1],["mrc_n","n1",2],["mrc_n","n2",1]]"#,
            r#"["1","1","2"]"#,
        ),
    ] {
        t.query(name, inputs, &values).any_order(expect);
    }
    let thousand: Vec<String> =
        (0..1_000).map(|n| format!(r#"["mrc_big","{}"]"#, n % 60)).collect();
    let sum: u32 = (0..1_000).map(|n| n % 60).sum();
    let number = map_js("function(v) { return [Number(v.values[0].data)]; }");
    t.query(
        "a thousand keys",
        &format!("[{}]", thousand.join(",")),
        &[number, reduce_erl("reduce_sum")],
    )
    .body(&format!("[{sum}]"));
    t.fact(67);
    for (name, inputs) in [
        ("a key comes back", r#"[["mrc_n","n1"]]"#),
        ("a key comes back with its key data", r#"[["mrc_n","n1","x"]]"#),
        ("a key comes back with null", r#"[["mrc_n","n1",null]]"#),
        ("a typed key comes back", r#"[["mrc_n","t1",null,"conformance"]]"#),
        ("a typed key comes back with its key data", r#"[["mrc_n","t1",[1],"conformance"]]"#),
        ("keys need not exist to come back", r#"[["mrc_never","k"]]"#),
        ("duplicates come back", r#"[["mrc_n","n1"],["mrc_n","n1"]]"#),
    ] {
        t.query(name, inputs, &[]).gives(inputs);
    }
}

fn keydata(t: &mut Topic) {
    t.fact(46);
    let kd = [map_js("function(v, kd) { return [kd]; }")];
    t.query("no key data", r#"[["mrc_n","n1"]]"#, &kd).body(r#"["undefined"]"#);
    for value in [
        "7",
        "-1.5",
        "true",
        "false",
        "null",
        "\"text\"",
        "\"\"",
        "[]",
        "{}",
        "[1,[2,null],\"x\"]",
        r#"{"a":[1,{"b":null}],"c":"d"}"#,
    ] {
        t.query(&format!("key data {value}"), &format!(r#"[["mrc_n","n1",{value}]]"#), &kd)
            .body(&format!("[{value}]"));
    }
    t.query("key data of a typed key", r#"[["mrc_n","t1","x","conformance"]]"#, &kd)
        .body(r#"["x"]"#);
    t.query("null for a typed key", r#"[["mrc_n","t1",null,"conformance"]]"#, &kd)
        .any_order("[null]");
}

fn missing(t: &mut Topic) {
    t.fact(57);
    let values = [map_named("Riak.mapValues")];
    let never = [map_js("function(v) { throw 'called'; }")];
    for (name, key, expect) in [
        ("none", r#"["mrc_n","no"]"#, r#"{"bucket":"mrc_n","key":"no","keydata":"undefined"}"#),
        ("a word", r#"["mrc_n","no","x"]"#, r#"{"bucket":"mrc_n","key":"no","keydata":"x"}"#),
        ("null", r#"["mrc_n","no",null]"#, r#"{"bucket":"mrc_n","key":"no","keydata":null}"#),
        ("a list", r#"["mrc_n","no",[1]]"#, r#"{"bucket":"mrc_n","key":"no","keydata":[1]}"#),
        (
            "a type",
            r#"["mrc_n","no",1,"conformance"]"#,
            r#"{"bucket_type":"conformance","bucket":"mrc_n","key":"no","keydata":1}"#,
        ),
    ] {
        t.query(&format!("missing, with key data: {name}"), &format!("[{key}]"), &values)
            .body(&format!(r#"[{{"not_found":{expect}}}]"#));
    }
    t.query("functions are not called for missing objects", r#"[["mrc_n","no"]]"#, &never)
        .body(r#"[{"not_found":{"bucket":"mrc_n","key":"no","keydata":"undefined"}}]"#);
    t.query("missing among others", r#"[["mrc_n","n1"],["mrc_n","no"]]"#, &values)
        .any_order(r#"["1",{"not_found":{"bucket":"mrc_n","key":"no","keydata":"undefined"}}]"#);
    t.query("in a typed bucket, not in the other", r#"[["mrc_n","t1"]]"#, &values)
        .body(r#"[{"not_found":{"bucket":"mrc_n","key":"t1","keydata":"undefined"}}]"#);
}

fn odd_names(t: &mut Topic) {
    t.fact(42);
    let values = [map_erl("map_object_value")];
    for (inputs, expect) in [
        (r#"[["mrc_u","a/b"]]"#, r#"["slash"]"#),
        (r#"[["mrc_u","a b"]]"#, r#"["space"]"#),
        (r#"[["mrc_u","é"]]"#, r#"["acute"]"#),
        (r#"[["mrc_u","\u00e9"]]"#, r#"["acute"]"#),
        (r#"[["mrc_u/1","k"]]"#, r#"["bucket with slash"]"#),
        (r#""mrc_u/1""#, r#"["bucket with slash"]"#),
    ] {
        t.query(&format!("the name {inputs}"), inputs, &values).body(expect);
    }
}
