//! Stops: what is under way is finished or told, other nodes take over, and a stop always ends.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::{StreamExt, stream};
use mapring_client::{Client, NewObject, Place};
use rustix::process::Signal;
use serde_json::{Value, json};

use mapring_tests::harness::{Cluster, Exchange, Node, eventually, holds, metrics, worker_ticks};

/// How long clients are given to take their last answers, in seconds.
const LAST_ANSWERS: u64 = 5;

/// What a stop may take besides, on a busy machine.
const SLACK: Duration = Duration::from_secs(10);

const STOPPING: &str = "this node is stopping and ends its queries: ask another node";

fn object() -> NewObject {
    NewObject { body: "1".into(), content_type: "text/plain".into(), ..NewObject::default() }
}

async fn store(client: &Client, count: usize) {
    let puts = stream::iter(0..count).map(|number| async move {
        client.put(&Place::new("b", format!("{number:04}")), object()).await.unwrap();
    });
    puts.buffer_unordered(16).collect::<Vec<_>>().await;
}

/// A query that takes so many milliseconds for each object of the bucket.
fn slow(milliseconds: u32) -> String {
    let source = format!(
        "function(v) {{
            var end = Date.now() + {milliseconds}; while (Date.now() < end);
            return [v.key];
        }}"
    );
    let phase = json!({"map": {"language": "javascript", "source": source}});
    json!({"inputs": "b", "query": [phase], "timeout": 600_000}).to_string()
}

async fn wait_running(cluster: &Cluster, running: usize, waiting: usize) {
    eventually("the queries to run or wait", || async {
        let listed = cluster.client(0).queries().await.unwrap().queries;
        let begun = listed.iter().filter(|query| query.inputs_done > 0).count();
        let queued = listed.iter().filter(|query| query.state == "waiting").count();
        holds((begun, queued) == (running, waiting))
    })
    .await;
}

/// The chunks of a chunked body. Fails when its end is missing.
fn whole(body: &str) -> String {
    let (mut text, mut rest) = (String::new(), body);
    loop {
        let (length, after) = rest.split_once("\r\n").expect("the body ends within a chunk");
        let length = usize::from_str_radix(length, 16).unwrap();
        let (chunk, after) = after.split_at(length);
        text.push_str(chunk);
        rest = after.strip_prefix("\r\n").unwrap();
        if length == 0 {
            assert_eq!(rest, "");
            return text;
        }
    }
}

#[tokio::test]
async fn running_requests_are_finished() {
    let mut cluster = Cluster::start(1).await;
    cluster.client(0).put(&Place::new("b", "k"), object()).await.unwrap();
    let client = cluster.client(0).clone();
    let query = tokio::spawn(async move { client.mapred(slow(1_500)).await });
    cluster.nodes[0].wait_busy().await;
    cluster.nodes[0].signal(Signal::TERM);
    assert_eq!(query.await.unwrap().unwrap(), "[\"k\"]");
    let status = cluster.nodes[0].wait_end().await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn queries_that_run_on_are_told_in_every_form() {
    let mut cluster = Cluster::start_with(1, &[("MAPRING__NODE__GRACE", "1s")]).await;
    store(cluster.client(0), 2_000).await;
    let (node, body) = (&cluster.nodes[0], slow(50));
    let mut plain = Exchange::query(node, false, &body).await;
    let mut chunked = Exchange::query(node, true, &body).await;
    let mut lines = Exchange::query_as(node, "application/x-ndjson", &body).await;
    let mut events = Exchange::query_as(node, "text/event-stream", &body).await;
    wait_running(&cluster, 4, 0).await;
    let began = Instant::now();
    cluster.nodes[0].signal(Signal::TERM);

    let head = plain.head().await;
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("X-Query-Id: "), "{head}");
    let failure = json!({"error": STOPPING, "node": "n1"});
    let text = plain.rest().await;
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), failure);
    for exchange in [&mut chunked, &mut lines, &mut events] {
        let head = exchange.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    }
    let text = whole(&chunked.rest().await);
    assert!(text.contains("\"data\":[\""), "there were results: {text}");
    // After the last part comes the error alone, and no closing boundary.
    let last = text.rsplit_once("]}").unwrap().1;
    assert_eq!(serde_json::from_str::<Value>(last).unwrap(), failure);
    let text = whole(&lines.rest().await);
    let last = text.lines().last().unwrap();
    assert_eq!(serde_json::from_str::<Value>(last).unwrap(), failure);
    let text = whole(&events.rest().await);
    let last = text.trim_end().rsplit_once("event: error\ndata: ").unwrap().1;
    assert_eq!(serde_json::from_str::<Value>(last).unwrap(), failure);

    let status = cluster.nodes[0].wait_end().await;
    assert!(status.success(), "{status}");
    let took = began.elapsed();
    assert!((1..=1 + SLACK.as_secs()).contains(&took.as_secs()), "{took:?}");
    cluster.restart(0).await;
    assert_eq!(cluster.client(0).get(&Place::new("b", "1999")).await.unwrap().body, "1");
}

