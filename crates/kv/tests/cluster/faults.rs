//! Nodes that are gone, silent or cut off.

use std::collections::BTreeSet;
use std::time::Duration;

use mapring_kv::window::Counted;
use mapring_kv::{GetOptions, PutOptions};
use mapring_types::error::QuorumKind;
use mapring_types::{ErrorKind, ObjectId, Quorum, SyncOnWrite, limits};
use tokio::time::Instant;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn with_each_node_down_in_turn_every_key_is_read_and_written() {
    let mut cluster = TestCluster::start(3, 64).await;
    let ids: Vec<ObjectId> = (0..300).map(|n| key(format!("k{n}"))).collect();
    let passes_over = |id: &ObjectId| {
        let list = cluster.kv(0).preference(id).unwrap().primaries;
        let nodes: BTreeSet<_> = list.iter().map(|entry| entry.node).collect();
        assert_eq!(nodes.len(), 3, "{id}: {list:?}");
        (list[2].vnode.0 + 64 - list[0].vnode.0) % 64 > 2
    };
    let passes_over = ids.iter().filter(|id| passes_over(id)).count();
    assert!(passes_over > 0, "no list passes a vnode over: a weak test");
    for id in &ids {
        put(cluster.kv(0), id, "0").await;
    }
    for down in 0..3 {
        cluster.kill(down);
        let others = [(down + 1) % 3, (down + 2) % 3];
        let (before, after) = (down.to_string(), (down + 1).to_string());
        for (n, id) in ids.iter().enumerate() {
            let (a, b) = (cluster.kv(others[n % 2]), cluster.kv(others[(n + 1) % 2]));
            assert_eq!(get(a, id).await, [before.as_str()], "{id} with {down} down");
            put(b, id, &after).await;
            assert_eq!(get(a, id).await, [after.as_str()], "{id} with {down} down");
        }
        cluster.restart(down).await;
        eventually("hand-off", || ids.iter().all(|id| cluster.converged(id))).await;
    }
    for id in &ids {
        assert_eq!(get(cluster.kv(0), id).await, ["3"]);
    }
}

#[tokio::test(start_paused = true)]
async fn quorums_that_cannot_be_had_fail_at_once_in_riaks_words() {
    let mut cluster = TestCluster::start(3, 64).await;
    let all = cluster.key_where(&bucket(), |nodes| nodes[0] != nodes[2]);
    put(cluster.kv(0), &all, "v").await;
    eventually("replicas", || cluster.converged(&all)).await;
    cluster.kill(2);
    let kv = cluster.kv(0);
    let began = Instant::now();
    let quorum = |what, got, want| ErrorKind::Quorum { what, got, want };
    let error = kv.get(&all, &r(Quorum::All)).await.unwrap_err();
    assert_eq!(error.kind(), quorum(QuorumKind::R, 2, 3));
    let options = GetOptions { pr: Quorum::All, ..GetOptions::default() };
    assert_eq!(kv.get(&all, &options).await.unwrap_err().kind(), quorum(QuorumKind::Pr, 2, 3));
    let put = |options: PutOptions| {
        let all = all.clone();
        async move { kv.put(&all, None, value("w"), &options).await.unwrap_err().kind() }
    };
    let pw = PutOptions { pw: Quorum::All, ..PutOptions::default() };
    assert_eq!(put(pw).await, quorum(QuorumKind::Pw, 2, 3));
    let w = PutOptions { w: Quorum::All, ..PutOptions::default() };
    assert_eq!(put(w).await, quorum(QuorumKind::W, 2, 3));
    let dw = PutOptions { dw: Quorum::All, ..PutOptions::default() };
    assert_eq!(put(dw).await, quorum(QuorumKind::Dw, 2, 3));
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(get(kv, &all).await, ["v"], "nothing was stored");
}

