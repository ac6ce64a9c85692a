//! Queries that run are seen, followed and ended; those that say more than Riak's are told more.

use std::collections::BTreeSet;

use mapring_client::{Client, Error, NewObject, Place};
use serde_json::{Value, json};
use tokio::process::Command;

use mapring_tests::harness::{Cluster, Exchange, eventually, holds, metrics, program};

async fn store(client: &Client, count: usize) {
    for number in 0..count {
        let object = NewObject {
            body: number.to_string().into(),
            content_type: "text/plain".into(),
            ..NewObject::default()
        };
        client.put(&Place::new("b", format!("{number:03}")), object).await.unwrap();
    }
}

const ENDLESS: &str = "function(v) { if (v.key === '007') for (;;); return [v.key]; }";

fn query(source: &str, more: &Value) -> String {
    let mut query = json!({
        "inputs": "b",
        "query": [{"map": {"language": "javascript", "source": source}}],
    });
    for (name, value) in more.as_object().unwrap() {
        query[name] = value.clone();
    }
    query.to_string()
}

async fn tool(url: &str, arguments: &[&str]) -> (bool, String) {
    let output =
        Command::new(program()).args(arguments).env("MAPRING_URL", url).output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn a_query_is_seen_from_every_node_and_ended_from_another() {
    // The function would be ended by its own limit otherwise.
    let cluster = Cluster::start_with(3, &[("MAPRING_SCRIPT_CALL_TIME", "10m")]).await;
    store(cluster.client(0), 40).await;
    let text = query(ENDLESS, &json!({"timeout": 600_000}));
    let mut parts = cluster.client(1).mapred_chunked(text).await.unwrap();
    let id = eventually("the query to be listed with its progress", || async {
        let listed = cluster.client(0).queries().await.unwrap();
        assert!(listed.unreachable.is_empty());
        let query = listed.queries.first()?;
        (query.inputs_done >= 20).then(|| query.id.clone())
    })
    .await;
    for node in &cluster.nodes {
        let listed = node.client.queries().await.unwrap();
        let ids: Vec<&str> = listed.queries.iter().map(|query| query.id.as_str()).collect();
        assert_eq!(ids, [id.as_str()]);
        assert_eq!(listed.queries[0].phases[0].partitions, 64);
    }
    let shown = Exchange::get(&cluster.nodes[2], &format!("/admin/queries/{id}")).await;
    assert_eq!(shown.answer().await.0, 200);
    assert!(metrics(&cluster.nodes[1]).await["mapring_mapred_oldest_query_seconds"] > 0.0);
    let (listed, text) = tool(&cluster.nodes[2].url(), &["queries"]).await;
    assert!(listed && text.contains(&id) && text.contains("of 64 partitions"), "{text}");
    let (ended, text) = tool(&cluster.nodes[2].url(), &["queries", "end", &id]).await;
    assert!(ended, "{text}");
    let failure = loop {
        match parts.next().await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    let Err(Error::Query(failure)) = failure else { panic!("{failure:?}") };
    assert_eq!(failure.error, "the query was ended by an operator");
    eventually("the query to be gone", || async {
        holds(cluster.client(0).queries().await.unwrap().queries.is_empty())
    })
    .await;
    let (ended, text) = tool(&cluster.nodes[0].url(), &["queries", "end", &id]).await;
    assert!(!ended && text.contains("is under way"), "{text}");
}

/// The head and the JSON documents of an answer that follows a query.
async fn followed(cluster: &Cluster, accept: &str, body: &str) -> (String, Vec<Value>) {
    let mut exchange = Exchange::query_as(&cluster.nodes[0], accept, body).await;
    let head = exchange.head().await;
    let text = exchange.rest().await;
    let documents = text.lines().filter_map(|line| {
        let line = line.strip_prefix("data: ").unwrap_or(line);
        serde_json::from_str(line).ok().filter(Value::is_object)
    });
    (head, documents.collect())
}

#[tokio::test]
async fn lines_and_events_tell_results_progress_and_what_was_left_out() {
    let cluster = Cluster::start(3).await;
    store(cluster.client(0), 60).await;
    let source = "function(v) {
        if (v.key === '007') { var end = Date.now() + 2500; while (Date.now() < end); }
        if (v.key === '013') throw new Error('unlucky');
        return [Number(v.values[0].data)];
    }";
    let options = json!({"on_error": {"mode": "skip", "max": 5}, "profile": true});
    for accept in ["application/x-ndjson", "text/event-stream"] {
        let (head, told) = followed(&cluster, accept, &query(source, &options)).await;
        let head = head.to_ascii_lowercase();
        assert!(head.contains(&format!("content-type: {accept}")), "{head}");
        assert!(head.contains("x-query-id: "), "{head}");
        let having =
            |name: &str| told.iter().filter(|document| document.get(name).is_some()).count();
        assert_eq!(having("query"), 1);
        assert!(having("progress") >= 1, "{told:?}");
        assert_eq!((having("profile"), having("done"), having("error")), (1, 1, 0));
        let data = told.iter().filter_map(|document| document["data"].as_array()).flatten();
        let numbers: BTreeSet<u64> = data.map(|value| value.as_u64().unwrap()).collect();
        assert_eq!(numbers, (0..60).filter(|number| *number != 13).collect());
        let skipped: Vec<&Value> =
            told.iter().filter_map(|document| document["skipped"].as_array()).flatten().collect();
        let [skipped] = skipped.as_slice() else { panic!("{skipped:?}") };
        assert_eq!((&skipped["key"], &skipped["error"]), (&"013".into(), &"Error: unlucky".into()));
        let done = &told.last().unwrap()["done"];
        assert_eq!((&done["results"], &done["skipped"]), (&59.into(), &1.into()), "{done}");
    }
}

#[tokio::test]
async fn functions_that_hang_or_use_up_memory_are_left_out_too() {
    let cluster = Cluster::start_with(2, &[("MAPRING_SCRIPT_CALL_TIME", "1s")]).await;
    store(cluster.client(0), 30).await;
    let source = "function(v) {
        if (v.key === '007') for (;;);
        if (v.key === '011') { var list = []; for (;;) list.push('x'.repeat(1e6) + list.length); }
        if (v.key === '017') { (function f() { f(); f(); })(); }
        if (v.key === '019') return 7;
        return [v.key];
    }";
    let body = query(source, &json!({"on_error": {"mode": "skip"}}));
    let mut exchange = Exchange::query(&cluster.nodes[0], false, &body).await;
    let head = exchange.head().await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains("x-query-skipped: 4"), "{head}");
    let keys: BTreeSet<String> = serde_json::from_str(&exchange.rest().await).unwrap();
    let failing = ["007", "011", "017", "019"];
    let expect: BTreeSet<String> = (0..30).map(|number| format!("{number:03}")).collect();
    assert_eq!(keys, expect.into_iter().filter(|key| !failing.contains(&key.as_str())).collect());
}

#[tokio::test]
async fn a_limit_ends_a_query_that_would_take_minutes() {
    let cluster = Cluster::start(2).await;
    store(cluster.client(0), 400).await;
    let source =
        "function(v) { var end = Date.now() + 1000; while (Date.now() < end); return [1]; }";
    let body = query(source, &json!({"limit": 3, "timeout": 60_000}));
    let (status, text) = Exchange::query(&cluster.nodes[0], false, &body).await.answer().await;
    assert_eq!((status, text.as_str()), (200, "[1,1,1]"));
    eventually("the rest to be given up", || async {
        let busy = metrics(&cluster.nodes[1]).await["mapring_mapred_lanes"];
        holds(busy == 0.0)
    })
    .await;
}
