//! Metadata of an earlier time in the place of what a node had, and what an operator does then.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use mapring_client::{NewObject, Place};
use tokio::process::Command;

use mapring_tests::harness::{Cluster, Node, eventually, holds, program};

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A path beside `place`.
fn beside(place: &Path, word: &str) -> PathBuf {
    place.with_file_name(format!("{}-{word}", place.file_name().unwrap().to_str().unwrap()))
}

/// Copies a directory to one beside it.
fn copied(place: &Path) -> PathBuf {
    let target = beside(place, "copy");
    copy(place, &target);
    target
}

/// Puts the copy in the place of the directory, by two renames.
fn put_back(place: &Path) {
    fs::rename(place, beside(place, "later")).unwrap();
    fs::rename(beside(place, "copy"), place).unwrap();
}

fn raft(node: &Node) -> PathBuf {
    node.data_dir().join("raft")
}

async fn create_types(node: &Node, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let props = format!("{{\"props\":{{\"n_val\":{}}}}}", number % 3 + 1);
        node.client.create_bucket_type(&format!("type{number}"), props).await.unwrap();
    }
}

fn names(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    let mut names: Vec<String> =
        numbers.into_iter().map(|number| format!("type{number}")).collect();
    names.sort();
    names
}

/// Waits until all nodes have the same metadata, with these types and no others.
async fn agree(cluster: &Cluster, types: &[String]) {
    let what = format!("all nodes to have {} types and the same hash", types.len());
    eventually(&what, || async {
        let mut hashes = Vec::new();
        for node in &cluster.nodes {
            let mut found = node.client.bucket_types().await.ok()?;
            found.retain(|name| name.starts_with("type"));
            found.sort();
            let metadata = node.client.cluster().await.ok()?.metadata;
            let is_odd = |member: &mapring_client::MetadataMember| {
                member.once.is_some() || member.differs_at.is_some()
            };
            if found != types || !metadata.has_leader || metadata.members.iter().any(is_odd) {
                return None;
            }
            hashes.push((metadata.index, metadata.hash?));
        }
        hashes.dedup();
        holds(hashes.len() == 1)
    })
    .await;
}

async fn leader(cluster: &Cluster) -> usize {
    eventually("a leader", || async {
        let name = cluster.nodes[0].client.cluster().await.ok()?.metadata.leader?;
        cluster.nodes.iter().position(|node| node.settings.name == name)
    })
    .await
}

async fn run(node: &Node, arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).env("MAPRING_URL", node.url()).output().await.unwrap()
}

fn said(output: &Output) -> String {
    let (out, error) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(error))
}

#[tokio::test]
async fn a_metadata_leader_put_back_and_started_at_once_loses_nothing() {
    let mut cluster = Cluster::start(3).await;
    create_types(&cluster.nodes[0], 0..4).await;
    agree(&cluster, &names(0..4)).await;
    let leader = leader(&cluster).await;
    let place = raft(&cluster.nodes[leader]);
    copied(&place);
    create_types(&cluster.nodes[leader], 4..12).await;
    agree(&cluster, &names(0..12)).await;

    cluster.nodes[leader].kill().await;
    put_back(&place);
    cluster.nodes[leader].spawn();
    // Another node is asked at once: the old leader must not decide in its old term.
    let other = (leader + 1) % 3;
    create_types(&cluster.nodes[other], 12..16).await;
    cluster.nodes[leader].wait_ready().await;
    create_types(&cluster.nodes[leader], 16..20).await;
    agree(&cluster, &names(0..20)).await;
    assert!(cluster.nodes[leader].log().contains("behind its own past"));
}

#[tokio::test]
async fn of_whole_directories_of_different_times_the_longest_history_wins() {
    let mut cluster = Cluster::start(3).await;
    for number in 0..3 {
        let first = u32::try_from(number).unwrap() * 3;
        create_types(&cluster.nodes[0], first..first + 3).await;
        assert!(cluster.nodes[number].stop().await.success());
        copied(&cluster.nodes[number].data_dir());
        cluster.restart(number).await;
    }
    create_types(&cluster.nodes[0], 9..12).await;
    agree(&cluster, &names(0..12)).await;
    for node in &mut cluster.nodes {
        node.kill().await;
        put_back(&node.data_dir());
    }
    for node in &mut cluster.nodes {
        node.spawn();
    }
    cluster.wait_shared().await;
    agree(&cluster, &names(0..9)).await;
    create_types(&cluster.nodes[1], 20..22).await;
    agree(&cluster, &names((0..9).chain(20..22))).await;
}