#[tokio::test(start_paused = true)]
async fn a_fallback_takes_what_a_primary_misses() {
    let mut cluster = TestCluster::start(5, 64).await;
    let id = cluster
        .key_where(&bucket(), |nodes| nodes.contains(&cluster.id(0)) && nodes[2] == cluster.id(4));
    cluster.kill(4);
    let w = PutOptions { w: Quorum::All, ..PutOptions::default() };
    cluster.kv(0).put(&id, None, value("v"), &w).await.unwrap();
    let error = cluster.kv(0).get(&id, &GetOptions { pr: Quorum::All, ..r(Quorum::One) }).await;
    assert!(matches!(error.unwrap_err().kind(), ErrorKind::Quorum { what: QuorumKind::Pr, .. }));
    let object = cluster.kv(1).get(&id, &r(Quorum::All)).await.unwrap().unwrap();
    assert_eq!(bodies(&object), ["v"]);
    cluster.restart(4).await;
    eventually("hand-off", || cluster.converged(&id)).await;
    eventually("the fallback lets go", || {
        let vnode = cluster.kv(0).preference(&id).unwrap().primaries[2].vnode;
        (0..4).all(|at| cluster.stored_at(cluster.id(at), vnode.0, &id).is_none())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_delays_nothing_beyond_a_lease() {
    let cluster = TestCluster::start(3, 64).await;
    let ids: Vec<ObjectId> = (0..60).map(|n| key(format!("k{n}"))).collect();
    for id in &ids {
        put(cluster.kv(0), id, "before").await;
    }
    eventually("replicas", || ids.iter().all(|id| cluster.converged(id))).await;
    cluster.pause(2);
    for id in &ids {
        let began = Instant::now();
        assert_eq!(get(cluster.kv(0), id).await, ["before"]);
        assert!(began.elapsed() <= limits::LEASE, "{id}: read in {:?}", began.elapsed());
        let began = Instant::now();
        put(cluster.kv(1), id, "after").await;
        assert!(began.elapsed() <= limits::LEASE * 2, "{id}: written in {:?}", began.elapsed());
        assert_eq!(get(cluster.kv(0), id).await, ["after"]);
    }
    cluster.heal();
    eventually("hints come home", || ids.iter().all(|id| cluster.converged(id))).await;
}

#[tokio::test(start_paused = true)]
async fn a_read_repairs_what_a_replica_lacks() {
    let cluster = TestCluster::start(3, 64).await;
    let id = cluster.key_where(&bucket(), |nodes| nodes[0] != nodes[2]);
    put(cluster.kv(0), &id, "v").await;
    eventually("replicas", || cluster.converged(&id)).await;
    let list = cluster.kv(0).preference(&id).unwrap();
    let lost = list.primaries[1];
    cluster.forget(lost.node, lost.vnode.0, &id);
    assert!(!cluster.converged(&id));
    assert_eq!(get(cluster.kv(0), &id).await, ["v"]);
    eventually("repair", || cluster.converged(&id)).await;
    assert_eq!(cluster.kv(0).stats().read_repairs, 1);
    let figures = cluster.kv(0).figures();
    let (one, none) = (Counted { total: 1, minute: 1 }, Counted::default());
    assert_eq!((figures.read_repairs, figures.skipped_read_repairs), (one, none));
    assert_eq!((figures.repaired_missing, figures.repaired_outdated), (one, none));
}

#[tokio::test(start_paused = true)]
async fn two_sides_of_a_partition_make_siblings() {
    let cluster = TestCluster::start(3, 64).await;
    cluster.set_props(&bucket(), siblings()).await;
    let id = cluster.key_where(&bucket(), |nodes| nodes[0] != nodes[2]);
    let base = put(cluster.kv(0), &id, "base").await;
    eventually("replicas", || cluster.converged(&id)).await;
    cluster.partition(&[0], &[1, 2]);
    let one = PutOptions { w: Quorum::One, dw: Quorum::One, ..PutOptions::default() };
    let left = cluster.kv(0).put(&id, Some(base.clock.clone()), value("left"), &one).await;
    assert_eq!(bodies(&left.unwrap()), ["left"]);
    put_over(cluster.kv(1), &id, &base.clock, "right").await;
    assert_eq!(get(cluster.kv(2), &id).await, ["right"]);
    cluster.heal();
    eventually("both sides meet", || cluster.converged(&id)).await;
    for at in 0..3 {
        assert_eq!(get(cluster.kv(at), &id).await, ["left", "right"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_its_quorum_still_spreads() {
    let mut cluster = TestCluster::start(3, 64).await;
    let id = cluster.key_where(&bucket(), |nodes| nodes[0] != nodes[2]);
    // The coordinator believes both others up until it calls them.
    cluster.kill(1);
    cluster.kill(2);
    let error = cluster.kv(0).put(&id, None, value("v"), &PutOptions::default()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Quorum { what: QuorumKind::W, got: 1, want: 2 }));
    cluster.restart(1).await;
    cluster.restart(2).await;
    eventually("hints come home", || cluster.converged(&id)).await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_read() {
    let cluster = TestCluster::start(3, 64).await;
    cluster.pause(1);
    cluster.pause(2);
    let timeout = Some(Duration::from_millis(50));
    let options = GetOptions { timeout, ..GetOptions::default() };
    let error = cluster.kv(0).get(&key("k"), &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_coordinates_when_no_primary_can() {
    let mut cluster = TestCluster::start(3, 64).await;
    cluster.set_props(&bucket(), serde_json::json!({"n_val": 1})).await;
    let id = cluster.key_where(&bucket(), |nodes| nodes == [cluster.id(2)]);
    cluster.kill(2);
    // The one that is asked knows; the one that is to stand in does not.
    cluster.nodes[0].cluster.set_up([cluster.id(1)]);
    put(cluster.kv(0), &id, "v").await;
    assert_eq!(get(cluster.kv(0), &id).await, ["v"]);
    cluster.restart(2).await;
    eventually("hand-off", || cluster.converged(&id)).await;
    assert_eq!(get(cluster.kv(1), &id).await, ["v"]);
}

/// Facts R270, R271.
#[tokio::test(start_paused = true)]
async fn nodes_confirm_and_disks_are_waited_for() {
    let mut cluster = TestCluster::start(3, 64).await;
    let all = cluster.key_where(&bucket(), |nodes| nodes[0] != nodes[2]);
    let three = PutOptions { node_confirms: Quorum::Count(3), ..PutOptions::default() };
    let reading = GetOptions { node_confirms: Quorum::Count(3), ..GetOptions::default() };
    for sync in [None, Some(SyncOnWrite::One), Some(SyncOnWrite::All)] {
        let options = PutOptions { sync_on_write: sync, ..three.clone() };
        // Also through a node that is to hand it on.
        for at in 0..3 {
            let text = format!("{sync:?} {at}");
            cluster.kv(at).put(&all, None, value(text.clone()), &options).await.unwrap();
            assert_eq!(get(cluster.kv((at + 1) % 3), &all).await, [text]);
        }
    }
    assert!(cluster.kv(0).get(&all, &reading).await.unwrap().is_some());
    cluster.kill(2);
    let began = Instant::now();
    let confirms = |got| ErrorKind::Quorum { what: QuorumKind::NodeConfirms, got, want: 3 };
    let error = cluster.kv(0).put(&all, None, value("x"), &three).await.unwrap_err();
    assert_eq!(error.kind(), confirms(2), "{error}");
    let error = cluster.kv(0).get(&all, &reading).await.unwrap_err();
    assert_eq!(error.kind(), confirms(2), "{error}");
    assert!(began.elapsed() < limits::REQUEST_TIMEOUT, "what cannot be had is not waited for");
    // What is asked of a bucket counts as what is asked of a request.
    cluster.set_props(&bucket(), serde_json::json!({"node_confirms": 3})).await;
    let plain = PutOptions::default();
    let error = cluster.kv(0).put(&all, None, value("x"), &plain).await.unwrap_err();
    assert_eq!(error.kind(), confirms(2), "{error}");
}
