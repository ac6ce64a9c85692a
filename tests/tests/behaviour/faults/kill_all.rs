//! All nodes are killed at once while clients write (invariant I2, durability `process`).

use std::time::Duration;

use mapring_client::Client;
use rustix::process::Signal;
use serde_json::json;

use super::load::{Contents, Load};
use super::rig::Rig;
use super::{RUNS, RUNS_OF_FIVE};
use mapring_tests::harness::{eventually, holds};

/// Writers at once, which do not wait between their writes.
const WRITERS: usize = 6;
const PACE: Duration = Duration::from_millis(1);

/// Acknowledged writes before the kill, at least and at most.
const FEWEST: usize = 30;
const MOST: usize = 250;

async fn under_load(nodes: usize, runs: u32) {
    let mut rig = Rig::start("kill -9 of all nodes", nodes, runs).await;
    while rig.next_run() {
        let bucket = format!("load-{}", rig.run());
        let enough = FEWEST + rig.random.below(MOST - FEWEST);
        let load = Load::start(&bucket, &rig.cluster.clients(), WRITERS, PACE, &mut rig.random);
        eventually("writes under load", || async { holds(load.acknowledged() >= enough) }).await;
        for node in &rig.cluster.nodes {
            node.signal(Signal::KILL);
        }
        let written = load.end().await;
        for node in &mut rig.cluster.nodes {
            node.wait_end().await;
            node.spawn();
        }
        rig.cluster.wait_shared().await;
        written.are_read_from(&rig.addresses(), "").await;
        for node in rig.everyone() {
            check_query(rig.cluster.client(node), &written).await;
        }
        rig.count(0);
    }
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_of_three() {
    under_load(3, RUNS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_of_five() {
    under_load(5, RUNS_OF_FIVE).await;
}

/// A query over the bucket finds each acknowledged write once.
async fn check_query(client: &Client, written: &Contents) {
    let source = "function(v) { return [[v.key, parseInt(v.values[0].data)]]; }";
    let query = json!({
        "inputs": written.bucket,
        "query": [{"map": {"language": "javascript", "source": source}}],
    });
    let answer = client.mapred(query.to_string()).await;
    let answer = answer.unwrap_or_else(|error| panic!("by {}: {error}", client.address()));
    let listed: Vec<(String, u64)> = serde_json::from_slice(&answer).unwrap();
    written.are(&listed, &format!("a query by {}", client.address()));
}
