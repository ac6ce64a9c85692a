//! Grouped reduces: order, chains, and nodes that fail while pairs are made, gathered and reduced.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mapring_net::simulated::Fate;
use mapring_shuffle::{RunWriter, key};
use mapring_types::{BucketId, ErrorKind, NodeId};

use super::world::{World, gather};
use crate::config::MapredConfig;
use crate::failure::{Failure, FailureKind};
use crate::node::keep;
use crate::segments::StoreSegments;
use crate::unit::RunId;

/// Sums by remainder, and what combines the pairs on their way.
fn sums(members: &str) -> String {
    format!(
        r#"[{{"map":{{"language":"javascript","name":"remainder"}}}},
            {{"reduce":{{"language":"javascript","name":"sum","group":true{members}}}}}]"#
    )
}

const COMBINE: &str = r#","combine":{"language":"javascript","name":"sum"}"#;

/// Pages of few pairs, and so many runs.
fn full() -> World {
    let world = World::with(MapredConfig {
        page_inputs: 1,
        page_pairs_bytes: 600,
        ..MapredConfig::default()
    });
    world.fill(&BucketId::untyped("b"), 400);
    world
}

fn expected() -> Vec<String> {
    let sum = |rest: u64| (0..400).filter(|number| number % 10 == rest).sum::<u64>();
    (0..10).map(|rest| format!("[{rest},{}]", sum(rest))).collect()
}

