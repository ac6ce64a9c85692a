//! Partitions that a query's own function chooses.

use std::sync::atomic::{AtomicU64, Ordering};

use mapring_script::FailureCause;
use mapring_types::NodeId;

use super::groups::full;
use super::world::{World, gather};
use crate::failure::{Failure, FailureKind};

fn query(name: &str, members: &str) -> String {
    format!(
        r#"[{{"map":{{"language":"javascript","name":"remainder"}}}},
            {{"reduce":{{"language":"javascript","name":"list","group":true,
                         "partition_by":{{"name":"{name}"}}{members}}}}}]"#
    )
}

async fn run(world: &World, query: &str, more: &str) -> Result<Vec<String>, Failure> {
    let found = gather(world.start(0, "\"b\"", query, more)).await?;
    Ok(found.into_values().flatten().collect())
}

/// What groups by remainder are, however they are spread.
async fn expected() -> Vec<String> {
    let plain = query("square", "").replace(r#""partition_by":{"name":"square"}"#, r#""x":1"#);
    run(&full(), &plain, "").await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn results_are_those_of_any_partitions() {
    let expect = expected().await;
    assert_eq!(expect.len(), 10);
    for partitions in [1, 2, 3, 7, 16] {
        let members = format!(r#","partitions":{partitions}"#);
        assert_eq!(run(&full(), &query("square", &members), "").await.unwrap(), expect);
    }
    let combined = r#","combine":{"language":"javascript","name":"keep"}"#;
    assert_eq!(run(&full(), &query("square", combined), "").await.unwrap(), expect);
}

#[tokio::test(start_paused = true)]
async fn outputs_follow_the_partitions() {
    let world = full();
    let output =
        r#","output":{"bucket":"out","layout":"per_shard","name":"p-$num","format":"ndjson"}"#;
    let names = run(&world, &query("square", r#","partitions":7"#), output).await.unwrap();
    let stored = world.stored("out");
    assert_eq!(names.len(), stored.len());
    for (name, (_, body)) in &stored {
        let number: u64 = name.trim_start_matches("p-").parse().unwrap();
        let key = |line: &str| line[1..].split(',').next().unwrap().parse::<u64>().unwrap();
        let keys: Vec<u64> = body.lines().map(key).collect();
        let expect: Vec<u64> = (0..10).filter(|key| key * key % 7 == number).collect();
        assert_eq!(keys, expect, "{name}");
    }
    // The squares of the digits have the remainders 0, 1, 2 and 4; the others have an object all the same.
    assert_eq!(stored.len(), 7);
}

#[tokio::test(start_paused = true)]
async fn nodes_die_while_keys_are_spread() {
    let expect = expected().await;
    for after in [0, 3, 50, 200, 399] {
        for dies in [2, 3] {
            let world = full();
            let (network, done) = (world.network.clone(), AtomicU64::new(0));
            *world.watch.hook.lock() = Some(Box::new(move |mapped| {
                if mapped >= after && done.swap(1, Ordering::Relaxed) == 0 {
                    network.disconnect(NodeId(dies));
                }
            }));
            let found = run(&world, &query("square", r#","partitions":5"#), "").await.unwrap();
            assert_eq!(found, expect, "node {dies} dies after {after}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_choice_that_is_none_fails_the_query() {
    let failure = run(&full(), &query("wrong", ""), "").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Function(FailureCause::Thrown));
    assert_eq!(failure.phase, Some(1));
    let says = "the choice of a partition: partition_by gives -1 for the key ";
    assert!(failure.message.starts_with(says), "{}", failure.message);
    // One key in several partitions would be several groups.
    let failure = run(&full(), &query("torn", ""), "").await.unwrap_err();
    assert!(failure.message.contains("gave different partitions for the key"), "{failure:?}");
    assert_eq!(failure.phase, Some(1));
}
