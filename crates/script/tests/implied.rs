//! The combiner that a reduce by a function of `Job` is by itself: whatever it is called with, and in
//! which parts, results and failures are those of the reduce alone.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use bytes::Bytes;
use common::{input, json, named, source, strings};
use mapring_script::js::JsRuntime;
use mapring_script::native;
use mapring_script::{
    Combiner, Group, Grouping, JsonText, PhaseFunction, ScriptError, ScriptLimits,
};
use mapring_shuffle::{Pairs, key};
use proptest::prelude::*;

const FUNCTIONS: [(&str, Option<&str>); 9] = [
    ("Job.count", None),
    ("Job.sum", None),
    ("Job.min", None),
    ("Job.max", None),
    ("Job.mean", None),
    ("Job.distinct", None),
    ("Job.top", None),
    ("Job.top", Some("2")),
    ("Job.top", Some(r#"{"n":1}"#)),
];

fn key() -> Bytes {
    let mut out = Vec::new();
    key::encode("\"k\"", &mut out).unwrap();
    out.into()
}

/// The results of a reduce, or its failure.
fn reduce(function: &PhaseFunction, values: Vec<JsonText>) -> Result<Vec<String>, ScriptError> {
    let group = Group { key: key(), values, old: Vec::new() };
    let mut reduced = native::reduce_groups(function, &[group])?;
    Ok(strings(reduced.results.remove(0)))
}

fn combine(combiner: &Combiner, old: Vec<JsonText>, values: &[JsonText]) -> Vec<JsonText> {
    let group = Group { key: key(), values: values.to_vec(), old };
    native::combine_groups(combiner, &[group]).unwrap().values.remove(0)
}

fn values_of(pairs: &Pairs) -> Vec<JsonText> {
    pairs.iter().map(|pair| json(pair.unwrap().value)).collect()
}

fn implied(function: &PhaseFunction) -> (Combiner, Grouping) {
    let combiner = native::implied_combiner(function).unwrap();
    let grouping = Grouping { string_keys: false, combine: Some(combiner.clone()) };
    (combiner, grouping)
}

fn numbers() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (-9i32..9).prop_map(|number| number.to_string()),
        3 => (-1e6..1e6f64).prop_map(|number| number.to_string()),
        1 => any::<i128>().prop_map(|number| (number >> 26).to_string()),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => prop::sample::select(vec![
            "0.1", "0.2", "1e16", "-1e16", "1e100", "-1e100", "-0", "1.0", "9007199254740993",
            "1267650600228229401496703205376", "5e-324", "2.5e-1", "null",
        ]).prop_map(str::to_owned),
    ]
}

fn others() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "null",
        "true",
        "\"\"",
        "\"a\"",
        "\"~c7\"",
        "[]",
        "[1,2.0]",
        "{\"b\":1,\"a\":[null]}",
        "{\"a\":[null],\"b\":1.0}",
        "1e300",
        "1e999",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn parts_that_were_combined_give_the_same(
        which in 0..FUNCTIONS.len(),
        values in prop_oneof![
            prop::collection::vec(numbers(), 1..30),
            prop::collection::vec(prop_oneof![3 => numbers(), 1 => others()], 1..20),
        ],
        cuts in prop::collection::vec(1usize..9, 1..9),
        again in any::<bool>(),
    ) {
        let (name, arg) = FUNCTIONS[which];
        let function = named(name, arg);
        let (combiner, grouping) = implied(&function);
        let values: Vec<JsonText> = values.iter().map(|value| json(value)).collect();
        let expect = reduce(&function, values.clone());

        let mut parts = Vec::new();
        let (mut rest, mut cuts) = (&values[..], cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (part, more) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            parts.push(part);
            rest = more;
        }
        // Each by itself, then some of these together.
        let mut apart: Vec<JsonText> =
            parts.iter().flat_map(|part| combine(&combiner, Vec::new(), part)).collect();
        if again {
            apart = combine(&combiner, Vec::new(), &apart);
        }
        prop_assert_eq!(reduce(&function, apart.clone()), expect.clone(), "{:?}", apart);
        // One after the other.
        let one = parts.iter().fold(Vec::new(), |old, part| combine(&combiner, old, part));
        prop_assert_eq!(reduce(&function, one.clone()), expect.clone(), "{:?}", one);
        // As a map makes them.
        let map = named("Riak.mapValuesJson", None);
        let inputs: Vec<_> =
            values.iter().map(|value| input(&format!("[\"k\",{}]", value.0))).collect();
        if let Ok(pairs) = native::map_pairs(&map, &grouping, &inputs) {
            prop_assert_eq!(pairs.inputs as usize, values.len());
            let folded = values_of(&pairs.pairs);
            let plain = native::map_pairs(&map, &Grouping::default(), &inputs).unwrap();
            let expect = reduce(&function, values_of(&plain.pairs));
            prop_assert_eq!(reduce(&function, folded.clone()), expect, "{:?}", folded);
        }
        // In another order, where nothing fails.
        if expect.is_ok() {
            let mut turned: Vec<JsonText> =
                parts.iter().rev().flat_map(|part| combine(&combiner, Vec::new(), part)).collect();
            let by = values.len() % turned.len().max(1);
            turned.rotate_left(by);
            prop_assert_eq!(reduce(&function, turned.clone()), expect, "{:?}", turned);
        }
    }
}

