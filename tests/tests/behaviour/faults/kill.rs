//! A node is killed before a query, in its midst, and started again while it runs.

use std::time::Duration;

use super::query::{Form, Query};
use super::rig::{Met, Rig};
use super::{RUNS, RUNS_OF_FIVE, RUNS_OF_FORMS, SLOW};

/// Queries over a node that is down already need not be slow.
const QUICK: Duration = Duration::from_millis(2);

/// The longest time from a kill to the query after it.
const LATEST: Duration = Duration::from_millis(400);

async fn mid_query(nodes: usize, runs: u32, again_at_once: bool) {
    let kind = if again_at_once { "restart during a query" } else { "kill -9 mid-query" };
    mid_some_query(kind, nodes, runs, again_at_once, Query::all(SLOW)).await;
}

async fn mid_some_query(
    kind: &str,
    nodes: usize,
    runs: u32,
    again_at_once: bool,
    queries: Vec<Query>,
) {
    let mut rig = Rig::start(kind, nodes, runs).await.with_load();
    rig.measure(&queries).await;
    while rig.next_run() {
        let query = rig.draw(&queries);
        rig.change_some(&rig.everyone()).await;
        let (client, victim) = rig.client_and_victim();
        let before = rig.units_rerun(client).await;
        let asked = rig.ask(client, query);
        rig.wait_midst(query).await;
        let in_flight = rig.units_in_flight().await;
        rig.note_of(victim, "is killed");
        rig.cluster.nodes[victim].kill().await;
        if again_at_once {
            let pause = LATEST.mul_f64(rig.random.fraction());
            tokio::time::sleep(pause).await;
            rig.cluster.nodes[victim].spawn();
        }
        let took = rig.judge(asked).await;
        let reruns = rig.units_rerun(client).await - before;
        rig.count_if_met(Met { in_flight, reruns }, query, took);
        if !again_at_once {
            rig.cluster.nodes[victim].spawn();
        }
        rig.recover().await;
    }
    rig.finish().await;
}

async fn before_query(nodes: usize, runs: u32) {
    let mut rig = Rig::start("kill -9 before a query", nodes, runs).await.with_load();
    let mut queries = Query::all(QUICK);
    queries.extend([Form::Plain, Form::Parts].map(Query::count));
    while rig.next_run() {
        let query = rig.draw(&queries);
        rig.change_some(&rig.everyone()).await;
        let (client, victim) = rig.client_and_victim();
        let before = rig.units_rerun(client).await;
        rig.note_of(victim, "is killed");
        rig.cluster.nodes[victim].kill().await;
        // At once in half of the runs, when nobody knows yet.
        if rig.random.chance(0.5) {
            let pause = LATEST.mul_f64(rig.random.fraction());
            tokio::time::sleep(pause).await;
        }
        let asked = rig.ask(client, query);
        rig.judge(asked).await;
        // And again, over what has changed since.
        rig.change_some(&rig.others(victim)).await;
        let other = *rig.random.pick(&rig.others(victim));
        let asked = rig.ask(other, query);
        rig.judge(asked).await;
        let reruns = rig.units_rerun(client).await - before;
        rig.count(reruns);
        rig.cluster.nodes[victim].spawn();
        rig.recover().await;
    }
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mid_query_of_three() {
    mid_query(3, RUNS, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mid_query_of_five() {
    mid_query(5, RUNS_OF_FIVE, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mid_query_of_any_form_of_three() {
    let kind = "kill -9 mid-query of other forms";
    mid_some_query(kind, 3, RUNS_OF_FORMS, false, Query::further(SLOW)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn started_again_mid_query_of_three() {
    mid_query(3, RUNS, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn started_again_mid_query_of_five() {
    mid_query(5, RUNS_OF_FIVE, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_a_query_of_three() {
    before_query(3, RUNS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_a_query_of_five() {
    before_query(5, RUNS_OF_FIVE).await;
}
