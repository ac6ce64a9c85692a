//! A node is cut off from the others by the network: what they send each other vanishes.

use std::time::Duration;

use super::network::{Cut, Network};
use super::pause::requests;
use super::query::Query;
use super::rig::{Met, Rig, SETTINGS};
use super::{PROMISED, RUNS_OF_FIVE, SILENT_RUNS, SLACK, SLOW};
use mapring_tests::harness::{Cluster, skip};

/// How long a query may take by way of a node that is cut off, in all.
const LONGEST: Duration = Duration::from_secs(30);

/// How often the node that is cut off is asked as well.
const ASKED_ALONE: f64 = 0.4;

/// A cluster whose nodes can be cut off, where that can be had.
pub(super) async fn networked(nodes: usize) -> Option<(Network, Cluster)> {
    let network = match Network::make(nodes) {
        Ok(network) => network,
        Err(reason) => {
            skip(&format!("no network namespaces, so that nothing can be cut: {reason}"));
            return None;
        }
    };
    let mut cluster = Cluster::empty(&SETTINGS);
    for node in 0..nodes {
        cluster.add_with(|settings| network.place(node, settings));
    }
    cluster.wait_shared().await;
    Some((network, cluster))
}

async fn mid_query(nodes: usize, runs: u32) {
    let Some((network, cluster)) = networked(nodes).await else { return };
    let mut rig = Rig::with(cluster, "network cut mid-query", runs).await.with_load();
    let queries = Query::all(SLOW);
    rig.measure(&queries).await;
    let mut slowest = Duration::ZERO;
    while rig.next_run() {
        let query = rig.draw(&queries);
        rig.change_some(&rig.everyone()).await;
        let (client, victim) = rig.client_and_victim();
        let how = *rig.random.pick(&[Cut::Port, Cut::Link]);
        let before = rig.units_rerun(client).await;
        let asked = rig.ask(client, query);
        rig.wait_midst(query).await;
        let in_flight = rig.units_in_flight().await;
        rig.note_of(victim, &format!("is cut off ({how:?})"));
        network.cut(victim, how);
        let tag = rig.random.next();
        slowest = slowest.max(requests(&rig, victim, tag).await);
        rig.note("reads and writes are answered");
        let took = rig.judge(asked).await;
        let reruns = rig.units_rerun(client).await - before;
        let delay = rig.count_if_met(Met { in_flight, reruns }, query, took);
        assert!(delay <= PROMISED + SLACK, "{query:?} was late by {delay:?}");
        if rig.random.chance(ASKED_ALONE) {
            ask_alone(&mut rig, victim, query).await;
        }
        network.heal(victim, how);
        rig.note_of(victim, "is back in the network");
        rig.recover().await;
    }
    eprintln!("a GET or PUT during a cut took {slowest:.1?} at most");
    rig.finish().await;
}

/// On its own, after others have gone on, a node must not answer from what it has.
async fn ask_alone(rig: &mut Rig, node: usize, query: Query) {
    rig.change_some(&rig.others(node)).await;
    let asked = rig.ask(node, query);
    let (took, _) = rig.judge_or_error(asked).await;
    assert!(took < LONGEST, "an error came only after {took:?}");
    rig.reads_nothing_old(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mid_query_of_three() {
    mid_query(3, SILENT_RUNS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mid_query_of_five() {
    mid_query(5, RUNS_OF_FIVE).await;
}
