//! Outputs that a query's own code writes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use mapring_types::{BucketId, NodeId};

use super::world::{World, gather};
use crate::failure::{Failure, FailureKind};

const SORTED: &str = r#"[{"map":{"language":"javascript","name":"json"}},
    {"reduce":{"language":"javascript","name":"sort"}}]"#;

async fn run(world: &World, query: &str, writer: &str) -> Result<Vec<String>, Failure> {
    let more = format!(r#","output":{{"bucket":"out","writer":{writer}}}"#);
    let found = gather(world.start(0, "\"b\"", query, &more)).await?;
    Ok(found.into_values().flatten().collect())
}

const PARITY: &str = r#"{"name":"parity"}"#;

fn stored(objects: &[(&str, String)]) -> BTreeMap<String, (String, String)> {
    let object = |(name, body): &(&str, String)| {
        ((*name).to_owned(), ("text/plain".to_owned(), body.clone()))
    };
    objects.iter().map(object).collect()
}

/// The numbers up to one of a parity, as texts in order, a line each, as the writer writes them.
fn lines(parity: u64, count: u64) -> String {
    let mut texts: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    texts.sort();
    let of_parity = |text: &&String| text.parse::<u64>().unwrap() % 2 == parity;
    let body: String = texts.iter().filter(of_parity).map(|text| format!("{text}\n")).collect();
    let name = if parity == 0 { "even" } else { "odd" };
    format!("{name}:\n{body}end, {count}\n")
}

#[tokio::test(start_paused = true)]
async fn results_go_where_the_writer_says() {
    for count in [1, 2, 10, 700] {
        let world = World::new();
        world.fill(&BucketId::untyped("b"), count);
        let names = run(&world, SORTED, PARITY).await.unwrap();
        let mut expect = vec![("even", lines(0, count))];
        expect.extend((count > 1).then(|| ("odd", lines(1, count))));
        let found: Vec<String> =
            expect.iter().map(|(name, _)| format!(r#"["out","{name}"]"#)).collect();
        assert_eq!(names, found, "{count}");
        assert_eq!(world.stored("out"), stored(&expect), "{count}");
    }
    let world = World::new();
    assert!(run(&world, SORTED, PARITY).await.unwrap().is_empty());
    assert!(world.stored("out").is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_when_the_query_fails() {
    let world = World::new();
    world.fill(&BucketId::untyped("b"), 20);
    let throws = r#"[{"map":{"language":"javascript","name":"throw"}}]"#;
    assert!(run(&world, throws, PARITY).await.is_err());
    assert!(world.stored("out").is_empty());
    for (name, says) in [
        ("breaks", "the writer: no more"),
        ("unnamed", "the writer: a key is the name of an object"),
    ] {
        let writer = format!(r#"{{"name":"{name}"}}"#);
        let failure = run(&world, SORTED, &writer).await.unwrap_err();
        assert!(failure.message.starts_with(says), "{}", failure.message);
        assert_eq!(failure.phase, Some(1));
        assert!(world.stored("out").is_empty());
    }
    let failure = run(&world, SORTED, r#"{"bucket":"code","key":"none"}"#).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NoFunction);
}

#[tokio::test(start_paused = true)]
async fn nodes_die_while_results_come() {
    for after in [0, 20, 250, 390] {
        let world = World::new();
        world.fill(&BucketId::untyped("b"), 400);
        let (network, done) = (world.network.clone(), AtomicU64::new(0));
        *world.watch.hook.lock() = Some(Box::new(move |mapped| {
            if mapped >= after && done.swap(1, Ordering::Relaxed) == 0 {
                network.disconnect(NodeId(3));
            }
        }));
        let names = run(&world, SORTED, PARITY).await.unwrap();
        assert_eq!(names, [r#"["out","even"]"#, r#"["out","odd"]"#]);
        let expect = stored(&[("even", lines(0, 400)), ("odd", lines(1, 400))]);
        assert_eq!(world.stored("out"), expect, "after {after}");
    }
}
