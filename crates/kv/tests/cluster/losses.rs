//! Nodes that have lost what they stored.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use mapring_cluster::Cluster;
use mapring_kv::{Kv, KvConfig, PutOptions};
use mapring_types::{Dot, ErrorKind, Object, ObjectId, Quorum};

use crate::support::*;

/// Objects of all sorts, and what is to be read of each.
async fn fill(cluster: &TestCluster) -> BTreeMap<ObjectId, Vec<String>> {
    cluster.set_props(&bucket(), siblings()).await;
    let mut model = BTreeMap::new();
    for number in 0..200 {
        let id = key(format!("k{number:03}"));
        let kv = cluster.kv(number % cluster.nodes.len());
        let first = put(kv, &id, &format!("{number}")).await;
        let mut expect = vec![number.to_string()];
        match number % 5 {
            0 => {
                put(kv, &id, "beside").await;
                expect.push("beside".into());
            }
            1 => {
                assert!(delete(kv, &id).await);
                expect = vec!["(deleted)".into()];
            }
            2 => {
                put_over(kv, &id, &first.clock, "newer").await;
                expect = vec!["newer".into()];
            }
            _ => {}
        }
        expect.sort();
        model.insert(id, expect);
    }
    eventually("replicas", || model.keys().all(|id| cluster.converged(id))).await;
    model
}

fn live(model: &BTreeMap<ObjectId, Vec<String>>) -> Vec<String> {
    let live = model.iter().filter(|(_, bodies)| *bodies != &["(deleted)"]);
    live.map(|(id, _)| String::from_utf8_lossy(&id.key).into_owned()).collect()
}

