//! What queries count by themselves, with nodes that fail.

use std::collections::BTreeMap;

use mapring_types::{BucketId, NodeId};

use super::groups::{COMBINE, full, later, sums};
use super::world::{World, gather};
use crate::grammar;
use crate::results::Started;

/// The counters of a query that was run, with members beside inputs and phases.
async fn counters(
    world: &World,
    inputs: &str,
    query: &str,
    members: &str,
) -> BTreeMap<String, i64> {
    let body = format!(r#"{{"inputs":{inputs},"query":{query}{members}}}"#);
    let query = grammar::parse(body.as_bytes()).unwrap();
    let Started { results, handle } = world.engines[0].start(query).unwrap();
    gather(results).await.unwrap();
    let profile: serde_json::Value = serde_json::from_str(&handle.profile()).unwrap();
    let counters = handle.report().counters;
    assert_eq!(profile["counters"], serde_json::to_value(&counters).unwrap());
    counters
}

#[track_caller]
fn check(found: &BTreeMap<String, i64>, expect: &[(&str, i64)]) {
    for (name, count) in expect {
        assert_eq!(found.get(*name), Some(count), "{name}: {found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_accepted_counts_once() {
    let whole = counters(&full(), "\"b\"", &sums(COMBINE), "").await;
    let exact = ["mapper-calls", "reducer-calls", "groups", "io-read-bytes", "reduced"];
    let expect: Vec<(&str, i64)> = exact.iter().map(|name| (*name, whole[*name])).collect();
    check(&whole, &[("mapper-calls", 400), ("reducer-calls", 10), ("groups", 10)]);
    assert!(whole["io-read-bytes"] > 400 && whole["shuffle-bytes"] > 0, "{whole:?}");
    assert!(whole["combiner-calls"] >= 10, "{whole:?}");
    for inputs in [1, 40, 150, 399] {
        for dies in [2, 3] {
            let world = full();
            let network = world.network.clone();
            *world.watch.hook.lock() =
                Some(later(inputs, move || network.disconnect(NodeId(dies))));
            check(&counters(&world, "\"b\"", &sums(COMBINE), "").await, &expect);
        }
    }
    for calls in [0, 1, 2] {
        let world = full();
        let network = world.network.clone();
        *world.watch.reduce_hook.lock() = Some(later(calls, move || network.disconnect(NodeId(2))));
        check(&counters(&world, "\"b\"", &sums(COMBINE), "").await, &expect);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_done_does_not_count() {
    let world = full();
    let map = |name| format!(r#"[{{"map":{{"language":"javascript","name":"{name}"}}}}]"#);
    let found = counters(&world, "\"b\"", &map("json"), "").await;
    let none = [
        "combiner-calls",
        "reducer-calls",
        "groups",
        "shuffle-bytes",
        "writes",
        "write-batches",
        "io-write-bytes",
        "io-write-msec",
        "map-errors",
        "inputs-missing",
    ];
    check(&found, &none.map(|name| (name, 0)));
    check(&found, &[("mapper-calls", 400)]);
    check(
        &counters(&world, "\"b\"", &sums(r#","partitions":3"#), "").await,
        &[("combiner-calls", 0)],
    );
    let keys = r#"{"bucket":"b","keys_only":true}"#;
    let expect = [("mapper-calls", 400), ("io-read-bytes", 0)];
    check(&counters(&world, keys, &map("values"), "").await, &expect);
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_and_what_fails_is_told_apart() {
    let world = World::new();
    world.fill(&BucketId::untyped("b"), 20);
    let keys: Vec<String> = (0..30).map(|number| format!(r#"["b","k{number}"]"#)).collect();
    let inputs = format!("[{}]", keys.join(","));
    let map = |name| format!(r#"[{{"map":{{"language":"javascript","name":"{name}"}}}}]"#);
    let found = counters(&world, &inputs, &map("json"), "").await;
    check(&found, &[("mapper-calls", 20), ("inputs-missing", 10), ("map-errors", 0)]);
    let link = r#"[{"link":{}}]"#;
    let expect = [("mapper-calls", 0), ("inputs-missing", 10)];
    check(&counters(&world, &inputs, link, "").await, &expect);
    let skip = r#","on_error":{"mode":"skip"}"#;
    let found = counters(&world, &inputs, &map("throw"), skip).await;
    check(&found, &[("mapper-calls", 20), ("inputs-missing", 10), ("map-errors", 1)]);
}
