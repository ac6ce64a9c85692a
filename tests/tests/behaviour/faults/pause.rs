//! A node stops in its tracks (SIGSTOP) and wakes later (SIGCONT).

use std::time::{Duration, Instant};

use futures::future::join_all;
use rustix::process::Signal;

use super::query::Query;
use super::rig::{Met, Rig};
use super::{PROMISED, RUNS_OF_FIVE, SILENT_RUNS, SLACK, SLOW, wire};
use mapring_tests::harness::{eventually, holds};

/// Objects written and read through each of the other nodes during a pause.
const REQUESTS: usize = 4;

async fn mid_query(nodes: usize, runs: u32) {
    let mut rig = Rig::start("SIGSTOP mid-query", nodes, runs).await.with_load();
    let queries = Query::all(SLOW);
    rig.measure(&queries).await;
    let mut slowest = Duration::ZERO;
    while rig.next_run() {
        let query = rig.draw(&queries);
        rig.change_some(&rig.everyone()).await;
        let (client, victim) = rig.client_and_victim();
        let before = rig.units_rerun(client).await;
        let asked = rig.ask(client, query);
        rig.wait_midst(query).await;
        let in_flight = rig.units_in_flight().await;
        rig.note_of(victim, "is stopped");
        rig.cluster.nodes[victim].signal(Signal::STOP);
        let tag = rig.random.next();
        slowest = slowest.max(requests(&rig, victim, tag).await);
        rig.note("reads and writes are answered");
        // In every other run it wakes while the query goes on, and sends what it has.
        let wakes = rig.random.chance(0.5);
        if wakes {
            eventually("its units to be run again", || async {
                holds(asked.is_over() || rig.units_rerun(client).await > before)
            })
            .await;
            rig.note_of(victim, "wakes");
            rig.cluster.nodes[victim].signal(Signal::CONT);
        }
        let took = rig.judge(asked).await;
        let reruns = rig.units_rerun(client).await - before;
        let delay = rig.count_if_met(Met { in_flight, reruns }, query, took);
        assert!(delay <= PROMISED + SLACK, "{query:?} was late by {delay:?}");
        if !wakes {
            rig.cluster.nodes[victim].signal(Signal::CONT);
        }
        rig.recover().await;
    }
    eprintln!("a GET or PUT during a pause took {slowest:.1?} at most");
    rig.finish().await;
}

/// Writes and reads through all nodes but one; how long the slowest request took.
pub(super) async fn requests(rig: &Rig, without: usize, tag: u64) -> Duration {
    let of_node = |node| (0..REQUESTS).map(move |number| (node, number));
    let requests = rig.others(without).into_iter().flat_map(of_node).map(|(node, number)| {
        let path = format!("/buckets/requests/keys/{tag}-{node}-{number}");
        async move {
            let address = rig.address(node);
            let text = [("Content-Type", "text/plain")];
            let began = Instant::now();
            let answer = wire::request(address, "PUT", &path, &text, path.as_bytes()).await;
            let answer = answer.unwrap_or_default();
            assert_eq!(answer.status, 204, "PUT {path}: {}", answer.text());
            let written = began.elapsed();
            let answer = wire::get(address, &path).await.unwrap_or_default();
            assert_eq!((answer.status, answer.text()), (200, path.clone()), "GET {path}");
            let read = began.elapsed() - written;
            assert!(written <= PROMISED + SLACK, "PUT {path} took {written:?}");
            assert!(read <= PROMISED + SLACK, "GET {path} took {read:?}");
            written.max(read)
        }
    });
    join_all(requests).await.into_iter().max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn mid_query_of_three() {
    mid_query(3, SILENT_RUNS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mid_query_of_five() {
    mid_query(5, RUNS_OF_FIVE).await;
}
