//! Clients that go away: their queries end on all nodes, whatever these are doing.

use std::time::{Duration, Instant};

use mapring_client::{NewObject, Place};
use serde_json::{Value, json};

use mapring_tests::harness::{Cluster, Exchange, Node, eventually, holds, metrics};

/// What a query has in a node while it runs.
const TRACES: [&str; 5] = [
    "mapring_mapred_queries_running",
    "mapring_mapred_lanes",
    "mapring_mapred_units_in_flight",
    "mapring_script_calls_waiting",
    "mapring_script_workers_busy",
];

/// Within so long all of them are gone: a second, and what a busy machine takes to notice.
const AT_ONCE: Duration = Duration::from_secs(3);

const ENDLESS: &str = "function(v) { while (true); }";
const SLOW: &str =
    "function(v) { var end = Date.now() + 2000; while (Date.now() < end); return [1]; }";
const QUICK: &str = "function(v) { return [1]; }";

fn map(source: &str) -> Value {
    json!({"map": {"language": "javascript", "source": source}})
}

fn reduce(source: &str) -> Value {
    json!({"reduce": {"language": "javascript", "source": source}})
}

async fn traces(node: &Node) -> Vec<f64> {
    let metrics = metrics(node).await;
    TRACES.iter().map(|name| metrics.get(*name).copied().unwrap_or(0.0)).collect()
}

#[tokio::test]
async fn queries_end_with_their_client_on_all_nodes() {
    // So long that no call ends by itself meanwhile.
    let cluster = Cluster::start_with(3, &[("MAPRING__SCRIPT__CALL_TIME", "300s")]).await;
    let keys: Vec<String> = (0..120).map(|number| format!("{number:04}")).collect();
    for key in &keys {
        let object = NewObject {
            body: "1".into(),
            content_type: "text/plain".into(),
            ..NewObject::default()
        };
        cluster.client(0).put(&Place::new("work", key), object).await.unwrap();
    }
    let bucket = json!("work");
    let named: Value = keys.iter().map(|key| json!(["work", key])).collect();
    let everywhere = 0..3;
    let coordinator = 1..2;
    let chain = json!([map("function(v) { return [[v.bucket, v.key]]; }"), map(ENDLESS)]);
    for (what, inputs, phases, busy) in [
        ("slow map", &bucket, json!([map(SLOW)]), everywhere.clone()),
        ("endless map", &bucket, json!([map(ENDLESS)]), everywhere.clone()),
        ("endless map of keys", &named, json!([map(ENDLESS)]), everywhere.clone()),
        ("endless second map", &bucket, chain, everywhere),
        ("endless reduce", &bucket, json!([map(QUICK), reduce(ENDLESS)]), coordinator),
    ] {
        for chunked in [false, true] {
            let query = json!({"inputs": inputs, "query": phases, "timeout": 600_000}).to_string();
            let exchange = Exchange::query(&cluster.nodes[1], chunked, &query).await;
            for node in &cluster.nodes[busy.clone()] {
                let what = format!("{} to work on a {what}", node.settings.name);
                eventually(&what, || async { holds(traces(node).await[4] > 0.0) }).await;
            }
            drop(exchange);
            let left = Instant::now();
            for node in &cluster.nodes {
                let what = format!("the {what} to leave {}", node.settings.name);
                eventually(&what, || async {
                    holds(traces(node).await.iter().all(|&value| value == 0.0))
                })
                .await;
            }
            let took = left.elapsed();
            eprintln!("{what}, chunked {chunked}: gone after {took:?}");
            assert!(took < AT_ONCE, "{what}, chunked {chunked}: gone after {took:?}");
        }
    }
    // Workers were ended with their calls, and replaced.
    let query = json!({"inputs": "work", "query": [map(QUICK)]}).to_string();
    let answer = cluster.client(0).mapred(query).await.unwrap();
    assert_eq!(serde_json::from_slice::<Vec<f64>>(&answer).unwrap().len(), keys.len());
}
