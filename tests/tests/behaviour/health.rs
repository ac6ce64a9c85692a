//! What the cluster says of itself is right in every state; and members that are gone can be
//! removed.

use std::fs;
use std::process::Output;

use mapring_client::{NewObject, Place};
use serde_json::Value;
use tokio::process::Command;

use mapring_tests::harness::{Cluster, Node, eventually, holds, program};

async fn tool(node: &Node, arguments: &[&str]) -> Output {
    Command::new(program())
        .args(arguments)
        .args(["--url", &node.url()])
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .unwrap()
}

/// Exit status, standard output and standard error.
fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// Waits until a node gives that exit status; gives what it printed.
async fn state(node: &Node, status: i32) -> String {
    let what = format!("{} to say state {status}", node.settings.name);
    eventually(&what, || async {
        let (told, text, _) = told(&tool(node, &["cluster", "status"]).await);
        (told == status).then_some(text)
    })
    .await
}

/// The status and the body of a question by `curl`.
async fn ask(node: &Node, path: &str) -> (u16, Value) {
    let url = format!("{}{path}", node.url());
    let output =
        Command::new("curl").args(["-sS", "-w", "\n%{http_code}", &url]).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, code) = text.trim_end().rsplit_once('\n').unwrap();
    (code.parse().unwrap(), serde_json::from_str(body).unwrap())
}

fn object() -> NewObject {
    NewObject { body: "x".into(), content_type: "text/plain".into(), ..NewObject::default() }
}

#[tokio::test]
async fn every_state_is_told() {
    let mut cluster = Cluster::start(3).await;
    let text = state(&cluster.nodes[0], 0).await;
    assert!(text.starts_with("ok: all 3 members are up, all replicas are complete"), "{text}");
    assert!(text.contains("3 voters (n1, n2, n3)"), "{text}");
    assert_eq!(ask(&cluster.nodes[0], "/admin/ready").await.0, 200);

    cluster.nodes[2].kill().await;
    for key in 0..20 {
        cluster.client(0).put(&Place::new("b", format!("{key}")), object()).await.unwrap();
    }
    for node in &cluster.nodes[..2] {
        let text = state(node, 4).await;
        assert!(text.starts_with("degraded: n3 is down"), "{text}");
        assert!(!text.contains("complete"), "{text}");
        assert!(text.contains("a majority is up"), "{text}");
        assert_eq!(ask(node, "/admin/ready").await.0, 200);
    }

    cluster.nodes[1].kill().await;
    let first = &cluster.nodes[0];
    let text = state(first, 5).await;
    let sentence =
        "unavailable: n2 and n3 are down, every other member, so this node may be cut off";
    assert!(text.starts_with(sentence) && !text.contains("complete"), "{text}");
    let (status, body) = ask(first, "/admin/ready").await;
    assert_eq!(
        (status, &body["ready"], &body["state"]),
        (503, &false.into(), &"unavailable".into())
    );
    let why = "64 of 64 partitions have no majority of their replicas up";
    assert!(body["why"].as_str().unwrap().contains(why), "{body}");
    let (status, _, error) = told(&tool(first, &["ready"]).await);
    assert!(status == 1 && error.contains(why), "{error}");
    assert_eq!(told(&tool(first, &["live"]).await).0, 0);
    assert_eq!(ask(first, "/admin/live").await.0, 200);
    let (status, json, _) = told(&tool(first, &["cluster", "status", "--json"]).await);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((status, &json["state"]), (5, &"unavailable".into()));
    eventually("no leader to be known", || async {
        let json = ask(first, "/admin/cluster").await.1;
        holds(json["voting"]["decides"] == false)
    })
    .await;

    // Started alone, it does not take those for up of whom it hears nothing.
    cluster.nodes[0].kill().await;
    cluster.nodes[0].spawn();
    cluster.nodes[0].wait_ready().await;
    let (status, text, _) = told(&tool(&cluster.nodes[0], &["cluster", "status"]).await);
    assert_eq!(status, 5, "{text}");

    cluster.nodes[1].spawn();
    cluster.nodes[2].spawn();
    cluster.wait_shared().await;
    for node in &cluster.nodes {
        let text = state(node, 0).await;
        assert!(text.starts_with("ok: "), "{text}");
        assert_eq!(ask(node, "/admin/ready").await.0, 200);
    }
    let log = cluster.nodes[0].log();
    for line in
        ["a member is down member=n3 (", "a member is down member=n2 (", "up again member=n3 ("]
    {
        assert!(log.contains(line), "{line:?} is not in\n{log}");
    }
}

/// A fourth member that owned nothing and is gone for good is not missed when another is replaced,
/// and can be removed.
#[tokio::test]
async fn a_member_that_is_gone_for_good_is_not_missed_and_can_be_removed() {
    let mut cluster = Cluster::start(3).await;
    cluster.client(0).put(&Place::new("b", "k"), object()).await.unwrap();
    cluster.add_with(|node| node.environment.push(("MAPRING__NODE__ZONE".into(), "hall-4".into())));
    cluster.nodes[3].wait_ready().await;
    let text = state(&cluster.nodes[0], 0).await;
    assert!(text.lines().next().unwrap().ends_with("n4 owns no partitions"), "{text}");
    assert!(text.contains("3 voters (n1, n2, n3)") && text.contains("  hall-4  "), "{text}");

    cluster.nodes[3].kill().await;
    let (place, kept) = (cluster.nodes[3].data_dir(), cluster.directory().join("n4-kept"));
    fs::rename(&place, &kept).unwrap();
    cluster.nodes[1].kill().await;
    fs::remove_dir_all(cluster.nodes[1].data_dir()).unwrap();
    cluster.nodes[1].spawn();
    cluster.nodes[1].wait_ready().await;
    let text = eventually("the replacement to vote and to be full", || async {
        let (_, text, _) = told(&tool(&cluster.nodes[1], &["cluster", "status"]).await);
        let votes = text.contains("3 voters (n1, n2, n3)") && text.contains("a majority is up");
        (votes && text.starts_with("degraded: n4 is down (n4 owns no partitions)\n"))
            .then_some(text)
    })
    .await;
    assert!(!text.contains("incomplete"), "{text}");
    cluster.client(2).create_bucket_type("after", "").await.unwrap();

    let second = &cluster.nodes[1];
    for (arguments, status, said) in [
        (&["n4"][..], 2, "There is no terminal to ask: give --yes"),
        (&["n3", "--yes"], 1, "409: n3 ("),
        (&["n9", "--yes"], 1, "404: there is no node n9"),
    ] {
        let (told, _, error) =
            told(&tool(second, &[&["cluster", "forget"], arguments].concat()).await);
        assert!(told == status && error.contains(said), "{arguments:?}: {told}: {error}");
    }
    let (status, text, error) = told(&tool(second, &["cluster", "forget", "n4", "--yes"]).await);
    assert_eq!((status, text.as_str()), (0, "n4 is removed from the cluster\n"), "{error}");
    for node in &cluster.nodes[..3] {
        let text = state(node, 0).await;
        assert!(text.starts_with("ok: all 3 members are up"), "{text}");
    }

    fs::rename(&kept, &place).unwrap();
    cluster.nodes[3].spawn();
    assert!(!cluster.nodes[3].wait_end().await.success());
    let log = cluster.nodes[3].log();
    assert!(log.contains("n4 was removed from the cluster"), "{log}");
    assert_eq!(cluster.nodes[0].status().await.members.len(), 3);
}
