//! Which phases are in the answer, and in which form.

use crate::case::{Case, Topic};
use crate::phases::{emit, map_erl_with, reduce_erl_with};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("kept phases");
    t.fact(66);
    let two = r#"[["mrc_n","n1"],["mrc_n","n2"]]"#;
    let map = |keep: &str| map_erl_with("map_object_value", keep);
    let integers = |keep: &str| reduce_erl_with("reduce_string_to_integer", keep);
    let sum = |keep: &str| reduce_erl_with("reduce_sum", keep);
    let (yes, no) = (r#""keep":true"#, r#""keep":false"#);
    for (what, phases, expect) in [
        ("the last by default", vec![map(""), integers("")], "[[1,2]]"),
        ("the last, said so", vec![map(no), integers(yes)], "[[1,2]]"),
        ("only the first", vec![map(yes), integers(no)], r#"[["1","2"]]"#),
        ("only the second of three", vec![map(""), integers(yes), sum(no)], "[[1,2]]"),
    ] {
        let flat = expect[1..expect.len() - 1].to_owned();
        t.query(what, two, &phases).any_order(&flat);
    }
    for (what, phases, expect) in [
        (
            "the first, and the last by default",
            vec![map(yes), integers("")],
            r#"[["1","2"],[1,2]]"#,
        ),
        ("both", vec![map(yes), integers(yes)], r#"[["1","2"],[1,2]]"#),
        ("three", vec![map(yes), integers(yes), sum(yes)], r#"[["1","2"],[1,2],[3]]"#),
        ("the first and third", vec![map(yes), integers(""), sum(yes)], r#"[["1","2"],[3]]"#),
        ("the second and third", vec![map(no), integers(yes), sum("")], "[[1,2],[3]]"),
    ] {
        t.query(what, two, &phases).each_any_order(expect);
    }
    t.query("none", two, &[map(no)]).body("[]");
    t.query("none of two", two, &[map(no), integers(no)]).body("[]");
    t.query("none of two, the last by false", two, &[map(""), integers(no)]).body("[]");
    let nothing = r#"[["mrc_n","no"]]"#;
    let filtered = |keep: &str| {
        map_erl_with("map_object_value", &format!(r#""arg":"filter_notfound",{keep}"#))
    };
    t.query("phases without results are left out", nothing, &[filtered(yes), sum(yes)])
        .body("[[0]]");
    t.query(
        "all phases without results",
        nothing,
        &[filtered(yes), reduce_erl_with("reduce_sort", yes)],
    )
    .body("[]");
    t.query("one phase without results", nothing, &[filtered(yes)]).body("[]");
    let first = emit("[['mrc_n','n2']]").replace("\"language\"", "\"keep\":true,\"language\"");
    let empty = emit("[]").replace("\"language\"", "\"keep\":true,\"language\"");
    t.query("a later phase without results", two, &[first, empty])
        .gives(r#"[[["mrc_n","n2"],["mrc_n","n2"]]]"#);
    t.query("a list as a result stays one", r#"[["mrc_n","n1"]]"#, &[emit("[[1,2]]")])
        .body("[[1,2]]");
    t.cases
}
