//! Objects of which each has the results of a shard: the same on any number of nodes, whatever fails.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use mapring_types::{BucketId, NodeId};

use super::inputs::{GROUP, LIST};
use super::world::{World, gather};
use crate::config::MapredConfig;
use crate::failure::Failure;

const TWICE: &str = r#"[{"map":{"language":"javascript","name":"key"}},
                        {"map":{"language":"javascript","name":"json"}}]"#;
const SORT: &str = r#"[{"map":{"language":"javascript","name":"json"}},
                       {"reduce":{"language":"javascript","name":"sort"}}]"#;

fn world(nodes: u64) -> World {
    // Small pages, so that units are lost in the middle.
    let config = MapredConfig { page_inputs: 7, ..MapredConfig::default() };
    let world = World::of(nodes, config);
    world.fill(&BucketId::untyped("b"), 100);
    let lines: String = (0..300).map(|number| format!("{number}\n")).collect();
    world.put(&BucketId::untyped("l"), "lines", &lines);
    world
}

/// The objects of an output, by their numbers.
async fn run(
    world: &World,
    inputs: &str,
    query: &str,
    more: &str,
) -> Result<BTreeMap<u32, String>, Failure> {
    let output =
        r#","output":{"bucket":"out","layout":"per_shard","name":"$num","format":"lines"}"#;
    let names = gather(world.start(0, inputs, query, &format!("{more}{output}"))).await?;
    let stored = world.stored("out");
    let names: Vec<String> = names.into_values().flatten().collect();
    let expect = (0..stored.len()).map(|number| format!("[\"out\",\"{number}\"]"));
    assert_eq!(names, expect.collect::<Vec<_>>(), "they are told in the order of their numbers");
    Ok(stored.into_iter().map(|(name, (_, body))| (name.parse().unwrap(), body)).collect())
}

fn listed(keys: std::ops::Range<u32>) -> String {
    let keys: Vec<String> = keys.map(|key| format!("[\"b\",\"k{key}\"]")).collect();
    format!("[{}]", keys.join(","))
}

fn lines(numbers: impl IntoIterator<Item = u32>) -> String {
    numbers.into_iter().map(|number| format!("{number}\n")).collect()
}

/// What an output of these inputs is, whatever the nodes.
#[track_caller]
fn check(inputs: &str, query: &str, more: &str) -> BTreeMap<u32, String> {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let expect = run(&world(1), inputs, query, more).await.unwrap();
        for nodes in [2, 3] {
            let found = run(&world(nodes), inputs, query, more).await.unwrap();
            assert_eq!(found, expect, "{nodes} nodes: {inputs} {query} {more}");
        }
        for (after, dies) in [(0, 2), (20, 3), (77, 2)] {
            let world = world(3);
            let (network, done) = (world.network.clone(), AtomicU64::new(0));
            *world.watch.hook.lock() = Some(Box::new(move |mapped| {
                if mapped >= after && done.swap(1, Ordering::Relaxed) == 0 {
                    network.disconnect(NodeId(dies));
                }
            }));
            let found = run(&world, inputs, query, more).await.unwrap();
            assert_eq!(found, expect, "node {dies} dies after {after}: {inputs} {query}");
        }
        expect
    })
}

