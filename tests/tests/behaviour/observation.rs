//! What operators see: metrics, statistics, logs.

use std::collections::BTreeSet;

use mapring_client::{ClusterStatus, NewObject, Place};
use serde_json::Value;
use tokio::process::Command;

use mapring_tests::harness::{Cluster, eventually, holds, metrics, program};

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
    let known = |name: &&str| name.starts_with("mapring_") || name.starts_with("process_");
    assert!(names.iter().all(known), "{names:?}");

    let stats: Value = serde_json::from_str(&curl(&format!("{}/stats", node.url())).await).unwrap();
    assert_eq!(stats["nodename"], "n1");

    let log = node.log();
    assert!(!log.is_empty());
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(event["level"].is_string() && event["message"].is_string(), "{line}");
    }
}

/// Who lacks what is shown while a node is away, and gone when it has it back.
#[tokio::test]
async fn what_a_node_misses_is_shown_until_it_has_it() {
    let mut cluster = Cluster::start(3).await;
    cluster.nodes[2].kill().await;
    let client = cluster.client(0).clone();
    // With three nodes all objects but a few have a replica on each.
    let (written, most) = (40, 30);
    for number in 0..written {
        let object = NewObject {
            body: "1".into(),
            content_type: "text/plain".into(),
            ..NewObject::default()
        };
        client.put(&Place::new("b", format!("{number}")), object).await.unwrap();
    }
    let url = format!("{}/admin/cluster", cluster.nodes[0].url());
    eventually("all hints to be shown", || async {
        let status: ClusterStatus = serde_json::from_str(&curl(&url).await).unwrap();
        let hints = status.hints.iter().filter(|hint| hint.owner.as_deref() == Some("n3"));
        let objects: u64 = hints.filter_map(|hint| hint.objects).sum();
        let stale = status.stale.iter().any(|stale| stale.node.as_deref() == Some("n3"));
        let down = status.members.iter().any(|member| member.name == "n3" && !member.up);
        holds(objects >= most && stale && down)
    })
    .await;
    let table = status_table(&cluster).await;
    assert!(table.contains("objects for n3") && table.contains("\nstale    n3, vnodes"), "{table}");
    eventually("the objects to be counted", || async {
        let mut objects = 0.0;
        for node in &cluster.nodes[..2] {
            objects += metrics(node).await.get("mapring_kv_hinted_objects").copied().unwrap_or(0.0);
        }
        holds(objects >= most as f64)
    })
    .await;
    cluster.restart(2).await;
    eventually("nothing to be lacking", || async {
        let table = status_table(&cluster).await;
        holds(table.contains("all replicas are complete"))
    })
    .await;
    eventually("nothing to be counted", || async {
        let metrics = metrics(&cluster.nodes[0]).await;
        let zero = |name: &str| metrics.get(name).is_none_or(|&value| value == 0.0);
        holds(zero("mapring_kv_hinted_objects") && zero("mapring_kv_stale_vnodes"))
    })
    .await;
}

/// What node and workers use is told, and what workers used does not go with them.
#[tokio::test]
async fn processor_time_and_memory_are_told() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let before = metrics(node).await;
    for name in ["process_cpu_seconds_total", "process_open_fds"] {
        assert!(before[name] > 0.0, "{name}: {before:?}");
    }
    for name in ["process_resident_memory_bytes", "mapring_script_resident_bytes"] {
        assert!(before[name] > 1e6, "{name}: {before:?}");
    }
    // The call takes longer than it may, so that its worker is killed.
    let query = r#"{"inputs":[["b","k"]],"query":[{"reduce":{"language":"javascript",
        "source":"function() { for (;;); }"}}]}"#;
    node.client.mapred(query).await.unwrap_err();
    eventually("the worker to be replaced", || async {
        let metrics = metrics(node).await;
        holds(
            metrics["mapring_script_worker_starts_total"]
                > before["mapring_script_worker_starts_total"],
        )
    })
    .await;
    let used = metrics(node).await["mapring_script_cpu_seconds_total"];
    let told = used - before["mapring_script_cpu_seconds_total"];
    assert!(told > 0.5, "a call of seconds took {told} s of processor time");
}

async fn status_table(cluster: &Cluster) -> String {
    let url = cluster.nodes[0].url();
    let output =
        Command::new(program()).args(["cluster", "status", "--url", &url]).output().await.unwrap();
    // 0, or the status of a state.
    assert_ne!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
