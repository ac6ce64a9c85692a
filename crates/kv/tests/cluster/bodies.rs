//! Bodies that lie in blocks beside their objects, and what becomes of blocks that no object names.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use mapring_engine::{Engine, ScanDepth, ScanRange};
use mapring_kv::{
    BodySizes, DeleteOptions, GetOptions, KvConfig, NewValue, OpenObject, PutOptions,
};
use mapring_types::{
    BucketId, Error, ErrorKind, Metadata, Object, ObjectId, Quorum, Release, Releases, Result,
    VersionVector,
};
use proptest::prelude::*;
use serde_json::json;

use crate::support::*;

const TIME: Duration = Duration::from_secs(100);
const BLOCK_TYPE: &[u8] = b"\xffblocks";

async fn start(nodes: u64) -> TestCluster {
    let bodies = BodySizes { whole_bytes: 8, max_bytes: 1_000, block_bytes: 10, time: TIME };
    let reap_after = Some(Duration::from_secs(3));
    let config = KvConfig { reap_after, bodies, ..KvConfig::default() };
    let cluster = TestCluster::start_with(nodes, 64, 1, config).await;
    // No round of telling is waited for.
    for at in 0..cluster.nodes.len() {
        cluster.kv(at).upload(&key("k"), &PutOptions::default()).await.unwrap();
    }
    cluster
}

fn text(bytes: usize, seed: usize) -> Bytes {
    (0..bytes).map(|at| b'a' + ((at * 7 + seed) % 26) as u8).collect::<Vec<u8>>().into()
}

/// Uploads in steps of `step` bytes.
async fn upload(
    cluster: &TestCluster,
    at: usize,
    id: &ObjectId,
    body: &Bytes,
    step: usize,
    context: Option<VersionVector>,
) -> Result<Object> {
    let mut upload = cluster.kv(at).upload(id, &PutOptions::default()).await?;
    for piece in body.chunks(step) {
        upload.write(Bytes::copy_from_slice(piece)).await?;
    }
    let metadata = Metadata { content_type: "text/plain".into(), ..Metadata::default() };
    upload.finish(context, metadata).await
}

async fn open(cluster: &TestCluster, at: usize, id: &ObjectId) -> Result<OpenObject> {
    let options = GetOptions { r: Quorum::Majority, ..GetOptions::default() };
    let opened = cluster.kv(at).open_body(id, &options).await?;
    opened.ok_or_else(|| Error::new(ErrorKind::NotFound, "not found"))
}

/// The bytes of all values of an object, read in steps.
async fn read(cluster: &TestCluster, at: usize, id: &ObjectId, step: usize) -> Result<Vec<Bytes>> {
    let mut found = Vec::new();
    for value in open(cluster, at, id).await?.values {
        if value.sibling.deleted {
            continue;
        }
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < value.body.len() {
            bytes.extend(value.body.read_at(bytes.len() as u64, step).await?);
        }
        found.push(bytes.into());
    }
    Ok(found)
}

/// How many replicas of blocks lie in the engine of a node.
fn blocks(cluster: &TestCluster, at: usize) -> usize {
    let (engine, mut count) = (&cluster.nodes[at].engine, 0);
    for vnode in engine.vnodes() {
        for home in 0..64 {
            let range = ScanRange::home(home);
            engine
                .scan(vnode, &range, ScanDepth::Heads, &mut |place, _| {
                    count += usize::from(place.id.bucket.bucket_type == BLOCK_TYPE);
                    ControlFlow::Continue(())
                })
                .unwrap();
        }
    }
    count
}

fn all_blocks(cluster: &TestCluster) -> usize {
    (0..cluster.nodes.len()).map(|at| blocks(cluster, at)).sum()
}

/// Waits until so many replicas of blocks are left.
async fn left(cluster: &TestCluster, count: usize) {
    for _ in 0..20 {
        if all_blocks(cluster) == count {
            return;
        }
        tokio::time::sleep(TIME / 2).await;
    }
    assert_eq!(all_blocks(cluster), count);
}

