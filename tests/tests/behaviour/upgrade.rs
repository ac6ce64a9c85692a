//! Nodes of two releases of the formats: a cluster is made newer node by node, under way reads and
//! writes through each, and writes the newer release when all nodes know it.
//!
//! The newer nodes are of a release that no program has yet: built into the program under test alone,
//! and told by its environment (`mapring_types::versioned`).

use std::collections::BTreeSet;
use std::fs;

use mapring_client::{NewObject, Place};
use mapring_tests::harness::{Cluster, Node, eventually, holds, metrics};
use serde_json::json;

/// The release of this program, and the one after it.
const PRESENT: u8 = 6;
const NEXT: u8 = 7;

/// What makes a node newer.
const NEWER: (&str, &str) = ("MAPRING_NEXT_VERSION", "1");

/// Bytes of every value: what the head ends with says so, where the version is the present one.
const VALUE_BYTES: u8 = 20;

/// All that was written so far, by key.
#[derive(Default)]
struct Written(Vec<String>);

impl Written {
    /// Writes some objects through each node, and reads all that there is through each.
    async fn go_on(&mut self, cluster: &Cluster, round: &str) {
        for (number, node) in cluster.nodes.iter().enumerate() {
            for key in 0..10 {
                let key = format!("{round}-{number}-{key}");
                let place = Place::new("b", key.clone());
                let put = node.client.put(&place, value(&key)).await;
                put.unwrap_or_else(|error| panic!("{key} by {}: {error}", node.settings.name));
                self.0.push(key);
            }
        }
        self.check(cluster, round).await;
    }

    async fn check(&self, cluster: &Cluster, round: &str) {
        for node in &cluster.nodes {
            let name = &node.settings.name;
            for key in &self.0 {
                let found = node.client.get(&Place::new("b", key.clone())).await;
                let found = found.unwrap_or_else(|error| panic!("{round}, {name}, {key}: {error}"));
                assert!(found.body == value(key).body, "{round}, {name}: {key} has another value");
            }
            let map = json!({"map": {"language": "javascript", "source": "v => [v.key]"}});
            let query = json!({"inputs": "b", "query": [map]}).to_string();
            let answer = node.client.mapred(query).await;
            let answer = answer.unwrap_or_else(|error| panic!("{round}, {name}: {error}"));
            let answer: Vec<String> = serde_json::from_slice(&answer).unwrap();
            let mapped: BTreeSet<&String> = answer.iter().collect();
            assert_eq!(mapped, self.0.iter().collect(), "{round}, {name}");
            assert_eq!(answer.len(), self.0.len(), "{round}, {name}");
        }
    }
}

fn body(key: &str) -> String {
    format!("{key:<0$}", usize::from(VALUE_BYTES))
}

fn value(key: &str) -> NewObject {
    let content_type = "text/plain".into();
    NewObject { body: body(key).into(), content_type, ..NewObject::default() }
}

/// In which releases the value of a key lies on a node's disk. The head of a record stands before its
/// value: in the present version it ends with the length of that, in the next one with the release.
fn releases_on_disk(node: &Node, key: &str) -> BTreeSet<u8> {
    let stored = fs::read(node.data_dir().join("store/sled/db")).unwrap();
    let body = body(key);
    let places = stored.windows(body.len()).enumerate();
    let heads = places.filter(|(_, bytes)| *bytes == body.as_bytes()).map(|(at, _)| &stored[..at]);
    heads
        .map(|head| {
            let end = head.last_chunk::<2>().unwrap();
            match *end {
                [VALUE_BYTES, NEXT] => NEXT,
                [_, VALUE_BYTES] => PRESENT,
                _ => panic!("{key} stands behind {end:?}"),
            }
        })
        .collect()
}

async fn written_release(node: &Node) -> f64 {
    metrics(node).await.get("mapring_kv_written_release").copied().unwrap_or_default()
}

async fn wait_written(cluster: &Cluster, release: u8) {
    for node in &cluster.nodes {
        let what = format!("{} to write release {release}", node.settings.name);
        let written = || async { holds(written_release(node).await == f64::from(release)) };
        eventually(&what, written).await;
    }
}

/// Starts a node again as a newer one.
async fn make_newer(cluster: &mut Cluster, number: usize) {
    let status = cluster.nodes[number].stop().await;
    assert!(status.success(), "{status}");
    let (name, value) = NEWER;
    cluster.nodes[number].settings.environment.push((name.to_owned(), value.to_owned()));
    cluster.restart(number).await;
}

#[tokio::test]
async fn a_cluster_is_made_newer_node_by_node() {
    let mut cluster = Cluster::start(3).await;
    wait_written(&cluster, PRESENT).await;
    let mut written = Written::default();
    written.go_on(&cluster, "old").await;
    for number in 0..3 {
        make_newer(&mut cluster, number).await;
        if number == 2 {
            break;
        }
        // A member that would not read the next release keeps it from being written.
        let round = format!("mixed{number}");
        written.go_on(&cluster, &round).await;
        for node in &cluster.nodes {
            let (name, key) = (&node.settings.name, format!("{round}-{number}-0"));
            assert_eq!(releases_on_disk(node, &key), [PRESENT].into(), "{name}");
            assert_eq!(written_release(node).await, f64::from(PRESENT), "{name}");
        }
    }

    wait_written(&cluster, NEXT).await;
    written.go_on(&cluster, "new").await;
    for node in &cluster.nodes {
        let name = &node.settings.name;
        for key in ["new-0-0", "new-1-1", "new-2-2"] {
            assert_eq!(releases_on_disk(node, key), [NEXT].into(), "{name}: {key}");
        }
        assert_eq!(releases_on_disk(node, "old-0-0"), [PRESENT].into(), "{name}");
    }

    // A program that does not read the data says so, and leaves it as it is.
    let newer = cluster.nodes[2].settings.environment.clone();
    cluster.nodes[2].stop().await;
    cluster.nodes[2].settings.environment.retain(|(name, _)| name != NEWER.0);
    cluster.nodes[2].spawn();
    let status = cluster.nodes[2].wait_end().await;
    assert!(!status.success(), "{status}");
    let log = cluster.nodes[2].log();
    let words = format!("release {NEXT} of the formats, and 1 to {PRESENT} are known here");
    assert!(log.contains(&words), "{log}");
    cluster.nodes[2].settings.environment = newer;
    cluster.restart(2).await;
    written.go_on(&cluster, "back").await;
}