#[tokio::test]
async fn queries_that_wait_are_refused_at_once_and_a_second_signal_ends_the_others() {
    let settings = [("MAPRING__NODE__GRACE", "10m"), ("MAPRING__MAPRED__CONCURRENT_QUERIES", "1")];
    let mut cluster = Cluster::start_with(1, &settings).await;
    store(cluster.client(0), 2_000).await;
    let node = &cluster.nodes[0];
    let running = Exchange::query(node, false, &slow(500)).await;
    wait_running(&cluster, 1, 0).await;
    let waiting = Exchange::query(node, false, &slow(0)).await;
    let mut parts = Exchange::query(node, true, &slow(0)).await;
    wait_running(&cluster, 1, 2).await;
    node.signal(Signal::TERM);
    let (status, text) = waiting.answer().await;
    assert_eq!(status, 503);
    assert!(text.contains(STOPPING), "{text}");
    assert!(parts.head().await.starts_with("HTTP/1.1 200 "));
    assert!(whole(&parts.rest().await).contains(STOPPING));
    // The one that runs has ten minutes, unless somebody asks again.
    node.signal(Signal::INT);
    let (status, text) = running.answer().await;
    assert_eq!(status, 503);
    assert!(text.contains(STOPPING), "{text}");
    let status = cluster.nodes[0].wait_end().await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn who_takes_no_answer_does_not_hold_it_up() {
    let mut cluster = Cluster::start_with(1, &[("MAPRING__NODE__GRACE", "0s")]).await;
    store(cluster.client(0), 400).await;
    let source = "function(v) { return ['x'.repeat(1 << 20)]; }";
    let phase = json!({"map": {"language": "javascript", "source": source}});
    let query = json!({"inputs": "b", "query": [phase], "timeout": 600_000}).to_string();
    let mut deaf = Exchange::query(&cluster.nodes[0], true, &query).await;
    deaf.head().await;
    let head = "PUT /buckets/b/keys/k HTTP/1.1\r\nContent-Type: text/plain\r\n\
                Content-Length: 5\r\n\r\nhalf";
    let upload = Exchange::raw(&cluster.nodes[0], head).await;
    wait_running(&cluster, 1, 0).await;
    let began = Instant::now();
    cluster.nodes[0].signal(Signal::TERM);
    let (status, text) = upload.answer().await;
    assert_eq!((status, text.as_str()), (503, "this node is stopping: ask another node\n"));
    let status = cluster.nodes[0].wait_end().await;
    assert!(status.success(), "{status}");
    let took = began.elapsed();
    assert!((LAST_ANSWERS..LAST_ANSWERS + SLACK.as_secs()).contains(&took.as_secs()), "{took:?}");
    assert!(cluster.nodes[0].log().contains("connections broken off"));
    drop(deaf);
}

#[tokio::test]
async fn a_third_signal_cuts_a_stop_short() {
    let mut cluster = Cluster::start_with(1, &[("MAPRING__NODE__GRACE", "10m")]).await;
    store(cluster.client(0), 400).await;
    let source = "function(v) { return ['x'.repeat(1 << 20)]; }";
    let phase = json!({"map": {"language": "javascript", "source": source}});
    let query = json!({"inputs": "b", "query": [phase], "timeout": 600_000}).to_string();
    let mut deaf = Exchange::query(&cluster.nodes[0], true, &query).await;
    deaf.head().await;
    // Until nothing more goes to who does not read: what is left of the answer then keeps the node.
    let pid = cluster.nodes[0].pid();
    let mut looks = (0, 0);
    eventually("the query to stand still", || {
        let ticks = worker_ticks(pid);
        looks = if ticks == looks.0 { (ticks, looks.1 + 1) } else { (ticks, 0) };
        let stands_still = ticks > 0 && looks.1 >= 10;
        async move { holds(stands_still) }
    })
    .await;
    for (signal, heard) in [
        (Signal::TERM, "asked to stop"),
        (Signal::TERM, "asked to stop at once"),
        (Signal::TERM, "the stop was cut short by a third signal, SIGTERM"),
    ] {
        cluster.nodes[0].signal(signal);
        let node = &cluster.nodes[0];
        eventually(heard, || async { holds(node.log().contains(heard)) }).await;
    }
    assert_eq!(cluster.nodes[0].wait_end().await.code(), Some(1));
    drop(deaf);
}

/// Units of a query go on elsewhere when their node stops, whoever coordinates it.
#[tokio::test]
async fn queries_of_other_nodes_go_on_exactly() {
    let mut cluster = Cluster::start_with(3, &[("MAPRING__NODE__GRACE", "1s")]).await;
    let count = 300;
    store(cluster.client(0), count).await;
    for stopped in [1, 2] {
        // Reduced at the one that stays; its own are among those that go on.
        let node = &cluster.nodes[0];
        let queries: Vec<_> = [false, true, false]
            .into_iter()
            .map(|chunked: bool| {
                let (client, body) = (node.client.clone(), slow(10));
                tokio::spawn(async move { keys(&client, chunked, body).await })
            })
            .collect();
        wait_running(&cluster, 3, 0).await;
        eventually("units to run on the node that stops", || async {
            let busy = metrics(&cluster.nodes[stopped]).await["mapring_mapred_units_in_flight"];
            holds(busy > 0.0)
        })
        .await;
        let before = reruns(&cluster.nodes[0]).await;
        assert!(cluster.nodes[stopped].stop().await.success());
        for found in join_all(queries).await {
            let found = found.unwrap();
            assert_eq!(found.len(), count, "no key twice");
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>().len(), count);
        }
        let after = reruns(&cluster.nodes[0]).await;
        assert!(after > before, "no unit had to go elsewhere");
        cluster.restart(stopped).await;
        let status = cluster.nodes[0].status().await;
        assert!(status.members.iter().all(|member| member.up));
    }
}

