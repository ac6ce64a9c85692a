//! What queries answer when nothing goes wrong.

use std::sync::atomic::Ordering;

use mapring_types::BucketId;

use super::world::{World, object};
use crate::MapredConfig;

/// A map or reduce phase that names a function of the test workers.
fn js(kind: &str, name: &str, more: &str) -> String {
    format!(r#"{{"{kind}":{{"language":"javascript","name":"{name}"{more}}}}}"#)
}

fn sorted(values: &[String]) -> Vec<&str> {
    let mut values: Vec<&str> = values.iter().map(String::as_str).collect();
    values.sort_unstable();
    values
}

/// Runs a query over `b/k0` to `b/k99`, the linking `b2` and others on every node in turn, and
/// compares the sorted results of each phase.
#[track_caller]
fn check(inputs: &str, phases: &[String], expect: &[(usize, &[&str])]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = World::new();
        world.fill(&BucketId::untyped("b"), 100);
        let links = [("b", "k2", "two"), ("b", "k1", "one")];
        world.put_object(
            &BucketId::untyped("links"),
            "a",
            &object(r#"[["b","k3",{"x":1}],["b","k4"],["b","k5",null]]"#, &links, false),
            |_| true,
        );
        world.put_object(&BucketId::untyped("dead"), "d", &object("", &[], true), |_| true);
        // Only the third replica has it.
        let late = object("77", &[], false);
        world.put_object(&BucketId::untyped("late"), "l", &late, |replica| replica == 2);
        let query = format!("[{}]", phases.join(","));
        for node in 0..3 {
            let found = world.run(node, inputs, &query).await.unwrap();
            let found: Vec<(usize, Vec<&str>)> =
                found.iter().map(|(phase, values)| (*phase, sorted(values))).collect();
            let expect: Vec<(usize, Vec<&str>)> =
                expect.iter().map(|(phase, values)| (*phase, values.to_vec())).collect();
            assert_eq!(found, expect, "{inputs} {query} on node {node}");
        }
    });
}

