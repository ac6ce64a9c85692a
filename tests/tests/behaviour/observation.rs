//! What operators see: metrics, statistics, logs.

use std::collections::BTreeSet;

use mapring_client::{NewObject, Place};
use serde_json::Value;
use tokio::process::Command;

use crate::harness::Cluster;

async fn curl(url: &str) -> String {
    let output = Command::new("curl").args(["-fsS", url]).output().await.unwrap();
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn metrics_statistics_and_logs_can_be_read() {
    let cluster = Cluster::start_with(1, &[("MAPRING__LOG__FORMAT", "json")]).await;
    let node = &cluster.nodes[0];
    let object =
        NewObject { body: "1".into(), content_type: "text/plain".into(), ..NewObject::default() };
    node.client.put(&Place::new("b", "k"), object).await.unwrap();
    node.client.get(&Place::new("b", "k")).await.unwrap();

    let metrics = curl(&format!("{}/metrics", node.url())).await;
    let names: BTreeSet<&str> = metrics
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split(['{', ' ']).next().unwrap())
        .collect();
    assert!(names.contains("mapring_build_info"), "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("mapring_")), "{names:?}");

    let stats: Value = serde_json::from_str(&curl(&format!("{}/stats", node.url())).await).unwrap();
    assert_eq!(stats["nodename"], "n1");

    let log = node.log();
    assert!(!log.is_empty());
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(event["level"].is_string() && event["message"].is_string(), "{line}");
    }
}
