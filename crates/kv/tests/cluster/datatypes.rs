//! Data types: what was answered is there, once.

use futures::future::join_all;
use mapring_datatypes::{Kind, Op, SetOp, Update, json, object};
use mapring_kv::{GetOptions, Kv, KvConfig, PutOptions};
use mapring_types::error::QuorumKind;
use mapring_types::{BucketId, ErrorKind, ObjectId, Quorum, Releases, Result, SyncOnWrite};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::*;

async fn counting(nodes: u64) -> TestCluster {
    let cluster = TestCluster::start(nodes, 64).await;
    cluster.set_props(&bucket(), siblings()).await;
    cluster
}

async fn add(kv: &Kv, id: &ObjectId, by: i64) -> Result<()> {
    let update = Update::new(Op::Counter(by));
    kv.update(id, &update, &PutOptions::default()).await.map(drop)
}

async fn change(kv: &Kv, id: &ObjectId, ops: Vec<SetOp>, seen: Option<&Update>) {
    let context = seen.and_then(|update| update.context.clone());
    let update = Update { op: Op::Set(ops), context };
    kv.update(id, &update, &PutOptions::default()).await.unwrap();
}

/// What all replicas together have.
async fn read(kv: &Kv, id: &ObjectId, kind: Kind) -> String {
    let found = kv.get(id, &r(Quorum::All)).await.unwrap();
    let found = found.and_then(|found| {
        assert_eq!(found.siblings.len(), 1, "readers see one value");
        object::find(&found, kind).unwrap()
    });
    found.map(|found| json::value(&found)).unwrap_or_default()
}

/// The context of a set, as a client has it.
async fn seen(kv: &Kv, id: &ObjectId) -> Update {
    let found = kv.get(id, &GetOptions::default()).await.unwrap().unwrap();
    let found = object::find(&found, Kind::Set).unwrap().unwrap();
    Update { op: Op::Set(Vec::new()), context: Some(found.context().clone()) }
}

fn element(text: &'static str) -> bytes::Bytes {
    bytes::Bytes::from_static(text.as_bytes())
}

#[tokio::test(start_paused = true)]
async fn what_is_counted_at_once_counts() {
    let cluster = counting(5).await;
    let id = key("k");
    let all = (0..200).map(|at| add(cluster.kv(at % 5), &id, 1));
    assert!(join_all(all).await.iter().all(Result::is_ok));
    eventually("all replicas", || cluster.converged(&id)).await;
    for at in 0..5 {
        assert_eq!(read(cluster.kv(at), &id, Kind::Counter).await, "200");
    }
    // One per node that coordinates: the next one at each takes the place of the one before.
    let stored = cluster.stored(&id)[0].clone().unwrap();
    assert!(stored.siblings.len() <= 3, "{}", stored.siblings.len());
}

/// Facts R209, R271.
#[tokio::test(start_paused = true)]
async fn an_update_that_is_not_known_to_be_on_disk_counts_once() {
    let cluster = counting(3).await;
    let id = key("k");
    let update = Update::new(Op::Counter(1));
    let options = PutOptions { sync_on_write: Some(SyncOnWrite::One), ..PutOptions::default() };
    cluster.medium.refuse_fsyncs(true);
    for at in 0..3 {
        let error = cluster.kv(at).update(&id, &update, &options).await.unwrap_err();
        let missed = ErrorKind::Quorum { what: QuorumKind::Dw, got: 0, want: 2 };
        assert_eq!(error.kind(), missed, "{error}");
    }
    eventually("all replicas", || cluster.converged(&id)).await;
    assert_eq!(read(cluster.kv(0), &id, Kind::Counter).await, "3");
    cluster.medium.refuse_fsyncs(false);
    cluster.kv(0).update(&id, &update, &options).await.unwrap();
    assert_eq!(read(cluster.kv(1), &id, Kind::Counter).await, "4");
}

