//! Built-ins with Erlang names.

use crate::case::{Case, Topic};
use crate::check::Check;
use crate::phases::{
    emit, link, map_erl, map_erl_with, map_js, map_named, reduce_erl, reduce_erl_with, reduce_js,
};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("Erlang built-ins");
    t.fact(76);
    map_values(&mut t);
    identity(&mut t);
    sorts(&mut t);
    sums(&mut t);
    tuples(&mut t);
    t.cases
}

const ONE: &str = r#"[["mrc_n","n1"]]"#;
const NO: &str = r#"[["mrc_n","no"]]"#;

fn map_values(t: &mut Topic) {
    let value = |arg: &str| map_erl_with("map_object_value", &format!(r#""arg":{arg}"#));
    for arg in [
        "null",
        "\"filter_notfound\"",
        "\"include_notfound\"",
        "\"include_keydata\"",
        r#"{"sub":7}"#,
    ] {
        t.query(&format!("a value with {arg}"), r#"[["mrc_n","n1","kd"]]"#, &[value(arg)])
            .body(r#"["1"]"#);
    }
    for (input, arg, expect) in [
        (r#"["mrc_n","no"]"#, "\"filter_notfound\"", "[]"),
        (r#"["mrc_n","no","kd"]"#, "\"filter_notfound\"", "[]"),
        (r#"["mrc_n","no","kd"]"#, "\"include_keydata\"", r#"["kd"]"#),
        (r#"["mrc_n","no",7]"#, "\"include_keydata\"", "[7]"),
        (r#"["mrc_n","no",[1,2]]"#, "\"include_keydata\"", "[[1,2]]"),
        (r#"["mrc_n","no"]"#, "\"include_keydata\"", r#"["undefined"]"#),
        (r#"["mrc_n","no"]"#, r#"{"sub":"0"}"#, r#"["0"]"#),
        (r#"["mrc_n","no"]"#, r#"{"sub":["0"]}"#, r#"["0"]"#),
        (r#"["mrc_n","no"]"#, r#"{"sub":["a","b",3]}"#, r#"["a","b",3]"#),
        (r#"["mrc_n","no"]"#, r#"{"sub":7}"#, "[7]"),
    ] {
        t.query(&format!("{input} missing with {arg}"), &format!("[{input}]"), &[value(arg)])
            .body(expect);
    }
    t.query(
        "missing among others, left out",
        r#"[["mrc_n","n1"],["mrc_n","no"]]"#,
        &[value("\"filter_notfound\"")],
    )
    .body(r#"["1"]"#);
    t.query("texts are no lists", ONE, &[map_erl("map_object_value_list")])
        .fails(0, &["non_list_result"]);
    t.query(
        "an array as text is no list",
        r#"[["mrc_v","list"]]"#,
        &[map_erl("map_object_value_list")],
    )
    .fails(0, &["non_list_result"]);
    t.query("a whole object cannot be JSON", ONE, &[map_erl("map_identity")])
        .status(500)
        .riak_only("map_identity gives the object as JSON, where Riak fails to write its record");
    t.query("a whole object", ONE, &[map_erl("map_identity")])
        .own()
        .check(Check::Text(r#""bucket":"mrc_n","key":"n1""#.into()))
        .check(Check::Text(r#""data":"1""#.into()))
        .ok();
    t.query(
        "a whole object is no key",
        ONE,
        &[map_erl("map_identity"), map_erl("map_object_value")],
    )
    .fails(0, &[]);
}

fn identity(t: &mut Topic) {
    let same = reduce_erl("reduce_identity");
    t.query(
        "keys, the last first",
        r#"[["mrc_n","n1"],["mrc_n","n2"],["mrc_n","n3"]]"#,
        &[same.clone()],
    )
    .gives(r#"[["mrc_n","n3"],["mrc_n","n2"],["mrc_n","n1"]]"#);
    t.query("keys without their key data", r#"[["mrc_n","n1","kd"]]"#, &[same.clone()])
        .gives(r#"[["mrc_n","n1"]]"#);
    let two = reduce_erl_with("reduce_identity", r#""arg":{"reduce_phase_batch_size":2}"#);
    t.query("keys in batches", r#"[["mrc_n","n1"],["mrc_n","n2"],["mrc_n","n3"]]"#, &[two])
        .gives(r#"[["mrc_n","n3"],["mrc_n","n1"],["mrc_n","n2"]]"#);
    t.query("values are no keys", ONE, &[map_erl("map_object_value"), same.clone()])
        .fails(1, &["unhandled_entry"]);
    let link = [link(""), same.clone()];
    t.query("links are no keys", r#"[["mrc_links","b"]]"#, &link)
        .riak_only("a link has the form of a key with key data, and later Riaks take it as one")
        .fails(1, &["unhandled_entry"]);
    t.query("links are keys with key data", r#"[["mrc_links","b"]]"#, &link)
        .own()
        .body(r#"[["mrc_links","c"]]"#);
    t.query("no keys", r#""mrc_never""#, &[same]).body("[]");
    let union = reduce_erl("reduce_set_union");
    t.query("each value once", ONE, &[emit("['a', 'b', 'a', 1, 'b', 1, [1], [1]]"), union.clone()])
        .any_order(r#"["a","b",1,[1]]"#);
    t.query(
        "each value once, of several",
        r#"[["mrc_n","n1"],["mrc_n","n2"],["mrc_n","n1"]]"#,
        &[map_erl("map_object_value"), union.clone()],
    )
    .any_order(r#"["1","2"]"#);
    t.query("nothing once", ONE, &[emit("[]"), union]).body("[]");
}

/// Erlang's order of terms.
fn sorts(t: &mut Topic) {
    for (given, expect) in [
        ("[3, 1, 2]", "[1,2,3]"),
        ("[10, 9, -1, 1.5, 2]", "[-1,1.5,2,9,10]"),
        ("['b', 'a', 'B', '']", r#"["","B","a","b"]"#),
        ("['10', '9', '1']", r#"["1","10","9"]"#),
        ("['\\u00e9', 'z', 'a']", r#"["a","z","é"]"#),
        ("['a', [1], {x: 1}, true, null, false, 7]", r#"[7,false,null,true,{"x":1},[1],"a"]"#),
        ("[[2], [1, 5], [1], []]", "[[],[1],[1,5],[2]]"),
        ("[['a'], [1], [[0]]]", r#"[[1],[[0]],["a"]]"#),
        ("[{b: 0}, {a: 2}, {a: 1, b: 9}, {}]", r#"[{},{"a":1,"b":9},{"a":2},{"b":0}]"#),
        ("[]", "[]"),
        ("[2, 2, 1]", "[1,2,2]"),
    ] {
        t.query(&format!("sorts {given}"), ONE, &[emit(given), reduce_erl("reduce_sort")])
            .gives(expect);
    }
    let batches = reduce_erl_with("reduce_sort", r#""arg":{"reduce_phase_batch_size":2}"#);
    t.query("sorts in batches", ONE, &[emit("[5, 3, 4, 1, 2]"), batches]).body("[1,2,3,4,5]");
    t.query("sorts texts", r#""mrc_n""#, &[map_erl("map_object_value"), reduce_erl("reduce_sort")])
        .body(r#"["1","2","3","4","5"]"#);
}

fn sums(t: &mut Topic) {
    let integers = reduce_erl("reduce_string_to_integer");
    for (given, expect) in [
        ("['1', '22', '-3', '007']", "[1,22,-3,7]"),
        ("[4, '5']", "[4,5]"),
        ("[[52, 50]]", "[42]"),
        ("[]", "[]"),
    ] {
        t.query(&format!("integers of {given}"), ONE, &[emit(given), integers.clone()])
            .body(expect);
    }
    for (given, word) in [
        ("['x']", "badarg"),
        ("['1.5']", "badarg"),
        ("['']", "badarg"),
        ("[{a: 1}]", "function_clause"),
    ] {
        t.query(&format!("no integers of {given}"), ONE, &[emit(given), integers.clone()])
            .fails(1, &[word]);
    }
    let sum = reduce_erl("reduce_sum");
    for (given, expect) in [
        ("[1, 2, 3]", "[6]"),
        ("[-1, 1]", "[0]"),
        ("[1.5, 2]", "[3.5]"),
        ("[]", "[0]"),
        ("[7]", "[7]"),
    ] {
        t.query(&format!("the sum of {given}"), ONE, &[emit(given), sum.clone()]).body(expect);
    }
    for given in ["['1']", "[1, null]", "[[1]]"] {
        t.query(&format!("no sum of {given}"), ONE, &[emit(given), sum.clone()])
            .fails(1, &["badarith"]);
    }
    t.query("a sum of keys", ONE, &[sum.clone()]).fails(0, &["badarith"]);
    let one = map_js("function(v) { return [1]; }");
    t.query("a sum without what was not found", r#"[["mrc_n","n1"],["mrc_n","no"]]"#, &[one, sum])
        .body("[1]");
    let count = reduce_erl("reduce_count_inputs");
    for (given, expect) in [
        ("['a', 'b', 'c']", "[3]"),
        ("[5, 'a', 'b']", "[7]"),
        ("[5, 6]", "[11]"),
        ("[1.5, null, [3], {a: 4}]", "[4]"),
        ("[]", "[0]"),
    ] {
        t.query(&format!("the count of {given}"), ONE, &[emit(given), count.clone()]).body(expect);
    }
    t.query("a count of keys", r#"[["mrc_n","n1"],["mrc_n","no"]]"#, &[count.clone()]).body("[2]");
    let batches = reduce_erl_with("reduce_count_inputs", r#""arg":{"reduce_phase_batch_size":1}"#);
    t.query("a count in batches", r#""mrc_big""#, &[batches]).body("[60]");
    t.query("a count of what was not found", NO, &[map_named("Riak.mapValues"), count]).body("[1]");
    t.query("no pairs", ONE, &[map_erl("map_object_value"), reduce_erl("reduce_plist_sum")])
        .fails(1, &["function_clause"]);
    t.query("no pairs at all", ONE, &[emit("[]"), reduce_erl("reduce_plist_sum")]).body("[]");
}

/// Lists of Erlang's pairs are written as objects.
fn tuples(t: &mut Topic) {
    t.fact(77);
    t.query("a missing object without an argument", NO, &[map_erl("map_object_value")])
        .riak_only("a missing object is told as one, not by a function that has no clause for it")
        .fails(0, &["function_clause"]);
    t.fact(68);
    t.query("a missing object as it is", NO, &[map_erl("map_object_value")])
        .own()
        .body(r#"{"error":"notfound"}"#);
    let included = map_erl_with("map_object_value", r#""arg":"include_notfound""#);
    t.query("a missing object included", NO, &[included]).body(r#"{"error":"notfound"}"#);
    let (sort, union) = (reduce_erl("reduce_sort"), reduce_erl("reduce_set_union"));
    let (two, twice) = (r#"[["mrc_n","n2"],["mrc_n","n1"]]"#, r#"[["mrc_n","n1"],["mrc_n","n1"]]"#);
    t.query("keys, sorted, as Riak writes them", two, std::slice::from_ref(&sort))
        .riak_only("whoever reads an object that has a name twice loses values: a list is written")
        .body(r#"{"mrc_n":"n1","mrc_n":"n2"}"#);
    t.query("keys, sorted", two, &[sort]).own().body(r#"[{"mrc_n":"n1"},{"mrc_n":"n2"}]"#);
    let missing = r#"[["mrc_n","no"],["mrc_n","nope"],["mrc_n","never"]]"#;
    let three = r#"[{"error":"notfound"},{"error":"notfound"},{"error":"notfound"}]"#;
    for function in ["map_object_value", "map_object_value_list", "map_identity"] {
        let included = map_erl_with(function, r#""arg":"include_notfound""#);
        t.query(&format!("several missing objects, {function}"), missing, &[included])
            .own()
            .body(three);
    }
    t.query("a key once", twice, &[union]).body(r#"{"mrc_n":"n1"}"#);
    let object = reduce_js("function(list) { return {a: list.length, b: 4}; }");
    let pairs = [emit("[1]"), object, reduce_erl("reduce_plist_sum")];
    t.query("sums by key", r#"[["mrc_n","n1"],["mrc_n","n2"]]"#, &pairs).gives(r#"{"a":2,"b":4}"#);
}
