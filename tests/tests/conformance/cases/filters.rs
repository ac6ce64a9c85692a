//! Key filters: every transform, predicate and logical form, and how they follow one another.

use crate::case::{Case, Topic};
use crate::check::Check;
use crate::phases::{map_erl, map_js, reduce_erl};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("key filters");
    t.fact(47);
    for rows in [PREDICATES, ORDER, TRANSFORMS, CHARACTERS, LOGIC, PIPELINE] {
        for (bucket, filters, keys) in rows {
            row(&mut t, bucket, filters, keys);
        }
    }
    failures(&mut t);
    forms(&mut t);
    t.cases
}

/// A bucket, filters, and the keys that are left.
type Row = (&'static str, &'static str, &'static [&'static str]);

const F: &str = "mrc_f";
const RED3: &str = "2010-red-3";
const BLUE20: &str = "2010-blue-20";
const RED100: &str = "2011-red-100";
const GREEN7: &str = "2012-green-7";

const W: &str = "mrc_fw";
const WORDS: &[&str] = &["alpha", "Beta", "gamma", "delta", "beta"];
const I: &str = "mrc_fi";
const D: &str = "mrc_fd";
const U: &str = "mrc_fu";

const PREDICATES: &[Row] = &[
    (F, r#"[["eq","2010-red-3"]]"#, &[RED3]),
    (F, r#"[["eq","2010-RED-3"]]"#, &[]),
    (F, r#"[["neq","2010-red-3"]]"#, &[BLUE20, RED100, GREEN7]),
    (F, r#"[["starts_with","2010"]]"#, &[RED3, BLUE20]),
    (F, r#"[["starts_with",""]]"#, &[RED3, BLUE20, RED100, GREEN7]),
    (F, r#"[["starts_with","2010-red-3-and-more"]]"#, &[]),
    (F, r#"[["ends_with","0"]]"#, &[BLUE20, RED100]),
    (F, r#"[["ends_with","red-100"]]"#, &[RED100]),
    (F, r#"[["matches","red"]]"#, &[RED3, RED100]),
    (F, r#"[["matches","^201[01]-.*0$"]]"#, &[BLUE20, RED100]),
    (F, r#"[["matches","^red"]]"#, &[]),
    (F, r#"[["matches","(e)\\1"]]"#, &[GREEN7]),
    (F, r#"[["matches","^2010(?!-red)"]]"#, &[BLUE20]),
    (F, r#"[["set_member","2010-red-3","2012-green-7","other"]]"#, &[RED3, GREEN7]),
    (W, r#"[["similar_to","beta",0]]"#, &["beta"]),
    (W, r#"[["similar_to","beta",1]]"#, &["beta", "Beta"]),
    (W, r#"[["similar_to","beta",2]]"#, &["beta", "Beta", "delta"]),
    (W, r#"[["between","alpha","beta"]]"#, &["alpha", "beta"]),
    (W, r#"[["between","alpha","beta",true]]"#, &["alpha", "beta"]),
    (W, r#"[["between","alpha","delta",false]]"#, &["beta"]),
];

/// Comparisons go by Erlang's order of terms.
const ORDER: &[Row] = &[
    (W, r#"[["greater_than","beta"]]"#, &["gamma", "delta"]),
    (W, r#"[["greater_than_eq","beta"]]"#, &["gamma", "delta", "beta"]),
    (W, r#"[["less_than","alpha"]]"#, &["Beta"]),
    (W, r#"[["less_than_eq","alpha"]]"#, &["Beta", "alpha"]),
    (I, r#"[["less_than","7"]]"#, &["1", "10", "-5", "007"]),
    // Any number comes before any string.
    (W, r#"[["greater_than",99999]]"#, WORDS),
    (W, r#"[["less_than",99999]]"#, &[]),
    (I, r#"[["string_to_int"],["less_than","0"]]"#, &["1", "7", "10", "-5", "007"]),
    (I, r#"[["string_to_int"],["less_than",7]]"#, &["1", "-5"]),
    (I, r#"[["string_to_int"],["less_than_eq",7]]"#, &["1", "-5", "7", "007"]),
    (I, r#"[["string_to_int"],["greater_than",7]]"#, &["10"]),
    (I, r#"[["string_to_int"],["greater_than_eq",6.5]]"#, &["7", "10", "007"]),
    (I, r#"[["string_to_int"],["between",1,7]]"#, &["1", "7", "007"]),
    (I, r#"[["string_to_int"],["between",1,10,false]]"#, &["7", "007"]),
    // Integers and floats are never the same, though they may compare as equal.
    (I, r#"[["string_to_int"],["eq",7]]"#, &["7", "007"]),
    (I, r#"[["string_to_int"],["eq",7.0]]"#, &[]),
    (I, r#"[["string_to_int"],["eq","7"]]"#, &[]),
    (I, r#"[["string_to_int"],["neq",7.0]]"#, &["1", "7", "10", "-5", "007"]),
    (I, r#"[["string_to_int"],["set_member",7,10]]"#, &["7", "10", "007"]),
    (I, r#"[["string_to_int"],["set_member",7.0,"10"]]"#, &[]),
];

const TRANSFORMS: &[Row] = &[
    (I, r#"[["string_to_int"],["int_to_string"],["eq","7"]]"#, &["7", "007"]),
    (I, r#"[["string_to_int"],["int_to_string"],["starts_with","-"]]"#, &["-5"]),
    (D, r#"[["string_to_float"],["greater_than",1.5]]"#, &["2.0", "10.25"]),
    (D, r#"[["string_to_float"],["greater_than_eq",2]]"#, &["2.0", "10.25"]),
    (D, r#"[["string_to_float"],["eq",2.0]]"#, &["2.0"]),
    (D, r#"[["string_to_float"],["eq",2]]"#, &[]),
    (
        D,
        r#"[["string_to_float"],["float_to_string"],["starts_with","1.5000000000000000000"]]"#,
        &["1.5"],
    ),
    (D, r#"[["string_to_float"],["float_to_string"],["ends_with","e+01"]]"#, &["10.25"]),
    (F, r#"[["tokenize","-",2],["eq","red"]]"#, &[RED3, RED100]),
    (F, r#"[["tokenize","-",1],["string_to_int"],["greater_than",2010]]"#, &[RED100, GREEN7]),
    (F, r#"[["tokenize","-",3],["string_to_int"],["between",5,20]]"#, &[BLUE20, GREEN7]),
    (F, r#"[["tokenize","-",2],["set_member","green","red"]]"#, &[RED3, RED100, GREEN7]),
    (F, r#"[["tokenize","-",2],["tokenize","e",1],["eq","r"]]"#, &[RED3, RED100]),
    // Any of the characters separates, and nothing lies between two of them in a row.
    (F, r#"[["tokenize","-0",3],["eq","red"]]"#, &[RED3, RED100]),
    (F, r#"[["tokenize","210-",1],["eq","red"]]"#, &[RED3, RED100]),
    (F, r#"[["tokenize","x",1],["eq","2012-green-7"]]"#, &[GREEN7]),
];

/// Lists of characters: what `to_upper`, `to_lower` and `urldecode` give.
const CHARACTERS: &[Row] = &[
    (W, r#"[["to_upper"],["matches","^BETA$"]]"#, &["Beta", "beta"]),
    (W, r#"[["to_upper"],["starts_with","BE"]]"#, &["Beta", "beta"]),
    (W, r#"[["to_upper"],["ends_with","TA"]]"#, &["Beta", "beta", "delta"]),
    (W, r#"[["to_lower"],["matches","^beta$"]]"#, &["Beta", "beta"]),
    (W, r#"[["to_upper"],["eq","ALPHA"]]"#, &[]),
    (W, r#"[["to_upper"],["neq","ALPHA"]]"#, WORDS),
    (W, r#"[["to_upper"],["set_member","ALPHA","BETA"]]"#, &[]),
    (W, r#"[["to_lower"],["eq","alpha"]]"#, &[]),
    (F, r#"[["to_upper"],["tokenize","-",2],["matches","^RED$"]]"#, &[RED3, RED100]),
    (U, r#"[["urldecode"],["matches","^a/b$"]]"#, &["a%2Fb"]),
    (U, r#"[["urldecode"],["matches","^c d$"]]"#, &["c+d"]),
    (U, r#"[["urldecode"],["starts_with","e "]]"#, &["e%20f"]),
    (U, r#"[["urldecode"],["eq","a/b"]]"#, &[]),
    (U, r#"[["eq","a%2Fb"]]"#, &["a%2Fb"]),
];

const LOGIC: &[Row] = &[
    (W, r#"[["and",[["ends_with","a"]],[["starts_with","g"]]]]"#, &["gamma"]),
    (W, r#"[["and",[["ends_with","ta"]],[["neq","beta"]],[["matches","e"]]]]"#, &["Beta", "delta"]),
    (W, r#"[["or",[["eq","alpha"]],[["eq","gamma"]]]]"#, &["alpha", "gamma"]),
    (
        W,
        r#"[["or",[["eq","alpha"]],[["eq","nothing"]],[["starts_with","B"]]]]"#,
        &["alpha", "Beta"],
    ),
    (W, r#"[["not",[["matches","eta"]]]]"#, &["alpha", "gamma", "delta"]),
    (W, r#"[["not",[["not",[["eq","alpha"]]]]]]"#, &["alpha"]),
    (
        W,
        r#"[["and",[["or",[["eq","beta"]],[["eq","delta"]]]],[["not",[["eq","beta"]]]]]]"#,
        &["delta"],
    ),
    // Every branch begins with the same value.
    (
        F,
        r#"[["and",[["tokenize","-",1],["string_to_int"],["eq",2010]],
                   [["tokenize","-",2],["eq","red"]]]]"#,
        &[RED3],
    ),
    (
        F,
        r#"[["tokenize","-",3],["string_to_int"],["or",[["less_than",5]],[["greater_than",50]]]]"#,
        &[RED3, RED100],
    ),
    // What a logical form gives goes on as any value does.
    (W, r#"[["or",[["eq","alpha"]],[["eq","gamma"]]],["eq",false]]"#, &["Beta", "delta", "beta"]),
];

/// Filters are a pipeline: each gets what the one before it gave.
const PIPELINE: &[Row] = &[
    (F, r#"[["to_upper"]]"#, &[]),
    (F, r#"[["tokenize","-",1]]"#, &[]),
    (I, r#"[["string_to_int"]]"#, &[]),
    (F, r#"[["ends_with","3"],["starts_with","2010"]]"#, &[]),
    (F, r#"[["starts_with","2010"],["eq",true]]"#, &[RED3, BLUE20]),
    (F, r#"[["starts_with","2010"],["eq",false]]"#, &[RED100, GREEN7]),
    (F, r#"[["starts_with","2010"],["neq",true]]"#, &[RED100, GREEN7]),
    (F, r#"[["starts_with","2010"],["eq","true"]]"#, &[]),
    (F, r#"[["starts_with","2010"],["set_member",true]]"#, &[RED3, BLUE20]),
];

fn row(t: &mut Topic, bucket: &str, filters: &str, keys: &[&str]) {
    let inputs = format!(r#"{{"bucket":"{bucket}","key_filters":{filters}}}"#);
    let keys: Vec<String> = keys.iter().map(|key| format!(r#"["{bucket}","{key}"]"#)).collect();
    t.query(&format!("{bucket} {filters}"), &inputs, &[])
        .any_order(&format!("[{}]", keys.join(",")));
}

/// What goes wrong in a filter ends the query.
fn failures(t: &mut Topic) {
    let inputs =
        |bucket: &str, filters: &str| format!(r#"{{"bucket":"{bucket}","key_filters":{filters}}}"#);
    for (bucket, filters) in [
        (W, r#"[["string_to_int"],["eq",1]]"#),
        (D, r#"[["string_to_int"],["eq",1]]"#),
        (I, r#"[["string_to_float"],["eq",1.0]]"#),
        (F, r#"[["tokenize","-",9],["eq","x"]]"#),
        (F, r#"[["matches","("]]"#),
        (F, r#"[["starts_with","2010"],["matches","t"]]"#),
        (W, r#"[["int_to_string"],["eq","1"]]"#),
        (W, r#"[["sounds_like","beta"]]"#),
        (W, r#"[["or",[["eq","alpha"]],[["string_to_int"],["eq",1]]]]"#),
    ] {
        t.query(&format!("fails: {bucket} {filters}"), &inputs(bucket, filters), &[])
            .status(500)
            .check(Check::Header("Content-Type", "application/json".into()))
            .check(Check::Text("\"error\"".into()));
    }
    t.query("an unknown filter", &inputs(W, r#"[["bogus"]]"#), &[])
        .status(500)
        .check(Check::Header("Content-Type", "application/json".into()))
        .check(Check::Body(r#"{"bad_filter":"bogus"}"#.into()));
    t.query("an unknown filter after others", &inputs(W, r#"[["to_upper"],["zork",1]]"#), &[])
        .status(500)
        .check(Check::Body(r#"{"bad_filter":"zork"}"#.into()));
    t.query("no key, no failure", &inputs("mrc_never", r#"[["string_to_int"],["eq",1]]"#), &[])
        .body("[]");
}

fn forms(t: &mut Topic) {
    t.fact(43);
    let typed = r#"{"bucket":["conformance","mrc_n"],"key_filters":[["ends_with","2"]]}"#;
    t.query("filters on a bucket of a type", typed, &[])
        .gives(r#"[["mrc_n","t2",null,"conformance"]]"#);
    t.query("filters on a bucket of a type, mapped", typed, &[map_erl("map_object_value")])
        .body(r#"["20"]"#);
    let one = r#"{"bucket":"mrc_n","key_filters":[["ends_with","4"]]}"#;
    t.query("a filter and a map", one, &[map_erl("map_object_value")]).body(r#"["4"]"#);
    t.query("no key data", one, &[map_js("function(v, kd) { return [kd]; }")])
        .body(r#"["undefined"]"#);
    let none = r#"{"bucket":"mrc_n","key_filters":[["eq","x"]]}"#;
    t.query("no key is left", none, &[map_erl("map_object_value")]).body("[]");
    t.query("no key is left for a reduce", none, &[reduce_erl("reduce_count_inputs")]).body("[0]");
    let some = r#"{"key_filters":[["string_to_int"],["less_than",30]],"bucket":"mrc_big"}"#;
    t.query("many keys", some, &[reduce_erl("reduce_count_inputs")]).body("[30]");
}
