//! Data directories of a former version, which had replicas on successive vnodes: also two of one
//! node.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use mapring_cluster::Cluster;
use mapring_engine::{Engine, ScanDepth, ScanRange};
use mapring_kv::{FoldRequest, Kv, Selection};
use mapring_ring::{Partition, hash};
use mapring_types::{
    ActorId, BucketId, Dot, ErrorKind, IndexValue, Metadata, NodeId, Object, ObjectId, Sibling,
    VersionVector,
};
use serde_json::json;

use crate::support::*;

/// How the former version had it: nothing.
const SUCCESSIVE: &[u8] = &[1];

const PARTITIONS: u16 = 16;

/// Buckets with their numbers of replicas.
fn buckets() -> [(BucketId, u32); 3] {
    [("one", 1), ("two", 2), ("b", 3)].map(|(name, n_val)| (BucketId::untyped(name), n_val))
}

fn object(number: u64, deleted: bool) -> Object {
    let metadata = Metadata {
        indexes: [("number_int".to_owned(), IndexValue::Int(number.to_string()))].into(),
        ..Metadata::default()
    };
    let sibling = Sibling {
        dot: Dot { actor: ActorId(7), counter: number + 1 },
        last_modified: 1_600_000_000_000_000 + number,
        deleted,
        metadata: if deleted { Metadata::default() } else { metadata },
        body: number.to_string().into(),
    };
    let mut object = Object::default();
    object.update(&VersionVector::new(), sibling);
    object
}

/// What is stored, deleted objects among it.
type Model = BTreeMap<ObjectId, Object>;

/// A cluster of three nodes, all of them stopped, with data as the former version had it.
async fn former() -> (TestCluster, Model) {
    let mut cluster = TestCluster::start(3, PARTITIONS).await;
    let mut model = Model::new();
    for (bucket, n_val) in buckets() {
        cluster.set_props(&bucket, json!({ "n_val": n_val })).await;
        for number in 0..400 {
            let id = ObjectId::new(bucket.clone(), format!("k{number:03}"));
            model.insert(id, object(number, number % 10 == 9));
        }
    }
    (0..3).for_each(|at| cluster.kill(at));
    let view = cluster.nodes[0].cluster.view();
    let (plan, size) = (view.plan(), view.plan().ring_size());
    for (id, object) in &model {
        let home = hash::home(size, &id.bucket, &id.key);
        let n_val = view.props(&id.bucket).unwrap().n_val;
        for step in 0..u16::try_from(n_val).unwrap() {
            let vnode = size.after(home, step);
            cluster.store_at(plan.owner(vnode).unwrap(), vnode.0, id, object);
        }
    }
    for node in &cluster.nodes {
        node.engine.set_meta("kv-placement", SUCCESSIVE).unwrap();
    }
    assert!(misplaced(&cluster) > 0, "nothing has to move");
    (cluster, model)
}

/// Objects that lie where they are no replica, or on a node that does not own the vnode.
fn misplaced(cluster: &TestCluster) -> usize {
    let view = cluster.nodes[0].cluster.view();
    let plan = view.plan();
    let mut count = 0;
    for node in &cluster.nodes {
        for vnode in plan.ring_size().partitions() {
            for home in plan.ring_size().partitions() {
                let range = ScanRange::home(home.0);
                let mut visit = |place: mapring_engine::StoreKey, _| {
                    let n_val = view.props(&place.id.bucket).unwrap().n_val;
                    let replica = plan.replicas(home).first(n_val).any(|replica| replica == vnode);
                    count += usize::from(!replica || plan.owner(vnode) != Some(node.id));
                    ControlFlow::Continue(())
                };
                node.engine.scan(vnode.0, &range, ScanDepth::Heads, &mut visit).unwrap();
            }
        }
    }
    count
}

fn live(model: &Model, bucket: &BucketId) -> Vec<String> {
    let live = model.iter().filter(|(id, object)| id.bucket == *bucket && !object.is_tombstone());
    live.map(|(id, _)| String::from_utf8_lossy(&id.key).into_owned()).collect()
}

/// Lists everything at some nodes: never is a key missing. Returns whether all could be listed.
async fn list(cluster: &TestCluster, model: &Model, at: &[usize]) -> bool {
    let mut all = true;
    for &at in at {
        for (bucket, _) in buckets() {
            match cluster.list_keys(at, &bucket).await {
                Ok(keys) => assert_eq!(keys, live(model, &bucket), "at {at}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                    all = false;
                }
            }
        }
    }
    all
}

/// Everything is on its own primaries, on distinct nodes, and nothing anywhere else.
async fn check_placed(cluster: &TestCluster, model: &Model) {
    eventually("everything is in its place", || misplaced(cluster) == 0).await;
    for (id, object) in model {
        let stored = cluster.stored(id);
        assert!(stored.iter().all(|stored| stored.as_ref() == Some(object)), "{id}: {stored:?}");
        let list = cluster.kv(0).preference(id).unwrap().primaries;
        let nodes: BTreeSet<NodeId> = list.iter().map(|entry| entry.node).collect();
        assert_eq!(nodes.len(), list.len(), "{id}");
    }
    check_indexes(cluster, model).await;
    let stale = || (0..3).map(|at| cluster.kv(at).stale_replicas());
    eventually("nothing is awaited", || {
        stale().all(|stale| stale.awaiting.is_empty() && stale.held.is_empty())
    })
    .await;
}