async fn check_reads(kv: &Kv, model: &BTreeMap<ObjectId, Vec<String>>) {
    for (id, bodies) in model {
        assert_eq!(get(kv, id).await, *bodies, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_emptied_node_serves_nothing_wrong_and_fills_itself() {
    let mut cluster = TestCluster::start(3, 64).await;
    let model = fill(&cluster).await;
    cluster.kill(1);
    cluster.empty(1);
    cluster.restart(1).await;
    assert!(cluster.incomplete(1));
    // Asked at once, through every node.
    for at in 0..3 {
        assert_eq!(cluster.list_keys(at, &bucket()).await.unwrap(), live(&model));
        check_reads(cluster.kv(at), &model).await;
    }
    eventually("filled", || !cluster.incomplete(1)).await;
    eventually("the node knows", || {
        futures::executor::block_on(cluster.kv(1).repair_status(cluster.id(1))).unwrap().complete
    })
    .await;
    for id in model.keys() {
        assert!(cluster.converged(id), "{id}");
    }
    // It stands in for another one now.
    cluster.kill(0);
    for at in 1..3 {
        assert_eq!(cluster.list_keys(at, &bucket()).await.unwrap(), live(&model));
        check_reads(cluster.kv(at), &model).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_emptied_node_does_not_count_in_quorums_of_what_it_lacks() {
    let mut cluster = TestCluster::start(3, 64).await;
    let id = cluster.key_where(&bucket(), |nodes| nodes[0] != nodes[2]);
    // Of a write that two nodes took, one loses it, and the other is away.
    let list = cluster.kv(0).preference(&id).unwrap().primaries;
    let at = |node| (0..3).find(|at| cluster.id(*at) == node).unwrap();
    let [keeps, loses, lacks] = [at(list[0].node), at(list[1].node), at(list[2].node)];
    cluster.partition(&[lacks], &[keeps, loses]);
    put(cluster.kv(keeps), &id, "v").await;
    eventually("both have it", || {
        let stored = cluster.stored(&id);
        stored[0].is_some() && stored[0] == stored[1]
    })
    .await;
    assert!(cluster.stored(&id)[2].is_none());
    cluster.kill(keeps);
    cluster.kill(loses);
    cluster.heal();
    cluster.empty(loses);
    cluster.restart(loses).await;
    let kv = cluster.kv(lacks);
    let error = kv.get(&id, &r(Quorum::Majority)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Quorum { .. }), "{error}");
    let one =
        PutOptions { w: Quorum::One, dw: Quorum::One, pw: Quorum::All, ..PutOptions::default() };
    assert!(kv.put(&id, None, value("w"), &one).await.is_err());
    // Nor does it take itself for filled from one that may lack something too.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(cluster.incomplete(loses));
    cluster.restart(keeps).await;
    eventually("filled", || !cluster.incomplete(loses)).await;
    for at in 0..3 {
        assert_eq!(get(cluster.kv(at), &id).await, ["v"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_written_while_a_node_fills_itself_is_there_too() {
    let mut cluster = TestCluster::start(5, 64).await;
    let mut model = fill(&cluster).await;
    cluster.kill(3);
    cluster.empty(3);
    cluster.restart(3).await;
    for number in 0..100 {
        let id = key(format!("new{number:03}"));
        put(cluster.kv(number % 5), &id, "new").await;
        model.insert(id, vec!["new".into()]);
        if number == 50 {
            cluster.kill(4);
            cluster.restart(4).await;
        }
    }
    eventually("filled", || !cluster.incomplete(3)).await;
    eventually("replicas", || model.keys().all(|id| cluster.converged(id))).await;
    assert_eq!(cluster.list_keys(3, &bucket()).await.unwrap(), live(&model));
}

#[tokio::test(start_paused = true)]
async fn all_nodes_emptied_but_one_fill_themselves_from_it() {
    let mut cluster = TestCluster::start(3, 8).await;
    let model = fill(&cluster).await;
    for at in [0, 2] {
        cluster.kill(at);
        cluster.empty(at);
        cluster.restart(at).await;
    }
    eventually("filled", || !cluster.incomplete(0) && !cluster.incomplete(2)).await;
    for id in model.keys() {
        assert!(cluster.converged(id), "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_has_a_node_filled() {
    let cluster = TestCluster::start(3, 64).await;
    let model = fill(&cluster).await;
    let view = cluster.nodes[0].cluster.view();
    // Behind everybody's back.
    for id in model.keys() {
        for entry in cluster.kv(0).preference(id).unwrap().primaries {
            if entry.node == cluster.id(2) {
                cluster.forget(entry.node, entry.vnode.0, id);
            }
        }
    }
    assert!(cluster.kv(0).repair_status(cluster.id(2)).await.unwrap().complete);
    cluster.kv(0).repair(cluster.id(2)).await.unwrap();
    assert!(!cluster.kv(1).repair_status(cluster.id(2)).await.unwrap().complete);
    eventually("filled", || !cluster.incomplete(2)).await;
    for id in model.keys() {
        assert!(cluster.converged(id), "{id}");
    }
    let stranger = mapring_types::NodeId(99);
    assert!(!view.state.members.contains_key(&stranger));
    assert_eq!(cluster.kv(0).repair(stranger).await.unwrap_err().kind(), ErrorKind::NotFound);
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// A node that has just lost data takes no writes before it is filled.
async fn put_once_filled(kv: &Kv, id: &ObjectId) -> Object {
    for _ in 0..1_000 {
        match kv.put(id, None, value("v"), &PutOptions::default()).await {
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            done => return done.unwrap(),
        }
    }
    panic!("the node is never filled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_put_back_gives_no_dot_again() {
    let root = tempfile::tempdir().unwrap();
    let (dir, older) = (root.path().join("live"), root.path().join("older"));
    let cluster = alone();
    let id = key("k");
    let mut dots: BTreeSet<Dot> = BTreeSet::new();
    let mut write = async |dir: &Path| {
        let kv = on_sled(&cluster, dir).await;
        for _ in 0..3 {
            let dot = put_once_filled(&kv, &id).await.siblings[0].dot;
            assert!(dots.insert(dot), "{dot:?} was given twice");
        }
        kv.shutdown().await.unwrap();
        drop(kv);
    };
    write(&dir).await;
    copy(&dir, &older).unwrap();
    write(&dir).await;
    // Written to in vain: the older state is put back.
    let losses = || {
        let view = cluster.view();
        view.state.members[&view.me].losses
    };
    assert_eq!(losses(), 1, "the empty directory at the beginning");
    write(&older).await;
    assert_eq!(losses(), 2);
    write(&older).await;
    assert_eq!(losses(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_goes_back_brings_no_deleted_object_back() {
    let config = KvConfig { reap_after: Some(Duration::from_secs(3)), ..KvConfig::default() };
    let mut cluster = TestCluster::start_with(3, 64, 1, config).await;
    let ids: Vec<ObjectId> = (0..30).map(|n| key(format!("k{n}"))).collect();
    for id in &ids {
        put(cluster.kv(0), id, "v").await;
    }
    eventually("replicas", || ids.iter().all(|id| cluster.converged(id))).await;
    // What one node held before the deletes, put back behind its back after they were reaped.
    let node = cluster.id(1);
    let mut before = Vec::new();
    for id in &ids[..20] {
        for entry in cluster.kv(0).preference(id).unwrap().primaries {
            if entry.node == node {
                before.push((
                    entry.vnode.0,
                    id.clone(),
                    cluster.stored_at(node, entry.vnode.0, id),
                ));
            }
        }
    }
    for id in &ids[..20] {
        assert!(delete(cluster.kv(0), id).await);
    }
    eventually("reaped", || {
        ids[..20].iter().all(|id| cluster.stored(id).iter().all(Option::is_none))
    })
    .await;
    cluster.kill(1);
    for (vnode, id, object) in before {
        cluster.store_at(node, vnode, &id, &object.unwrap());
    }
    cluster.restart(1).await;
    cluster.kv(0).repair(node).await.unwrap();
    eventually("filled", || !cluster.incomplete(1)).await;
    for id in &ids[..20] {
        assert!(get(cluster.kv(1), id).await.is_empty(), "{id} has risen");
    }
    for id in &ids[20..] {
        assert!(cluster.converged(id), "{id}");
        assert_eq!(get(cluster.kv(1), id).await, ["v"]);
    }
    assert_eq!(cluster.list_keys(1, &bucket()).await.unwrap().len(), 10);
}

/// Writes keys `from..to` and waits until all replicas have them.
async fn write_keys(cluster: &TestCluster, keys: std::ops::Range<u32>) -> Vec<ObjectId> {
    let ids: Vec<ObjectId> = keys.map(|n| key(format!("k{n:04}"))).collect();
    for id in &ids {
        put(cluster.kv(0), id, "v").await;
    }
    eventually("replicas", || ids.iter().all(|id| cluster.converged(id))).await;
    ids
}

async fn check_whole(cluster: &TestCluster, ids: &[ObjectId]) {
    let mut names: Vec<String> =
        ids.iter().map(|id| String::from_utf8_lossy(&id.key).into_owned()).collect();
    names.sort();
    for at in 0..cluster.nodes.len() {
        assert_eq!(cluster.list_keys(at, &bucket()).await.unwrap(), names);
        for id in ids {
            let got = cluster.kv(at).get(id, &r(Quorum::All)).await.unwrap();
            assert!(got.is_some(), "{id} at {at}");
        }
    }
    assert!(ids.iter().all(|id| cluster.converged(id)));
}

#[tokio::test(start_paused = true)]
async fn copies_of_all_nodes_from_different_times_end_with_all_that_any_had() {
    let mut cluster = TestCluster::start(3, 64).await;
    let (mut copies, mut ids) = (Vec::new(), Vec::new());
    for at in 0..3 {
        cluster.stop(at).await;
        copies.push(cluster.copy(at));
        cluster.restart(at).await;
        eventually("nobody lacks anything", || cluster.kv(at).stale_replicas().unheard.is_empty())
            .await;
        let number = at as u32 * 100;
        ids.push(write_keys(&cluster, number..number + 100).await);
    }
    (0..3).for_each(|at| cluster.kill(at));
    for (at, copy) in copies.into_iter().enumerate() {
        cluster.put_back(at, copy);
    }
    for at in 0..3 {
        cluster.restart(at).await;
    }
    // What was written after the second copy, of which only the third node has anything, and what after
    // the first. What came after the last copy is nowhere.
    let left = ids[..2].concat();
    eventually("filled", || (0..3).all(|at| !cluster.incomplete(at))).await;
    check_whole(&cluster, &left).await;
    // Whoever is repaired how often.
    for at in [2, 0, 1, 2] {
        cluster.kv(0).repair(cluster.id(at)).await.unwrap();
        eventually("filled", || (0..3).all(|at| !cluster.incomplete(at))).await;
        check_whole(&cluster, &left).await;
    }
}

#[tokio::test(start_paused = true)]
async fn copies_that_the_metadata_does_not_know_are_brought_together_by_repairs() {
    let cluster = TestCluster::start(3, 64).await;
    let before = write_keys(&cluster, 0..30).await;
    // Each replica of some objects has some that the others lack, behind everybody's back.
    let mut ids = before.clone();
    for n in 100..160_u32 {
        let id = key(format!("k{n:04}"));
        put(cluster.kv(0), &id, "v").await;
        eventually("replicas", || cluster.converged(&id)).await;
        let list = cluster.kv(0).preference(&id).unwrap().primaries;
        for entry in list.iter().enumerate().filter(|(at, _)| *at != n as usize % 3) {
            cluster.forget(entry.1.node, entry.1.vnode.0, &id);
        }
        ids.push(id);
    }
    let mut kept = 0;
    for at in 0..3 {
        cluster.kv(at).repair(cluster.id(at)).await.unwrap();
        eventually("filled", || !cluster.incomplete(at)).await;
        let mut done = false;
        eventually("the node knows", || {
            let progress =
                futures::executor::block_on(cluster.kv(at).repair_status(cluster.id(at)));
            let progress = progress.unwrap();
            if progress.complete && !done {
                kept += progress.kept;
                assert!(progress.kept == 0 || !progress.kept_names.is_empty());
                done = true;
            }
            done
        })
        .await;
    }
    check_whole(&cluster, &ids).await;
    assert!(kept > 0, "what one replica alone had is counted");
}

#[tokio::test(start_paused = true)]
async fn a_copy_made_while_the_node_ran_is_known_by_the_others() {
    for others_are_killed in [false, true] {
        let mut cluster = TestCluster::start(3, 64).await;
        let mut ids = write_keys(&cluster, 0..50).await;
        let older = cluster.copy(1);
        ids.extend(write_keys(&cluster, 50..100).await);
        let told = |at: usize| cluster.kv(at).stale_replicas().in_flight == 0;
        eventually("all is known to have settled", || (0..3).all(told)).await;
        cluster.kill(1);
        if others_are_killed {
            // They remember on disk.
            (0..3).filter(|at| *at != 1).for_each(|at| cluster.kill(at));
            for at in [0, 2] {
                cluster.restart(at).await;
            }
        }
        cluster.put_back(1, older);
        cluster.restart(1).await;
        eventually("found", || cluster.losses(1) == 1).await;
        eventually("filled", || !cluster.incomplete(1)).await;
        check_whole(&cluster, &ids).await;
        // The next start finds nothing.
        cluster.kill(1);
        cluster.restart(1).await;
        eventually("nobody lacks anything", || cluster.kv(1).stale_replicas().unheard.is_empty())
            .await;
        assert_eq!((cluster.incomplete(1), cluster.losses(1)), (false, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_comes_back_while_nobody_can_be_asked_is_found_by_the_others_later() {
    let mut cluster = TestCluster::start(3, 64).await;
    let mut ids = write_keys(&cluster, 0..50).await;
    let older = cluster.copy(1);
    ids.extend(write_keys(&cluster, 50..100).await);
    cluster.kill(1);
    cluster.partition(&[1], &[0, 2]);
    cluster.put_back(1, older);
    cluster.restart(1).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(!cluster.incomplete(1));
    cluster.heal();
    eventually("found", || cluster.losses(1) == 1).await;
    eventually("filled", || !cluster.incomplete(1)).await;
    check_whole(&cluster, &ids).await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_and_a_clock_that_is_behind_lose_no_later_write() {
    let mut cluster = TestCluster::start(3, 64).await;
    let mut ids = write_keys(&cluster, 0..20).await;
    let older = cluster.copy(1);
    ids.extend(write_keys(&cluster, 20..40).await);
    cluster.kill(1);
    cluster.restart(1).await;
    eventually("nobody lacks anything", || cluster.kv(1).stale_replicas().unheard.is_empty()).await;
    ids.extend(write_keys(&cluster, 40..60).await);
    cluster.kill(1);
    cluster.put_back(1, older);
    cluster.set_clock_back(Duration::from_secs(3_600));
    cluster.restart(1).await;
    eventually("filled", || cluster.losses(1) > 0 && !cluster.incomplete(1)).await;
    for n in 60..80 {
        let id = key(format!("k{n:04}"));
        put(cluster.kv(1), &id, "v").await;
        ids.push(id);
    }
    eventually("replicas", || ids.iter().all(|id| cluster.converged(id))).await;
    check_whole(&cluster, &ids).await;
}

#[tokio::test(start_paused = true)]
async fn with_a_dead_member_the_others_still_converge() {
    let mut cluster = TestCluster::start(4, 64).await;
    let mut ids = write_keys(&cluster, 0..100).await;
    cluster.kill(3);
    cluster.all_see_all();
    // One replica of each has an object that the others lack.
    for id in &ids {
        let list = cluster.kv(0).preference(id).unwrap().primaries;
        let living: Vec<_> = list.iter().filter(|entry| entry.node != cluster.id(3)).collect();
        living[1..].iter().for_each(|entry| cluster.forget(entry.node, entry.vnode.0, id));
    }
    for at in 0..3 {
        cluster.kv(at).repair(cluster.id(at)).await.unwrap();
    }
    let have = |cluster: &TestCluster, id: &ObjectId| {
        let list = cluster.kv(0).preference(id).unwrap().primaries;
        let living = list.into_iter().filter(|entry| entry.node != cluster.id(3));
        let mut stored = living.map(|e| cluster.stored_at(e.node, e.vnode.0, id));
        stored.all(|object| object.is_some())
    };
    eventually("all living replicas have all", || ids.iter().all(|id| have(&cluster, id))).await;
    // Which of them lacks nothing cannot be known before it is back.
    let status = cluster.kv(0).repair_status(cluster.id(0)).await.unwrap();
    assert!(status.waits_for.unwrap().contains("n4 does not answer"));
    cluster.restart(3).await;
    eventually("filled", || (0..3).all(|at| !cluster.incomplete(at))).await;
    ids.sort();
    check_whole(&cluster, &ids).await;
}

#[tokio::test(start_paused = true)]
async fn a_proof_of_one_replica_removes_what_was_deleted_from_all() {
    let config = KvConfig { reap_after: Some(Duration::from_secs(3)), ..KvConfig::default() };
    let mut cluster = TestCluster::start_with(3, 64, 1, config).await;
    let ids = write_keys(&cluster, 0..40).await;
    let older = [cluster.copy(0), cluster.copy(1)];
    for id in &ids[..20] {
        assert!(delete(cluster.kv(2), id).await);
    }
    let gone = |id: &ObjectId| cluster.stored(id).iter().all(Option::is_none);
    eventually("reaped", || ids[..20].iter().all(gone)).await;
    // One deleted object is written anew, by another coordinator: it must not get an old sibling.
    cluster.set_props(&bucket(), siblings()).await;
    put(cluster.kv(2), &ids[0], "anew").await;
    (0..3).for_each(|at| cluster.kill(at));
    let [first, second] = older;
    cluster.put_back(0, first);
    cluster.put_back(1, second);
    for at in 0..3 {
        cluster.restart(at).await;
    }
    eventually("found", || (0..2).all(|at| cluster.losses(at) > 0)).await;
    eventually("filled", || (0..3).all(|at| !cluster.incomplete(at))).await;
    assert_eq!(cluster.list_keys(0, &bucket()).await.unwrap().len(), 21);
    assert_eq!(get(cluster.kv(1), &ids[0]).await, ["anew"]);
    for id in &ids[1..20] {
        assert!(cluster.stored(id).iter().all(Option::is_none), "{id} has risen");
    }
}
