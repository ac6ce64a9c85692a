//! Reads and writes while all is well.

use std::time::Duration;

use futures::StreamExt as _;
use mapring_kv::executor::{InlineGate, ThreadPool};
use mapring_kv::window::Counted;
use mapring_kv::{DeleteOptions, GetOptions, KvFigures, PutOptions, WalkFigures};
use mapring_types::{BucketId, ErrorKind, Object, ObjectId, Quorum, VersionVector, limits};
use serde_json::json;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn a_write_reaches_all_replicas_and_every_node_reads_it() {
    let cluster = TestCluster::start(3, 64).await;
    let ids: Vec<ObjectId> = (0..100).map(|n| key(format!("k{n}"))).collect();
    for (n, id) in ids.iter().enumerate() {
        put(cluster.kv(n % 3), id, &format!("v{n}")).await;
    }
    eventually("all replicas", || ids.iter().all(|id| cluster.converged(id))).await;
    for (n, id) in ids.iter().enumerate() {
        for at in 0..3 {
            assert_eq!(get(cluster.kv(at), id).await, [format!("v{n}")]);
        }
    }
    assert_eq!(get(cluster.kv(0), &key("none")).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn without_siblings_a_later_write_replaces() {
    let cluster = TestCluster::start(3, 64).await;
    let id = key("k");
    let first = put(cluster.kv(0), &id, "one").await;
    put(cluster.kv(1), &id, "two").await;
    // A context that is out of date changes nothing here.
    put_over(cluster.kv(2), &id, &first.clock, "three").await;
    for at in 0..3 {
        assert_eq!(get(cluster.kv(at), &id).await, ["three"]);
    }
}

#[tokio::test(start_paused = true)]
async fn with_siblings_the_context_decides() {
    let cluster = TestCluster::start(3, 64).await;
    cluster.set_props(&bucket(), siblings()).await;
    let id = key("k");
    put(cluster.kv(0), &id, "a").await;
    put(cluster.kv(1), &id, "b").await;
    let three = put(cluster.kv(2), &id, "c").await;
    assert_eq!(bodies(&three), ["a", "b", "c"]);
    put_over(cluster.kv(0), &id, &three.clock, "resolved").await;
    assert_eq!(get(cluster.kv(1), &id).await, ["resolved"]);
    let stale = put_over(cluster.kv(1), &id, &three.clock, "stale").await;
    assert_eq!(bodies(&stale), ["resolved", "stale"]);
    assert_eq!(get(cluster.kv(2), &id).await, ["resolved", "stale"]);
    // Equal values are siblings too, as in Riak.
    put(cluster.kv(0), &key("same"), "x").await;
    put(cluster.kv(0), &key("same"), "x").await;
    assert_eq!(get(cluster.kv(0), &key("same")).await, ["x", "x"]);
}

#[tokio::test(start_paused = true)]
async fn last_write_wins_ignores_allow_mult() {
    let cluster = TestCluster::start(3, 64).await;
    cluster.set_props(&bucket(), json!({"allow_mult": true, "last_write_wins": true})).await;
    put(cluster.kv(0), &key("k"), "one").await;
    let second = put(cluster.kv(1), &key("k"), "two").await;
    assert_eq!(bodies(&second), ["two"]);
}

#[tokio::test(start_paused = true)]
async fn too_many_siblings_are_refused() {
    let cluster = TestCluster::start(1, 8).await;
    cluster.set_props(&bucket(), siblings()).await;
    for n in 0..limits::SIBLINGS {
        put(cluster.kv(0), &key("k"), &n.to_string()).await;
    }
    let one_more = cluster.kv(0).put(&key("k"), None, value("x"), &PutOptions::default()).await;
    assert_eq!(one_more.unwrap_err().kind(), ErrorKind::TooLarge);
    let object = cluster.kv(0).get(&key("k"), &GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(object.siblings.len(), limits::SIBLINGS);
    put_over(cluster.kv(0), &key("k"), &object.clock, "one").await;
    assert_eq!(get(cluster.kv(0), &key("k")).await, ["one"]);
}

#[tokio::test(start_paused = true)]
async fn times_never_go_back() {
    let cluster = TestCluster::start(3, 64).await;
    let id = key("k");
    let mut last = 0;
    for at in [0, 1, 2, 0, 1, 2] {
        let object = put(cluster.kv(at), &id, "x").await;
        assert!(object.last_modified() > last);
        last = object.last_modified();
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_no_primary_forwards() {
    let cluster = TestCluster::start(5, 64).await;
    let id = cluster.key_where(&bucket(), |nodes| !nodes.contains(&cluster.id(0)));
    put(cluster.kv(0), &id, "v").await;
    assert_eq!(cluster.kv(0).stats().forwards, 1);
    eventually("all replicas", || cluster.converged(&id)).await;
    assert_eq!(get(cluster.kv(0), &id).await, ["v"]);
}

#[tokio::test(start_paused = true)]
async fn requests_that_make_no_sense_are_refused() {
    let cluster = TestCluster::start(3, 64).await;
    let kv = cluster.kv(0);
    let text = "Specified w/dw/pw values invalid for bucket n value of 3";
    let options = PutOptions { w: Quorum::Count(4), ..PutOptions::default() };
    let error = kv.put(&key("k"), None, value("v"), &options).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, text));
    let error = kv.get(&key("k"), &r(Quorum::Count(4))).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, text));
    let unknown = ObjectId::new(BucketId::typed("nope", "b"), "k");
    let error = kv.get(&unknown, &GetOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = kv.put(&key(""), None, value("v"), &PutOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let large = value("v".repeat(limits::OBJECT_BYTES + 1));
    let error = kv.put(&key("k"), None, large, &PutOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[tokio::test(start_paused = true)]
async fn stopping_in_order_keeps_the_actor_and_a_crash_changes_it() {
    let mut cluster = TestCluster::start(1, 8).await;
    let id = key("k");
    let actor = |object: &mapring_types::Object| object.siblings[0].dot;
    let first = actor(&put(cluster.kv(0), &id, "1").await);
    cluster.stop(0).await;
    cluster.restart(0).await;
    let second = actor(&put(cluster.kv(0), &id, "2").await);
    assert_eq!((second.actor, second.counter), (first.actor, first.counter + 1));
    cluster.kill(0);
    cluster.restart(0).await;
    let third = actor(&put(cluster.kv(0), &id, "3").await);
    assert_ne!(third.actor, first.actor);
    assert_eq!(get(cluster.kv(0), &id).await, ["3"]);
}

#[tokio::test(start_paused = true)]
async fn a_context_from_the_future_is_no_danger() {
    let cluster = TestCluster::start(1, 8).await;
    cluster.set_props(&bucket(), siblings()).await;
    let id = key("k");
    let mut context = put(cluster.kv(0), &id, "1").await.clock;
    let dots: Vec<_> = context.entries().collect();
    for dot in dots {
        context.add(mapring_types::Dot { counter: u64::MAX, ..dot });
    }
    put_over(cluster.kv(0), &id, &context, "2").await;
    put(cluster.kv(0), &id, "3").await;
    assert_eq!(get(cluster.kv(0), &id).await, ["2", "3"]);
}

/// Real threads, real time: concurrent writes of one object and of many share syncs and lose
/// nothing, whether they run in a pool or in the reactor's threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writes_on_threads() {
    for permits in [0, 1, 2] {
        let mut cluster = TestCluster::start(1, 8).await;
        cluster.set_props(&bucket(), siblings()).await;
        let executor = ThreadPool::start("test", 2, 10_000).unwrap();
        cluster.reopen_with(0, executor.with_inline_gate(InlineGate::new(permits))).await;
        let writes = (0..80).map(|n| {
            let kv = cluster.kv(0).clone();
            tokio::spawn(async move {
                put(&kv, &key(format!("own-{n}")), "x").await;
                put(&kv, &key("shared"), &n.to_string()).await;
            })
        });
        for write in writes.collect::<Vec<_>>() {
            write.await.unwrap();
        }
        assert_eq!(get(cluster.kv(0), &key("shared")).await.len(), 80);
        for n in 0..80 {
            assert_eq!(get(cluster.kv(0), &key(format!("own-{n}"))).await, ["x"]);
        }
    }
}

/// Reads that wait for a disk hold up as many of the reactor's threads as they may, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_stands_still_leaves_the_reactor_a_thread() {
    let mut cluster = TestCluster::start(1, 8).await;
    let executor = ThreadPool::start("test", 2, 10_000).unwrap();
    cluster.reopen_with(0, executor.with_inline_gate(InlineGate::new(1))).await;
    put(cluster.kv(0), &key("k"), "v").await;
    cluster.medium.stand_still(true);
    let reads: Vec<_> = (0..50)
        .map(|_| {
            let kv = cluster.kv(0).clone();
            tokio::spawn(async move { get(&kv, &key("k")).await })
        })
        .collect();
    // Were all threads held up, these would never end: each is begun by the one before.
    let others = async {
        for _ in 0..1_000 {
            tokio::spawn(async {}).await.unwrap();
        }
    };
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), others).await;
    assert!(ended.is_ok(), "nothing else runs while the disk stands still");
    assert!(!reads.iter().any(tokio::task::JoinHandle::is_finished));
    cluster.medium.stand_still(false);
    for read in reads {
        assert_eq!(read.await.unwrap(), ["v"]);
    }
}

/// On sled: large values, a clean stop, a start on what was stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_survive_a_restart_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut actors = Vec::new();
    let cluster = alone();
    for round in 0..2 {
        let kv = on_sled(&cluster, dir.path()).await;
        let ids = [key("small"), key("large")];
        let texts = ["v".to_owned(), "large ".repeat(100_000)];
        for (id, text) in ids.iter().zip(&texts) {
            assert_eq!(get(&kv, id).await.len(), round);
            let object = put(&kv, id, text).await;
            actors.push((id.clone(), object.siblings[0].dot.actor));
            assert_eq!(get(&kv, id).await, [text.as_str()]);
        }
        let pages = kv.list_keys(bucket(), std::time::Duration::from_secs(30));
        let listed: Vec<_> = futures::TryStreamExt::try_collect(pages).await.unwrap();
        assert_eq!(listed.concat().len(), 2);
        let pages = kv.list_buckets("default".into(), std::time::Duration::from_secs(30));
        let listed: Vec<_> = futures::TryStreamExt::try_collect(pages).await.unwrap();
        assert_eq!(listed.concat(), ["b"]);
        kv.shutdown().await.unwrap();
    }
    assert_eq!(actors[..2], actors[2..]);
}

