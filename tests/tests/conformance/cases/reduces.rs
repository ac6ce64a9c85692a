//! When reduces are called, and with what.

use crate::case::{Case, Topic};
use crate::check::Check;
use crate::phases::{
    emit, map_erl, map_erl_with, map_js_with, reduce_erl, reduce_erl_with, reduce_js,
    reduce_js_with, reduce_named_with,
};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("reduces");
    t.fact(63);
    calls(&mut t);
    accumulators(&mut t);
    no_inputs(&mut t);
    sums(&mut t);
    prereduce(&mut t);
    t.cases
}

const ONE: &str = r#"[["mrc_n","n1"]]"#;

/// Gives one text with everything that it was called with.
const TRACE: &str = "function(list) { return ['(' + list.join(' ') + ')']; }";

/// What the trace of calls for `inputs` inputs is when there is a call after each `batch` of them,
/// and one more for the rest.
fn traced(inputs: usize, batch: usize) -> String {
    let numbers: Vec<String> = (0..inputs).map(|number| number.to_string()).collect();
    let calls = numbers.chunks(batch.max(1)).fold(String::new(), |before, new| {
        let before = if before.is_empty() { before } else { format!("{before} ") };
        format!("({before}{})", new.join(" "))
    });
    format!("[\"{calls}\"]")
}

fn numbers(count: usize) -> String {
    let numbers: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    emit(&format!("[{}]", numbers.join(", ")))
}