#[test]
fn numbers_of_javascript_are_what_their_json_says() {
    let emits = "v => { for (const n of [-0, 0, 0.1, 1e21, 2 ** 53, 2 ** 53 + 2, -1.5, NaN, 1 / 0, \
                 5e-324, 123456789012, null, undefined]) emit('k', n) }";
    let mut runtime = JsRuntime::new(ScriptLimits::default());
    let map = source(emits, None);
    let plain = runtime.map_pairs(1, &map, &Grouping::default(), &[input("1")]).unwrap();
    let plain = values_of(&plain.pairs);
    assert_eq!(plain.len(), 13);
    for (name, arg) in FUNCTIONS {
        let function = named(name, arg);
        let (_, grouping) = implied(&function);
        let folded = runtime.map_pairs(1, &map, &grouping, &[input("1")]).unwrap();
        assert_eq!((folded.made, folded.combined), (13, 1));
        let expect = reduce(&function, plain.clone()).unwrap();
        assert_eq!(reduce(&function, values_of(&folded.pairs)).unwrap(), expect, "{name}");
    }
}

/// A map sees nothing of it: what the reduce cannot take is not the map's failure.
#[test]
fn a_map_does_not_fail_for_what_the_reduce_cannot_take() {
    let function = named("Job.sum", None);
    let emits = "v => { emit('k', 'a'); emit('k', 1); emit('k', 1e300); emit('k', 2) }";
    let mut runtime = JsRuntime::new(ScriptLimits::default());
    let (combiner, grouping) = implied(&function);
    let pairs = runtime.map_pairs(1, &source(emits, None), &grouping, &[input("1")]).unwrap();
    let values = values_of(&pairs.pairs);
    assert_eq!(values, ["\"a\"", "1e+300", "3"].map(json));
    let values = combine(&combiner, Vec::new(), &values);
    assert_eq!(values, ["3", "\"a\"", "1e+300"].map(json));
    let error = reduce(&function, values).unwrap_err();
    assert_eq!(error.message, "Job.sum takes numbers, not \"a\"");

    let asked = Grouping { combine: Some(Combiner::new(function)), ..grouping };
    assert!(runtime.map_pairs(1, &source(emits, None), &asked, &[input("1")]).is_err());
}

#[test]
fn what_depends_on_an_order_has_none() {
    for name in ["Job.identity", "Job.keys", "Job.values", "Riak.reduceSum", "f"] {
        assert!(native::implied_combiner(&named(name, None)).is_none(), "{name}");
        assert!(!native::is_order_free(&named(name, None)), "{name}");
    }
    // It fails as a reduce, and not before.
    assert!(native::implied_combiner(&named("Job.top", Some("0"))).is_none());
    assert!(native::implied_combiner(&source(" Job.sum ", None)).is_some());
}