/// Units that a node has given to another replica; there is no such metric before the first.
async fn reruns(node: &Node) -> f64 {
    metrics(node).await.get("mapring_mapred_units_retried_total").copied().unwrap_or_default()
}

async fn keys(client: &Client, chunked: bool, query: String) -> Vec<String> {
    if !chunked {
        return serde_json::from_slice(&client.mapred(query).await.unwrap()).unwrap();
    }
    let mut parts = client.mapred_chunked(query).await.unwrap();
    let mut found = Vec::new();
    while let Some(part) = parts.next().await.unwrap() {
        found.extend(part.data.iter().map(|key| serde_json::from_str(key.get()).unwrap()));
    }
    found
}

#[tokio::test]
async fn endless_queries_do_not_hold_it_up() {
    let mut cluster = Cluster::start_with(2, &[("MAPRING__NODE__GRACE", "1s")]).await;
    cluster.client(0).put(&Place::new("b", "k"), object()).await.unwrap();
    let query = json!({
        "inputs": [["b", "k"]],
        "query": [{"map": {"language": "javascript", "source": "function(v) { while (true); }"}}],
    });
    let client = cluster.client(0).clone();
    let running = tokio::spawn(async move { client.mapred(query.to_string()).await });
    cluster.wait_any_busy().await;
    assert!(cluster.nodes[0].stop().await.success());
    let failure = running.await.unwrap().unwrap_err().to_string();
    assert!(failure.contains(STOPPING), "{failure}");
    // The other node knows at once.
    let other = &cluster.nodes[1];
    eventually("the other node to know", || async {
        let status = other.status().await;
        holds(status.members.iter().any(|member| member.name == "n1" && !member.up))
    })
    .await;
}

#[tokio::test]
async fn a_directory_serves_one_process() {
    let mut cluster = Cluster::start(1).await;
    let name = cluster.nodes[0].settings.name.clone();
    let intruder = cluster.add_with(|node| {
        node.name = name;
        node.join.clear();
    });
    let status = intruder.wait_end().await;
    assert_eq!(status.code(), Some(1));
    assert!(intruder.log().contains("in use by another process"), "{}", intruder.log());
}
