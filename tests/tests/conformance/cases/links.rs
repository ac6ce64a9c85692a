//! Link phases.

use crate::case::{Case, Topic};
use crate::check::Check;
use crate::phases::{link, map_erl, map_erl_with, map_js, map_named, reduce_erl};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("links");
    single(&mut t);
    chained(&mut t);
    t.cases
}

const A: &str = r#"[["mrc_links","a"]]"#;

fn single(t: &mut Topic) {
    t.fact(61);
    for (members, expect) in [
        (
            "",
            r#"[["mrc_links","b","x"],["mrc_links","b","y"],["mrc_links","c","x"],["mrc_n","n1","y"]]"#,
        ),
        (
            r#""bucket":"_","tag":"_""#,
            r#"[["mrc_links","b","x"],["mrc_links","b","y"],["mrc_links","c","x"],["mrc_n","n1","y"]]"#,
        ),
        (
            r#""bucket":"mrc_links""#,
            r#"[["mrc_links","b","x"],["mrc_links","b","y"],["mrc_links","c","x"]]"#,
        ),
        (r#""bucket":"mrc_n""#, r#"[["mrc_n","n1","y"]]"#),
        (r#""tag":"x""#, r#"[["mrc_links","b","x"],["mrc_links","c","x"]]"#),
        (r#""tag":"y""#, r#"[["mrc_links","b","y"],["mrc_n","n1","y"]]"#),
        (r#""bucket":"mrc_links","tag":"y""#, r#"[["mrc_links","b","y"]]"#),
        (r#""bucket":"mrc_n","tag":"x""#, "[]"),
        (r#""bucket":"none""#, "[]"),
        (r#""tag":"X""#, "[]"),
        (
            r#""keep":true"#,
            r#"[["mrc_links","b","x"],["mrc_links","b","y"],["mrc_links","c","x"],["mrc_n","n1","y"]]"#,
        ),
        (r#""keep":false"#, "[]"),
    ] {
        t.query(&format!("a link of {{{members}}}"), A, &[link(members)]).gives(expect);
    }
    for (what, inputs, expect) in [
        ("no links", r#"[["mrc_links","lone"]]"#, "[]"),
        ("a missing object", r#"[["mrc_links","no"]]"#, "[]"),
        (
            "the links of siblings, each once",
            r#"[["mrc_sib","two"]]"#,
            r#"[["mrc_n","n1","s"],["mrc_n","n2","s"]]"#,
        ),
        (
            "names that are encoded in the header",
            r#"[["mrc_links","coded"]]"#,
            r#"[["mrc_u","a/b","t g"]]"#,
        ),
        (
            "an input twice",
            r#"[["mrc_links","b"],["mrc_links","b"]]"#,
            r#"[["mrc_links","c","z"],["mrc_links","c","z"]]"#,
        ),
        (
            "key data of inputs is not looked at",
            r#"[["mrc_links","b","z"]]"#,
            r#"[["mrc_links","c","z"]]"#,
        ),
    ] {
        t.query(what, inputs, &[link("")]).gives(expect);
    }
    let typed = r#"[["mrc_links","typed",null,"conformance"]]"#;
    t.query("links of a typed object", typed, &[link("")]).gives(r#"[["mrc_n","n1","t"]]"#);
    t.fact(26);
    t.query("links lead into the default type", typed, &[link(""), map_erl("map_object_value")])
        .body(r#"["1"]"#);
    t.fact(61);
    t.query("the links of a bucket", r#""mrc_links""#, &[link(r#""bucket":"mrc_n""#)])
        .any_order(r#"[["mrc_n","n1","y"],["mrc_n","n3","w"],["mrc_n","nope","w"]]"#);
}

fn chained(t: &mut Topic) {
    t.fact(61);
    let tags = map_js("function(v, kd) { return [[v.key, kd]]; }");
    t.query("the tag is the key data of the next map", A, &[link(r#""bucket":"mrc_links""#), tags])
        .any_order(r#"[["b","x"],["b","y"],["c","x"]]"#);
    t.query(
        "the tag is in what was not found",
        r#"[["mrc_links","c"]]"#,
        &[link(""), map_named("Riak.mapValues")],
    )
    .any_order(r#"["3",{"not_found":{"bucket":"mrc_n","key":"nope","keydata":"w"}}]"#);
    t.query("a link of links", A, &[link(r#""tag":"x""#), link("")])
        .any_order(r#"[["mrc_links","c","z"],["mrc_n","n3","w"],["mrc_n","nope","w"]]"#);
    t.query(
        "a link of links of links",
        A,
        &[link(r#""tag":"y","bucket":"mrc_links""#), link(r#""tag":"z""#), link(r#""tag":"w""#)],
    )
    .any_order(r#"[["mrc_n","n3","w"],["mrc_n","nope","w"]]"#);
    t.query(
        "an object reached by two tags is mapped twice",
        A,
        &[link(r#""bucket":"mrc_links""#), map_erl("map_object_value")],
    )
    .any_order(r#"["B","B","C"]"#);
    t.query(
        "a map into a link",
        r#"[["mrc_n","n1"]]"#,
        &[map_js("function(v) { return [['mrc_links','b']]; }"), link("")],
    )
    .gives(r#"[["mrc_links","c","z"]]"#);
    t.query(
        "links into a sum",
        A,
        &[
            link(r#""tag":"y""#),
            map_erl_with("map_object_value", r#""arg":"filter_notfound""#),
            reduce_erl("reduce_count_inputs"),
        ],
    )
    .body("[2]");
    t.query("links sorted", A, &[link(""), reduce_erl("reduce_sort")]).gives(
        r#"[["mrc_links","b","x"],["mrc_links","b","y"],["mrc_links","c","x"],["mrc_n","n1","y"]]"#,
    );
    t.fact(77);
    t.query(
        "key data is for missing objects",
        A,
        &[link(r#""tag":"x""#), map_erl_with("map_object_value", r#""arg":"include_keydata""#)],
    )
    .any_order(r#"["B","C"]"#);
    t.fact(54);
    t.query(
        "links that are kept, and values",
        A,
        &[link(r#""bucket":"mrc_n","keep":true"#), map_erl("map_object_value")],
    )
    .check(Check::NoText("not_found".into()))
    .each_any_order(r#"[[["mrc_n","n1","y"]],["1"]]"#);
}
