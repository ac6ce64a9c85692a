//! Options of mapring's own.

use crate::case::{Case, Need, Topic};
use crate::phases::{
    emit, link, map_erl, map_erl_with, map_js, map_named, reduce_erl, reduce_js, reduce_js_with,
};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("mapring's own");
    tombstones(&mut t);
    batches(&mut t);
    modern(&mut t);
    for case in &mut t.cases {
        case.own();
    }
    t.cases
}

/// Deleted objects that have not been reaped are no inputs, unless they are asked for.
fn tombstones(t: &mut Topic) {
    let gone = r#"[["mrc_del","gone"]]"#;
    let missing = r#"[{"not_found":{"bucket":"mrc_del","key":"gone","keydata":"undefined"}}]"#;
    let values = map_named("Riak.mapValues");
    let look = map_js(
        "function(v) { var w = v.values[0]; return [w.metadata['X-Riak-Deleted'], w.data]; }",
    );
    for (name, option) in [("by default", None), ("skipped", Some(r#""tombstones":"skip""#))] {
        for (what, inputs, phases, expect) in [
            ("by its key", gone, vec![values.clone()], missing),
            (
                "by its key, for a built-in",
                gone,
                vec![map_erl_with("map_object_value", r#""arg":"filter_notfound""#)],
                "[]",
            ),
            ("in its bucket", r#""mrc_del""#, vec![values.clone()], r#"["here"]"#),
            (
                "counted in its bucket",
                r#""mrc_del""#,
                vec![reduce_erl("reduce_count_inputs")],
                "[1]",
            ),
            ("the keys of its bucket", r#""mrc_del""#, vec![], r#"[["mrc_del","here"]]"#),
            ("its links", gone, vec![link("")], "[]"),
            (
                "by a filter",
                r#"{"bucket":"mrc_del","key_filters":[["ends_with","e"]]}"#,
                vec![values.clone()],
                r#"["here"]"#,
            ),
            (
                "by an index of keys",
                r#"{"bucket":"mrc_del","index":"$key","start":"a","end":"z"}"#,
                vec![values.clone()],
                r#"["here"]"#,
            ),
        ] {
            let case = t.query(&format!("a tombstone {what}, {name}"), inputs, &phases);
            if let Some(option) = option {
                case.with(option);
            }
            case.needs(Need::Tombstones).body(expect);
        }
    }
    let pass = r#""tombstones":"pass""#;
    t.query("a tombstone by its key, passed", gone, &[look])
        .with(pass)
        .needs(Need::Tombstones)
        .body(r#"["true",""]"#);
    t.query("a tombstone in its bucket, passed", r#""mrc_del""#, &[values.clone()])
        .with(pass)
        .needs(Need::Tombstones)
        .any_order(r#"["here",""]"#);
    let filter = r#"{"bucket":"mrc_del","key_filters":[["ends_with","e"]]}"#;
    t.query("a tombstone by a filter, passed", filter, &[values.clone()])
        .with(pass)
        .needs(Need::Tombstones)
        .any_order(r#"["here",""]"#);
    t.query("a missing object is no tombstone", r#"[["mrc_del","no"]]"#, &[values])
        .with(pass)
        .body(r#"[{"not_found":{"bucket":"mrc_del","key":"no","keydata":"undefined"}}]"#);
    let dead = map_js("function(v) { return [v.values.length]; }");
    let siblings = r#"[["mrc_sib","dead"]]"#;
    t.query("a tombstone among siblings is no value", siblings, &[dead.clone()]).body("[1]");
    t.query("a tombstone among siblings, passed", siblings, &[dead]).with(pass).body("[2]");
    let value = map_erl("map_object_value");
    t.query("the only value beside a tombstone", siblings, &[value]).body(r#"["second"]"#);
}

/// Options of reduces beside the argument instead of in it.
fn batches(t: &mut Topic) {
    let one = r#"[["mrc_n","n1"]]"#;
    let look = "function(list, arg) { return ['(' + list.join(' ') + ')', arg]; }";
    let inputs = emit("[0, 1, 2]");
    let beside = reduce_js_with(look, r#""reduce_phase_batch_size":2"#);
    t.query("a batch size beside no argument", one, &[inputs.clone(), beside])
        .body(r#"["((0 1) none 2)","none"]"#);
    let beside = reduce_js_with(look, r#""reduce_phase_batch_size":2,"arg":[7]"#);
    t.query("a batch size beside an argument", one, &[inputs.clone(), beside])
        .body(r#"["((0 1) 7 2)",[7]]"#);
    let many = emit("[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21]");
    let beside =
        reduce_js_with("function(list) { return [list.length]; }", r#""reduce_phase_only_1":true"#);
    t.query("a single call beside no argument", one, &[many, beside]).body("[22]");
    let same = reduce_js("function(list) { return list; }");
    let pre = map_js("function(v) { return [1]; }")
        .replace("\"language\"", "\"do_prereduce\":true,\"language\"");
    t.query("a reduce beside the data, beside no argument", one, &[pre, same]).body("[1]");
}

/// Newer JavaScript than Riak's.
fn modern(t: &mut Topic) {
    t.fact(74);
    for (source, expect) in [
        ("v => [v.key]", r#"["n1"]"#),
        ("({key, values: [{data}]}) => [key, data]", r#"["n1","1"]"#),
        ("(v) => { const k = v.key; let n = 1; return [`${k}-${n}`]; }", r#"["n1-1"]"#),
        ("v => [...new Set([1, 1, 2])]", "[1,2]"),
        ("v => [v?.nothing?.at ?? 'none']", r#"["none"]"#),
        ("v => Array.from((function*() { yield 1; yield 2; })())", "[1,2]"),
        ("v => Object.entries({a: 1})", r#"[["a",1]]"#),
        ("v => [[3, 1, 2].includes(2), 'x'.padStart(3, '-')]", r#"[true,"--x"]"#),
    ] {
        t.query(&format!("source: {source}"), r#"[["mrc_n","n1"]]"#, &[map_js(source)])
            .body(expect);
    }
}
