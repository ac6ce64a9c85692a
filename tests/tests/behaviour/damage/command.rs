//! `mapring repair`.

use tokio::process::Command;

use super::*;
use mapring_tests::harness::program;

async fn repair(node: &Node, words: &[&str]) -> (bool, String) {
    let mut command = Command::new(program());
    command.args(["repair", "--url", &node.url()]).args(words);
    let output = command.output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn repair_fills_a_node_and_shows_progress_until_it_is_done() {
    let (cluster, model) = cluster(&[]).await;
    let (done, text) = repair(&cluster.nodes[2], &["n2"]).await;
    let last = text.lines().last().unwrap();
    assert!(done && last.starts_with("n2: complete; ") && last.contains("compared"), "{text}");
    assert!(cluster.nodes[1].log().contains("filled again"));
    let (done, text) = repair(&cluster.nodes[1], &["n2", "--json"]).await;
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert!(done && last["complete"] == true && last["node"] == "n2", "{text}");
    let (done, text) = repair(&cluster.nodes[0], &["n2", "--status"]).await;
    assert!(done && text.starts_with("n2: complete"), "{text}");
    let (done, text) = repair(&cluster.nodes[0], &["nobody"]).await;
    assert!(!done && text.contains("nobody"), "{text}");
    for node in &cluster.nodes {
        check(node, &model, Errors::Forbidden).await;
    }
}