#[test]
fn a_stretch_of_a_list_is_a_shard() {
    for query in [LIST, TWICE] {
        let found = check(&listed(0..20), query, "");
        let sizes: Vec<usize> = found.values().map(|body| body.lines().count()).collect();
        assert_eq!(sizes, [3, 3, 3, 3, 2, 2, 2, 2]);
        assert_eq!(found.into_values().collect::<String>(), lines(0..20));
    }
    let found = check(&listed(0..5), LIST, r#","shards":2"#);
    assert_eq!(found.into_values().collect::<Vec<_>>(), [lines(0..3), lines(3..5)]);
    // Nothing is divided into more than there is, and a query need not do anything.
    let found = check(&listed(0..3), "[]", "");
    assert_eq!(found[&2], "[\"b\",\"k2\"]\n");
    assert_eq!(found.len(), 3);
    let sequence = r#"{"module":"mapring","function":"sequence","arg":[1,9]}"#;
    let found = check(sequence, "[]", r#","shards":2"#);
    assert_eq!(found.into_values().collect::<Vec<_>>(), [lines(1..6), lines(6..10)]);
}

#[test]
fn neighbouring_partitions_are_a_shard() {
    for query in [LIST, TWICE, "[]"] {
        let eight = check(r#""b""#, query, "");
        assert_eq!(eight.len(), 8, "of 16 partitions");
        let every = check(r#""b""#, query, r#","shards":999"#);
        assert_eq!(every.len(), 16);
        let joined = |pair: [u32; 2]| pair.map(|half| every[&half].as_str()).concat();
        for (number, body) in &eight {
            assert_eq!(*body, joined([2 * number, 2 * number + 1]), "{query}");
        }
        let one = check(r#""b""#, query, r#","shards":1"#);
        assert_eq!(one[&0], every.values().map(String::as_str).collect::<String>());
        assert_eq!(one[&0].lines().count(), 100);
    }
    let none = check(r#""nothing""#, LIST, "");
    assert!(none.len() == 8 && none.values().all(String::is_empty), "{none:?}");
}

#[test]
fn parts_of_files_and_of_what_is_made_are_shards() {
    let found = check(r#"{"lines":[["l","lines"]]}"#, LIST, r#","shards":5"#);
    assert_eq!(found.len(), 5);
    assert_eq!(found.into_values().collect::<String>(), lines(0..300));
    let range = r#"{"range":{"start":0,"end":20}}"#;
    let found = check(range, LIST, "");
    assert_eq!((found.len(), found[&0].as_str()), (8, "0\n1\n2\n"));
    let all = format!(r#"{{"concat":[{range},{},"b"]}}"#, listed(0..20));
    let found = check(&all, LIST, r#","shards":4"#);
    assert_eq!(found.len(), 12, "each part is divided");
    assert_eq!(found[&3], lines(15..20));
    assert_eq!(found[&7], found[&3]);
    let scanned = (8..12).map(|number| found[&number].lines().count()).sum::<usize>();
    assert_eq!(scanned, 100);
    assert!(check(r#"{"items":[]}"#, LIST, "").is_empty());
}

#[test]
fn partitions_of_groups_are_shards() {
    let more = r#","shards":3"#;
    let groups = check(r#""b""#, GROUP, more);
    assert_eq!(groups.len(), 8, "the inputs' shards are gone");
    assert_eq!(groups.values().map(|body| body.lines().count()).sum::<usize>(), 10);
    // What a map makes of groups stays in their partitions.
    let names = GROUP.replace("remainder", "swapped").replace("list", "swapped");
    let names_of = check(r#""b""#, &names, more);
    let mapped = names.replace("}}]", r#"}},{"map":{"language":"javascript","name":"json"}}]"#);
    let mapped = check(r#""b""#, &mapped, more);
    let numbers = |body: &String| body.replace("[\"b\",\"k", "").replace("\"]", "");
    let names_of: Vec<String> = names_of.values().map(numbers).collect();
    assert_eq!(mapped.values().cloned().collect::<Vec<_>>(), names_of);
    assert_eq!(mapped.values().map(|body| body.lines().count()).sum::<usize>(), 100);
    // What a plain reduce gives is one.
    let sorted = check(&listed(0..9), SORT, more);
    assert_eq!(sorted.into_values().collect::<Vec<_>>(), [lines(0..9)]);
    let behind = SORT.replace("}}]", r#"}},{"map":{"language":"javascript","name":"json"}}]"#);
    let sorted = check(&listed(0..9), &behind.replacen("json", "key", 1), more);
    assert_eq!(sorted.into_values().collect::<Vec<_>>(), [lines(0..9)]);
}
