//! The built-ins: results as a real Riak node gave them, and the named JavaScript functions equal
//! to the JavaScript itself.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use mapring_script::js::JsRuntime;
use mapring_script::native::{Kind, NativeRuntime, known, runs};
use mapring_script::{
    Binary, FailureCause, MapInput, PhaseFunction, ReduceState, ReduceTiming, Row, Runtime,
    ScriptLimits,
};
use proptest::prelude::*;

const BATCH: ReduceTiming = ReduceTiming::Every(20);

#[track_caller]
fn reduces(function: &str, inputs: &[&str], expected: &[&str]) {
    let function = erlang(function, None);
    let results = reduce(&mut NativeRuntime::new(), &function, BATCH, rows(inputs));
    assert_eq!(results.unwrap(), expected);
}

#[track_caller]
fn refuses(function: &str, inputs: &[&str], words: &str) {
    let function = erlang(function, None);
    let error = reduce(&mut NativeRuntime::new(), &function, BATCH, rows(inputs)).unwrap_err();
    assert_eq!(error.cause, FailureCause::BadArgument);
    assert!(error.message.starts_with(words), "{error:?}");
}

#[test]
fn names() {
    assert_eq!(known("riak_kv_mapreduce", "map_identity"), Some(Kind::Map));
    assert_eq!(known("riak_kv_mapreduce", "reduce_sort"), Some(Kind::Reduce));
    assert_eq!(known("riak_kv_mapreduce", "zork"), None);
    assert_eq!(known("lists", "reduce_sort"), None);
    assert!(runs(&named("Riak.reduceSum", None)));
    assert!(runs(&source(" Riak.mapValuesJson\n", None)));
    assert!(runs(&named("Riak.reduceSort", None)));
    assert!(!runs(&named("Riak.reduceSort", Some("\"function(a,b){return 0}\""))));
    assert!(!runs(&named("Riak.getClassName", None)));
    assert!(!runs(&source("function(v){return []}", None)));
}

#[test]
fn functions_for_the_other_kind_of_phase_and_unknown_ones() {
    let mut runtime = NativeRuntime::new();
    let error = map(&mut runtime, &erlang("reduce_sum", None), input("1")).unwrap_err();
    assert_eq!(error.cause, FailureCause::BadArgument);
    let error = map(&mut runtime, &erlang("zork", None), input("1")).unwrap_err();
    assert_eq!(error.cause, FailureCause::Undefined);
    let error = map(&mut runtime, &source("function(){}", None), input("1")).unwrap_err();
    assert_eq!(error.cause, FailureCause::Undefined);
}

#[test]
fn map_object_value_of_present_and_missing_objects() {
    let run = |arg: Option<&str>, input| {
        map(&mut NativeRuntime::new(), &erlang("map_object_value", arg), input)
    };
    assert_eq!(run(None, input("10")).unwrap(), ["\"10\""]);
    assert_eq!(run(None, input("é\"\\\n\t/<>")).unwrap(), ["\"é\\\"\\\\\\n\\t/<>\""]);
    assert_eq!(run(None, missing()).unwrap(), [" {\"error\":\"notfound\"}"]);
    assert_eq!(run(Some("\"filter_notfound\""), missing()).unwrap(), [""; 0]);
    assert_eq!(
        run(Some("\"include_notfound\""), missing()).unwrap(),
        [" {\"error\":\"notfound\"}"]
    );
    assert_eq!(run(Some("\"include_keydata\""), missing()).unwrap(), ["\"undefined\""]);
    let mut with_keydata = missing();
    with_keydata.keydata = Some(json("[1]"));
    assert_eq!(run(Some("\"include_keydata\""), with_keydata).unwrap(), ["[1]"]);
    assert_eq!(run(Some("{\"sub\":[7,8]}"), missing()).unwrap(), ["7", "8"]);
    assert_eq!(run(Some("{\"sub\":\"x\"}"), missing()).unwrap(), ["\"x\""]);
    let siblings = input_of(vec![sibling(1, b"a"), sibling(2, b"b")]);
    let error = run(None, siblings).unwrap_err();
    assert!(error.message.starts_with("badmatch"), "{error:?}");
    let error = run(None, input_of(vec![sibling(1, b"\xff\xfe")])).unwrap_err();
    assert_eq!((error.cause, error.input), (FailureCause::NotUtf8, Some(0)));
}