#[tokio::test]
async fn where_nobody_may_lead_the_operator_chooses() {
    let mut cluster = Cluster::start(3).await;
    create_types(&cluster.nodes[0], 0..3).await;
    agree(&cluster, &names(0..3)).await;
    let refused = run(&cluster.nodes[0], &["cluster", "choose", "n3", "--yes"]).await;
    assert!(said(&refused).contains("has a leader"), "{}", said(&refused));
    copied(&raft(&cluster.nodes[0]));
    copied(&raft(&cluster.nodes[2]));
    create_types(&cluster.nodes[0], 3..6).await;
    agree(&cluster, &names(0..6)).await;
    for node in &mut cluster.nodes {
        node.kill().await;
    }
    put_back(&raft(&cluster.nodes[0]));
    put_back(&raft(&cluster.nodes[2]));
    // n2, which has all, tells n1 of its past, and is gone before it leads.
    cluster.nodes[0].spawn();
    cluster.nodes[1].spawn();
    eventually("n1 to be told of its past", || async {
        holds(cluster.nodes[0].log().contains("behind its own past"))
    })
    .await;
    cluster.nodes[1].kill().await;
    cluster.nodes[2].spawn();
    cluster.nodes[0].wait_ready().await;
    cluster.nodes[2].wait_ready().await;
    let status = eventually("the status to say that somebody must choose", || async {
        let status = said(&run(&cluster.nodes[2], &["cluster", "status"]).await);
        status.contains("held by no node that answers").then_some(status)
    })
    .await;
    assert!(status.contains("n1: at entry"), "{status}");
    assert!(status.contains("which n2 remembers"), "{status}");

    for (arguments, expected) in [
        (&["cluster", "choose", "n3"][..], "confirm it with --yes"),
        (&["cluster", "choose", "n9", "--yes"][..], "there is no node n9"),
        (&["cluster", "choose", "n2", "--yes"][..], "n2 cannot be reached"),
    ] {
        let output = run(&cluster.nodes[0], arguments).await;
        assert!(!output.status.success() && said(&output).contains(expected), "{}", said(&output));
    }
    let output = run(&cluster.nodes[0], &["cluster", "choose", "n3", "--yes"]).await;
    assert!(output.status.success(), "{}", said(&output));
    create_types(&cluster.nodes[0], 6..8).await;
    // Its decisions were dropped: it takes those of the others.
    cluster.nodes[1].spawn();
    cluster.nodes[1].wait_ready().await;
    create_types(&cluster.nodes[1], 8..10).await;
    agree(&cluster, &names((0..3).chain(6..10))).await;
}

#[tokio::test]
async fn a_node_whose_metadata_is_moved_away_gets_it_anew_and_keeps_its_objects() {
    let mut cluster = Cluster::start(3).await;
    create_types(&cluster.nodes[0], 0..3).await;
    let object =
        NewObject { body: "x".into(), content_type: "text/plain".into(), ..NewObject::default() };
    for number in 0..20 {
        let place = Place::new("b", number.to_string());
        cluster.client(0).put(&place, object.clone()).await.unwrap();
    }
    agree(&cluster, &names(0..3)).await;
    assert!(cluster.nodes[2].stop().await.success());
    let place = raft(&cluster.nodes[2]);
    fs::rename(&place, beside(&place, "odd")).unwrap();
    create_types(&cluster.nodes[0], 3..5).await;
    cluster.nodes[2].spawn();
    cluster.nodes[2].wait_ready().await;
    create_types(&cluster.nodes[2], 5..7).await;
    agree(&cluster, &names(0..7)).await;
    for number in 0..20 {
        let found = cluster.client(2).get(&Place::new("b", number.to_string())).await.unwrap();
        assert_eq!(found.body, "x");
    }
    assert_eq!(cluster.nodes[2].status().await.members.len(), 3);
    assert!(!cluster.nodes[2].log().contains("incomplete"));
}
