//! Inputs that lie within objects, or are made: divided, read in order, and nodes that fail meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use mapring_cluster::Cluster as _;
use mapring_script::FailureCause;
use mapring_types::{BucketId, Error, ErrorKind, NodeId};

use super::inputs::{GROUP, KEYDATA, KEYS, LIST, SUM, grouped, run, same, texts};
use super::world::{World, gather, object};
use crate::earlier::{EarlierJobs, EarlierResults};
use crate::failure::{FailedInput, FailureKind};

/// The texts of numbers, a line each.
fn numbers(from: u64, until: u64) -> String {
    (from..until).map(|number| format!("{number}\n")).collect()
}

fn world() -> World {
    let world = World::new();
    let bucket = BucketId::untyped("b");
    world.put(&bucket, "one", &numbers(0, 300));
    world.put(&bucket, "two", &numbers(300, 310));
    world.put(&bucket, "three", &numbers(310, 400));
    world
}

const ALL: &str = r#"{"lines":[["b","one"],["b","two"],["b","three"]]}"#;

#[tokio::test(start_paused = true)]
async fn lines_come_once_however_they_are_divided() {
    let world = world();
    for shards in [1, 2, 3, 7, 64, 1_000, 4_096] {
        let found = run(&world, ALL, LIST, &format!(r#","shards":{shards}"#)).await.unwrap();
        same(found, texts(0..400), &format!("{shards} shards"));
    }
    same(run(&world, ALL, LIST, "").await.unwrap(), texts(0..400), "as many as suit");
    // Those of a whole bucket, and what comes without a function.
    let all = r#"{"lines":{"bucket":"b"}}"#;
    same(run(&world, all, LIST, "").await.unwrap(), texts(0..400), "of a bucket");
    let listed = run(&world, all, "[]", "").await.unwrap();
    same(listed, (0..400).map(|number| format!("\"{number}\"")).collect(), "listed");
}

#[tokio::test(start_paused = true)]
async fn values_of_groups_come_in_the_order_of_the_inputs() {
    let expect = grouped(400);
    for shards in [1, 2, 5, 50] {
        for node in 0..3 {
            let world = world();
            let more = format!(r#","shards":{shards}"#);
            let found = gather(world.start(node, ALL, GROUP, &more)).await.unwrap();
            assert_eq!(found[&1], expect, "{shards} shards at {node}");
        }
    }
    // Parts follow each other whatever they are: listed objects, made items, a bucket.
    let world = world();
    let bucket = BucketId::untyped("few");
    world.put(&bucket, "k", "30");
    world.put(&bucket, "l", "10");
    assert!(run(&world, r#"{"concat":[]}"#, GROUP, "").await.unwrap().is_empty());
    let parts = r#"{"concat":[[["few","k"],["few","l"]],{"range":{"start":40,"end":81,"step":20}},
                              {"items":["20"]},[["few","k"]]]}"#;
    for _ in 0..5 {
        let found = run(&world, parts, GROUP, "").await.unwrap();
        assert_eq!(found, ["[0,[30,10,40,60,80,20,30]]"]);
    }
    // Through two maps.
    let twice = GROUP.replacen('[', r#"[{"map":{"language":"javascript","name":"key"}},"#, 1);
    let parts = r#"{"concat":[[["few","l"]],{"concat":["few",[["few","k"],["few","l"]]]}]}"#;
    let expect = run(&world, parts, GROUP, "").await.unwrap();
    for _ in 0..5 {
        assert_eq!(run(&world, parts, &twice, "").await.unwrap(), expect);
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_die_while_lines_are_read() {
    for (inputs, query) in [(ALL, SUM), (ALL, GROUP), (r#"{"lines":{"bucket":"b"}}"#, SUM)] {
        let expect = run(&world(), inputs, query, "").await.unwrap();
        for after in [0, 1, 30, 150, 390] {
            for dies in [2, 3] {
                let world = world();
                let (network, done) = (world.network.clone(), AtomicU64::new(0));
                *world.watch.hook.lock() = Some(Box::new(move |mapped| {
                    if mapped >= after && done.swap(1, Ordering::Relaxed) == 0 {
                        network.disconnect(NodeId(dies));
                    }
                }));
                let found = run(&world, inputs, query, r#","shards":9"#).await.unwrap();
                assert_eq!(found, expect, "node {dies} dies after {after}: {query}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn items_that_are_made() {
    let world = World::new();
    let range = r#"{"range":{"start":0,"end":1000}}"#;
    for shards in [1, 7, 1_000, 4_096] {
        let found = run(&world, range, LIST, &format!(r#","shards":{shards}"#)).await.unwrap();
        same(found, texts(0..1_000), &format!("{shards} shards"));
    }
    let keys = run(&world, r#"{"items":["x",{"a":1}]}"#, KEYS, "").await.unwrap();
    same(keys, texts([r#"["items","0"]"#, r#"["items","1"]"#]), "keys");
    let places = run(&world, r#"{"random":{"count":3}}"#, KEYDATA, "").await.unwrap();
    same(places, (0..3).map(|at| format!("{{\"index\":{at}}}")).collect(), "places");
    let listed = r#"{"items":[ "x" ,{ "a" : 1 },[1, 2]]}"#;
    let listed = run(&world, listed, "[]", "").await.unwrap();
    same(listed, texts(["\"x\"", "{\"a\":1}", "[1,2]"]), "listed");
    assert!(run(&world, r#"{"items":[]}"#, LIST, "").await.unwrap().is_empty());
    let nested = r#"{"lines":{"items":["1\n2","3"]}}"#;
    same(run(&world, nested, LIST, "").await.unwrap(), texts(1..4), "lines of items");
}

#[tokio::test(start_paused = true)]
async fn samples() {
    let world = World::new();
    let bucket = BucketId::untyped("b");
    world.fill(&bucket, 400);
    let sample = r#"{"sample":"b","fraction":0.25,"seed":3}"#;
    let found = run(&world, sample, LIST, "").await.unwrap();
    assert!((60..140).contains(&found.len()), "{}", found.len());
    let keys: Vec<String> = (0..400).map(|number| format!(r#"["b","k{number}"]"#)).collect();
    let listed = format!(r#"{{"sample":[{}],"fraction":0.25,"seed":3}}"#, keys.join(","));
    same(run(&world, &listed, LIST, "").await.unwrap(), found, "the same of a list");
    for (inputs, expect) in [
        (r#"{"sample":"b","limit":7}"#, 7),
        (r#"{"sample":{"range":{"end":500}},"limit":100}"#, 100),
        (r#"{"sample":{"lines":{"items":["1\n2\n3","4","5\n6\n7"]}},"limit":5}"#, 5),
        (r#"{"sample":{"lines":{"items":["1\n2"]}},"limit":5}"#, 2),
        (r#"{"sample":{"sample":{"range":{"end":100000}},"fraction":0.5},"limit":9}"#, 9),
    ] {
        let found = run(&world, inputs, LIST, r#","shards":3"#).await.unwrap();
        assert_eq!(found.len(), expect, "{inputs}");
    }
    let first = run(
        &world,
        r#"{"sample":{"lines":{"items":["1\n2\n3","4","5"]}},"limit":4}"#,
        LIST,
        r#","shards":3"#,
    )
    .await;
    same(first.unwrap(), texts(1..5), "the first ones");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there() {
    let world = world();
    let some = r#"{"lines":[["b","two"],["b","none"]]}"#;
    for more in ["", r#","shards":1"#] {
        same(run(&world, some, LIST, more).await.unwrap(), texts(300..310), "passed over");
        let wants = some.replace("]]}", r#"]],"on_missing":"fail"}"#);
        let failure = run(&world, &wants, LIST, more).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Function(FailureCause::Missing));
        assert!(failure.message.contains("b/none"), "{}", failure.message);
        assert!(matches!(&failure.input, Some(FailedInput::Object { id, .. }) if id.key == "none"));
    }
}

#[tokio::test(start_paused = true)]
async fn damage_is_told_or_left_out() {
    let world = World::new();
    let bucket = BucketId::untyped("b");
    world.put(&bucket, "r", "1\n{\"a\":\n2\n");
    let records = r#"{"records":[["b","r"]]}"#;
    let failure = run(&world, records, LIST, "").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Function(FailureCause::Damaged));
    assert!(failure.message.contains("b/r") && failure.message.contains("byte 2"), "{failure:?}");
    let skip = r#","on_error":{"mode":"skip","max":1}"#;
    same(run(&world, records, LIST, skip).await.unwrap(), texts([1, 2]), "left out");
    let none = r#","on_error":{"mode":"skip","max":0}"#;
    assert!(run(&world, records, LIST, none).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_written_while_it_is_read_fails_the_query() {
    let world = world();
    let (store, cluster) = (world.store.clone(), world.clusters[0].clone());
    let done = AtomicU64::new(0);
    *world.watch.hook.lock() = Some(Box::new(move |mapped| {
        if mapped >= 20 && done.swap(1, Ordering::Relaxed) == 0 {
            let mut other = object("1\n2\n3\n", &[], false);
            let (seen, mut written) = (other.clock.clone(), other.siblings[0].clone());
            written.dot.counter = 2;
            other.update(&seen, written);
            store.lock().replace(&cluster.view(), "b", "one", &other);
        }
    }));
    let failure = run(&world, ALL, LIST, r#","shards":30"#).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Function(FailureCause::Changed), "{failure:?}");
    assert!(failure.message.contains("b/one"), "{}", failure.message);
}

#[tokio::test(start_paused = true)]
async fn names_of_buckets() {
    let world = World::new();
    for name in ["ns_a", "ns_b", "other"] {
        world.put(&BucketId::untyped(name), "k", "1");
    }
    let names = |found: Vec<String>| {
        same(found, texts([r#"["buckets","ns_a"]"#, r#"["buckets","ns_b"]"#]), "names")
    };
    names(run(&world, r#"{"buckets":{"prefix":"ns_"}}"#, KEYS, "").await.unwrap());
    names(run(&world, r#"{"buckets":{"type":"default","prefix":"ns_"}}"#, KEYS, "").await.unwrap());
    let listed = run(&world, r#"{"bucket_types":{}}"#, "[]", "").await.unwrap();
    assert_eq!(listed, ["\"default\""]);
    let failure = run(&world, r#"{"buckets":{"type":"none"}}"#, KEYS, "").await.unwrap_err();
    assert!(failure.message.contains("no bucket type none"), "{}", failure.message);
}

/// Two jobs: one gave numbers, the other wrote objects.
struct TwoJobs;

#[async_trait]
impl EarlierJobs for TwoJobs {
    async fn results(&self, id: &str) -> mapring_types::Result<EarlierResults> {
        let names = vec![r#"["b","one"]"#.to_owned(), r#"["b","two"]"#.to_owned()];
        match id {
            "numbers" => Ok(EarlierResults { rows: texts(0..500), are_names: false }),
            "objects" => Ok(EarlierResults { rows: names, are_names: true }),
            "nothing" => Ok(EarlierResults::default()),
            _ => Err(Error::new(ErrorKind::Invalid, format!("there is no job \"{id}\""))),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_jobs_gave_are_inputs() {
    let world = world();
    let unknown = run(&world, r#"{"job":"numbers"}"#, LIST, "").await.unwrap_err();
    assert!(unknown.kind.may_pass(), "{unknown}");
    let jobs: Arc<dyn EarlierJobs> = Arc::new(TwoJobs);
    world.know_jobs(&jobs);
    for shards in [1, 3, 64] {
        let more = format!(r#","shards":{shards}"#);
        let found = run(&world, r#"{"job":"numbers"}"#, LIST, &more).await.unwrap();
        same(found, texts(0..500), &format!("{shards} shards"));
        let lines = run(&world, r#"{"lines":{"job":"objects"}}"#, LIST, &more).await.unwrap();
        same(lines, texts(0..310), &format!("lines in {shards} shards"));
    }
    let both = r#"{"concat":[{"sample":{"job":"numbers"},"limit":3},{"job":"nothing"}]}"#;
    same(run(&world, both, LIST, "").await.unwrap(), texts(0..3), "the first");
    let keys = run(&world, r#"{"job":"objects"}"#, KEYS, "").await.unwrap();
    same(keys, texts([r#"["b","one"]"#, r#"["b","two"]"#]), "as they are");
    let failure = run(&world, r#"{"job":"other"}"#, LIST, "").await.unwrap_err();
    assert!(failure.message.contains("there is no job \"other\""), "{failure}");
}
