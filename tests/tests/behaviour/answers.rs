//! Large answers: what a coordinator holds of them, however slowly they are read (I6).

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt, stream};
use mapring_client::{Client, NewObject, Place};
use serde_json::json;

use mapring_tests::harness::{Cluster, Exchange, Memory, Watch, workers};

/// What the coordinator may grow by.
const GROWTH: u64 = 64 << 20;

/// What a worker may be at most: what user code may have, and the interpreter itself.
const WORKER: u64 = (256 + 64) << 20;

/// The length of one result.
const RESULT: usize = 1 << 20;

/// After so many results the slow reader takes a rest, in which everything that may wait for it
/// fills up.
const REST_AFTER: usize = 256;

async fn store(client: &Client, count: usize, body: &str) {
    let puts = stream::iter(0..count).map(|number| async move {
        let object = NewObject {
            body: body.to_owned().into(),
            content_type: "text/plain".into(),
            ..NewObject::default()
        };
        client.put(&Place::new("large", format!("{number:06}")), object).await.unwrap();
    });
    puts.buffer_unordered(16).collect::<Vec<_>>().await;
}

/// 2 GB of results from tiny objects.
#[tokio::test]
async fn slow_readers_of_parts_cost_no_memory() {
    let cluster = Cluster::start(3).await;
    let count = 2_048;
    store(cluster.client(0), count, "x").await;
    let source = format!(
        "function(v) {{
            if (typeof filling === 'undefined') {{ filling = 'x'.repeat({RESULT}); }}
            return [v.key + filling];
        }}"
    );
    let query = json!({
        "inputs": "large",
        "query": [{"map": {"language": "javascript", "source": source}}],
        "timeout": 600_000,
    });
    let node = &cluster.nodes[1];
    let memory = Watch::start(node.pid());
    let mut parts = node.client.mapred_chunked(query.to_string()).await.unwrap();
    let mut seen = BTreeSet::new();
    while let Some(part) = parts.next().await.unwrap() {
        for value in part.data {
            let text = value.get();
            assert_eq!(text.len(), RESULT + 8);
            assert!(seen.insert(text[1..7].to_owned()), "{} came twice", &text[1..7]);
            if seen.len() % REST_AFTER == 0 {
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
    }
    assert_eq!(seen.len(), count);
    assert!(memory.growth() < GROWTH, "the coordinator grew: {memory}");
    let peaks: Vec<u64> =
        workers(node.pid()).into_iter().map(|worker| Memory::of(worker).peak >> 20).collect();
    eprintln!("coordinator: {memory}; workers: {peaks:?} MB");
    assert!(peaks.iter().all(|&peak| peak << 20 < WORKER), "workers: {peaks:?} MB");
}

/// 1 GB from a few objects that are named again and again.
#[tokio::test]
async fn large_plain_answers_cost_no_memory() {
    let cluster = Cluster::start(3).await;
    let (objects, count) = (8, 1_024);
    store(cluster.client(0), objects, &"x".repeat(RESULT)).await;
    let inputs: Vec<_> =
        (0..count).map(|number| json!(["large", format!("{:06}", number % objects)])).collect();
    let query = json!({
        "inputs": inputs,
        "query": [{"map": {"language": "javascript", "name": "Riak.mapValues"}}],
        "timeout": 600_000,
    });
    let node = &cluster.nodes[1];
    let memory = Watch::start(node.pid());
    let mut answer = Exchange::query(node, false, &query.to_string()).await;
    let head = answer.head().await;
    let expected = 1 + count * (RESULT + 3);
    assert!(head.contains(&format!("\r\nContent-Length: {expected}\r\n")), "{head}");
    let (mut length, mut commas) = (0, 0);
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = answer.read(&mut buffer).await;
        if read == 0 {
            break;
        }
        length += read;
        commas += buffer[..read].iter().filter(|&&byte| byte == b',').count();
    }
    assert_eq!((length, commas), (expected, count - 1));
    eprintln!("coordinator: {memory}");
    assert!(memory.growth() < GROWTH, "the coordinator grew: {memory}");
}
