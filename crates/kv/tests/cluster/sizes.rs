//! Objects near their limits, and beyond what fits a message.

use std::collections::BTreeSet;

use futures::future::join_all;
use mapring_kv::{DeleteOptions, GetOptions, KvConfig, ObjectPart, ObjectSizes, PutOptions};
use mapring_types::{ErrorKind, Object, ObjectId, Quorum, Record, Result, VersionVector};

use crate::support::*;

async fn start(nodes: u64, sizes: ObjectSizes) -> TestCluster {
    let config = KvConfig { reap_after: None, sizes, ..KvConfig::default() };
    let cluster = TestCluster::start_with(nodes, 64, 1, config).await;
    cluster.set_props(&bucket(), siblings()).await;
    cluster
}

/// Small enough that a test need not move many bytes: three values of a thousand make a piece.
fn small() -> ObjectSizes {
    ObjectSizes { max_bytes: 40_000, piece_bytes: 3_000, read_bytes: 60_000, ..Default::default() }
}

/// A message of that: the piece, what it carries beside its bytes, and the names.
const LARGEST: usize = 3_000 + 2_000;

fn spread(cluster: &TestCluster) -> ObjectId {
    cluster.key_where(&bucket(), |nodes| BTreeSet::from_iter(nodes).len() == 3)
}

/// Writes without a context through all nodes at once; gives the bodies of those that succeeded.
async fn crowd(
    cluster: &TestCluster,
    id: &ObjectId,
    writers: usize,
    bytes: usize,
) -> (BTreeSet<String>, usize) {
    let nodes = cluster.nodes.len();
    let writes = (0..writers).map(|n| async move {
        let body = format!("{n:-<bytes$}");
        let options = PutOptions::default();
        cluster.kv(n % nodes).put(id, None, value(&body), &options).await.map(|_| body)
    });
    let (mut good, mut refused) = (BTreeSet::new(), 0);
    for written in join_all(writes).await {
        match written {
            Ok(body) => {
                good.insert(body);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
                refused += 1;
            }
        }
    }
    (good, refused)
}

async fn read_all(cluster: &TestCluster, at: usize, id: &ObjectId) -> Result<Object> {
    let object = cluster.kv(at).get(id, &r(Quorum::All)).await?;
    Ok(object.unwrap())
}

