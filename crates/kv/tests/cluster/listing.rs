//! Listings, folds and coverage.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use mapring_engine::ScanDepth;
use mapring_kv::{FoldRequest, Selection};
use mapring_ring::Partition;
use mapring_types::{BucketId, ErrorKind, ObjectId};

use crate::support::*;

fn sorted(keys: impl Iterator<Item = String>) -> Vec<String> {
    let mut keys: Vec<String> = keys.collect();
    keys.sort();
    keys
}

#[tokio::test(start_paused = true)]
async fn each_key_is_listed_once_from_every_node_and_with_each_node_down() {
    let mut cluster = TestCluster::start(3, 64).await;
    for n in 0..500 {
        put(cluster.kv(n % 3), &key(format!("k{n}")), "v").await;
    }
    put(cluster.kv(0), &ObjectId::new(BucketId::untyped("other"), "x"), "v").await;
    assert!(delete(cluster.kv(0), &key("k7")).await);
    let expect = sorted((0..500).filter(|&n| n != 7).map(|n| format!("k{n}")));
    for at in 0..3 {
        assert_eq!(cluster.list_keys(at, &bucket()).await.unwrap(), expect);
    }
    for down in 0..3 {
        cluster.kill(down);
        assert_eq!(cluster.list_keys((down + 1) % 3, &bucket()).await.unwrap(), expect);
        cluster.restart(down).await;
    }
    let nothing = cluster.list_keys(0, &BucketId::untyped("empty")).await.unwrap();
    assert!(nothing.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_missed_writes_is_not_asked_for_them() {
    let mut cluster = TestCluster::start(3, 64).await;
    cluster.kill(2);
    let mut expect = Vec::new();
    for n in 0..100 {
        put(cluster.kv(n % 2), &key(format!("k{n}")), "v").await;
        expect.push(format!("k{n}"));
    }
    expect.sort();
    cluster.restart(2).await;
    for at in 0..3 {
        assert_eq!(cluster.list_keys(at, &bucket()).await.unwrap(), expect, "from {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_goes_on_when_a_node_dies_under_it() {
    let mut cluster = TestCluster::start(3, 8).await;
    cluster.set_props(&bucket(), serde_json::json!({"n_val": 2})).await;
    let total = 9_000;
    for n in 0..total {
        put(cluster.kv(0), &key(format!("k{n}")), "v").await;
    }
    let mut pages = cluster.kv(0).list_keys(bucket(), Duration::from_secs(60));
    let mut keys: Vec<_> = pages.next().await.unwrap().unwrap();
    cluster.kill(1);
    while let Some(page) = pages.try_next().await.unwrap() {
        keys.extend(page);
    }
    keys.sort();
    let before = keys.len();
    keys.dedup();
    assert_eq!((keys.len(), before), (total, total));
}

#[tokio::test(start_paused = true)]
async fn buckets_are_listed_once_and_in_order() {
    let mut cluster = TestCluster::start(3, 64).await;
    let mut expect = Vec::new();
    for n in 0..60 {
        let bucket = BucketId::untyped(format!("bucket-{n:02}"));
        for k in 0..8 {
            put(cluster.kv(0), &ObjectId::new(bucket.clone(), format!("{k}")), "v").await;
        }
        expect.push(format!("bucket-{n:02}"));
    }
    let dead = ObjectId::new(BucketId::untyped("dead"), "k");
    put(cluster.kv(0), &dead, "v").await;
    assert!(delete(cluster.kv(0), &dead).await);
    cluster.kill(1);
    let pages = cluster.kv(0).list_buckets("default".into(), Duration::from_secs(60));
    let pages: Vec<_> = pages.try_collect().await.unwrap();
    let names: Vec<String> =
        pages.concat().iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    assert_eq!(names, expect);
    let mut pages = cluster.kv(0).list_buckets("nope".into(), Duration::from_secs(60));
    assert_eq!(pages.next().await.unwrap().unwrap_err().kind(), ErrorKind::NotFound);
    assert!(pages.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn partitions_without_a_replica_are_named() {
    let mut cluster = TestCluster::start(3, 64).await;
    cluster.set_props(&bucket(), serde_json::json!({"n_val": 1})).await;
    cluster.kill(2);
    cluster.nodes[0].cluster.set_up([cluster.id(1)]);
    let error = cluster.list_keys(0, &bucket()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("partitions "), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_listing_ends_at_its_deadline() {
    let cluster = TestCluster::start(3, 64).await;
    put(cluster.kv(0), &key("k"), "v").await;
    cluster.pause(1);
    let mut pages = cluster.kv(0).list_keys(bucket(), Duration::from_millis(1));
    let mut last = None;
    while let Some(page) = pages.next().await {
        last = Some(page);
    }
    assert_eq!(last.unwrap().unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn pages_meet_every_object_of_a_slice() {
    let cluster = TestCluster::start(1, 8).await;
    for n in 0..100 {
        put(cluster.kv(0), &key(format!("k{n:03}")), &format!("v{n}")).await;
    }
    assert!(delete(cluster.kv(0), &key("k005")).await);
    let kv = cluster.kv(0);
    let mut found = Vec::new();
    for home in (0..8).map(Partition) {
        let mut after = None;
        loop {
            let request = FoldRequest {
                vnode: home,
                home,
                bucket: bucket(),
                selection: Selection::All,
                after,
                depth: ScanDepth::Records,
                most: 7,
                keep: None,
                refine: None,
                replicas: 1,
                complete: false,
            };
            let page = kv.fold_page(request).await.unwrap();
            assert!(page.items.len() <= 7);
            found.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
    }
    assert_eq!(found.len(), 100, "tombstones among them");
    let tombstones = found.iter().filter(|item| item.record.decode().unwrap().is_tombstone());
    assert_eq!(tombstones.count(), 1);
    let ids = vec![key("k001"), key("none")];
    let home = kv.preference(&ids[0]).unwrap().primaries[0].vnode;
    let places: Vec<_> = ids.into_iter().map(|id| (home, id)).collect();
    let read = kv.read_local(places.clone(), 1_000).await.unwrap();
    assert_eq!(bodies(&read[0].as_ref().unwrap().decode().unwrap()), ["v1"]);
    assert!(read[1].is_none());
    // As many as fit, and one whatever its size.
    assert_eq!(kv.read_local(places, 1).await.unwrap(), read[..1]);
}

#[tokio::test(start_paused = true)]
async fn an_object_is_found_on_another_primary() {
    let mut cluster = TestCluster::start(3, 64).await;
    let id = cluster.key_where(&bucket(), |nodes| nodes[0] != nodes[2]);
    put(cluster.kv(0), &id, "v").await;
    eventually("replicas", || cluster.converged(&id)).await;
    let own = cluster.kv(0).preference(&id).unwrap().primaries;
    let own = own.iter().find(|entry| entry.node == cluster.id(0)).copied().unwrap();
    cluster.forget(own.node, own.vnode.0, &id);
    let record = cluster.kv(0).read_other_primaries(own.vnode, &id).await.unwrap().unwrap();
    assert_eq!(bodies(&record.decode().unwrap()), ["v"]);
    let none = cluster.key_where(&BucketId::untyped("c"), |nodes| nodes[0] != nodes[2]);
    let list = cluster.kv(0).preference(&none).unwrap();
    let vnode = list.primaries.iter().find(|e| e.node == cluster.id(0)).unwrap().vnode;
    assert!(cluster.kv(0).read_other_primaries(vnode, &none).await.unwrap().is_none());
    cluster.kill(1);
    assert!(
        cluster.kv(0).read_other_primaries(vnode, &none).await.unwrap().is_none(),
        "a majority"
    );
    cluster.kill(2);
    let error = cluster.kv(0).read_other_primaries(vnode, &none).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_delays_a_listing_once() {
    let cluster = TestCluster::start(3, 64).await;
    let total = 3_000;
    for n in 0..total {
        put(cluster.kv(0), &key(format!("k{n}")), "v").await;
    }
    for buckets in [false, true] {
        let kv = cluster.kv(0);
        let mut pages = match buckets {
            false => kv.list_keys(bucket(), Duration::from_secs(60)),
            true => kv.list_buckets("default".into(), Duration::from_secs(60)),
        };
        let mut found = 0;
        if !buckets {
            found += pages.next().await.unwrap().unwrap().len();
        }
        cluster.pause(2);
        let began = tokio::time::Instant::now();
        while let Some(page) = pages.try_next().await.unwrap() {
            found += page.len();
        }
        let took = began.elapsed();
        cluster.heal();
        assert_eq!(found, if buckets { 1 } else { total });
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_is_not_waited_for_when_a_majority_lacks_an_object() {
    let cluster = TestCluster::start(3, 64).await;
    let id = cluster.key_where(&bucket(), |nodes| nodes[0] != nodes[2]);
    let list = cluster.kv(0).preference(&id).unwrap();
    let vnode = list.primaries.iter().find(|e| e.node == cluster.id(0)).unwrap().vnode;
    cluster.pause(2);
    let began = tokio::time::Instant::now();
    for _ in 0..100 {
        assert!(cluster.kv(0).read_other_primaries(vnode, &id).await.unwrap().is_none());
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}
