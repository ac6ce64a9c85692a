//! Grouped reduces: order, chains, and nodes that fail while pairs are made, gathered and reduced.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mapring_net::simulated::Fate;
use mapring_script::FailureCause;
use mapring_shuffle::{RunWriter, key};
use mapring_types::{BucketId, ErrorKind, NodeId};

use super::world::{World, gather};
use crate::config::MapredConfig;
use crate::failure::{Failure, FailureKind};
use crate::node::keep;
use crate::segments::StoreSegments;
use crate::unit::RunId;

/// Sums by remainder, and what combines the pairs on their way.
pub(super) fn sums(members: &str) -> String {
    format!(
        r#"[{{"map":{{"language":"javascript","name":"remainder"}}}},
            {{"reduce":{{"language":"javascript","name":"sum","group":true{members}}}}}]"#
    )
}

pub(super) const COMBINE: &str = r#","combine":{"language":"javascript","name":"sum"}"#;

/// Pages of few pairs, and so many runs.
pub(super) fn full() -> World {
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
async fn combiners_are_looked_at_without_pairs() {
    let world = World::new();
    let combine = |name: &str| format!(r#","combine":{{"language":"javascript","name":"{name}"}}"#);
    assert!(world.run(0, "\"b\"", &sums(&combine("sum"))).await.unwrap().is_empty());
    let failure = world.run(0, "\"b\"", &sums(&combine("Job.foo"))).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Function(FailureCause::Undefined));
    assert_eq!((failure.phase, failure.message.as_str()), (Some(1), "Job.foo is not defined"));
}

#[tokio::test(start_paused = true)]
async fn combiners_that_fail_name_the_key() {
    let world = World::new();
    let combine = r#","combine":{"language":"javascript","name":"throw"}"#;
    // While the pairs of a page are combined, and before the reduce.
    for values in [r#"[["a",1],["a",2]]"#, r#"[["a",1]]"#] {
        let inputs = format!(r#"{{"module":"mapring","function":"list","arg":{values}}}"#);
        let query = format!(
            r#"[{{"reduce":{{"language":"javascript","name":"sum","group":true{combine}}}}}]"#
        );
        let failure = world.run(0, &inputs, &query).await.unwrap_err();
        assert_eq!(failure.message, r#"TypeError: no (key "a")"#);
        assert_eq!(failure.phase, Some(0));
    }
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
pub(super) fn later(counted: u64, what: impl Fn() + Send + Sync + 'static) -> super::workers::Hook {
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

#[tokio::test(start_paused = true)]
async fn a_lost_holder_is_waited_for_once_and_not_by_every_unit() {
    let world = World::with(MapredConfig {
        page_inputs: 1,
        page_pairs_bytes: 600,
        units_at_once: 1,
        ..MapredConfig::default()
    });
    world.fill(&BucketId::untyped("b"), 400);
    let network = world.network.clone();
    let cut = move || {
        network.set_weather(Box::new(|from, to| {
            let cut = from == NodeId(2) || to == NodeId(2);
            if cut { Fate::Lose } else { Fate::Deliver(Duration::ZERO) }
        }));
    };
    *world.watch.hook.lock() = Some(later(20, cut));
    let began = tokio::time::Instant::now();
    let found = gather(world.start(0, "\"b\"", &sums(""), "")).await.unwrap();
    assert_eq!(found[&1], expected());
    // To store with it, and then the lease.
    assert!(began.elapsed() < Duration::from_secs(13), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_reduce_that_can_combines_by_itself() {
    let query = |members: &str| {
        format!(
            r#"[{{"map":{{"language":"javascript","name":"remainder"}}}},
                {{"reduce":{{"language":"javascript","group":true{members}}}}}]"#
        )
    };
    let run = async |name: &str, members: &str| {
        let world = full();
        let body = format!(
            r#"{{"inputs":"b","query":{}}}"#,
            query(&format!(r#","name":"{name}"{members}"#))
        );
        let query = crate::grammar::parse(body.as_bytes()).unwrap();
        let started = world.engines[0].start(query).unwrap();
        let found = gather(started.results).await.unwrap().remove(&1).unwrap();
        (found, started.handle.report().counters)
    };
    let (plain, without) = run("sum", "").await;
    for members in ["", r#","sort_values":"asc""#, r#","values":"stream""#] {
        let (found, counters) = run("Job.sum", members).await;
        assert_eq!(found, plain, "{members}");
        assert!(counters["combiner-calls"] > 0 && without["combiner-calls"] == 0, "{members}");
        assert!(counters["shuffle-bytes"] < without["shuffle-bytes"], "{counters:?} {without:?}");
    }
    let mean = (0..10).map(|rest| format!("[{rest},{}]", 195 + rest)).collect::<Vec<_>>();
    assert_eq!(run("Job.mean", "").await.0, mean);
    let combined =
        r#","sort_values":"desc","combine":{"language":"javascript","name":"Job.count"}"#;
    let counts = (0..10).map(|rest| format!("[{rest},[40]]")).collect::<Vec<_>>();
    assert_eq!(run("list", combined).await.0, counts);
}

#[tokio::test(start_paused = true)]
async fn a_group_of_very_many_values_is_combined_as_it_is_read() {
    let world = full();
    let many = 45_000;
    let bucket = BucketId::untyped("many");
    for half in 0..2 {
        let pairs: Vec<String> =
            (0..many).filter(|n| n % 2 == half).map(|n| format!("[\"k\",{n}]")).collect();
        world.put(&bucket, &format!("k{half}"), &format!("[{}]", pairs.join(",")));
    }
    for (name, expect) in [
        ("Job.top\",\"arg\":\"none", None),
        ("Job.top\",\"arg\":2,\"values\":\"list", Some("[\"k\",[44999,44998]]".to_owned())),
        ("Job.count", Some(format!("[\"k\",{many}]"))),
        (
            "Job.distinct",
            Some({
                let all: Vec<String> = (0..many).map(|n| n.to_string()).collect();
                format!("[\"k\",[{}]]", all.join(","))
            }),
        ),
    ] {
        let query = format!(
            r#"[{{"map":{{"language":"javascript","name":"elements"}}}},
                {{"reduce":{{"language":"javascript","name":"{name}","group":true}}}}]"#
        );
        let found = world.run(0, "\"many\"", &query).await;
        match expect {
            Some(expect) => assert!(found.unwrap()[&1] == [expect], "{name}"),
            // What is wrong with the function is the reduce's failure.
            None => assert_eq!(found.unwrap_err().phase, Some(1)),
        }
    }
}