#[tokio::test(start_paused = true)]
async fn siblings_count_exactly_when_all_write_at_once() {
    for (nodes, max_siblings, writers) in [(3, 100, 200), (3, 10, 90), (5, 10, 60), (3, 2, 9)] {
        let sizes = ObjectSizes { max_siblings, ..ObjectSizes::default() };
        let cluster = start(nodes, sizes).await;
        for id in (0..5).map(|n| key(format!("k{n}"))) {
            let (good, refused) = crowd(&cluster, &id, writers, 1).await;
            assert_eq!((good.len(), refused), (max_siblings, writers - max_siblings), "{id}");
            eventually("replicas", || cluster.converged(&id)).await;
            let object = read_all(&cluster, 0, &id).await.unwrap();
            assert_eq!(BTreeSet::from_iter(bodies(&object)), good, "what failed left something");
            // Who has seen them may write in their place.
            put_over(cluster.kv(1), &id, &object.clock, "one").await;
            assert_eq!(get(cluster.kv(2), &id).await, ["one"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_count_exactly_when_all_write_at_once() {
    for bytes in [900, 3_000, 6_000, 9_000] {
        let sizes = ObjectSizes { max_bytes: 10_000, ..ObjectSizes::default() };
        let cluster = start(3, sizes).await;
        for id in (0..5).map(|n| key(format!("k{n}"))) {
            let (good, _) = crowd(&cluster, &id, 60, bytes).await;
            eventually("replicas", || cluster.converged(&id)).await;
            let object = read_all(&cluster, 0, &id).await.unwrap();
            let length = Record::encode(&object).len();
            assert!(length <= 10_000 && length + bytes + 40 > 10_000, "{length} bytes of {bytes}");
            assert_eq!(BTreeSet::from_iter(bodies(&object)), good, "what failed left something");
        }
    }
}

/// Two sides that do not hear each other take what each may take.
async fn grown_apart(cluster: &TestCluster, id: &ObjectId, each: usize) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let (w, dw) = (Quorum::Count(1), Quorum::Count(1));
    let one = PutOptions { w, dw, ..PutOptions::default() };
    cluster.partition(&[0], &[1, 2]);
    for (at, side) in [(0, "left"), (1, "right")] {
        for n in 0..each {
            let body = format!("{side}-{n:-<1000}");
            cluster.kv(at).put(id, None, value(&body), &one).await.unwrap();
            all.insert(body);
        }
    }
    // Where it was written messages were as large as the object may be.
    cluster.largest_message();
    cluster.heal();
    all
}

#[tokio::test(start_paused = true)]
async fn what_grew_apart_is_handed_over_in_pieces_and_read_whole() {
    let cluster = start(3, small()).await;
    let id = spread(&cluster);
    let all = grown_apart(&cluster, &id, 25).await;
    eventually("replicas", || cluster.converged(&id)).await;
    eventually("hints are gone", || {
        (0..3).all(|at| cluster.kv(at).stale_replicas().held.values().all(Vec::is_empty))
    })
    .await;
    for at in 0..3 {
        let object = read_all(&cluster, at, &id).await.unwrap();
        assert_eq!(BTreeSet::from_iter(bodies(&object)), all);
    }
    let largest = cluster.largest_message();
    assert!(largest <= LARGEST, "a message of {largest} bytes");
    // Above the limit it grows no more, but can be mended in steps.
    let options = PutOptions::default();
    let more = cluster.kv(0).put(&id, None, value("x".repeat(500)), &options).await;
    assert_eq!(more.unwrap_err().kind(), ErrorKind::TooLarge);
    let clock = read_all(&cluster, 0, &id).await.unwrap().clock;
    let mut some = VersionVector::new();
    clock.entries().take(1).for_each(|dot| some.add(dot));
    let fewer = put_over(cluster.kv(1), &id, &some, "fewer").await;
    assert!(fewer.siblings.len() > 1 && fewer.siblings.len() < all.len(), "{fewer:?}");
    put_over(cluster.kv(2), &id, &fewer.clock, "mended").await;
    assert_eq!(get(cluster.kv(0), &id).await, ["mended"]);
    eventually("replicas", || cluster.converged(&id)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_to_be_read_can_be_looked_at_and_mended() {
    for how in ["delete", "delete seen", "put"] {
        let cluster = start(3, small()).await;
        let id = spread(&cluster);
        let all = grown_apart(&cluster, &id, 35).await;
        eventually("replicas", || cluster.converged(&id)).await;
        let kv = cluster.kv(1);
        for options in [GetOptions::default(), r(Quorum::All), r(Quorum::One)] {
            let error = kv.get(&id, &options).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TooLarge);
            let message = error.to_string();
            assert!(message.contains("in 70 siblings") && message.contains("vtag"), "{message}");
        }
        let options = GetOptions::default();
        let part = |part| kv.get_part(&id, &options, part);
        let heads = part(ObjectPart::Heads).await.unwrap().unwrap();
        assert_eq!((heads.siblings.len(), heads.body_bytes()), (70, 0));
        let mut read = BTreeSet::new();
        for sibling in &heads.siblings {
            let one = part(ObjectPart::Value(sibling.vtag())).await.unwrap().unwrap();
            assert_eq!(one.siblings.len(), 70);
            let bodies = one.siblings.iter().filter(|sibling| !sibling.body.is_empty());
            let mut bodies = bodies.map(|one| String::from_utf8_lossy(&one.body).into_owned());
            read.extend(bodies.next());
            assert_eq!(bodies.next(), None);
        }
        assert_eq!(read, all);
        assert!(cluster.converged(&id), "nothing that was looked at is written back");
        let options = DeleteOptions::default();
        match how {
            "delete" => assert!(kv.delete(&id, None, &options).await.unwrap()),
            "delete seen" => assert!(kv.delete(&id, Some(heads.clock), &options).await.unwrap()),
            _ => drop(put_over(kv, &id, &heads.clock, "mended").await),
        }
        let left = if how == "put" { "mended" } else { "(deleted)" };
        assert_eq!(get(kv, &id).await, [left]);
        eventually("replicas", || cluster.converged(&id)).await;
        let largest = cluster.largest_message();
        assert!(largest <= 70 * 100, "a message of {largest} bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn without_siblings_the_newest_of_what_is_too_large_is_read() {
    let cluster = start(3, small()).await;
    let id = spread(&cluster);
    grown_apart(&cluster, &id, 35).await;
    eventually("replicas", || cluster.converged(&id)).await;
    cluster.set_props(&bucket(), serde_json::json!({"allow_mult": false})).await;
    let read = get(cluster.kv(2), &id).await;
    assert!(read.len() == 1 && read[0].starts_with("right-34"), "{read:?}");
    put(cluster.kv(0), &id, "next").await;
    assert_eq!(get(cluster.kv(2), &id).await, ["next"]);
}

#[tokio::test(start_paused = true)]
async fn an_emptied_node_fetches_in_pieces() {
    let mut cluster = start(3, small()).await;
    let id = spread(&cluster);
    let all = grown_apart(&cluster, &id, 35).await;
    eventually("replicas", || cluster.converged(&id)).await;
    cluster.largest_message();
    cluster.kill(1);
    cluster.empty(1);
    cluster.restart(1).await;
    eventually("the node is filled", || !cluster.incomplete(1) && cluster.converged(&id)).await;
    let stored = cluster.stored(&id).remove(0).unwrap();
    assert_eq!(BTreeSet::from_iter(bodies(&stored)), all);
    let largest = cluster.largest_message();
    assert!(largest <= 70 * 100, "a message of {largest} bytes");
}

#[tokio::test(start_paused = true)]
async fn a_write_in_pieces_whose_coordinator_died_is_brought_to_all() {
    let mut cluster = start(3, small()).await;
    // Near the limit the first primary coordinates.
    let first = cluster.id(0);
    let id = cluster
        .key_where(&bucket(), |nodes| nodes[0] == first && BTreeSet::from_iter(nodes).len() == 3);
    for n in 0..20 {
        put(cluster.kv(0), &id, &format!("{n:-<1000}")).await;
    }
    eventually("replicas", || cluster.converged(&id)).await;
    cluster.lose(0, 2);
    put(cluster.kv(0), &id, "the last").await;
    assert!(cluster.kv(1).stale_replicas().in_flight > 0, "the write is in flight at nobody");
    cluster.kill(0);
    cluster.heal();
    assert!(!cluster.converged(&id), "the write is everywhere: a weak test");
    eventually("the recovered write arrives", || cluster.converged(&id)).await;
    assert_eq!(get(cluster.kv(2), &id).await.len(), 21);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_transfer_loses_nothing() {
    let mut cluster = start(3, small()).await;
    let id = spread(&cluster);
    let mut all = grown_apart(&cluster, &id, 20).await;
    // Pieces are under way while nodes end and others write.
    for round in 0..6 {
        let (at, other) = (round % 3, (round + 1) % 3);
        tokio::time::sleep(std::time::Duration::from_micros(350)).await;
        cluster.kill(at);
        let body = format!("{round}");
        let written = cluster.kv(other).put(&id, None, value(&body), &PutOptions::default()).await;
        if written.is_ok() {
            all.insert(body);
        }
        cluster.restart(at).await;
    }
    eventually("replicas", || cluster.converged(&id)).await;
    let read = BTreeSet::from_iter(bodies(&read_all(&cluster, 0, &id).await.unwrap()));
    assert!(read.is_superset(&all), "{:?}", all.difference(&read).collect::<Vec<_>>());
}