#[test]
fn values_that_are_no_text_come_as_base64_when_asked() {
    let binary = || input_of(vec![sibling(1, b"\xff\xfe\0\x01")]);
    let run = |function: PhaseFunction, input| {
        let function = PhaseFunction { binary: Binary::Base64, ..function };
        map(&mut NativeRuntime::new(), &function, input)
    };
    for function in [erlang("map_object_value", None), named("Riak.mapValues", None)] {
        assert_eq!(run(function.clone(), binary()).unwrap(), ["\"//4AAQ==\""]);
        assert_eq!(run(function.clone(), input("//4AAQ==")).unwrap(), ["\"//4AAQ==\""]);
        let error = map(&mut NativeRuntime::new(), &function, binary()).unwrap_err();
        assert_eq!(error.cause, FailureCause::NotUtf8);
    }
    let object = run(erlang("map_identity", None), binary()).unwrap().remove(0);
    assert!(object.ends_with(",\"data\":\"//4AAQ==\",\"encoding\":\"base64\"}]}"), "{object}");
}

#[test]
fn the_other_maps() {
    let run =
        |function: &str, input| map(&mut NativeRuntime::new(), &erlang(function, None), input);
    let object = run("map_identity", input("10")).unwrap().remove(0);
    assert!(object.starts_with("{\"bucket_type\":\"default\",\"bucket\":\"b\",\"key\":\"k\""));
    assert!(object.ends_with(",\"data\":\"10\"}]}"), "{object}");
    assert_eq!(run("map_identity", missing()).unwrap(), [" {\"error\":\"notfound\"}"]);
    let error = run("map_object_value_list", input("10")).unwrap_err();
    assert_eq!(error.cause, FailureCause::NotAList);
    assert!(error.message.starts_with("non_list_result"));
}

#[test]
fn reduces_as_recorded() {
    reduces(
        "reduce_string_to_integer",
        &["\"10\"", "20", "\"-3\"", "[52,50]"],
        &["10", "20", "-3", "42"],
    );
    reduces("reduce_sum", &["20", "30", "0", "40", "10"], &["100"]);
    reduces("reduce_sum", &["1", "2.5", "{\"error\":\"notfound\"}"], &["3.5"]);
    reduces("reduce_sum", &["0.5", "0.5"], &["1.0"]);
    reduces("reduce_sum", &[], &["0"]);
    reduces("reduce_count_inputs", &["\"a\"", "\"b\"", "[1]", "2.0", "3"], &["7"]);
    reduces("reduce_count_inputs", &[], &["0"]);
    reduces("reduce_sort", &["40", "0", "10", "30"], &["0", "10", "30", "40"]);
    reduces("reduce_sort", &["\"40\"", "\"0\"", "\"10\""], &["\"0\"", "\"10\"", "\"40\""]);
    reduces("reduce_sort", &[], &[]);
    reduces(
        "reduce_sort",
        &["[\"mr\",\"n2\"]", "[\"mr\",\"n1\"]", "[\"mr\"]", "[]"],
        &["[]", "[\"mr\"]", "[\"mr\",\"n1\"]", "[\"mr\",\"n2\"]"],
    );
    let mixed =
        ["\"s\"", "[1]", "{\"a\":1}", "true", "null", "false", "2", "1.5", "\"é\"", "\"z\""];
    let sorted =
        ["1.5", "2", "false", "null", "true", "{\"a\":1}", "[1]", "\"s\"", "\"z\"", "\"é\""];
    reduces("reduce_sort", &mixed, &sorted);
    reduces("reduce_set_union", &["\"10\"", "\"20\"", "\"10\""], &["\"20\"", "\"10\""]);
    reduces("reduce_set_union", &["1", "1.0", "1"], &["1.0", "1"]);
    reduces(
        "reduce_identity",
        &["[\"mr\",\"n4\"]", "[\"mr\",\"n2\",\"kd\"]", "[\"b\",\"k\",null,\"t\"]"],
        &["[\"b\",\"k\",null,\"t\"]", "[\"mr\",\"n2\"]", "[\"mr\",\"n4\"]"],
    );
    reduces("reduce_plist_sum", &[], &[]);
    reduces(
        "reduce_plist_sum",
        &["[\"a\",1]", "[\"b\",2]", "[[\"a\",3],[\"c\",1]]", "{\"b\":0.5}"],
        &[" {\"a\":4}", " {\"b\":2.5}", " {\"c\":1}"],
    );
    reduces("reduce_plist_sum", &["[\"mr\",\"n1\"]"], &[" {\"mr\":\"n1\"}"]);
    // What it gave is what it takes.
    reduces("reduce_plist_sum", &[" {\"a\":4}", " {\"a\":1}", "[7,1]"], &[" {\"a\":5}", "[7,1]"]);
}