fn unchanged(object: &Object) -> PutOptions {
    PutOptions { unchanged: Some(object.clock.clone()), ..PutOptions::default() }
}

/// One node decides, whichever is asked: of writers that have read the same, one writes.
#[tokio::test(start_paused = true)]
async fn of_racing_writes_with_one_clock_one_is_made() {
    let cluster = TestCluster::start(3, 64).await;
    cluster.set_props(&bucket(), siblings()).await;
    for round in 0..40 {
        let id = key(format!("k{round}"));
        let seen = put(cluster.kv(round % 3), &id, "seen").await;
        let writes = (0..6).map(|writer| {
            let (id, context, options) = (&id, Some(seen.clock.clone()), unchanged(&seen));
            let kv = cluster.kv(writer % 3);
            async move { kv.put(id, context, value(format!("w{writer}")), &options).await }
        });
        let made = futures::future::join_all(writes).await;
        let refused = made.iter().filter_map(|made| made.as_ref().err());
        for error in refused.clone() {
            assert_eq!(error.kind(), ErrorKind::Precondition, "{error}");
        }
        assert_eq!(refused.count(), 5);
        let winner = made.iter().flatten().next().unwrap();
        for at in 0..3 {
            assert_eq!(get(cluster.kv(at), &id).await, bodies(winner), "{id}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_is_neither_written_nor_deleted() {
    let cluster = TestCluster::start(3, 64).await;
    for at in 0..3 {
        let id = key(format!("k{at}"));
        let first = put(cluster.kv(0), &id, "one").await;
        let second = put(cluster.kv(1), &id, "two").await;
        let kv = cluster.kv(at);
        let stale = kv.put(&id, None, value("stale"), &unchanged(&first)).await;
        assert_eq!(stale.unwrap_err().kind(), ErrorKind::Precondition);
        let nothing = PutOptions { unchanged: Some(VersionVector::new()), ..PutOptions::default() };
        let new = kv.put(&id, None, value("new"), &nothing).await;
        assert_eq!(new.unwrap_err().kind(), ErrorKind::Precondition);
        let unchanged = |object: &Object| Some(object.clock.clone());
        let delete = DeleteOptions { unchanged: unchanged(&first), ..DeleteOptions::default() };
        let deleted = kv.delete(&id, None, &delete).await;
        assert_eq!(deleted.unwrap_err().kind(), ErrorKind::Precondition);
        assert_eq!(get(kv, &id).await, ["two"]);
        let delete = DeleteOptions { unchanged: unchanged(&second), ..DeleteOptions::default() };
        assert!(kv.delete(&id, None, &delete).await.unwrap());
        // Of what does not exist nothing has changed.
        let never = key(format!("never{at}"));
        kv.put(&never, None, value("new"), &nothing).await.unwrap();
        assert_eq!(get(kv, &never).await, ["new"]);
    }
}

/// While the one who decides is down, another does.
#[tokio::test(start_paused = true)]
async fn conditions_hold_while_a_node_is_down() {
    let mut cluster = TestCluster::start(3, 64).await;
    let ids: Vec<ObjectId> = (0..20).map(|n| key(format!("k{n}"))).collect();
    let mut seen = Vec::new();
    for id in &ids {
        seen.push(put(cluster.kv(0), id, "seen").await);
    }
    eventually("all replicas", || ids.iter().all(|id| cluster.converged(id))).await;
    cluster.kill(2);
    for (id, seen) in ids.iter().zip(&seen) {
        let (one, two) = (unchanged(seen), unchanged(seen));
        cluster.kv(0).put(id, None, value("first"), &one).await.unwrap();
        let late = cluster.kv(1).put(id, None, value("second"), &two).await;
        assert_eq!(late.unwrap_err().kind(), ErrorKind::Precondition);
        assert_eq!(get(cluster.kv(1), id).await, ["first"]);
    }
}

/// What Riak's statistics tell of the vnodes and of listings (fact R240).
#[tokio::test(start_paused = true)]
async fn what_vnodes_do_is_counted() {
    let cluster = TestCluster::start(3, 64).await;
    let id = key("k");
    for value in ["a", "b"] {
        put(cluster.kv(0), &id, value).await;
        eventually("replicas", || cluster.converged(&id)).await;
    }
    let all = |of: fn(&KvFigures) -> Counted| {
        let of_all = (0..3).map(|at| of(&cluster.kv(at).figures()));
        of_all.fold((0, 0), |sum, one| (sum.0 + one.total, sum.1 + one.minute))
    };
    assert_eq!(all(|figures| figures.vnode_puts), (6, 6));
    // The one that coordinates replaces, the others merge.
    assert_eq!(all(|figures| figures.merges), (2, 2));
    assert_eq!(get(cluster.kv(0), &id).await, ["b"]);
    eventually("three to be asked", || all(|figures| figures.vnode_gets) == (3, 3)).await;
    let listing = cluster.kv(0).list_keys(bucket(), Duration::from_secs(60));
    assert_eq!(cluster.kv(0).figures().listings.under_way, 1);
    let pages: Vec<_> = listing.collect().await;
    assert!(pages.iter().all(Result::is_ok), "{pages:?}");
    let listings = cluster.kv(0).figures().listings;
    let one = Counted { total: 1, minute: 1 };
    assert_eq!(listings, WalkFigures { begun: one, ..WalkFigures::default() });
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(all(|figures| figures.vnode_puts), (6, 0));
}
