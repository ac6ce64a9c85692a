//! The functions of `Job`: as a map, as a combiner, as a grouped reduce.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use bytes::Bytes;
use common::{input, json, map, missing, named, reduce, rows, strings};
use mapring_script::native::{self, NativeRuntime};
use mapring_script::{
    Combiner, FailureCause, Group, Grouping, JsonText, MappedPairs, PhaseFunction, ReduceTiming,
};
use mapring_shuffle::key;

fn group(key: &str, values: &[&str]) -> Group {
    let mut out = Vec::new();
    key::encode(key, &mut out).unwrap();
    let values = values.iter().map(|value| json(value)).collect();
    Group { key: Bytes::from(out), values, old: Vec::new() }
}

/// The results of a reduce of one group whose values come as they are, and in parts that are combined
/// first: the same.
#[track_caller]
fn reduces(name: &str, arg: Option<&str>, values: &[&str], expect: &[&str]) {
    let function = named(name, arg);
    let whole = native::reduce_groups(&function, &[group("\"k\"", values)]).unwrap();
    assert_eq!(strings(whole.results.into_iter().next().unwrap()), expect, "{name} of {values:?}");
    for size in 1..=values.len() {
        let combined: Vec<JsonText> =
            values.chunks(size).flat_map(|part| combined(&function, part)).collect();
        let group = Group { values: combined, ..group("\"k\"", &[]) };
        let result = native::reduce_groups(&function, std::slice::from_ref(&group)).unwrap();
        let result = strings(result.results.into_iter().next().unwrap());
        assert_eq!(result, expect, "{name} of {values:?} in parts of {size}: {:?}", group.values);
        let mut stream = native::fold_stream(&function).unwrap();
        group.values.iter().for_each(|value| stream.push(std::slice::from_ref(value)).unwrap());
        assert_eq!(strings(stream.finish(&group.key).unwrap()), expect);
    }
}

fn combined(function: &PhaseFunction, values: &[&str]) -> Vec<JsonText> {
    let combiner = Combiner::new(function.clone());
    native::combine_groups(&combiner, &[group("\"k\"", values)]).unwrap().values.remove(0)
}