#[tokio::test(start_paused = true)]
async fn groups_come_in_the_order_of_their_keys() {
    for members in ["", COMBINE, r#","partitions":1"#, r#","partitions":3"#, r#","partitions":16"#]
    {
        let world = full();
        let found = world.run(0, "\"b\"", &sums(members)).await.unwrap();
        assert_eq!(found[&1], expected(), "{members}");
        for engine in &world.engines {
            assert_eq!(engine.node.pairs_held.load(Ordering::Relaxed), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn values_come_in_the_order_of_the_inputs() {
    let list = |members: &str| {
        format!(
            r#"[{{"map":{{"language":"javascript","name":"remainder"}}}},
                {{"reduce":{{"language":"javascript","name":"list","group":true{members}}}}}]"#
        )
    };
    let mut all = Vec::new();
    for partitions in [1, 3, 16] {
        let world = full();
        let found = world.run(0, "\"b\"", &list(&format!(r#","partitions":{partitions}"#))).await;
        all.push(found.unwrap());
    }
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0], all[2]);
    let world = full();
    // Keys that are named come in the order in which they are.
    let keys: Vec<String> = [25, 5, 3, 395, 15].map(|key| format!(r#"["b","k{key}"]"#)).into();
    let keys = format!("[{}]", keys.join(","));
    let found = world.run(1, &keys, &list("")).await.unwrap();
    assert_eq!(found[&1], ["[3,[3]]", "[5,[25,5,395,15]]"]);
    let found = world.run(1, &keys, &list(r#","sort_values":"desc""#)).await.unwrap();
    assert_eq!(found[&1], ["[3,[3]]", "[5,[395,25,15,5]]"]);
}

#[tokio::test(start_paused = true)]
async fn groups_are_grouped_again() {
    let world = full();
    // Each group of ten gives one pair, whose value is the sum; the second groups them all by key.
    let query = format!(
        r#"[{{"map":{{"language":"javascript","name":"remainder"}}}},
            {{"reduce":{{"language":"javascript","name":"sum","group":true{COMBINE}}}}},
            {{"reduce":{{"language":"javascript","name":"list","group":true}}}},
            {{"reduce":{{"language":"javascript","name":"sort"}}}}]"#
    );
    let found = world.run(0, "\"b\"", &query).await.unwrap();
    let expect: Vec<String> =
        expected().iter().map(|pair| pair.replace(',', ",[").replace(']', "]]")).collect();
    assert_eq!(found[&3], expect);
}

#[tokio::test(start_paused = true)]
async fn what_the_query_itself_has_is_grouped() {
    let world = full();
    let inputs =
        r#"{"module":"mapring","function":"list","arg":[["b",1],["a",2],["b",3],[1,4],[1.0,5]]}"#;
    let query = r#"[{"reduce":{"language":"javascript","name":"list","group":true}}]"#;
    let found = world.run(0, inputs, query).await.unwrap();
    assert_eq!(found[&0], ["[1,[4,5]]", "[\"a\",[2]]", "[\"b\",[1,3]]"]);
    let none = r#"{"module":"mapring","function":"list","arg":[]}"#;
    assert!(world.run(0, none, query).await.unwrap().is_empty());
    let wrong = r#"{"module":"mapring","function":"list","arg":[["b",1],7]}"#;
    let failure: Failure = world.run(0, wrong, query).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::BadInput);
}

#[tokio::test(start_paused = true)]
async fn what_comes_late_is_not_kept() {
    let world = World::new();
    let node = &world.engines[0].node;
    let mut writer = RunWriter::new(b"");
    let mut key = Vec::new();
    key::encode("1", &mut key).unwrap();
    writer.push(0, &key, b"", b"2").unwrap();
    let segment = Bytes::from(writer.finish().unwrap().remove(0).bytes);
    let run = RunId { unit: 1, attempt: 1, page: 0 };
    let piece =
        |query| StoreSegments { query, stage: 1, run, segments: vec![(0, segment.clone())] };
    keep(node, piece(7)).await.unwrap();
    assert_eq!(node.pairs.usage().segments, 1);
    node.forget_pairs(7);
    assert_eq!(keep(node, piece(7)).await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(node.pairs.usage().memory_bytes, 0);
    keep(node, piece(8)).await.unwrap();
    assert_eq!(node.pairs.usage().segments, 1);
}

/// Does something to node 2 once, when so many inputs were mapped or so many calls of the reduce made.
fn later(counted: u64, what: impl Fn() + Send + Sync + 'static) -> super::workers::Hook {
    let done = AtomicU64::new(0);
    Box::new(move |now| {
        if now >= counted && done.swap(1, Ordering::Relaxed) == 0 {
            what();
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_node_dies_while_pairs_are_made() {
    for inputs in [0, 1, 40, 150, 300, 399] {
        for members in ["", COMBINE] {
            for dies in [2, 3] {
                let world = full();
                let network = world.network.clone();
                *world.watch.hook.lock() =
                    Some(later(inputs, move || network.disconnect(NodeId(dies))));
                let found = world.run(0, "\"b\"", &sums(members)).await.unwrap();
                assert_eq!(found[&1], expected(), "node {dies} dies after {inputs}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_dies_while_groups_are_reduced() {
    for calls in [0, 1, 2, 3] {
        for dies in [2, 3] {
            let world = full();
            let network = world.network.clone();
            *world.watch.reduce_hook.lock() =
                Some(later(calls, move || network.disconnect(NodeId(dies))));
            let found = world.run(0, "\"b\"", &sums(COMBINE)).await.unwrap();
            assert_eq!(found[&1], expected(), "node {dies} dies after {calls} calls");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_is_not_waited_for() {
    for (mapped, reduced) in [(Some(100), None), (None, Some(1))] {
        let world = full();
        let network = world.network.clone();
        let silent = move || {
            network.set_weather(Box::new(|from, _| {
                if from == NodeId(2) { Fate::Lose } else { Fate::Deliver(Duration::ZERO) }
            }));
        };
        match (mapped, reduced) {
            (Some(inputs), _) => *world.watch.hook.lock() = Some(later(inputs, silent)),
            (_, calls) => {
                *world.watch.reduce_hook.lock() = Some(later(calls.unwrap_or(0), silent));
            }
        }
        let found = gather(world.start(0, "\"b\"", &sums(""), "")).await.unwrap();
        assert_eq!(found[&1], expected());
    }
}