#[test]
fn whole_buckets() {
    check(r#""b""#, &[js("map", "json", ""), js("reduce", "sum", "")], &[(1, &["4950"])]);
    check(r#""b""#, &[js("map", "one", ""), js("reduce", "sum", "")], &[(1, &["100"])]);
    check(r#""nothing""#, &[js("map", "json", "")], &[]);
    check(r#""links""#, &[js("map", "key", "")], &[(0, &[r#"["links","a"]"#])]);
    check(r#""dead""#, &[js("map", "one", "")], &[]);
}

#[test]
fn whole_buckets_without_a_map() {
    let keys = &[r#"["links","a"]"#];
    check(r#""links""#, &[], &[(0, keys)]);
    check(r#""links""#, &[js("reduce", "same", "")], &[(0, keys)]);
    check(r#""dead""#, &[], &[]);
    check(
        r#"["nosuch","b"]"#.replace("nosuch", "default").as_str(),
        &[js("reduce", "sum", "")][1..],
        &[(0, &sorted(&(0..100).map(|k| format!(r#"["b","k{k}"]"#)).collect::<Vec<_>>()))],
    );
}

#[test]
fn nothing_reduces_once() {
    check(r#""nothing""#, &[js("map", "json", ""), js("reduce", "sum", "")], &[(1, &["0"])]);
    check(r#""nothing""#, &[js("reduce", "sum", "")], &[(0, &["0"])]);
    check(r#""nothing""#, &[js("reduce", "sum", ""), js("reduce", "sum", "")], &[(1, &["0"])]);
}

#[test]
fn listed_keys() {
    let map = [js("map", "json", "")];
    check(r#"[["b","k1"],["b","k2"],["b","k1"]]"#, &map, &[(0, &["1", "1", "2"])]);
    check(r#"[["late","l"]]"#, &map, &[(0, &["77"])]);
    let missing = r#"{"not_found":{"bucket":"b","key":"nope"}}"#;
    check(r#"[["b","nope"],["b","k3"]]"#, &map, &[(0, &["3", missing])]);
    check(r#"[["b",""]]"#, &map, &[(0, &[r#"{"not_found":{"bucket":"b","key":""}}"#])]);
    let keydata = [js("map", "keydata", "")];
    check(
        r#"[["b","k1"],["b","k2",null],["b","k3",{"a":"é"}]]"#,
        &keydata,
        &[(0, &["\"undefined\"", "null", r#"{"a":"\u00e9"}"#])],
    );
}

#[test]
fn listed_keys_without_a_map() {
    let keys = r#"[["b","k1"],["b","k2",null],["b","k3",7,"t"]]"#;
    let same = &[r#"["b","k1"]"#, r#"["b","k2",null]"#, r#"["b","k3",7,"t"]"#];
    check(keys, &[], &[(0, same)]);
    check(keys, &[js("reduce", "same", "")], &[(0, same)]);
}

#[test]
fn chains() {
    check(
        r#""b""#,
        &[js("map", "key", ""), js("map", "json", ""), js("reduce", "sum", "")],
        &[(2, &["4950"])],
    );
    check(
        r#"[["links","a"]]"#,
        &[js("map", "elements", ""), js("map", "keydata", "")],
        &[(1, &["\"undefined\"", "\"undefined\"", r#"{"x":1}"#])],
    );
    let link = r#"{"link":{}}"#.to_owned();
    check(
        r#"[["links","a"]]"#,
        std::slice::from_ref(&link),
        &[(0, &[r#"["b","k1","one"]"#, r#"["b","k2","two"]"#])],
    );
    check(r#""links""#, &[link.clone(), js("map", "keydata", "")], &[(1, &["\"one\"", "\"two\""])]);
    check(
        r#""links""#,
        &[r#"{"link":{"tag":"two"}}"#.into(), js("map", "json", "")],
        &[(1, &["2"])],
    );
    check(
        r#""b""#,
        &[js("reduce", "sort", ""), js("map", "json", ""), js("reduce", "sum", "")],
        &[(2, &["4950"])],
    );
    check(
        r#"[["links","a"],["links","nope"]]"#,
        &[link, js("map", "key", ""), js("map", "json", ""), js("reduce", "sum", "")],
        &[(3, &["3"])],
    );
}

#[test]
fn kept_phases() {
    let keep = r#","keep":true"#;
    let drop = r#","keep":false"#;
    let inputs = r#"[["b","k1"],["b","k2"]]"#;
    let both: &[(usize, &[&str])] = &[(0, &["1", "2"]), (1, &["3"])];
    check(inputs, &[js("map", "json", keep), js("reduce", "sum", "")], both);
    check(inputs, &[js("map", "json", keep), js("reduce", "sum", drop)], &both[..1]);
    check(inputs, &[js("map", "json", ""), js("reduce", "sum", drop)], &[]);
    check(inputs, &[js("map", "json", drop)], &[]);
    let three = [js("map", "key", keep), js("map", "json", keep), js("reduce", "sum", keep)];
    check(
        inputs,
        &three,
        &[(0, &[r#"["b","k1"]"#, r#"["b","k2"]"#]), (1, &["1", "2"]), (2, &["3"])],
    );
}

#[test]
fn prereduce_changes_nothing_but_the_traffic() {
    let pre = r#","arg":{"do_prereduce":true}"#;
    check(r#""b""#, &[js("map", "json", pre), js("reduce", "sum", "")], &[(1, &["4950"])]);
    check(r#""nothing""#, &[js("map", "json", pre), js("reduce", "sum", "")], &[(1, &["0"])]);
    let keep = format!(r#"{pre},"keep":true"#);
    check(
        r#"[["b","k1"],["b","k2"]]"#,
        &[js("map", "json", &keep), js("reduce", "sum", "")],
        &[(0, &["1", "2"]), (1, &["3"])],
    );
    check(r#"[["b","k1"]]"#, &[js("map", "key", pre), js("map", "json", "")], &[(1, &["1"])]);
}

/// How many values each call of a reduce gets, over 2,000 inputs of one each.
async fn sizes_of_calls(map: &str, reduce: &str) -> Vec<usize> {
    let world = World::with(MapredConfig::default());
    world.fill(&BucketId::untyped("b"), 2_000);
    let map = js("map", "one", map);
    let query =
        format!("[{map},{}]", js("reduce", reduce.split(' ').next().unwrap(), &reduce[4..]));
    let found = world.run(0, "\"b\"", &query).await.unwrap();
    let last = found.values().next_back().unwrap();
    assert!(last.len() == 2_000 || last == &["2000"], "{last:?}");
    world.watch.reduces.lock().clone()
}

/// A reduce runs beside the data without being asked, where it makes one value of many, and only there.
#[tokio::test(start_paused = true)]
async fn prereduce_where_it_is_worth_it() {
    // At the coordinator alone: a call for every 20.
    let alone = |calls: Vec<usize>| calls[0] == 20 && calls[1..].iter().all(|&size| size == 21);
    assert!(alone(sizes_of_calls(r#","keep":true"#, "sum ").await));
    let stated = r#"sum ,"arg":{"reduce_phase_batch_size":20}"#;
    assert!(alone(sizes_of_calls("", stated).await));
    assert_eq!(sizes_of_calls("", r#"sum ,"arg":{"reduce_phase_only_1":true}"#).await, [2_000]);
    let beside = sizes_of_calls("", "sum ").await;
    // A partition with hundreds of values gives one, and there are few partitions.
    assert!(!alone(beside.clone()) && beside.last().is_some_and(|&last| last <= 40), "{beside:?}");
    // What stays as large is tried once a stream, and then left alone for some pages.
    let same = sizes_of_calls("", "same").await;
    let tries = same.iter().filter(|&&size| size == 20).count();
    assert!((2..=20).contains(&tries), "{tries}: {same:?}");
}

/// Few values make the very calls that Riak makes.
#[tokio::test(start_paused = true)]
async fn a_reduce_of_few_values_is_called_as_in_riak() {
    for (objects, calls) in [(20, &[20][..]), (100, &[20, 21, 21, 21, 21])] {
        let world = World::with(MapredConfig::default());
        world.fill(&BucketId::untyped("b"), objects);
        let query = format!("[{},{}]", js("map", "one", ""), js("reduce", "sum", ""));
        let found = world.run(0, "\"b\"", &query).await.unwrap();
        assert_eq!(found[&1], [objects.to_string()]);
        assert_eq!(*world.watch.reduces.lock(), calls);
    }
}

/// How many values each call of a reduce over five inputs gets.
#[track_caller]
fn reduces(arg: &str, expect: &[usize]) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let world = World::new();
        let inputs = r#"[["b","1"],["b","2"],["b","3"],["b","4"],["b","5"]]"#;
        let query = format!("[{}]", js("reduce", "one", &format!(r#","arg":{arg}"#)));
        let found = world.run(0, inputs, &query).await.unwrap();
        assert_eq!(found[&0].len(), 5);
        assert_eq!(*world.watch.reduces.lock(), expect, "{arg}");
    });
}

#[test]
fn reduce_timing() {
    reduces("null", &[5]);
    reduces(r#"{"reduce_phase_only_1":true}"#, &[5]);
    reduces(r#"{"reduce_phase_batch_size":2}"#, &[2, 4, 5]);
    reduces(r#"{"reduce_phase_batch_size":5}"#, &[5]);
    reduces(r#"{"reduce_phase_batch_size":1}"#, &[1, 2, 3, 4, 5]);
    reduces(r#"{"reduce_phase_batch_size":0}"#, &[1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn many_keys_in_several_batches() {
    let world = World::new();
    let bucket = BucketId::untyped("b");
    world.fill(&bucket, 2_000);
    let keys: Vec<String> =
        (0..20_000).map(|number| format!(r#"["b","k{}"]"#, number % 2_000)).collect();
    let inputs = format!("[{}]", keys.join(","));
    let query = format!("[{},{}]", js("map", "json", ""), js("reduce", "sum", ""));
    let found = world.run(1, &inputs, &query).await.unwrap();
    assert_eq!(found[&1], [(10 * 1_999 * 1_000).to_string()]);
    assert_eq!(world.watch.mapped.load(Ordering::Relaxed), 20_000);
    let query = format!("[{},{}]", js("map", "key", ""), js("map", "one", ""));
    let found = world.run(2, "\"b\"", &query).await.unwrap();
    assert_eq!(found[&1].len(), 2_000);
}

#[tokio::test(start_paused = true)]
async fn results_come_while_the_query_runs() {
    use futures::StreamExt;
    let world = World::with(MapredConfig { units_at_once: 1, ..MapredConfig::default() });
    world.fill(&BucketId::untyped("b"), 60);
    let began = tokio::time::Instant::now();
    let mut results =
        world.start(0, "\"b\"", &format!("[{}]", js("map", "slow", "")), r#","timeout":600000"#);
    assert!(results.next().await.unwrap().is_ok());
    let first = began.elapsed();
    while let Some(result) = results.next().await {
        result.unwrap();
    }
    assert!(first * 3 < began.elapsed(), "{first:?} of {:?}", began.elapsed());
}