#[tokio::test(start_paused = true)]
async fn a_body_in_blocks_is_read_through_every_node() {
    let cluster = start(5).await;
    for (bytes, step) in [(95, 7), (100, 10), (101, 1), (1_000, 1_000), (9, 64), (40, 25)] {
        let (id, body) = (key(format!("k{bytes}")), text(bytes, step));
        let written = upload(&cluster, 0, &id, &body, step, None).await.unwrap();
        let value = &written.siblings[0];
        assert!(value.body.is_empty() && value.body_len() == bytes as u64);
        assert_eq!(value.metadata.content_type, "text/plain");
        for at in 0..5 {
            for step in [3, 10, 2_000] {
                assert_eq!(read(&cluster, at, &id, step).await.unwrap(), [&body], "{bytes} {at}");
            }
            let opened = open(&cluster, at, &id).await.unwrap();
            let value = opened.newest().unwrap();
            assert_eq!(value.sibling.vtag(), written.siblings[0].vtag());
            assert_eq!(value.body.read_at(5, 4).await.unwrap(), body.slice(5..9));
        }
        assert!(cluster.converged(&id));
    }
    let blocks: usize = [95, 100, 101, 1_000, 9, 40_usize].map(|n| n.div_ceil(10)).iter().sum();
    eventually("every replica", || all_blocks(&cluster) == 3 * blocks).await;
    assert_eq!(cluster.list_keys(1, &bucket()).await.unwrap().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn values_beside_each_other_have_bodies_of_their_own() {
    let cluster = start(3).await;
    cluster.set_props(&bucket(), siblings()).await;
    let (id, one, two) = (key("k"), text(55, 1), text(33, 2));
    upload(&cluster, 0, &id, &one, 10, None).await.unwrap();
    put(cluster.kv(1), &id, "small").await;
    let both = upload(&cluster, 2, &id, &two, 10, None).await.unwrap();
    let mut found = read(&cluster, 1, &id, 10).await.unwrap();
    found.sort();
    let mut expect = vec![one, two, Bytes::from("small")];
    expect.sort();
    assert_eq!(found, expect);
    let three = text(70, 3);
    upload(&cluster, 1, &id, &three, 10, Some(both.clock)).await.unwrap();
    assert_eq!(read(&cluster, 0, &id, 10).await.unwrap(), [three]);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_is_not_finished_leaves_nothing() {
    let cluster = start(3).await;
    let id = key("k");
    put(cluster.kv(0), &id, "before").await;
    let mut upload = cluster.kv(1).upload(&id, &PutOptions::default()).await.unwrap();
    upload.write(text(95, 1)).await.unwrap();
    eventually("blocks", || all_blocks(&cluster) > 20).await;
    drop(upload);
    eventually("that they are gone", || all_blocks(&cluster) == 0).await;
    assert_eq!(get(cluster.kv(2), &id).await, ["before"]);

    let mut upload = cluster.kv(1).upload(&id, &PutOptions::default()).await.unwrap();
    let error = upload.write(text(1_001, 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    drop(upload);

    let mut upload = cluster.kv(1).upload(&id, &PutOptions::default()).await.unwrap();
    upload.write(text(25, 1)).await.unwrap();
    tokio::time::sleep(TIME + Duration::from_secs(1)).await;
    let error = upload.finish(None, Metadata::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");

    let unchanged = Some(VersionVector::new());
    let options = PutOptions { unchanged, ..PutOptions::default() };
    let mut upload = cluster.kv(1).upload(&id, &options).await.unwrap();
    upload.write(text(25, 1)).await.unwrap();
    let error = upload.finish(None, Metadata::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Precondition, "{error}");

    eventually("that all is gone", || all_blocks(&cluster) == 0).await;
    assert_eq!(get(cluster.kv(2), &id).await, ["before"]);
}

#[tokio::test(start_paused = true)]
async fn blocks_that_no_object_names_go_and_others_stay() {
    let cluster = start(3).await;
    let (replaced, deleted, kept) = (key("replaced"), key("deleted"), key("kept"));
    for id in [&replaced, &deleted, &kept] {
        upload(&cluster, 0, id, &text(50, 1), 10, None).await.unwrap();
    }
    let old = open(&cluster, 1, &replaced).await.unwrap();
    let new = text(20, 9);
    upload(&cluster, 1, &replaced, &new, 10, None).await.unwrap();
    assert!(delete(cluster.kv(2), &deleted).await);
    eventually("every replica", || all_blocks(&cluster) == 3 * (3 * 5 + 2)).await;
    // Whoever has begun to read goes on.
    tokio::time::sleep(TIME).await;
    let body = &old.values[0].body;
    assert_eq!(body.read_at(0, 50).await.unwrap(), text(50, 1));
    left(&cluster, 3 * (5 + 2)).await;
    tokio::time::sleep(20 * TIME).await;
    assert_eq!(all_blocks(&cluster), 3 * (5 + 2));
    for at in 0..3 {
        assert_eq!(read(&cluster, at, &kept, 10).await.unwrap(), [text(50, 1)]);
        assert_eq!(read(&cluster, at, &replaced, 10).await.unwrap(), [&new]);
    }
    // What is gone is told so, and not taken for an end.
    let error = open(&cluster, 0, &replaced).await.map(|_| body.clone()).unwrap();
    let error = error.read_at(11, 10).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_while_somebody_may_know_better() {
    let mut cluster = start(3).await;
    let id = key("k");
    upload(&cluster, 0, &id, &text(50, 1), 10, None).await.unwrap();
    eventually("every replica", || all_blocks(&cluster) == 15).await;
    cluster.kill(2);
    put(cluster.kv(0), &id, "new").await;
    tokio::time::sleep(20 * TIME).await;
    assert_eq!(all_blocks(&cluster), 15, "a member is away");
    cluster.restart(2).await;
    left(&cluster, 0).await;
    // The node of an upload ends in the middle of it.
    let mut upload = cluster.kv(1).upload(&id, &PutOptions::default()).await.unwrap();
    upload.write(text(50, 1)).await.unwrap();
    cluster.kill(1);
    drop(upload);
    cluster.restart(1).await;
    tokio::time::sleep(TIME).await;
    assert!(all_blocks(&cluster) > 0, "it might still be finished");
    left(&cluster, 0).await;
    assert_eq!(get(cluster.kv(2), &id).await, ["new"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_away_gets_its_blocks() {
    let mut cluster = start(4).await;
    let ids: Vec<ObjectId> = (0..10).map(|n| key(format!("k{n}"))).collect();
    cluster.kill(3);
    for (at, id) in ids.iter().enumerate() {
        upload(&cluster, at % 3, id, &text(95, at), 10, None).await.unwrap();
    }
    for (at, id) in ids.iter().enumerate() {
        assert_eq!(read(&cluster, 1, id, 10).await.unwrap(), [text(95, at)]);
    }
    cluster.restart(3).await;
    eventually("that all are handed over", || all_blocks(&cluster) == 3 * 100).await;
    assert!(blocks(&cluster, 3) > 0);
    tokio::time::sleep(20 * TIME).await;
    assert_eq!(all_blocks(&cluster), 3 * 100);
    cluster.kill(0);
    for (at, id) in ids.iter().enumerate() {
        assert_eq!(read(&cluster, 2, id, 10).await.unwrap(), [text(95, at)]);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_reaches_blocks_by_their_names() {
    let cluster = start(3).await;
    upload(&cluster, 0, &key("k"), &text(50, 1), 10, None).await.unwrap();
    let id = ObjectId::new(BucketId::typed(BLOCK_TYPE, "3"), vec![0; 24]);
    let kv = cluster.kv(0);
    let refused = |error: Error| assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    refused(kv.get(&id, &GetOptions::default()).await.unwrap_err());
    refused(kv.put(&id, None, value("x"), &PutOptions::default()).await.unwrap_err());
    refused(kv.delete(&id, None, &DeleteOptions::default()).await.unwrap_err());
    refused(kv.upload(&id, &PutOptions::default()).await.err().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_written_back_has_no_part_in_the_blocks_of_another() {
    let cluster = start(3).await;
    let (one, two) = (key("one"), key("two"));
    let object = upload(&cluster, 0, &one, &text(50, 1), 10, None).await.unwrap();
    let value = NewValue { metadata: object.siblings[0].metadata.clone(), ..value("bytes") };
    let copy = cluster.kv(1).put(&two, None, value, &PutOptions::default()).await.unwrap();
    assert_eq!(copy.siblings[0].metadata.blocks, None);
    assert_eq!(get(cluster.kv(2), &two).await, ["bytes"]);
}

#[tokio::test(start_paused = true)]
async fn members_of_former_releases_get_no_blocks() {
    let of = |release| Releases { reads: Release::FIRST, writes: release };
    for releases in [None, Some(of(Release::MEMBERS_TELL))] {
        let cluster = TestCluster::start_told(3, releases).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let error = cluster.kv(0).upload(&key("k"), &PutOptions::default()).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
        assert!(error.message().contains("an earlier release"), "{error}");
        put(cluster.kv(1), &key("k"), "small").await;
        assert_eq!(get(cluster.kv(2), &key("k")).await, ["small"]);
        assert_eq!(all_blocks(&cluster), 0);
    }
}

/// Of two that write at the same time where the last write wins, each knows only its own.
async fn write_apart(cluster: &mut TestCluster, id: &ObjectId) {
    cluster.kill(2);
    upload(cluster, 0, id, &text(50, 1), 10, None).await.unwrap();
    cluster.partition(&[0], &[1, 2]);
    cluster.restart(2).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    put(cluster.kv(2), id, "later").await;
    cluster.heal();
}

#[tokio::test(start_paused = true)]
async fn the_blocks_of_a_value_that_lost_go_and_it_never_comes_to_light() {
    let mut cluster = start(3).await;
    let id = key("k");
    write_apart(&mut cluster, &id).await;
    let values = |object: &Object| object.siblings.len();
    let both = || cluster.stored(&id).iter().all(|one| one.as_ref().map_or(0, values) == 2);
    eventually("that all have both", both).await;
    left(&cluster, 0).await;
    assert_eq!(read(&cluster, 0, &id, 10).await.unwrap(), ["later"]);
    cluster.set_props(&bucket(), siblings()).await;
    for at in 0..3 {
        assert_eq!(read(&cluster, at, &id, 10).await.unwrap(), ["later"]);
    }
    // Where both are to be kept they are.
    let id = key("both");
    write_apart(&mut cluster, &id).await;
    tokio::time::sleep(20 * TIME).await;
    assert_eq!(all_blocks(&cluster), 15);
    assert_eq!(read(&cluster, 2, &id, 10).await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn blocks_of_more_replicas_than_there_are_now_go_too() {
    let cluster = start(5).await;
    cluster.set_props(&bucket(), json!({"n_val": 5})).await;
    let (gone, kept) = (key("gone"), key("kept"));
    for id in [&gone, &kept] {
        upload(&cluster, 0, id, &text(50, 1), 10, None).await.unwrap();
    }
    eventually("every replica", || all_blocks(&cluster) == 2 * 5 * 5).await;
    cluster.set_props(&bucket(), json!({"n_val": 2})).await;
    assert!(delete(cluster.kv(2), &gone).await);
    left(&cluster, 5 * 5).await;
    assert_eq!(read(&cluster, 3, &kept, 10).await.unwrap(), [text(50, 1)]);
}

/// What may happen: who does it, and to which object.
#[derive(Debug, Clone, Copy)]
enum Step {
    Upload(usize, usize),
    Break(usize, usize),
    Small(usize, usize),
    Delete(usize, usize),
    Kill(usize),
    Restart(usize),
    Cut(usize),
    Heal,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (node, object) = (0..3_usize, 0..3_usize);
    prop_oneof![
        4 => (node.clone(), object.clone()).prop_map(|(at, id)| Step::Upload(at, id)),
        1 => (node.clone(), object.clone()).prop_map(|(at, id)| Step::Break(at, id)),
        1 => (node.clone(), object.clone()).prop_map(|(at, id)| Step::Small(at, id)),
        1 => (node.clone(), object).prop_map(|(at, id)| Step::Delete(at, id)),
        1 => node.clone().prop_map(Step::Kill),
        1 => node.clone().prop_map(Step::Restart),
        1 => node.prop_map(Step::Cut),
        1 => Just(Step::Heal),
        3 => (1..400_u64).prop_map(Step::Wait),
    ]
}

/// Whatever happens: what can be read is whole and was written, and in the end exactly the
/// blocks are left that objects name.
async fn history(steps: Vec<Step>, keep: bool) {
    let mut cluster = start(3).await;
    if keep {
        cluster.set_props(&bucket(), siblings()).await;
    }
    let mut down = BTreeSet::new();
    let mut written: BTreeMap<ObjectId, BTreeSet<Bytes>> = BTreeMap::new();
    for (number, step) in steps.into_iter().enumerate() {
        let is_up = |at: &usize| !down.contains(at);
        match step {
            Step::Upload(at, id) if is_up(&at) => {
                let (id, body) = (key(format!("k{id}")), text(20 + number, number));
                written.entry(id.clone()).or_default().insert(body.clone());
                let _ = upload(&cluster, at, &id, &body, 9, None).await;
            }
            Step::Break(at, id) if is_up(&at) => {
                let id = key(format!("k{id}"));
                let mut upload = cluster.kv(at).upload(&id, &PutOptions::default()).await.unwrap();
                let _ = upload.write(text(35, number)).await;
            }
            Step::Small(at, id) if is_up(&at) => {
                let (id, body) = (key(format!("k{id}")), format!("small {number}"));
                written.entry(id.clone()).or_default().insert(body.clone().into());
                let options = PutOptions::default();
                let _ = cluster.kv(at).put(&id, None, value(body), &options).await;
            }
            Step::Delete(at, id) if is_up(&at) => {
                let (id, options) = (key(format!("k{id}")), DeleteOptions::default());
                let _ = cluster.kv(at).delete(&id, None, &options).await;
            }
            Step::Kill(at) if down.is_empty() => {
                down.insert(at);
                cluster.kill(at);
            }
            Step::Restart(at) if down.remove(&at) => cluster.restart(at).await,
            Step::Cut(at) => {
                let others: Vec<usize> = (0..3).filter(|other| *other != at).collect();
                cluster.partition(&[at], &others);
            }
            Step::Heal => cluster.heal(),
            Step::Wait(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            _ => {}
        }
        for id in written.keys() {
            let at = (0..3).find(|at| !down.contains(at)).unwrap();
            match read(&cluster, at, id, 16).await {
                Ok(values) => {
                    assert!(values.iter().all(|value| written[id].contains(value)), "{values:?}");
                }
                Err(error) => assert_ne!(error.kind(), ErrorKind::Corrupt, "{error}"),
            }
        }
    }
    cluster.heal();
    for at in down {
        cluster.restart(at).await;
    }
    tokio::time::sleep(20 * TIME).await;
    let mut named = 0;
    for id in written.keys() {
        let Some(object) = cluster.kv(0).get(id, &GetOptions::default()).await.unwrap() else {
            continue;
        };
        let values = read(&cluster, 1, id, 10).await.unwrap();
        assert!(values.iter().all(|value| written[id].contains(value)), "{values:?}");
        let uploads = object.siblings.iter().filter_map(|sibling| sibling.metadata.blocks.as_ref());
        named += uploads.map(|blocks| blocks.count() as usize).sum::<usize>();
    }
    left(&cluster, 3 * named).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_replaced_while_its_node_was_away_goes() {
    for keep in [false, true] {
        use Step::*;
        let steps = vec![Kill(2), Upload(0, 0), Cut(0), Restart(2), Small(2, 0)];
        history(steps, keep).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_history_loses_a_block_or_leaves_one(
        steps in proptest::collection::vec(step(), 1..40),
        keep: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(history(steps, keep));
    }
}
