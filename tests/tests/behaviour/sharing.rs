//! Many queries share few script workers: none fails for want of one, none waits for all of others.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use mapring_client::{NewObject, Place};
use serde_json::json;

use mapring_tests::harness::{Cluster, Watch, eventually, holds, metrics};

/// Workers of the node.
const WORKERS: &str = "2";

/// Queries at once.
const QUERIES: usize = 100;

/// Objects in the bucket.
const OBJECTS: usize = 600;

/// What the node may grow by meanwhile (I6).
const GROWTH: u64 = 128 << 20;

/// Huge queries, each with several calls waiting at any time …
const HUGE: usize = 8;

/// … and small ones meanwhile.
const SMALL: usize = 20;

/// Calls to workers that may come before those of a small query and with them: those under way, and
/// what their queries have left of their slices. First come, first served it would be three for each
/// huge query.
const BEFORE: f64 = 10.0;

async fn node() -> Cluster {
    let mut cluster = Cluster::empty(&[("MAPRING__SCRIPT__WORKERS", WORKERS)]);
    cluster.add();
    cluster.wait_shared().await;
    let client = cluster.client(0);
    let store = futures::stream::iter(0..OBJECTS).map(async |number| {
        let body = json!({"n": number, "word": format!("w{}", number % 7)}).to_string();
        let content_type = "application/json".to_owned();
        let object = NewObject { body: body.into(), content_type, ..NewObject::default() };
        client.put(&Place::new("shared", format!("{number:04}")), object).await.unwrap();
    });
    store.buffer_unordered(16).collect::<Vec<()>>().await;
    cluster
}

/// Counts words in a map and a reduce of its own, each word by its factor.
fn count(factor: usize) -> String {
    let map = format!(
        "function (v) {{ var out = {{}}; out[JSON.parse(v.values[0].data).word] = {factor};
           return [out]; }}"
    );
    let reduce = "function (values) {
        var sums = {};
        values.forEach(function (counts) {
          for (var word in counts) { sums[word] = (sums[word] || 0) + counts[word]; }
        });
        return [sums];
    }";
    json!({
        "inputs": "shared",
        "query": [
            {"map": {"language": "javascript", "source": map}},
            {"reduce": {"language": "javascript", "source": reduce}},
        ],
        "timeout": 300_000,
    })
    .to_string()
}

#[tokio::test]
async fn a_hundred_queries_over_two_workers_all_end_right() {
    let cluster = node().await;
    let (client, watch) = (cluster.client(0), Watch::start(cluster.nodes[0].pid()));
    let runs = futures::stream::iter(1..=QUERIES)
        .map(async |factor| (factor, client.mapred(count(factor)).await));
    let answers: Vec<_> = runs.buffer_unordered(QUERIES).collect().await;
    assert_eq!(answers.len(), QUERIES);
    for (factor, answer) in answers {
        let sums: Vec<BTreeMap<String, usize>> = serde_json::from_slice(&answer.unwrap()).unwrap();
        let of = |word| (0..OBJECTS).filter(|number| number % 7 == word).count();
        let expected = (0..7).map(|word| (format!("w{word}"), factor * of(word))).collect();
        assert_eq!(sums, [expected], "query {factor}");
    }
    println!("{QUERIES} queries: {watch}");
    assert!(watch.growth() <= GROWTH, "the node grew: {watch}");
    let now = metrics(&cluster.nodes[0]).await;
    let wait = |what: &str| now[&format!("mapring_script_wait_seconds_{what}")];
    println!("{} calls waited for {:.1} s in all", wait("count"), wait("sum"));
    assert!(wait("count") >= QUERIES as f64 && wait("sum") > 0.0);
    assert_eq!(
        (now["mapring_mapred_queries_waiting"], now["mapring_script_calls_waiting"]),
        (0.0, 0.0)
    );
}

#[tokio::test]
async fn a_small_query_does_not_wait_for_huge_ones() {
    let cluster = node().await;
    let client = cluster.client(0);
    // Most of a minute of work for both workers.
    let slow = "function (v) {
        var end = Date.now() + 20; while (Date.now() < end);
        return [1];
    }";
    let huge = json!({
        "inputs": "shared",
        "query": [{"map": {"language": "javascript", "source": slow}}],
        "timeout": 300_000,
    });
    let mut running = Vec::new();
    for _ in 0..HUGE {
        running.push(client.mapred_chunked(huge.to_string()).await.unwrap());
    }
    eventually("calls of all of them to wait", || async {
        holds(metrics(&cluster.nodes[0]).await["mapring_script_calls_waiting"] >= 2.0 * HUGE as f64)
    })
    .await;
    let calls = async || metrics(&cluster.nodes[0]).await["mapring_script_calls_total"];
    let before = calls().await;
    for factor in 1..=SMALL {
        let query = json!({
            "inputs": [["shared", "0003"], ["shared", "0010"]],
            "query": [{"map": {"language": "javascript", "source":
                format!("function (v) {{ return [JSON.parse(v.values[0].data).n * {factor}]; }}")}}],
        });
        let answer = client.mapred(query.to_string()).await.unwrap();
        let mut numbers: Vec<usize> = serde_json::from_slice(&answer).unwrap();
        numbers.sort_unstable();
        assert_eq!(numbers, [3 * factor, 10 * factor]);
    }
    let each = (calls().await - before) / SMALL as f64;
    println!("{each:.1} calls to workers for each small query, {HUGE} huge ones beside");
    assert!(each <= BEFORE, "small queries wait for {each} calls");
    // The huge ones go on.
    for mut parts in running {
        assert!(parts.next().await.unwrap().is_some_and(|part| !part.data.is_empty()));
    }
}
