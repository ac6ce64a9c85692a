//! Deletes and what becomes of their tombstones.

use std::time::Duration;

use mapring_kv::{DeleteOptions, GetOptions, KvConfig, PutOptions};
use mapring_types::Quorum;

use crate::support::*;

async fn reaping() -> TestCluster {
    let config = KvConfig { reap_after: Some(Duration::from_secs(3)), ..KvConfig::default() };
    TestCluster::start_with(3, 64, 1, config).await
}

#[tokio::test(start_paused = true)]
async fn a_delete_leaves_a_tombstone_that_is_reaped() {
    let cluster = reaping().await;
    let id = key("k");
    assert!(!delete(cluster.kv(0), &id).await, "nothing there");
    let first = put(cluster.kv(0), &id, "v").await;
    assert!(delete(cluster.kv(1), &id).await);
    let found = cluster.kv(2).get(&id, &GetOptions::default()).await.unwrap().unwrap();
    assert!(found.is_tombstone() && found.clock.dominates(&first.clock));
    assert!(!delete(cluster.kv(2), &id).await, "deleted already");
    eventually("the reaper", || cluster.stored(&id).iter().all(Option::is_none)).await;
    assert_eq!(get(cluster.kv(0), &id).await, [""; 0]);
    // A later write is new to everybody, also with the context of the past.
    let again = put(cluster.kv(0), &id, "again").await;
    assert!(!found.clock.covers(again.siblings[0].dot));
    assert_eq!(get(cluster.kv(1), &id).await, ["again"]);
    put_over(cluster.kv(2), &id, &found.clock, "once more").await;
    assert_eq!(get(cluster.kv(1), &id).await, ["once more"]);
}

#[tokio::test(start_paused = true)]
async fn no_tombstone_is_reaped_while_a_node_is_away() {
    let mut cluster = reaping().await;
    let id = key("k");
    put(cluster.kv(0), &id, "v").await;
    eventually("replicas", || cluster.converged(&id)).await;
    cluster.kill(2);
    assert!(delete(cluster.kv(0), &id).await);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(cluster.stored(&id).iter().any(|o| o.as_ref().is_some_and(|o| o.is_tombstone())));
    cluster.restart(2).await;
    eventually("the reaper", || cluster.stored(&id).iter().all(Option::is_none)).await;
    for at in 0..3 {
        assert_eq!(get(cluster.kv(at), &id).await, [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_of_an_old_tombstone_has_it_reaped() {
    let mut cluster = reaping().await;
    let id = key("k");
    put(cluster.kv(0), &id, "v").await;
    assert!(delete(cluster.kv(0), &id).await);
    eventually("the tombstone everywhere", || cluster.converged(&id)).await;
    // Whoever was to reap it forgets about it.
    for at in 0..3 {
        cluster.kill(at);
        cluster.restart(at).await;
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(cluster.converged(&id));
    cluster.kv(0).get(&id, &GetOptions::default()).await.unwrap().unwrap();
    eventually("the reaper", || cluster.stored(&id).iter().all(Option::is_none)).await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_with_an_old_context_spares_what_it_has_not_seen() {
    let cluster = TestCluster::start(3, 64).await;
    cluster.set_props(&bucket(), siblings()).await;
    let id = key("t");
    let first = put(cluster.kv(0), &id, "v1").await;
    put_over(cluster.kv(1), &id, &first.clock, "v2").await;
    let options = DeleteOptions::default();
    assert!(cluster.kv(2).delete(&id, Some(first.clock), &options).await.unwrap());
    assert_eq!(get(cluster.kv(0), &id).await, ["(deleted)", "v2"]);
    assert!(delete(cluster.kv(0), &id).await);
    assert_eq!(get(cluster.kv(1), &id).await, ["(deleted)"]);
    // Without a context a write stands beside the tombstone, as in Riak.
    put(cluster.kv(2), &id, "y").await;
    assert_eq!(get(cluster.kv(1), &id).await, ["(deleted)", "y"]);
    // Where siblings are not kept, an old context deletes all the same.
    let plain = mapring_types::ObjectId::new(mapring_types::BucketId::untyped("plain"), "k");
    let first = put(cluster.kv(0), &plain, "v1").await;
    put(cluster.kv(1), &plain, "v2").await;
    assert!(cluster.kv(2).delete(&plain, Some(first.clock), &options).await.unwrap());
    assert_eq!(get(cluster.kv(0), &plain).await, ["(deleted)"]);
    put(cluster.kv(0), &plain, "v3").await;
    assert_eq!(get(cluster.kv(1), &plain).await, ["v3"]);
}

#[tokio::test(start_paused = true)]
async fn rw_fills_what_is_left_open() {
    let mut cluster = TestCluster::start(3, 64).await;
    let id = cluster.key_where(&bucket(), |nodes| nodes[0] != nodes[2]);
    put(cluster.kv(0), &id, "v").await;
    eventually("replicas", || cluster.converged(&id)).await;
    cluster.kill(2);
    let all = DeleteOptions { rw: Quorum::All, ..DeleteOptions::default() };
    assert!(cluster.kv(0).delete(&id, None, &all).await.is_err());
    let one = DeleteOptions { r: Quorum::One, w: Quorum::One, dw: Quorum::One, ..all };
    assert!(cluster.kv(0).delete(&id, None, &one).await.unwrap());
    let w = PutOptions { w: Quorum::All, ..PutOptions::default() };
    assert!(cluster.kv(0).put(&id, None, value("v"), &w).await.is_err());
}
