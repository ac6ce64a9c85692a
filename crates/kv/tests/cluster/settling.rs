//! Coordinators that end between their acknowledgement and the last replica: what a replica lacks is
//! known to those that have it.

use std::time::Duration;

use mapring_kv::StaleReplicas;
use mapring_types::{ErrorKind, ObjectId, limits};
use tokio::time::Instant;

use crate::support::*;

/// Keys whose primaries lie on three nodes.
fn spread(cluster: &TestCluster, count: usize) -> Vec<ObjectId> {
    let ids = (0..).map(|n| key(format!("k{n}")));
    let wide = |id: &ObjectId| {
        let list = cluster.kv(0).preference(id).unwrap().primaries;
        list[0].node != list[2].node
    };
    ids.filter(wide).take(count).collect()
}

fn names(ids: &[ObjectId]) -> Vec<String> {
    let mut names: Vec<String> =
        ids.iter().map(|id| String::from_utf8_lossy(&id.key).into_owned()).collect();
    names.sort();
    names
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_coordinator_died_is_listed_and_brought_to_all() {
    for asked in [1, 2] {
        let mut cluster = TestCluster::start(3, 64).await;
        let ids = spread(&cluster, 20);
        cluster.lose(0, 2);
        for id in &ids {
            put(cluster.kv(0), id, "v").await;
        }
        cluster.kill(0);
        cluster.heal();
        let stale = ids.iter().filter(|id| !cluster.converged(id)).count();
        assert_eq!(stale, ids.len(), "no write is under way: a weak test");
        assert_eq!(cluster.list_keys(asked, &bucket()).await.unwrap(), names(&ids));
        let recovered = cluster.kv(1).stats().recovered;
        assert!(recovered >= ids.len() as u64, "{recovered}");
        eventually("recovered writes arrive", || ids.iter().all(|id| cluster.converged(id))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn writes_of_a_dead_coordinator_are_brought_on_unasked() {
    let mut cluster = TestCluster::start(3, 64).await;
    let ids = spread(&cluster, 20);
    cluster.lose(0, 2);
    for id in &ids {
        put(cluster.kv(0), id, "v").await;
    }
    cluster.kill(0);
    cluster.heal();
    eventually("recovered writes arrive", || ids.iter().all(|id| cluster.converged(id))).await;
    eventually("nothing is left", || {
        let stale = |at| cluster.kv(at).stale_replicas();
        [1, 2].into_iter().all(|at| stale(at).in_flight == 0)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_when_all_were_killed_is_brought_on_after_the_start() {
    let mut cluster = TestCluster::start(3, 64).await;
    let ids = spread(&cluster, 60);
    for (n, id) in ids.iter().enumerate() {
        cluster.heal();
        cluster.lose(n % 3, (n + 2) % 3);
        put(cluster.kv(n % 3), id, "v").await;
    }
    let stale = ids.iter().filter(|id| !cluster.converged(id)).count();
    assert!(stale > 40, "only {stale} writes are under way");
    (0..3).for_each(|at| cluster.kill(at));
    cluster.heal();
    for at in 0..3 {
        cluster.restart(at).await;
    }
    for at in 0..3 {
        assert_eq!(cluster.list_keys(at, &bucket()).await.unwrap(), names(&ids), "from {at}");
    }
    eventually("all arrive", || ids.iter().all(|id| cluster.converged(id))).await;
}

#[tokio::test(start_paused = true)]
async fn who_was_failed_by_a_silent_node_waits_for_no_writes_to_it() {
    let cluster = TestCluster::start(3, 64).await;
    let ids = spread(&cluster, 20);
    cluster.pause(2);
    for id in &ids {
        let coordinator = cluster.kv(0).preference(id).unwrap().primaries[0].node;
        if coordinator != cluster.id(2) {
            put(cluster.kv(0), id, "v").await;
        }
    }
    let (began, without) = (Instant::now(), [cluster.id(2)].into());
    cluster.kv(1).coverage_without(3, &without).await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
}

/// A node that failed who asks may live all the same: what it has under way
/// must not become hints at those who have it in flight.
#[tokio::test(start_paused = true)]
async fn a_node_that_takes_the_living_for_gone_lets_nobody_recover_their_writes() {
    let cluster = TestCluster::start(3, 64).await;
    let ids = spread(&cluster, 20);
    cluster.lose(1, 2);
    for id in &ids {
        put(cluster.kv(1), id, "v").await;
    }
    assert!(cluster.kv(0).stale_replicas().in_flight > 0, "no write is under way: a weak test");
    let without = [cluster.id(1)].into();
    cluster.kv(0).coverage_without(3, &without).await.unwrap();
    let recovered: Vec<u64> = (0..3).map(|at| cluster.kv(at).stats().recovered).collect();
    assert_eq!(recovered, [0, 0, 0]);
}

/// A node that has started asks those whose hints it waits for. They must not take coordinators that
/// are alive for gone: the hints that they would then keep are for that node, too, for ever.
#[tokio::test(start_paused = true)]
async fn a_node_that_catches_up_lets_nobody_recover_writes_of_the_living() {
    let mut cluster = TestCluster::start(3, 64).await;
    let ids = spread(&cluster, 20);
    cluster.kill(0);
    for id in &ids {
        put(cluster.kv(1), id, "v").await;
    }
    cluster.restart(0).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        for id in &ids {
            put(cluster.kv(2), id, "w").await;
        }
    }
    let recovered: Vec<u64> = (0..3).map(|at| cluster.kv(at).stats().recovered).collect();
    assert_eq!(recovered, [0, 0, 0]);
    eventually("nothing is held", || {
        (0..3).all(|at| cluster.kv(at).stale_replicas().held.is_empty())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_holds_hints_is_remembered_when_it_dies() {
    let mut cluster = TestCluster::start(3, 64).await;
    let ids = spread(&cluster, 20);
    cluster.partition(&[2], &[0, 1]);
    for id in &ids {
        put(cluster.kv(0), id, "v").await;
    }
    eventually("the others know", || {
        let held = cluster.kv(1).stale_replicas().held;
        held.get(&cluster.id(0)).is_some_and(|vnodes| !vnodes.is_empty())
            && cluster.kv(1).stale_replicas().in_flight == 0
    })
    .await;
    // The holder dies in the moment in which the one that lacks everything is back.
    cluster.kill(0);
    cluster.heal();
    for at in [1, 2] {
        assert_eq!(cluster.list_keys(at, &bucket()).await.unwrap(), names(&ids), "from {at}");
    }
    cluster.restart(0).await;
    eventually("hints come home", || ids.iter().all(|id| cluster.converged(id))).await;
    eventually("nothing is held", || {
        (0..3).all(|at| cluster.kv(at).stale_replicas().held.is_empty())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_alone_lists_nothing() {
    let cluster = TestCluster::start(3, 64).await;
    let ids = spread(&cluster, 20);
    for id in &ids {
        put(cluster.kv(0), id, "v").await;
    }
    cluster.partition(&[2], &[0, 1]);
    let began = Instant::now();
    let error = cluster.list_keys(2, &bucket()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("partitions 0, 1, 2"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    for at in [0, 1] {
        assert_eq!(cluster.list_keys(at, &bucket()).await.unwrap(), names(&ids), "from {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_coordinator_delays_a_listing_by_less_than_a_lease() {
    let cluster = TestCluster::start(3, 64).await;
    let ids = spread(&cluster, 20);
    cluster.lose(0, 2);
    for id in &ids {
        put(cluster.kv(0), id, "v").await;
    }
    cluster.heal();
    cluster.pause(0);
    for at in [1, 2] {
        let began = Instant::now();
        assert_eq!(cluster.list_keys(at, &bucket()).await.unwrap(), names(&ids), "from {at}");
        assert!(began.elapsed() <= limits::LEASE, "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_started_under_writes_catches_up() {
    let mut cluster = TestCluster::start(3, 64).await;
    cluster.kill(2);
    cluster.restart(2).await;
    let mut writes = 0;
    while !cluster.kv(2).stale_replicas().unheard.is_empty() {
        writes += 1;
        assert!(writes < 5_000, "never heard of all: {:?}", cluster.kv(2).stale_replicas());
        put(cluster.kv(writes % 3), &key(format!("k{}", writes % 50)), "v").await;
    }
    assert_eq!((0..3).map(|at| cluster.kv(at).stats().recovered).sum::<u64>(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_hint_that_was_handed_over_is_still_brought_to_further_replicas() {
    let mut cluster = TestCluster::start(5, 64).await;
    let id = key("k");
    let list = cluster.kv(0).preference(&id).unwrap().primaries;
    let place = |node| (0..5).find(|at| cluster.id(*at) == node).unwrap();
    let [first, second, third] = [0, 1, 2].map(|nth: usize| place(list[nth].node));
    // One primary is down and a fallback takes its part; the other does not get the write.
    cluster.kill(third);
    cluster.all_see_all();
    cluster.lose(first, second);
    put(cluster.kv(first), &id, "v").await;
    cluster.restart(third).await;
    eventually("the fallback hands over", || cluster.stored(&id)[2].is_some()).await;
    assert!(cluster.stored(&id)[1].is_none(), "it has the write: a weak test");
    cluster.kill(first);
    cluster.heal();
    for at in (0..5).filter(|at| *at != first) {
        assert_eq!(cluster.list_keys(at, &bucket()).await.unwrap(), ["k"], "from {at}");
    }
    eventually("recovered", || cluster.converged(&id)).await;
}

#[tokio::test(start_paused = true)]
async fn who_holds_hints_is_remembered_over_a_crash() {
    let mut cluster = TestCluster::start(3, 64).await;
    let ids = spread(&cluster, 20);
    cluster.partition(&[2], &[0, 1]);
    for id in &ids {
        put(cluster.kv(0), id, "v").await;
    }
    eventually("the other knows", || {
        let StaleReplicas { held, in_flight, .. } = cluster.kv(1).stale_replicas();
        held.get(&cluster.id(0)).is_some_and(|vnodes| !vnodes.is_empty()) && in_flight == 0
    })
    .await;
    cluster.kill(0);
    cluster.kill(1);
    cluster.heal();
    cluster.restart(1).await;
    for at in [1, 2] {
        assert_eq!(cluster.list_keys(at, &bucket()).await.unwrap(), names(&ids), "from {at}");
    }
}