/// Each replica finds its objects by their terms.
async fn check_indexes(cluster: &TestCluster, model: &Model) {
    let view = cluster.nodes[0].cluster.view();
    let plan = view.plan();
    for (bucket, n_val) in buckets() {
        for home in plan.ring_size().partitions() {
            let of_home = |id: &&ObjectId| {
                hash::home(plan.ring_size(), &bucket, &id.key) == home
                    && id.bucket == bucket
                    && !model[*id].is_tombstone()
            };
            let expect: BTreeSet<&ObjectId> = model.keys().filter(of_home).collect();
            for vnode in plan.replicas(home).first(n_val) {
                let owner = plan.owner(vnode).unwrap();
                let at = cluster.nodes.iter().position(|node| node.id == owner).unwrap();
                let bound = |value: u64| IndexValue::Int(value.to_string());
                let request = FoldRequest {
                    vnode,
                    home,
                    bucket: bucket.clone(),
                    selection: Selection::Terms {
                        field: "number_int".to_owned(),
                        from: bound(0),
                        to: bound(1_000),
                    },
                    after: None,
                    depth: ScanDepth::Heads,
                    most: 1_000,
                    keep: None,
                    refine: None,
                    replicas: 1,
                    complete: false,
                };
                let found = fold(cluster.kv(at), request).await;
                assert_eq!(found.iter().collect::<BTreeSet<_>>(), expect, "{vnode}, {home}");
            }
        }
    }
}

async fn fold(kv: &Kv, mut request: FoldRequest) -> Vec<ObjectId> {
    let mut all = Vec::new();
    loop {
        let page = kv.fold_page(request.clone()).await.unwrap();
        all.extend(page.items.into_iter().map(|item| item.id));
        match page.next {
            Some(next) => request.after = Some(next),
            None => return all,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn former_data_is_moved_and_nothing_is_missed_meanwhile() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let (mut cluster, model) = former().await;
        cluster.restart(order[0]).await;
        assert!(!list(&cluster, &model, &order[..1]).await, "one of three knows too little");
        cluster.restart(order[1]).await;
        list(&cluster, &model, &order[..2]).await;
        cluster.restart(order[2]).await;
        for _ in 0..5 {
            assert!(list(&cluster, &model, &order).await);
        }
        for (id, object) in &model {
            let found = get(cluster.kv(order[0]), id).await;
            assert_eq!(found, bodies(object), "{id}");
        }
        check_placed(&cluster, &model).await;
        assert!(list(&cluster, &model, &order).await);
        // It is done once.
        for at in order {
            cluster.kill(at);
            cluster.restart(at).await;
            assert!(cluster.kv(at).stale_replicas().awaiting.is_empty());
        }
        eventually("all are heard", || {
            (0..3).all(|at| cluster.kv(at).stale_replicas().unheard.is_empty())
        })
        .await;
        check_placed(&cluster, &model).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_move_that_is_broken_off_anywhere_is_done_again() {
    let (mut cluster, model) = former().await;
    // Each start takes up where the last was broken off, and comes a write further.
    for at in 0..3 {
        let mut broken_off = 0;
        for writes in 0.. {
            cluster.medium.fail_after(Some(writes));
            let opened = cluster.try_restart(at).await;
            cluster.medium.fail_after(None);
            if opened.is_ok() {
                break;
            }
            cluster.kill(at);
            broken_off += 1;
        }
        assert!(broken_off > 5, "{at}: {broken_off}");
    }
    assert!(list(&cluster, &model, &[0, 1, 2]).await);
    check_placed(&cluster, &model).await;
}

#[tokio::test(start_paused = true)]
async fn what_moved_arrives_without_the_node_that_had_it_twice() {
    let (mut cluster, mut model) = former().await;
    model.retain(|id, _| id.bucket == bucket());
    let plan = cluster.nodes[0].cluster.view().plan().clone();
    let owner = |home, step| plan.owner(plan.ring_size().after(home, step)).unwrap();
    let twice = plan.ring_size().partitions().find_map(|home| {
        let nodes = [0, 1, 2].map(|step| owner(home, step));
        nodes.into_iter().find(|node| nodes.iter().filter(|other| *other == node).count() == 2)
    });
    let twice = twice.unwrap();
    let twice = cluster.nodes.iter().position(|node| node.id == twice).unwrap();
    let others = [(twice + 1) % 3, (twice + 2) % 3];
    for at in others {
        cluster.restart(at).await;
    }
    let awaiting = |cluster: &TestCluster, at: usize| -> Vec<Partition> {
        cluster.kv(at).stale_replicas().awaiting.values().flatten().copied().collect()
    };
    for at in others {
        // What the third remembers of them is waited for in vain for a while.
        cluster.kv(at).proven().await;
    }
    for at in others {
        for _ in 0..3 {
            assert_eq!(cluster.list_keys(at, &bucket()).await.unwrap(), live(&model, &bucket()));
        }
    }
    // It is gone for good, with all of the objects with few replicas that it alone had.
    cluster.empty(twice);
    cluster.restart(twice).await;
    eventually("filled", || !cluster.incomplete(twice)).await;
    eventually("nothing is awaited", || (0..3).all(|at| awaiting(&cluster, at).is_empty())).await;
    for (id, object) in &model {
        let stored = cluster.stored(id);
        assert!(stored.iter().all(|stored| stored.as_ref() == Some(object)), "{id}: {stored:?}");
    }
    for at in 0..3 {
        assert_eq!(cluster.list_keys(at, &bucket()).await.unwrap(), live(&model, &bucket()));
    }
}
