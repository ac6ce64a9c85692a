//! Inputs from secondary indexes, searches and functions.

use crate::case::{Case, Need, Topic};
use crate::phases::{map_erl, map_js, reduce_erl};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("indexes");
    equal(&mut t);
    ranges(&mut t);
    changes(&mut t);
    special(&mut t);
    forms(&mut t);
    t.cases
}

fn row(t: &mut Topic, selection: &str, keys: &[&str]) {
    let keys: Vec<String> = keys.iter().map(|key| format!(r#"["mrc_i","{key}"]"#)).collect();
    t.query(selection, &format!(r#"{{"bucket":"mrc_i",{selection}}}"#), &[])
        .any_order(&format!("[{}]", keys.join(",")));
}

fn equal(t: &mut Topic) {
    t.fact(44);
    row(t, r#""index":"a_bin","key":"red""#, &["o1", "o2"]);
    row(t, r#""index":"a_bin","key":"blue""#, &["o2"]);
    row(t, r#""index":"a_bin","key":"re""#, &[]);
    row(t, r#""index":"a_bin","key":"Red""#, &[]);
    row(t, r#""index":"b_bin","key":"red""#, &[]);
    row(t, r#""index":"n_int","key":1"#, &["o1"]);
    row(t, r#""index":"n_int","key":"1""#, &["o1"]);
    row(t, r#""index":"n_int","key":-3"#, &["o4"]);
    row(t, r#""index":"n_int","key":"-3""#, &["o4"]);
    row(t, r#""index":"n_int","key":6"#, &["o7"]);
    t.fact(44);
    let big = "123456789012345678901234567890";
    row(t, &format!(r#""index":"n_int","key":{big}"#), &["o5"]);
    row(t, &format!(r#""index":"n_int","key":"{big}""#), &["o5"]);
}

fn ranges(t: &mut Topic) {
    t.fact(44);
    // An object comes once for each of its terms in the range; integers go by number.
    row(t, r#""index":"a_bin","start":"blue","end":"red""#, &["o2", "o3", "over", "o1", "o2"]);
    row(t, r#""index":"a_bin","start":"A","end":"a""#, &["o4"]);
    row(t, r#""index":"a_bin","start":"green","end":"n""#, &["o3"]);
    row(t, r#""index":"n_int","start":1,"end":6"#, &["o1", "o2", "o7", "o7"]);
    row(t, r#""index":"n_int","start":2,"end":10"#, &["o2", "o7", "o7", "o3"]);
    row(t, r#""index":"n_int","start":-10,"end":0"#, &["o4"]);
    row(t, r#""index":"n_int","start":7,"end":9"#, &[]);
    t.fact(44);
    row(t, r#""index":"n_int","start":"1","end":"2""#, &["o1", "o2"]);
    row(t, r#""index":"n_int","start":1,"end":"2""#, &["o1", "o2"]);
    row(t, r#""index":"a_bin","start":"red","end":"red""#, &["o1", "o2"]);
    row(t, r#""index":"n_int","start":2,"end":2"#, &["o2"]);
    t.fact(44);
    row(t, r#""index":"a_bin","start":"red","end":"blue""#, &["o2", "o3", "over", "o1", "o2"]);
    row(t, r#""index":"n_int","start":6,"end":1"#, &["o1", "o2", "o7", "o7"]);
    row(t, r#""index":"n_int","start":0,"end":-10"#, &["o4"]);
    t.fact(44);
    let most = "9".repeat(40);
    row(t, &format!(r#""index":"n_int","start":1000,"end":{most}"#), &["o5"]);
    row(t, &format!(r#""index":"n_int","start":"-{most}","end":"-1""#), &["o4"]);
}

fn changes(t: &mut Topic) {
    t.fact(27);
    row(t, r#""index":"a_bin","key":"new""#, &["over"]);
    row(t, r#""index":"a_bin","key":"old""#, &[]);
    row(t, r#""index":"n_int","key":77"#, &[]);
    t.fact(27);
    row(t, r#""index":"a_bin","key":"gone""#, &[]);
    row(t, r#""index":"n_int","start":70,"end":80"#, &[]);
}

fn special(t: &mut Topic) {
    t.fact(44);
    row(t, r#""index":"$key","key":"o1""#, &["o1"]);
    row(t, r#""index":"$key","key":"o""#, &[]);
    row(t, r#""index":"$key","start":"o1","end":"o3""#, &["o1", "o2", "o3"]);
    row(
        t,
        r#""index":"$key","start":"n","end":"p""#,
        &["none", "o1", "o2", "o3", "o4", "o5", "o7", "over"],
    );
    row(t, r#""index":"$key","start":"o3","end":"o1""#, &["o1", "o2", "o3"]);
    row(t, r#""index":"$key","start":"o1","end":"o1""#, &["o1"]);
    let all = r#"["1","2","3","4","5"]"#;
    for key in ["mrc_n", "_"] {
        let inputs = format!(r#"{{"index":"$bucket","bucket":"mrc_n","key":"{key}"}}"#);
        t.query(&format!("$bucket with {key}"), &inputs, &[map_erl("map_object_value")])
            .any_order(all);
    }
    let typed = r#"{"bucket":["conformance","mrc_n"],"index":"$key","start":"t1","end":"t2"}"#;
    t.query("$key of a typed bucket", typed, &[map_erl("map_object_value")])
        .any_order(r#"["10","20"]"#);
    let many = r#"{"bucket":"mrc_big","index":"$key","start":"10","end":"2"}"#;
    // "10" to "19", and "2": keys go by bytes.
    t.query("$key goes by bytes", many, &[reduce_erl("reduce_count_inputs")]).body("[11]");
}

fn forms(t: &mut Topic) {
    t.fact(44);
    let red = r#"{"bucket":"mrc_i","index":"a_bin","key":"red"}"#;
    t.query("an index and a map", red, &[map_erl("map_object_value")]).any_order(r#"["o1","o2"]"#);
    t.query("no key data", red, &[map_js("function(v, kd) { return [kd]; }")])
        .body(r#"["undefined","undefined"]"#);
    let count = [reduce_erl("reduce_count_inputs")];
    t.query("an index and a count", red, &count).body("[2]");
    let range = r#"{"end":"red","start":"blue","index":"a_bin","bucket":"mrc_i"}"#;
    t.query("objects count once for each term", range, &count).body("[5]");
    let twice = map_js("function(v) { return [v.key]; }");
    t.query("objects are mapped once for each term", range, &[twice])
        .any_order(r#"["o2","o3","over","o1","o2"]"#);
    let none = r#"{"bucket":"mrc_i","index":"a_bin","key":"none"}"#;
    t.query("no hit for a map", none, &[map_erl("map_object_value")]).body("[]");
    t.query("no hit for a reduce", none, &count).body("[0]");
    let same = r#"{"bucket":"mrc_one","index":"d_int","key":3}"#;
    t.query("a term that was given twice", same, &[]).gives(r#"[["mrc_one","k"]]"#);
    let upper = r#"{"bucket":"mrc_one","index":"a_bin","start":"x","end":"y"}"#;
    t.query("a field that was given in capitals", upper, &[])
        .gives(r#"[["mrc_one","k"],["mrc_one","k"]]"#);
    let never = r#"{"bucket":"mrc_never","index":"a_bin","key":"x"}"#;
    t.query("a bucket that is not there", never, &[]).body("[]");
    let typed = r#"{"bucket":["conformance","mrc_i"],"index":"a_bin","key":"red"}"#;
    t.query("an index of a typed bucket", typed, &[])
        .gives(r#"[["mrc_i","ti",null,"conformance"]]"#);
    let both = r#"{"bucket":"mrc_i","key_filters":[["eq","o1"]],"index":"a_bin","key":"red"}"#;
    t.query("an index goes before filters", both, &[])
        .any_order(r#"[["mrc_i","o1"],["mrc_i","o2"]]"#);
    generators(t);
}

/// Searches and functions: mapring offers none of either yet, and says so.
fn generators(t: &mut Topic) {
    for (name, inputs) in [
        ("a search", r#"{"bucket":"mrc_n","query":"field:x"}"#),
        ("a search of an index", r#"{"index":"some","query":"field:x"}"#),
        ("a search with a filter", r#"{"bucket":"mrc_n","query":"a","filter":"b"}"#),
        ("a search goes before an index", r#"{"bucket":"b","index":"zork","key":"x","query":"a"}"#),
    ] {
        t.query(name, inputs, &[]).own().refused(&["\"inputs\"", "earch"]);
    }
    for (name, inputs) in [
        ("a function", r#"{"module":"zork","function":"f","arg":null}"#),
        (
            "a function goes before everything",
            r#"{"bucket":"b","query":"q","index":"zork","key":"x","key_filters":[],
                "module":"zork","function":"f","arg":1}"#,
        ),
    ] {
        t.query(name, inputs, &[]).own().refused(&["\"inputs\"", "zork"]);
    }
    // Answers of an index know nothing of what was deleted.
    t.query(
        "a listing does not know deleted objects",
        r#"{"bucket":"mrc_i","index":"$key","key":"gone"}"#,
        &[],
    )
    .needs(Need::Tombstones)
    .own()
    .body("[]");
}
