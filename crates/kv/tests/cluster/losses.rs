//! Nodes that have lost what they stored.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use mapring_cluster::Cluster;
use mapring_kv::{Kv, PutOptions};
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
        futures::executor::block_on(cluster.kv(1).repair_status(cluster.id(1))).unwrap().is_none()
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
    let one = PutOptions { w: Quorum::One, dw: Quorum::One, pw: Quorum::All, timeout: None };
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
    // Lists that have one node twice lie on two nodes alone.
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
    assert!(cluster.kv(0).repair_status(cluster.id(2)).await.unwrap().is_none());
    cluster.kv(0).repair(cluster.id(2)).await.unwrap();
    assert!(cluster.kv(1).repair_status(cluster.id(2)).await.unwrap().is_some());
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
    let config = mapring_kv::KvConfig { reap_after: Some(Duration::from_secs(3)) };
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