#[tokio::test(start_paused = true)]
async fn both_sides_of_a_split_count() {
    let cluster = counting(3).await;
    let id = key("k");
    add(cluster.kv(0), &id, 1).await.unwrap();
    eventually("all replicas", || cluster.converged(&id)).await;
    cluster.partition(&[0], &[1, 2]);
    for _ in 0..10 {
        let one = PutOptions { w: Quorum::One, dw: Quorum::One, ..PutOptions::default() };
        let update = Update::new(Op::Counter(10));
        cluster.kv(0).update(&id, &update, &one).await.unwrap();
        add(cluster.kv(1), &id, 100).await.unwrap();
    }
    cluster.heal();
    eventually("all replicas", || cluster.converged(&id)).await;
    for at in 0..3 {
        assert_eq!(read(cluster.kv(at), &id, Kind::Counter).await, "1101");
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_made_behind_what_was_read_is_made_when_that_comes() {
    let cluster = counting(3).await;
    let id = key("k");
    change(cluster.kv(0), &id, vec![SetOp::Add(element("old"))], None).await;
    eventually("all replicas", || cluster.converged(&id)).await;
    cluster.partition(&[0], &[1, 2]);
    change(cluster.kv(1), &id, vec![SetOp::Add(element("new"))], None).await;
    let seen = seen(cluster.kv(1), &id).await;
    let removals = vec![SetOp::Remove(element("new")), SetOp::Remove(element("old"))];
    let update = Update { op: Op::Set(removals), context: seen.context };
    let one = PutOptions { w: Quorum::One, dw: Quorum::One, ..PutOptions::default() };
    cluster.kv(0).update(&id, &update, &one).await.unwrap();
    cluster.heal();
    eventually("all replicas", || cluster.converged(&id)).await;
    for at in 0..3 {
        assert_eq!(read(cluster.kv(at), &id, Kind::Set).await, "[]");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_added_since_stays() {
    let cluster = counting(3).await;
    let id = key("k");
    change(cluster.kv(0), &id, vec![SetOp::Add(element("a"))], None).await;
    eventually("all replicas", || cluster.converged(&id)).await;
    let seen = seen(cluster.kv(1), &id).await;
    change(cluster.kv(1), &id, vec![SetOp::Add(element("a"))], None).await;
    change(cluster.kv(2), &id, vec![SetOp::Remove(element("a"))], Some(&seen)).await;
    eventually("all replicas", || cluster.converged(&id)).await;
    assert_eq!(read(cluster.kv(0), &id, Kind::Set).await, r#"["a"]"#);
}

/// What Riak's statistics tell of updates: the one that coordinates applies them (fact R350).
#[tokio::test(start_paused = true)]
async fn updates_are_counted_by_their_kinds() {
    let cluster = counting(3).await;
    for at in 0..3 {
        add(cluster.kv(at), &key("c"), 1).await.unwrap();
    }
    change(cluster.kv(0), &key("s"), vec![SetOp::Add(element("a"))], None).await;
    let applied = |kind| {
        let one = |at| cluster.kv(at).figures().kinds.of(kind).unwrap().updates;
        (0..3).map(one).fold((0, 0), |sum, one| (sum.0 + one.total, sum.1 + one.minute))
    };
    assert_eq!((applied(Kind::Counter), applied(Kind::Set)), ((3, 3), (1, 1)));
    assert_eq!((applied(Kind::Map), applied(Kind::Hll)), ((0, 0), (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn updates_that_make_no_sense_are_refused() {
    let cluster = TestCluster::start(3, 64).await;
    let kv = cluster.kv(0);
    let update = Update::new(Op::Counter(1));
    let options = PutOptions::default();
    let error = kv.update(&key("k"), &update, &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden, "a bucket without siblings: {error}");
    cluster.set_props(&bucket(), siblings()).await;
    let remove = Update::new(Op::Set(vec![SetOp::Remove(element("x"))]));
    let error = kv.update(&key("k"), &remove, &options).await.unwrap_err();
    let text = "{precondition,{not_present,<<\"x\">>}}";
    assert_eq!((error.kind(), error.message()), (ErrorKind::Precondition, text));
    assert!(cluster.stored(&key("k"))[0].is_none());
    let unknown = ObjectId::new(BucketId::typed("nope", "b"), "k");
    let error = kv.update(&unknown, &update, &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    // A member that may not know them.
    let cluster = TestCluster::start_told(3, Some(Releases::BEFORE)).await;
    let error = cluster.kv(0).update(&key("k"), &update, &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_ends_what_was_counted() {
    let cluster = counting(3).await;
    let id = key("k");
    add(cluster.kv(0), &id, 5).await.unwrap();
    eventually("all replicas", || cluster.converged(&id)).await;
    assert!(delete(cluster.kv(1), &id).await);
    eventually("all replicas", || cluster.converged(&id)).await;
    add(cluster.kv(2), &id, 2).await.unwrap();
    eventually("all replicas", || cluster.converged(&id)).await;
    for at in 0..3 {
        assert_eq!(read(cluster.kv(at), &id, Kind::Counter).await, "2");
    }
}

/// Counts through random nodes while nodes are killed, emptied, cut off and made to lose messages.
async fn count_under_faults(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let config = KvConfig { reap_after: None, ..KvConfig::default() };
    let mut cluster = TestCluster::start_with(5, 64, seed, config).await;
    cluster.set_props(&bucket(), siblings()).await;
    let ids: Vec<ObjectId> = (0..4).map(|n| key(format!("k{n}"))).collect();
    // What was answered, and what may have been made besides.
    let mut sure = vec![0i128; ids.len()];
    let mut perhaps = vec![0i128; ids.len()];
    let mut away: Option<usize> = None;
    for _ in 0..120 {
        match random.random_range(0..12) {
            0 if away.is_none() => {
                let at = random.random_range(0..5);
                cluster.kill(at);
                // One at a time loses its data: with more some of it would be gone.
                if random.random_bool(0.3) && (0..5).all(|at| !cluster.incomplete(at)) {
                    cluster.empty(at);
                }
                away = Some(at);
            }
            1 => {
                if let Some(at) = away.take() {
                    // It has to hear how far its data was.
                    cluster.heal();
                    cluster.restart(at).await;
                }
            }
            2 => cluster.lose(random.random_range(0..5), random.random_range(0..5)),
            3 => {
                let at = random.random_range(0..5);
                let others: Vec<usize> = (0..5).filter(|other| *other != at).collect();
                cluster.partition(&[at], &others);
            }
            4 | 5 => cluster.heal(),
            _ => {
                let mut from = (0..5).cycle().skip(random.random_range(0..5));
                let at = from.find(|at| away != Some(*at)).unwrap();
                let (which, by) = (random.random_range(0..ids.len()), random.random_range(1..9));
                let patience = std::time::Duration::from_secs(5);
                let options = PutOptions { timeout: Some(patience), ..PutOptions::default() };
                let update = Update::new(Op::Counter(by));
                match cluster.kv(at).update(&ids[which], &update, &options).await {
                    Ok(_) => sure[which] += i128::from(by),
                    Err(_) => perhaps[which] += i128::from(by),
                }
            }
        }
    }
    cluster.heal();
    if let Some(at) = away {
        cluster.restart(at).await;
    }
    eventually("all filled", || (0..5).all(|at| !cluster.incomplete(at))).await;
    for (which, id) in ids.iter().enumerate().filter(|(which, _)| sure[*which] > 0) {
        eventually("all replicas", || cluster.converged(id)).await;
        let counted: i128 = read(cluster.kv(0), id, Kind::Counter).await.parse().unwrap();
        let (least, most) = (sure[which], sure[which] + perhaps[which]);
        assert!(
            (least..=most).contains(&counted),
            "seed {seed}: {id} is {counted}: {least} to {most}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_is_there_once_whatever_fails() {
    let fresh = rand::rng().random_range(1_000..u64::MAX);
    for seed in (0..12).chain([fresh]) {
        println!("seed {seed}");
        count_under_faults(seed).await;
    }
}