#[test]
fn terms_have_erlangs_order() {
    // Each list is in order already; it is given the other way round.
    for sorted in [
        &["-2", "-1.5", "0", "0.5", "1", "1.5", "1.0e+20"][..],
        &["-1.0e+40", "-170141183460469231731687303715884105728", "3", "1.0e+20"],
        // Integers and floats compare exactly, not after rounding.
        &["9007199254740991", "9007199254740992.0", "9007199254740993", "9007199254740994.0"],
        &["9", "false", "null", "true", "{}", "[]", "\"\""],
        &["{}", r#"{"a":1}"#, r#"{"a":1,"b":0}"#, r#"{"a":2}"#, r#"{"b":0}"#],
        &["[]", "[1]", "[1,1]", "[1,[]]", "[2]", "[[]]", "[[1]]", "[\"a\"]"],
        &["\"\"", "\"10\"", "\"9\"", "\"A\"", "\"a\"", "\"aa\"", "\"é\"", "\"😀\""],
        &["[\"b\",\"k1\"]", "[\"b\",\"k1\",1]", "[\"b\",\"k2\"]", "[\"c\",\"a\"]"],
    ] {
        let given: Vec<&str> = sorted.iter().rev().copied().collect();
        reduces("reduce_sort", &given, sorted);
    }
    // Equal numbers stay in the order in which they came.
    reduces("reduce_sort", &["1.0", "1", "0", "1.0"], &["0", "1.0", "1", "1.0"]);
}

#[test]
fn what_a_missing_object_gives() {
    let run = |function: &str, arg: Option<&str>, keydata: Option<&str>| {
        let input = MapInput { keydata: keydata.map(json), ..missing() };
        map(&mut NativeRuntime::new(), &erlang(function, arg), input).unwrap()
    };
    const NOT_FOUND: &str = " {\"error\":\"notfound\"}";
    for function in ["map_object_value", "map_object_value_list"] {
        for (arg, keydata, expected) in [
            (None, None, &[NOT_FOUND][..]),
            (Some("\"filter_notfound\""), Some("1"), &[]),
            (Some("\"include_notfound\""), Some("1"), &[NOT_FOUND]),
            (Some("\"include_keydata\""), None, &["\"undefined\""]),
            (Some("\"include_keydata\""), Some("[1,{\"a\":null}]"), &["[1,{\"a\":null}]"]),
            (Some(r#"{"sub":["0"]}"#), None, &["\"0\""]),
            (Some(r#"{"sub":[1,[2],{"a":1.5}]}"#), None, &["1", "[2]", "{\"a\":1.5}"]),
            (Some(r#"{"sub":[]}"#), None, &[]),
            (Some(r#"{"sub":7}"#), None, &["7"]),
            (Some(r#"{"sub":null,"do_prereduce":true}"#), None, &["null"]),
            (Some("\"other\""), None, &[NOT_FOUND]),
            (Some("[1]"), None, &[NOT_FOUND]),
            (Some("null"), None, &[NOT_FOUND]),
        ] {
            assert_eq!(run(function, arg, keydata), expected, "{function} {arg:?}");
        }
        // A present object is not asked for its argument.
        let present = map(
            &mut NativeRuntime::new(),
            &erlang("map_object_value", Some("\"filter_notfound\"")),
            input("x"),
        );
        assert_eq!(present.unwrap(), ["\"x\""]);
    }
    assert_eq!(run("map_identity", Some("\"filter_notfound\""), None), [NOT_FOUND]);
}

#[test]
fn results_that_come_back_are_taken() {
    // One input a call: what a call gave stands before the next input.
    let run = |function: &str, inputs: &[&str]| {
        let function = erlang(function, None);
        let inputs = rows(inputs);
        reduce(&mut NativeRuntime::new(), &function, ReduceTiming::Every(1), inputs).unwrap()
    };
    assert_eq!(run("reduce_sum", &["1", "2.5", "-3"]), ["0.5"]);
    assert_eq!(run("reduce_count_inputs", &["\"a\"", "\"b\"", "[1]"]), ["3"]);
    // An integer is a count, as Riak's own words warn.
    assert_eq!(run("reduce_count_inputs", &["\"a\"", "10", "-1", "1.0", "null"]), ["12"]);
    assert_eq!(run("reduce_sort", &["3", "1", "2"]), ["1", "2", "3"]);
    assert_eq!(run("reduce_string_to_integer", &["\"1\"", "\"+2\"", "\"-03\""]), ["1", "2", "-3"]);
    assert_eq!(
        run("reduce_plist_sum", &["[\"a\",1]", "[[\"a\",2],[\"b\",1]]"]),
        [" {\"a\":3}", " {\"b\":1}"]
    );
    assert_eq!(run("reduce_set_union", &["1", "2", "1"]).len(), 2);
    // Reversed at each call: the latest first, then what was before it, reversed again.
    assert_eq!(
        run("reduce_identity", &["[\"b\",\"1\"]", "[\"b\",\"2\"]", "[\"b\",\"3\"]"]),
        ["[\"b\",\"3\"]", "[\"b\",\"1\"]", "[\"b\",\"2\"]"]
    );
    let inputs = |count: usize| (0..count).map(|n| Row::value(format!("\"{}\"", n % 7))).collect();
    for count in [0, 1, 19, 20, 21, 45, 1_000] {
        let count_of = |function: &str| {
            let function = erlang(function, None);
            reduce(&mut NativeRuntime::new(), &function, BATCH, inputs(count)).unwrap()
        };
        assert_eq!(count_of("reduce_count_inputs"), [count.to_string()]);
        assert_eq!(count_of("reduce_set_union").len(), count.min(7));
        assert_eq!(count_of("reduce_string_to_integer").len(), count);
    }
}

#[test]
fn errors_begin_with_erlangs_words() {
    refuses("reduce_sum", &["\"20\""], "badarith: \"20\"");
    refuses("reduce_sum", &["[\"mr\",\"n4\"]"], "badarith");
    refuses("reduce_plist_sum", &["\"20\""], "function_clause: \"20\"");
    refuses("reduce_plist_sum", &["[\"mr\",\"n4\"]", "[\"mr\",\"n1\"]"], "badarith: \"n4\"");
    refuses("reduce_identity", &["\"10\""], "unhandled_entry: \"10\"");
    refuses("reduce_string_to_integer", &["\"{}\""], "badarg: \"{}\"");
    refuses("reduce_string_to_integer", &["[\"mr\",\"n3\"]"], "function_clause");
    refuses("reduce_string_to_integer", &["1.5"], "function_clause");
    refuses("reduce_string_to_integer", &["null"], "function_clause");
    refuses("reduce_string_to_integer", &["{\"a\":1}"], "function_clause");
    refuses("reduce_string_to_integer", &["\" 1\""], "badarg");
    refuses("reduce_string_to_integer", &["\"1.0\""], "badarg");
    refuses("reduce_string_to_integer", &["\"\""], "badarg");
    refuses("reduce_sum", &["null"], "badarith");
    refuses("reduce_sum", &["1.7e308", "1.7e308"], "badarith");
    refuses("reduce_plist_sum", &["[\"a\",\"x\"]", "[\"a\",1]"], "badarith");
    refuses("reduce_plist_sum", &["7"], "function_clause");
    refuses("reduce_identity", &["[\"b\"]"], "unhandled_entry");
    refuses("reduce_identity", &["[1,2]"], "unhandled_entry");
}

#[test]
fn batches_and_rereduce() {
    // 45 inputs in batches of 20: results of earlier calls come back in front.
    let inputs: Vec<Row> = (0..45).map(|n| Row::value(format!("\"{n}\""))).collect();
    let function = erlang("reduce_count_inputs", None);
    let results = reduce(&mut NativeRuntime::new(), &function, BATCH, inputs.clone());
    assert_eq!(results.unwrap(), ["45"]);
    let function = erlang("reduce_sort", None);
    let results = reduce(&mut NativeRuntime::new(), &function, BATCH, inputs).unwrap();
    assert_eq!(results.len(), 45);
    assert!(results.is_sorted());
}

#[test]
fn a_failed_reduce_can_go_on_elsewhere() {
    let function = named("Riak.reduceSum", None);
    let inputs = rows(&["1", "2", "{\"a\":1}", "3", "\"\\ud800\""]);
    let mut native = NativeRuntime::new();
    native.reduce_open(1, &function, ReduceTiming::Every(2), ReduceState::default()).unwrap();
    native.reduce_push(inputs[..2].to_vec()).unwrap();
    let saved = native.reduce_save(1_000).unwrap().unwrap();
    assert_eq!(
        (strings(saved.accumulator), native.reduce_save(5).unwrap()),
        (vec!["3".into()], None)
    );
    native.reduce_push(inputs[2..4].to_vec()).unwrap_err();
    let state = native.reduce_suspend().unwrap();
    assert_eq!(strings(state.accumulator.clone()), ["3"]);
    assert_eq!(strings(state.pending.clone()), ["{\"a\":1}", "3"]);
    let mut js = javascript();
    js.reduce_open(1, &function, ReduceTiming::Every(2), state).unwrap();
    js.reduce_push(Vec::new()).unwrap();
    assert_eq!(strings(js.reduce_finish().unwrap()), ["\"3[object Object]3\""]);
    // What could not even be read is kept as well.
    native.reduce_open(1, &function, ReduceTiming::AtEnd, ReduceState::default()).unwrap();
    native.reduce_push(inputs[4..].to_vec()).unwrap_err();
    assert_eq!(native.reduce_suspend().unwrap().pending, inputs[4..]);
}

fn javascript() -> JsRuntime {
    JsRuntime::new(ScriptLimits { stack_bytes: 2 << 20, ..ScriptLimits::default() })
}

/// Where the native function gives something, it is what the JavaScript gives.
fn same_reduce(
    js: &mut JsRuntime,
    function: &PhaseFunction,
    inputs: &[String],
) -> Result<(), TestCaseError> {
    let inputs: Vec<Row> = inputs.iter().map(|text| row(text)).collect();
    for timing in [ReduceTiming::AtEnd, ReduceTiming::Every(3)] {
        let native = reduce(&mut NativeRuntime::new(), function, timing, inputs.clone());
        if let Ok(native) = native {
            let js = reduce(js, function, timing, inputs.clone());
            prop_assert_eq!(Ok(native), js, "{:?} {:?} {:?}", function, timing, inputs);
        }
    }
    Ok(())
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i32>().prop_map(|n| n.to_string()),
        (-3i32..4).prop_map(|n| n.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(|f| format!("{f:e}")),
        Just("1e999".to_owned()),
        Just("-0".to_owned()),
        Just("2.50".to_owned()),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c0-2é\u{ffff}😀]{0,3}",
        ".{0,5}",
        Just("__proto__".to_owned()),
        Just("not_found".to_owned()),
        Just("toString".to_owned()),
        Just("10".to_owned()),
    ]
    .prop_map(|text| serde_json::to_string(&text).unwrap())
}

fn plain() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => number(),
        4 => text(),
        1 => Just("true".to_owned()),
        1 => Just("false".to_owned()),
        1 => Just("null".to_owned()),
    ]
}

fn value() -> impl Strategy<Value = String> {
    plain().prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((text(), inner), 0..4).prop_map(|entries| {
                let entries: Vec<_> = entries.iter().map(|(k, v)| format!("{k}: {v}")).collect();
                format!("{{{}}}", entries.join(" ,"))
            }),
        ]
    })
}

fn list() -> impl Strategy<Value = Vec<String>> {
    prop_oneof![
        prop::collection::vec(number(), 0..9),
        prop::collection::vec(text(), 0..9),
        prop::collection::vec(plain(), 0..9),
        prop::collection::vec(value(), 0..9),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn reduces_are_those_of_javascript(inputs in list(), start in -9i32..9, end in -9i32..12) {
        let mut js = javascript();
        for name in ["reduceSum", "reduceMin", "reduceMax", "reduceSort", "reduceNumericSort",
            "filterNotFound", "reduceLimit"]
        {
            same_reduce(&mut js, &named(&format!("Riak.{name}"), None), &inputs)?;
        }
        same_reduce(&mut js, &named("Riak.reduceLimit", Some(&start.to_string())), &inputs)?;
        same_reduce(&mut js, &named("Riak.reduceSlice", Some(&format!("[{start},{end}]"))), &inputs)?;
    }

    #[test]
    fn maps_are_those_of_javascript(body in value(), fields in value(), cut in 0usize..9) {
        let mut js = javascript();
        // Also texts that are not JSON.
        let end = (0..=body.len().saturating_sub(cut)).rev().find(|&at| body.is_char_boundary(at));
        for body in [&body[..], &body[..end.unwrap_or(0)]] {
            for (name, arg) in [("mapValues", None), ("mapValuesJson", None),
                ("mapByFields", Some(fields.as_str())), ("mapByFields", Some(body))]
            {
                let arg = arg.filter(|arg: &&str| serde_json::from_str::<serde_json::Value>(arg).is_ok());
                let function = named(&format!("Riak.{name}"), arg);
                let native = map(&mut NativeRuntime::new(), &function, input(body));
                if let Ok(native) = native {
                    let js = map(&mut js, &function, input(body));
                    prop_assert_eq!(Ok(native), js, "{:?} {}", function, body);
                }
            }
        }
    }

    #[test]
    fn order_of_terms_is_an_order(inputs in prop::collection::vec(value(), 0..12)) {
        let sort = |inputs: &[String]| {
            let inputs = inputs.iter().map(|text| row(text)).collect();
            reduce(&mut NativeRuntime::new(), &erlang("reduce_sort", None), ReduceTiming::AtEnd, inputs)
        };
        // Numbers out of range are refused.
        let Ok(sorted) = sort(&inputs) else { return Ok(()) };
        prop_assert_eq!(&sort(&sorted).unwrap(), &sorted);
        prop_assert_eq!(sorted.len(), inputs.len());
    }
}
