//! Inputs that a query's own code reads: as many as there are, in their order, and nodes that die
//! meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};

use mapring_script::FailureCause;
use mapring_types::{BucketId, NodeId};

use super::inputs::{GROUP, KEYDATA, KEYS, LIST, SUM, grouped, run, same, texts};
use super::world::{World, gather};
use crate::failure::FailureKind;

fn reader(name: &str, to: u64) -> String {
    let code = format!(r#"{{"language":"javascript","name":"{name}"}}"#);
    format!(r#"{{"reader":{code},"params":{{"to":{to}}}}}"#)
}

#[tokio::test(start_paused = true)]
async fn items_come_once_and_in_their_order() {
    let world = World::new();
    for name in ["numbers", "still", "one"] {
        for shards in [1, 2, 7, 100] {
            let more = format!(r#","shards":{shards}"#);
            let found = run(&world, &reader(name, 200), LIST, &more).await.unwrap();
            same(found, texts(0..200), &format!("{name} in {shards}"));
            let found = gather(world.start(1, &reader(name, 200), GROUP, &more)).await.unwrap();
            assert_eq!(found[&1], grouped(200), "{name} in {shards}");
        }
    }
    same(run(&world, &reader("numbers", 50), LIST, "").await.unwrap(), texts(0..50), "as suits");
    assert!(run(&world, &reader("none", 9), LIST, "").await.unwrap().is_empty());
    same(run(&world, &reader("numbers", 9), "[]", "").await.unwrap(), texts(0..9), "listed");
}

#[tokio::test(start_paused = true)]
async fn what_functions_get() {
    let world = World::new();
    let keys = run(&world, &reader("keyed", 3), KEYS, r#","shards":1"#).await.unwrap();
    let expect = (0..3).map(|at| format!(r#"["reader","key {at}"]"#)).collect();
    same(keys, expect, "keys");
    let keys = run(&world, &reader("numbers", 3), KEYS, r#","shards":3"#).await.unwrap();
    let expect = (0..3).map(|shard| format!(r#"["reader","{shard}-0"]"#)).collect();
    same(keys, expect, "names of items");
    let places = run(&world, &reader("one", 2), KEYDATA, "").await.unwrap();
    same(places, texts([r#"{"shard":0,"index":0}"#, r#"{"shard":0,"index":1}"#]), "places");
    let listed = run(&world, &reader("keyed", 2), "[]", "").await.unwrap();
    same(listed, texts([r#"["key 0",0]"#, r#"["key 1",1]"#]), "listed with keys");
}

#[tokio::test(start_paused = true)]
async fn objects_that_a_reader_names() {
    let world = World::new();
    let bucket = BucketId::untyped("b");
    for number in (0..30).filter(|number| number % 3 != 1) {
        world.put(&bucket, &format!("k{number}"), &number.to_string());
    }
    let there = || (0..30).filter(|number| number % 3 != 1);
    let objects = reader("objects", 30);
    same(run(&world, &objects, LIST, "").await.unwrap(), texts(there()), "those that are there");
    same(run(&world, &objects, KEYDATA, "").await.unwrap(), texts(there()), "their key data");
    let keys = there().map(|number| format!(r#"["b","k{number}"]"#)).collect();
    same(run(&world, &objects, KEYS, "").await.unwrap(), keys, "their names");
    let lines = format!(r#"{{"lines":{objects}}}"#);
    same(run(&world, &lines, LIST, "").await.unwrap(), texts(there()), "their lines");
    for inputs in [
        objects.replace("}}", r#"},"on_missing":"fail"}"#),
        lines.replace("}}}", r#"}},"on_missing":"fail"}"#),
    ] {
        let failure = run(&world, &inputs, LIST, "").await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Function(FailureCause::Missing), "{inputs}");
    }
}

#[tokio::test(start_paused = true)]
async fn readers_nest() {
    let world = World::new();
    let lines = format!(r#"{{"lines":{}}}"#, reader("texts", 60));
    for more in ["", r#","shards":5"#] {
        same(run(&world, &lines, LIST, more).await.unwrap(), texts(0..120), "lines of texts");
    }
    let both = format!(r#"{{"concat":[{},{{"items":["10"]}},{}]}}"#, reader("one", 1), lines);
    let found = run(&world, &both, GROUP, "").await.unwrap();
    assert!(found[0].starts_with("[0,[0,10,0,10,20,"), "{found:?}");
    for name in ["numbers", "still", "endless", "texts"] {
        let sample = format!(r#"{{"sample":{},"limit":20}}"#, reader(name, 300));
        let found = run(&world, &sample, LIST, r#","shards":3"#).await.unwrap();
        assert_eq!(found.len(), 20, "{name}");
    }
    let limit = run(&world, &reader("endless", 0), LIST, r#","limit":30"#).await.unwrap();
    assert_eq!(limit.len(), 30);
    let sample = format!(r#"{{"sample":{},"fraction":0.25,"seed":3}}"#, reader("numbers", 400));
    let found = run(&world, &sample, LIST, "").await.unwrap();
    assert!((60..140).contains(&found.len()), "{}", found.len());
}

#[tokio::test(start_paused = true)]
async fn nodes_die_while_readers_read() {
    let lines = format!(r#"{{"lines":{}}}"#, reader("texts", 100));
    for (inputs, query) in
        [(reader("numbers", 200), SUM), (reader("still", 200), GROUP), (lines, GROUP)]
    {
        for after in [0, 1, 30, 100, 190] {
            for dies in [2, 3] {
                let world = World::new();
                let (network, done) = (world.network.clone(), AtomicU64::new(0));
                *world.watch.hook.lock() = Some(Box::new(move |mapped| {
                    if mapped >= after && done.swap(1, Ordering::Relaxed) == 0 {
                        network.disconnect(NodeId(dies));
                    }
                }));
                let found = run(&world, &inputs, query, r#","shards":9"#).await.unwrap();
                let expect = if query == SUM { texts([199 * 100]) } else { grouped(200) };
                assert_eq!(found, expect, "node {dies} dies after {after}: {inputs}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn failures_name_the_reader() {
    let world = World::new();
    for (name, says) in [
        ("broken", "the reader's split: no idea"),
        ("fails", "the reader, shard 1: boom"),
        ("unnamed", "item 0: an object is named as"),
    ] {
        let failure = run(&world, &reader(name, 20), LIST, r#","shards":2"#).await.unwrap_err();
        assert!(failure.message.contains(says), "{name}: {failure:?}");
        assert_eq!(failure.phase, Some(0), "{name}");
        assert!(matches!(failure.kind, FailureKind::Function(_)), "{name}: {failure:?}");
    }
    let stored = r#"{"reader":{"bucket":"code","key":"none"}}"#;
    let failure = run(&world, stored, LIST, "").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NoFunction);
    assert!(failure.message.contains("code/none does not exist"), "{}", failure.message);
    world.put(&BucketId::untyped("code"), "numbers", "numbers");
    let stored = r#"{"reader":{"bucket":"code","key":"numbers"},"params":{"to":9}}"#;
    same(run(&world, stored, LIST, "").await.unwrap(), texts(0..9), "a stored reader");
}