fn calls(t: &mut Topic) {
    for inputs in [1, 3, 19, 20, 21, 40, 41, 65] {
        t.query(&format!("{inputs} inputs"), ONE, &[numbers(inputs), reduce_js(TRACE)])
            .body(&traced(inputs, 20));
    }
    for (arg, inputs, batch) in [
        (r#"{"reduce_phase_batch_size":1}"#, 4, 1),
        (r#"{"reduce_phase_batch_size":0}"#, 4, 1),
        (r#"{"reduce_phase_batch_size":-3}"#, 4, 1),
        (r#"{"reduce_phase_batch_size":2}"#, 4, 2),
        (r#"{"reduce_phase_batch_size":2}"#, 5, 2),
        (r#"{"reduce_phase_batch_size":7}"#, 7, 7),
        (r#"{"reduce_phase_batch_size":7}"#, 20, 7),
        (r#"{"reduce_phase_batch_size":2.5}"#, 7, 3),
        (r#"{"reduce_phase_batch_size":100}"#, 45, 100),
        (r#"{"reduce_phase_batch_size":20}"#, 300, 20),
        (r#"{"reduce_phase_only_1":true}"#, 45, 45),
        (r#"{"reduce_phase_only_1":false}"#, 45, 20),
        (r#"{"reduce_phase_batch_size":"5"}"#, 45, 45),
        (r#"{"reduce_phase_batch_size":null}"#, 45, 45),
        (r#"{"reduce_phase_batch_size":[3]}"#, 45, 45),
        (r#"{"other":1}"#, 45, 20),
        (r#"["reduce_phase_only_1"]"#, 45, 20),
        ("1", 45, 20),
    ] {
        let reduce = reduce_js_with(TRACE, &format!(r#""arg":{arg}"#));
        t.query(&format!("{inputs} inputs with {arg}"), ONE, &[numbers(inputs), reduce])
            .body(&traced(inputs, batch));
    }
    let look = reduce_js_with(
        "function(list, arg) { return [arg]; }",
        r#""arg":{"reduce_phase_batch_size":2,"x":[1]}"#,
    );
    t.query("functions see how they are called", ONE, &[numbers(1), look])
        .body(r#"[{"reduce_phase_batch_size":2,"x":[1]}]"#);
}

fn accumulators(t: &mut Topic) {
    let two = |source: &str| reduce_js_with(source, r#""arg":{"reduce_phase_batch_size":2}"#);
    t.query(
        "results stand before new inputs",
        ONE,
        &[numbers(5), two("function(list) { return [list.length, list]; }")],
    )
    .body("[3,[4,[2,[0,1],2,3],4]]");
    t.query(
        "results that are thrown away",
        ONE,
        &[numbers(5), two("function(list) { return list.length > 1 ? [] : list; }")],
    )
    .body("[4]");
    t.query("every input is a result", ONE, &[numbers(5), two("function(list) { return list; }")])
        .body("[0,1,2,3,4]");
    let failing = "function(list) { if (list.length > 2) { throw 'again'; } return list; }";
    t.query("a later call fails", ONE, &[numbers(5), two(failing)]).fails(1, &["again"]);
    t.query(
        "the order of one map's results",
        ONE,
        &[numbers(30), reduce_js("function(list) { return list; }")],
    )
    .body(&format!("[{}]", (0..30).map(|n| n.to_string()).collect::<Vec<_>>().join(",")));
    t.fact(75);
    t.query(
        "reduceSort of a batch before the next",
        ONE,
        &[
            emit("[3, 1, 2, 0]"),
            reduce_named_with("Riak.reduceNumericSort", r#""arg":{"reduce_phase_batch_size":2}"#),
        ],
    )
    .body("[0,1,2,3]");
    t.fact(63);
}

fn no_inputs(t: &mut Topic) {
    let trace = reduce_js(TRACE);
    t.query("no inputs: one call with an empty list", ONE, &[emit("[]"), trace.clone()])
        .body(r#"["()"]"#);
    t.query("no inputs of a bucket", r#""mrc_never""#, &[trace.clone()]).body(r#"["()"]"#);
    let one = reduce_js_with(TRACE, r#""arg":{"reduce_phase_only_1":true}"#);
    t.query("no inputs for a single call", ONE, &[emit("[]"), one]).body(r#"["()"]"#);
    t.query("no inputs, twice", ONE, &[emit("[]"), trace.clone(), trace]).body(r#"["(())"]"#);
    let empty = reduce_js("function(list) { return []; }");
    t.query("nothing of nothing", ONE, &[emit("[]"), empty.clone(), empty]).body("[]");
    t.query("a count of nothing", ONE, &[emit("[]"), reduce_erl("reduce_count_inputs")])
        .body("[0]");
}

/// However inputs are cut into batches, a sum is the same.
fn sums(t: &mut Topic) {
    t.fact(80);
    let values = || vec![map_erl("map_object_value"), reduce_erl("reduce_string_to_integer")];
    for arg in ["10", "0", "1", "7", "1000", "\"x\""] {
        let arg = format!(r#""arg":{{"reduce_phase_batch_size":{arg}}}"#);
        let mut phases = values();
        phases.push(reduce_erl_with("reduce_sum", &arg));
        t.query(&format!("a sum with {arg}"), r#""mrc_big""#, &phases).body("[1770]");
    }
    let integers =
        "(function() { var l = []; for (var i = 1; i <= 1000; i++) l.push(i); return l; })()";
    let thousand = map_js_with(&format!("function(v) {{ return {integers}; }}"), r#""keep":true"#);
    let whole: Vec<String> = (1..=1_000).map(|n| n.to_string()).collect();
    let whole = whole.join(",");
    for arg in [
        "null",
        r#"{"reduce_phase_batch_size":10}"#,
        r#"{"reduce_phase_batch_size":0}"#,
        r#"{"reduce_phase_only_1":true}"#,
    ] {
        let sum = reduce_erl_with("reduce_sum", &format!(r#""arg":{arg}"#));
        t.query(&format!("a thousand integers with {arg}"), ONE, &[thousand.clone(), sum])
            .body(&format!("[[{whole}],[500500]]"));
    }
    let pre = thousand.replace("\"keep\"", "\"arg\":{\"do_prereduce\":true},\"keep\"");
    let sevens = reduce_erl_with("reduce_sum", r#""arg":{"reduce_phase_batch_size":7}"#);
    t.query("a thousand integers beside the data", ONE, &[pre, sevens])
        .body(&format!("[[{whole}],[500500]]"));
    let mut phases = values();
    phases.push(reduce_erl_with("reduce_sum", r#""arg":{"reduce_phase_only_1":true}"#));
    t.query("a sum at once", r#""mrc_big""#, &phases).body("[1770]");
}

fn prereduce(t: &mut Topic) {
    t.fact(65);
    let pre = r#""arg":{"do_prereduce":true}"#;
    let map = map_js_with("function(v) { return [Number(v.values[0].data)]; }", pre);
    let sum = reduce_erl("reduce_sum");
    t.query("a sum beside the data", r#""mrc_big""#, &[map.clone(), sum.clone()]).body("[1770]");
    let batches = reduce_erl_with("reduce_sum", r#""arg":{"reduce_phase_batch_size":7}"#);
    t.query("a sum beside the data in batches", r#""mrc_big""#, &[map.clone(), batches])
        .body("[1770]");
    let count = [map_erl_with("map_object_value", pre), reduce_erl("reduce_count_inputs")];
    t.query("a count beside the data", r#""mrc_big""#, &count).body("[60]");
    t.query("a count beside no data", r#""mrc_never""#, &count).body("[0]");
    let kept = map_js_with("function(v) { return [1]; }", &format!(r#"{pre},"keep":true"#));
    t.query("results are kept from before", r#""mrc_n""#, &[kept, sum.clone()])
        .each_any_order("[[1,1,1,1,1],[5]]");
    let keys = map_js_with("function(v) { return [[v.bucket, v.key]]; }", pre);
    t.query("nothing is reduced before a map", r#""mrc_n""#, &[keys, map_erl("map_object_value")])
        .any_order(r#"["1","2","3","4","5"]"#);
    let last = map_js_with("function(v) { return [1]; }", pre);
    t.query("nothing is reduced after the last", r#""mrc_n""#, &[last]).body("[1,1,1,1,1]");
    let failing = reduce_js("function(list) { throw 'beside'; }");
    t.query("a reduce fails beside the data", r#""mrc_n""#, &[map, failing])
        .status(500)
        .check(Check::Text("beside".into()));
}
