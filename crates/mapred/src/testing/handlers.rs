//! Functions that are objects with methods for shards and slices: each begins and ends once, and the
//! state is there for whoever goes on.

use std::collections::BTreeMap;

use mapring_types::{BucketId, NodeId};

use super::groups::{full, later};
use super::world::{World, gather};
use crate::failure::Failure;

/// A map by the object of that name; what it gives is grouped, mapped to nothing else, or added up.
fn query(name: &str, then: &str) -> String {
    format!(r#"[{{"map":{{"language":"javascript","name":"{name}"}}}}{then}]"#)
}

const GROUP: &str = r#",{"reduce":{"language":"javascript","name":"sum","group":true}}"#;

const GROUP_KEPT: &str = r#",{"reduce":{"language":"javascript","name":"Job.sum","group":true}}"#;

async fn run(
    world: &World,
    inputs: &str,
    query: &str,
) -> Result<(Vec<String>, BTreeMap<String, i64>), Failure> {
    let body = format!(r#"{{"inputs":{inputs},"query":{query}}}"#);
    let query = crate::grammar::parse(body.as_bytes()).unwrap();
    let started = world.engines[0].start(query).unwrap();
    let found = gather(started.results).await?;
    let found = found.into_values().next_back().unwrap_or_default();
    Ok((found, started.handle.report().counters))
}

/// What begins ends, as often as that; gives how many shards there were.
#[track_caller]
fn shards(counters: &BTreeMap<String, i64>) -> i64 {
    assert_eq!(counters["shards begun"], counters["shards ended"], "{counters:?}");
    assert_eq!(counters["slices begun"], counters["slices ended"], "{counters:?}");
    counters["shards begun"]
}

fn keys(count: usize) -> String {
    let keys: Vec<String> = (0..count).map(|number| format!(r#"["b","k{number}"]"#)).collect();
    format!("[{}]", keys.join(","))
}

fn sum(rows: &[String]) -> u64 {
    let number = |row: &String| row.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>();
    rows.iter().map(|row| number(row).unwrap()).sum()
}

#[tokio::test(start_paused = true)]
async fn shards_begin_and_end_once_and_keep_their_state() {
    for then in ["", GROUP, GROUP_KEPT] {
        let world = full();
        let (found, counters) = run(&world, "\"b\"", &query("counter", then)).await.unwrap();
        assert_eq!((sum(&found), shards(&counters)), (400, 16), "{then}");
        // A page is a slice; one of pairs is as large as these.
        assert!(!then.is_empty() || counters["slices begun"] > 16, "{counters:?}");
        let (found, counters) = run(&world, &keys(50), &query("counter", then)).await.unwrap();
        assert_eq!(sum(&found), 50, "{then}");
        assert!(shards(&counters) >= 3, "{counters:?}");
    }
    // A shard without inputs is one, too.
    let world = World::new();
    let (found, counters) = run(&world, "\"none\"", &query("counter", "")).await.unwrap();
    assert_eq!((found.len(), sum(&found), shards(&counters)), (16, 0, 16));
}

#[tokio::test(start_paused = true)]
async fn a_state_outlives_its_node() {
    for then in ["", GROUP] {
        for inputs in [1, 10, 40, 90, 150, 300, 399] {
            for dies in [2, 3] {
                for listed in [false, true] {
                    let world = full();
                    let network = world.network.clone();
                    *world.watch.hook.lock() =
                        Some(later(inputs, move || network.disconnect(NodeId(dies))));
                    let given = if listed { keys(400) } else { "\"b\"".to_owned() };
                    let (found, counters) =
                        run(&world, &given, &query("counter", then)).await.unwrap();
                    assert_eq!(sum(&found), 400, "{dies} dies after {inputs}, {listed} {then}");
                    let begun = shards(&counters);
                    assert!(listed || begun == 16, "{counters:?}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_is_bounded() {
    let world = World::new();
    world.fill(&BucketId::untyped("b"), 10);
    let failure = run(&world, "\"b\"", &query("hoarder", "")).await.unwrap_err();
    assert_eq!(failure.phase, Some(0));
    assert!(failure.message.contains("the state of the function has 300002 bytes"), "{failure}");
}
