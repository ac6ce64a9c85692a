//! The JavaScript library.

use crate::case::{Case, Topic};
use crate::check::Check;
use crate::phases::{emit, map_js, map_named, map_named_with, reduce_named, reduce_named_with};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("JavaScript built-ins");
    t.fact(75);
    maps(&mut t);
    reduces(&mut t);
    sorts(&mut t);
    helpers(&mut t);
    t.cases
}

const ONE: &str = r#"[["mrc_n","n1"]]"#;

fn maps(t: &mut Topic) {
    let values = map_named("Riak.mapValues");
    let json = map_named("Riak.mapValuesJson");
    for (key, text, parsed) in [
        ("list", r#"["[1,[2],\"x\"]"]"#, r#"[[1,[2],"x"]]"#),
        ("null", r#"["null"]"#, "[null]"),
        ("text", r#"["\"words\""]"#, r#"["words"]"#),
        ("number", r#"["3.5"]"#, "[3.5]"),
    ] {
        let input = format!(r#"[["mrc_v","{key}"]]"#);
        t.query(&format!("mapValues of {key}"), &input, &[values.clone()]).body(text);
        t.query(&format!("mapValuesJson of {key}"), &input, &[json.clone()]).body(parsed);
    }
    t.query("mapValues of nothing", r#"[["mrc_v","empty"]]"#, &[values.clone()]).body(r#"[""]"#);
    for key in ["broken", "plain", "empty"] {
        let input = format!(r#"[["mrc_v","{key}"]]"#);
        t.query(&format!("mapValuesJson of {key}"), &input, &[json.clone()])
            .fails(0, &["SyntaxError"]);
    }
    t.query("mapValues takes one of several siblings", r#"[["mrc_sib","two"]]"#, &[values])
        .ok()
        .check(Check::BodyIn(vec![r#"["one"]"#.into(), r#"["two"]"#.into()]));
    t.query("mapValuesJson of objects", r#""mrc_j""#, &[json]).any_order(
        r#"[{"a":1,"s":"xé","t":"red"},{"a":2,"s":"y","t":"blue"},{"a":3,"s":"z","t":"red"}]"#,
    );
    for (fields, keys) in [
        (r#"{"t":"red"}"#, "[1,3]"),
        (r#"{"t":"red","a":3}"#, "[3]"),
        (r#"{"a":"2"}"#, "[2]"),
        (r#"{"t":"green"}"#, "[]"),
        (r#"{"none":1}"#, "[]"),
        ("{}", "[1,2,3]"),
    ] {
        let phase = map_named_with("Riak.mapByFields", &format!(r#""arg":{fields}"#));
        let numbers = crate::phases::reduce_js(
            "function(list) { return list.map(function(o) { return o.a || o; }); }",
        );
        t.query(&format!("mapByFields with {fields}"), r#""mrc_j""#, &[phase, numbers])
            .any_order(keys);
    }
    let marker = "{'not_found': {'key': 'k'}}";
    let source = format!(
        "function(v) {{ return [Riak.mapByFields({marker}, null, {{}}), Riak.mapValues({marker}),
            Riak.mapValuesJson({marker})]; }}"
    );
    let same = r#"[{"not_found":{"key":"k"}}]"#;
    t.query("maps of what was not found", ONE, &[map_js(&source)])
        .body(&format!("[[],{same},{same}]"));
}

/// A reduce by its name, over what a map gives.
fn reduced(t: &mut Topic, name: &str, arg: &str, given: &str, expect: &str) {
    let phase = match arg {
        "" => reduce_named(name),
        arg => reduce_named_with(name, &format!(r#""arg":{arg}"#)),
    };
    t.query(&format!("{name} of {given} with {arg}"), ONE, &[emit(given), phase]).body(expect);
}

fn reduces(t: &mut Topic) {
    let missing = "{'not_found': {}}";
    for (name, arg, given, expect) in [
        ("Riak.filterNotFound", "", format!("[1, {missing}, 'a', {{a: 1}}]"), r#"[1,"a",{"a":1}]"#),
        ("Riak.filterNotFound", "", "[]".into(), "[]"),
        ("Riak.reduceSum", "", "[1, 2, 3]".into(), "[6]"),
        ("Riak.reduceSum", "", "[1.5, 2]".into(), "[3.5]"),
        ("Riak.reduceSum", "", "[]".into(), "[0]"),
        ("Riak.reduceSum", "", "[7]".into(), "[7]"),
        ("Riak.reduceSum", "", "['a', 'b', 'c']".into(), r#"["abc"]"#),
        ("Riak.reduceSum", "", "[1, 2, 'a']".into(), r#"["3a"]"#),
        ("Riak.reduceSum", "", format!("[1, {missing}, 2]"), "[3]"),
        ("Riak.reduceMin", "", "[3, 1, 2]".into(), "[1]"),
        ("Riak.reduceMin", "", "['b', 'a']".into(), r#"["a"]"#),
        ("Riak.reduceMin", "", "[]".into(), "[]"),
        ("Riak.reduceMax", "", "[3, 10, 2]".into(), "[10]"),
        ("Riak.reduceMax", "", "['3', '10']".into(), r#"["3"]"#),
        ("Riak.reduceMax", "", "[]".into(), "[]"),
        // One less than asked for: that is how it is.
        ("Riak.reduceLimit", "3", "[1, 2, 3, 4]".into(), "[1,2]"),
        ("Riak.reduceLimit", "1", "[1, 2]".into(), "[]"),
        ("Riak.reduceLimit", "9", "[1, 2]".into(), "[1,2]"),
        ("Riak.reduceSlice", "[1,3]", "[0, 1, 2, 3]".into(), "[1,2]"),
        ("Riak.reduceSlice", "[0,4]", "[0, 1, 2, 3]".into(), "[0,1,2,3]"),
        ("Riak.reduceSlice", "[1,5]", "[0, 1, 2, 3]".into(), "[0,1,2,3]"),
        ("Riak.reduceSlice", "[2,2]", "[0, 1, 2, 3]".into(), "[]"),
    ] {
        reduced(t, name, arg, &given, expect);
    }
    let null = [emit("[1, null]"), reduce_named("Riak.filterNotFound")];
    t.query("filterNotFound of null", ONE, &null).fails(1, &[]);
}

fn sorts(t: &mut Topic) {
    for (name, arg, given, expect) in [
        ("Riak.reduceSort", "", "[10, 9, 1]", "[1,10,9]"),
        ("Riak.reduceSort", "", "['b', 'a']", r#"["a","b"]"#),
        ("Riak.reduceSort", "", "[]", "[]"),
        ("Riak.reduceSort", "\"function(a, b) { return b - a; }\"", "[10, 9, 100]", "[100,10,9]"),
        ("Riak.reduceSort", "\"(function(a, b) { return b - a; })\"", "[10, 9, 100]", "[100,10,9]"),
        ("Riak.reduceSort", "\"RiakHelper.numericSorter\"", "[10, 9, 100]", "[9,10,100]"),
        ("Riak.reduceSort", "\"no such thing\"", "[10, 9, 100]", "[10,100,9]"),
        ("Riak.reduceSort", "\"nowhere\"", "[10, 9, 100]", "[10,100,9]"),
        ("Riak.reduceNumericSort", "", "[10, 9, -1, 1.5]", "[-1,1.5,9,10]"),
        ("Riak.reduceNumericSort", "", "[]", "[]"),
    ] {
        reduced(t, name, arg, given, expect);
    }
}

fn helpers(t: &mut Topic) {
    for (source, expect) in [
        ("[3, 1, 10].sort(RiakHelper.numericSorter)", "[1,3,10]"),
        ("[RiakHelper.numericSorter(5, 3), RiakHelper.numericSorter(3, 5)]", "[2,-2]"),
        (
            "[Riak.getClassName([]), Riak.getClassName({}), Riak.getClassName('x')]",
            r#"["Array","Object","String"]"#,
        ),
        ("[Riak.getClassName(undefined) === undefined]", "[true]"),
        ("Riak.filterNotFound([1, {'not_found': 1}])", "[1]"),
        ("Riak.reduceSum([1, 2])", "[3]"),
        ("Riak.mapValues(v)", r#"["1"]"#),
        ("[Riak.mapValuesJson(v)[0] + 1]", "[2]"),
        ("[typeof ejsLog]", r#"["function"]"#),
        ("[typeof JSON.parse, typeof JSON.stringify]", r#"["function","function"]"#),
        ("[typeof Riak, typeof RiakHelper]", r#"["object","object"]"#),
    ] {
        t.query(&format!("from user code: {source}"), ONE, &[emit(source)]).body(expect);
    }
}