#[test]
fn groups_are_reduced() {
    reduces("Job.sum", None, &["1", "2", "3.5", "null", "-1"], &[r#"["k",5.5]"#]);
    reduces("Job.sum", None, &["0.1", "0.2", "0.3", "1e20", "-1e20"], &[r#"["k",0.6]"#]);
    reduces("Job.sum", None, &[], &[r#"["k",0]"#]);
    reduces("Job.count", None, &["1", "null", "\"x\"", "[1,2]"], &[r#"["k",4]"#]);
    reduces("Job.min", None, &["3", "1.0", "2", "null"], &[r#"["k",1]"#]);
    reduces("Job.max", None, &["3", "\"a\"", "2"], &[r#"["k","a"]"#]);
    reduces("Job.max", None, &["null", "null"], &[r#"["k",null]"#]);
    reduces("Job.mean", None, &["1", "2", "null", "6"], &[r#"["k",3]"#]);
    reduces("Job.mean", None, &["0.25", "0.5"], &[r#"["k",0.375]"#]);
    reduces("Job.mean", None, &["null"], &[r#"["k",null]"#]);
    reduces(
        "Job.distinct",
        None,
        &["2", "1", "2.0", "\"a\"", r#"{"b":1,"a":2}"#, r#"{"a":2,"b":1}"#, "null"],
        &[r#"["k",[null,1,2,"a",{"a":2,"b":1}]]"#],
    );
    reduces("Job.top", Some("2"), &["1", "5", "3", "5", "null"], &[r#"["k",[5,5]]"#]);
    reduces("Job.top", Some(r#"{"n":3}"#), &["1", "2"], &[r#"["k",[2,1]]"#]);
    let many: Vec<String> = (0..50).map(|n| (n * 7 % 50).to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    reduces("Job.top", None, &many, &[r#"["k",[49,48,47,46,45,44,43,42,41,40]]"#]);
    reduces("Job.identity", None, &["1", "\"x\""], &[r#"["k",1]"#, r#"["k","x"]"#]);
    reduces("Job.values", None, &["1", "\"x\""], &["1", "\"x\""]);
    reduces("Job.keys", None, &["1", "\"x\""], &["\"k\""]);
}

#[test]
fn values_that_are_no_numbers() {
    for name in ["Job.sum", "Job.mean"] {
        let groups = [group("1", &["1"]), group("2", &["1", "\"2\""])];
        let error = native::reduce_groups(&named(name, None), &groups).unwrap_err();
        assert_eq!((error.cause, error.input), (FailureCause::BadArgument, Some(1)));
        assert_eq!(error.message, format!("{name} takes numbers, not \"2\""));
        let error =
            native::reduce_groups(&named(name, None), &[group("1", &["1e300"])]).unwrap_err();
        assert!(error.message.contains("too large"), "{error:?}");
    }
    for damaged in ["~", "~x1", "~c", "~m1", "~m1;x", "~é"] {
        let error =
            native::reduce_groups(&named("Job.sum", None), &[group("1", &[damaged])]).unwrap_err();
        assert_eq!(error.cause, FailureCause::Worker, "{damaged}");
    }
    for arg in ["0", "10001", "1.5", "\"3\"", "{}", "[1]"] {
        let error = native::fold_stream(&named("Job.top", Some(arg))).unwrap_err();
        assert!(error.message.contains("from 1 to 10000"), "{error:?}");
    }
}

#[test]
fn what_one_combined_another_reads_plainly() {
    let values = combined(&named("Job.count", None), &["7", "7", "7"]);
    let group = Group { values, ..group("1", &["1"]) };
    let sum = native::reduce_groups(&named("Job.sum", None), &[group]).unwrap();
    assert_eq!(strings(sum.results[0].clone()), ["[1,3]"]);
}

#[track_caller]
fn maps(name: &str, arg: Option<&str>, plain: &str, grouped: Option<(&str, &str)>) {
    let function = named(name, arg);
    let input = input(r#"{"city":"Oslo","age":{"years":30},"pair":[1,2]}"#);
    let row = map(&mut NativeRuntime::new(), &function, input.clone()).unwrap();
    assert_eq!(row, [plain], "{name} {arg:?}");
    let pairs = native::map_pairs(&function, &Grouping::default(), &[missing(), input]).unwrap();
    assert_eq!(pairs.inputs, 2);
    let found = all(&pairs);
    let found: Vec<_> =
        found.iter().map(|(at, key, value)| (*at, key.as_str(), value.as_str())).collect();
    assert_eq!(found, grouped.map(|(key, value)| (1, key, value)).into_iter().collect::<Vec<_>>());
}

fn all(pairs: &MappedPairs) -> Vec<(u32, String, String)> {
    let pair = |pair: mapring_types::Result<mapring_shuffle::Pair<'_>>| {
        let pair = pair.unwrap();
        (pair.input, key::decode(pair.key).unwrap(), pair.value.to_owned())
    };
    pairs.pairs.iter().map(pair).collect()
}

#[test]
fn objects_are_mapped() {
    let whole = r#"{"city":"Oslo","age":{"years":30},"pair":[1,2]}"#;
    let pair = format!(r#"["k",{whole}]"#);
    for name in ["Job.identity", "Job.sum", "Job.top"] {
        maps(name, None, &pair, Some(("\"k\"", whole)));
        let arg = Some(r#"{"key":"city","value":"age.years"}"#);
        maps(name, arg, r#"["Oslo",30]"#, Some(("\"Oslo\"", "30")));
        maps(
            name,
            Some(r#"{"key":["age","years"]}"#),
            &format!("[30,{whole}]"),
            Some(("30", whole)),
        );
        maps(name, Some(r#"{"value":"none.such"}"#), r#"["k",null]"#, Some(("\"k\"", "null")));
    }
    maps("Job.keys", None, "\"k\"", Some(("\"k\"", "null")));
    maps("Job.values", Some(r#"{"value":"pair"}"#), "[1,2]", Some(("1", "2")));
    maps("Job.count", Some(r#"{"value":"city"}"#), "1", Some(("\"Oslo\"", "1")));
    maps("Job.count", Some(r#"{"key":"city"}"#), "1", Some(("\"Oslo\"", "1")));
    maps("Job.count", Some(r#"{"key":"city","value":"age"}"#), "1", Some(("\"Oslo\"", "1")));
    // A key is written in its canonical form.
    let key = r#"{"age":{"years":30},"city":"Oslo","pair":[1,2]}"#;
    maps("Job.count", None, "1", Some((key, "1")));

    let text =
        native::map_pairs(&named("Job.identity", None), &Grouping::default(), &[input("no json")]);
    assert_eq!(all(&text.unwrap()), [(0, "\"k\"".to_owned(), "\"no json\"".to_owned())]);
    let fails = |name: &str, arg: Option<&str>, body: &str, words: &str| {
        let error =
            native::map_pairs(&named(name, arg), &Grouping::default(), &[input("1"), input(body)]);
        let error = error.unwrap_err();
        assert!(error.message.contains(words), "{error:?}");
    };
    fails("Job.values", None, "1", "is [key, value], not 1");
    fails("Job.identity", Some(r#"{"key":"a"}"#), "no json", "unexpected character");
    fails("Job.identity", Some(r#"{"keys":"a"}"#), "1", r#"{"key":PATH,"value":PATH}"#);
    fails("Riak.mapValuesJson", None, "1", "is [key, value], not 1");
}

#[test]
fn pairs_are_folded_as_they_come() {
    let combine = Some(Combiner::new(named("Job.sum", None)));
    let grouping = Grouping { combine, ..Grouping::default() };
    let function = named("Riak.mapValuesJson", None);
    let inputs: Vec<_> = (0..10).map(|n| input(&format!("[{},{n}]", n % 3))).collect();
    let pairs = native::map_pairs(&function, &grouping, &inputs).unwrap();
    let text = |at, key: &str, value: &str| (at, key.to_owned(), value.to_owned());
    assert_eq!(all(&pairs), [text(0, "0", "18"), text(1, "1", "12"), text(2, "2", "15")]);
    assert_eq!((pairs.inputs, pairs.made), (10, 10));
    let grouping = Grouping { string_keys: true, ..grouping };
    let inputs = [input("[1,1]"), input("[\"1\",2]")];
    let pairs = native::map_pairs(&function, &grouping, &inputs).unwrap();
    assert_eq!(all(&pairs), [text(0, "\"1\"", "3")]);
}

#[test]
fn a_reduce_without_groups_is_refused() {
    let mut runtime = NativeRuntime::new();
    let error = reduce(&mut runtime, &named("Job.sum", None), ReduceTiming::AtEnd, rows(&["1"]));
    assert_eq!(
        error.unwrap_err().message,
        "Job.sum reduces groups: the phase needs \"group\":true"
    );
    assert!(native::is_only_here(&named("Job.sum", None)) && native::runs(&named("Job.top", None)));
    assert!(!native::runs(&named("Job.none", None)));
}
