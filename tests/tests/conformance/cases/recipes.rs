//! Common jobs over all kinds of inputs: also where nothing is found, once and twice.

use crate::case::{Case, Topic};
use crate::phases::{
    map_erl_with, map_js, map_named, reduce_erl, reduce_erl_with, reduce_js, reduce_named,
};

/// A job, and what it gives for five objects, one that is missing, and one that is missing twice.
type Recipe = (&'static str, Vec<String>, [&'static str; 3]);

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("recipes");
    t.fact(80);
    let found: String =
        (1..=5).map(|n| format!(r#"["mrc_n","n{n}"]"#)).collect::<Vec<_>>().join(",");
    let inputs = [
        ("keys", format!("[{found}]"), 0),
        ("a bucket", r#""mrc_n""#.to_owned(), 0),
        ("a filter", r#"{"bucket":"mrc_n","key_filters":[["starts_with","n"]]}"#.to_owned(), 0),
        ("an index", r#"{"bucket":"mrc_n","index":"$key","start":"n1","end":"n5"}"#.to_owned(), 0),
        ("a missing key", r#"[["mrc_n","no"]]"#.to_owned(), 1),
        ("a missing key twice", r#"[["mrc_n","no"],["mrc_n","no"]]"#.to_owned(), 2),
    ];
    for (job, phases, expect) in recipes() {
        for (what, inputs, which) in &inputs {
            t.query(&format!("{job}, of {what}"), inputs, &phases).body(expect[*which]);
        }
    }
    t.cases
}

fn recipes() -> Vec<Recipe> {
    let values = map_named("Riak.mapValues");
    let parsed = map_named("Riak.mapValuesJson");
    let texts = map_erl_with("map_object_value", r#""arg":"filter_notfound""#);
    let found = reduce_named("Riak.filterNotFound");
    let number = map_js("function(v) { return [Number(v.values[0].data)]; }");
    let sum = reduce_erl("reduce_sum");
    let count = reduce_erl("reduce_count_inputs");
    let five = "[1,2,3,4,5]";
    vec![
        (
            "values into a sum",
            vec![parsed.clone(), reduce_named("Riak.reduceSum")],
            ["[15]", "[0]", "[0]"],
        ),
        ("numbers into a sum", vec![number.clone(), sum.clone()], ["[15]", "[0]", "[0]"]),
        (
            "numbers into a sum at once",
            vec![number, reduce_erl_with("reduce_sum", r#""arg":{"reduce_phase_only_1":true}"#)],
            ["[15]", "[0]", "[0]"],
        ),
        (
            "texts into integers into a sum",
            vec![texts.clone(), reduce_erl("reduce_string_to_integer"), sum],
            ["[15]", "[0]", "[0]"],
        ),
        (
            "texts into their number",
            vec![texts, reduce_js("function(list) { return [list.length]; }")],
            ["[5]", "[0]", "[0]"],
        ),
        ("values into a count", vec![values.clone(), count.clone()], ["[5]", "[1]", "[2]"]),
        (
            "values that were found into a count",
            vec![values, found.clone(), count.clone()],
            ["[5]", "[0]", "[0]"],
        ),
        ("a count alone", vec![count], ["[5]", "[1]", "[2]"]),
        (
            "the largest",
            vec![parsed.clone(), found.clone(), reduce_named("Riak.reduceMax")],
            ["[5]", "[]", "[]"],
        ),
        (
            "in order",
            vec![parsed.clone(), found.clone(), reduce_named("Riak.reduceNumericSort")],
            [five, "[]", "[]"],
        ),
        ("in Erlang's order", vec![parsed, found, reduce_erl("reduce_sort")], [five, "[]", "[]"]),
    ]
}
