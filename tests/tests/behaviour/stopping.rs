//! A stop that nobody notices.

use mapring_client::{NewObject, Place};
use rustix::process::Signal;
use serde_json::json;

use crate::harness::{Cluster, eventually, holds};

#[tokio::test]
async fn running_requests_are_finished() {
    let mut cluster = Cluster::start(1).await;
    let object =
        NewObject { body: "1".into(), content_type: "text/plain".into(), ..NewObject::default() };
    cluster.client(0).put(&Place::new("b", "k"), object).await.unwrap();
    let source = "function(v) {
        var end = Date.now() + 1500; while (Date.now() < end);
        return [v.key];
    }";
    let query = json!({
        "inputs": [["b", "k"]],
        "query": [{"map": {"language": "javascript", "source": source}}],
    });
    let client = cluster.client(0).clone();
    let query = tokio::spawn(async move { client.mapred(query.to_string()).await });
    cluster.nodes[0].wait_busy().await;
    cluster.nodes[0].signal(Signal::TERM);
    assert_eq!(query.await.unwrap().unwrap(), "[\"k\"]");
    let status = cluster.nodes[0].wait_end().await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn endless_queries_do_not_hold_it_up() {
    let mut cluster = Cluster::start_with(2, &[("MAPRING__NODE__GRACE", "1s")]).await;
    let object =
        NewObject { body: "1".into(), content_type: "text/plain".into(), ..NewObject::default() };
    cluster.client(0).put(&Place::new("b", "k"), object).await.unwrap();
    let query = json!({
        "inputs": [["b", "k"]],
        "query": [{"map": {"language": "javascript", "source": "function(v) { while (true); }"}}],
    });
    let client = cluster.client(0).clone();
    let running = tokio::spawn(async move { client.mapred(query.to_string()).await });
    cluster.wait_any_busy().await;
    assert!(cluster.nodes[0].stop().await.success());
    assert!(running.await.unwrap().is_err());
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
