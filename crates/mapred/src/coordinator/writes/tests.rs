//! Batches of writes against a store in memory.

use std::collections::BTreeMap;
use std::future::poll_fn;

use bytes::Bytes;
use mapring_types::{BucketId, Metadata};
use parking_lot::Mutex;

use super::*;
use crate::testing::world::{Store, store};

fn id(key: &str) -> ObjectId {
    ObjectId::new(BucketId::untyped("b"), key.to_owned())
}

fn put(key: &str, body: &str) -> WriteOp {
    let (id, body) = (id(key), Bytes::copy_from_slice(body.as_bytes()));
    WriteOp::Put { id, metadata: Metadata::default(), body, w: Quorum::Default }
}

fn del(key: &str) -> WriteOp {
    WriteOp::Delete { id: id(key) }
}

struct Tried {
    writes: Writes,
    store: Arc<Mutex<Store>>,
}

impl Tried {
    fn new(count: usize, bytes: usize) -> Self {
        let (objects, store) = store();
        let handle = QueryHandle::idle(1, r#"{"inputs":"b","query":[]}"#);
        let deadline = Instant::now() + std::time::Duration::from_secs(60);
        Self { writes: Writes::new(WriteBatch { count, bytes }, objects, handle, deadline), store }
    }

    fn push(&mut self, writes: Vec<WriteOp>) {
        self.writes.push(3, Effects { writes, ..Effects::default() }).unwrap();
    }

    /// Until nothing goes on any more.
    async fn run(&mut self, ended: bool) -> Result<(), Failure> {
        loop {
            self.writes.advance(ended);
            if self.writes.running.is_empty() {
                return Ok(());
            }
            poll_fn(|context| self.writes.poll(context)).await?;
        }
    }

    fn counters(&self) -> BTreeMap<String, i64> {
        let mut counters = self.writes.handle.report().counters;
        counters.retain(|name, _| ["writes", "write-batches", "io-write-bytes"].contains(&&**name));
        counters
    }
}

fn counted(writes: i64, batches: i64, bytes: i64) -> BTreeMap<String, i64> {
    let counts = [("writes", writes), ("write-batches", batches), ("io-write-bytes", bytes)];
    counts.map(|(name, count)| (name.to_owned(), count)).into()
}

#[tokio::test(start_paused = true)]
async fn batches_are_full_or_the_last() {
    let mut tried = Tried::new(100, 1 << 20);
    for number in 0..250 {
        tried.push(vec![put(&format!("k{number}"), "12345")]);
    }
    tried.run(false).await.unwrap();
    assert_eq!(tried.counters(), counted(200, 2, 1_000));
    assert!(!tried.writes.is_idle());
    tried.run(true).await.unwrap();
    assert!(tried.writes.is_idle());
    assert_eq!(tried.counters(), counted(250, 3, 1_250));
    assert_eq!(tried.store.lock().written.len(), 250);
}

#[tokio::test(start_paused = true)]
async fn batches_are_bounded_by_bytes() {
    let mut tried = Tried::new(100, 1_000);
    tried.push((0..4).map(|number| put(&format!("k{number}"), &"x".repeat(600))).collect());
    tried.run(false).await.unwrap();
    assert_eq!(tried.counters()["write-batches"], 2);
}

#[tokio::test(start_paused = true)]
async fn writes_of_one_object_stay_in_order() {
    for count in [1, 2, 3, 100] {
        let mut tried = Tried::new(count, 1 << 20);
        let writes =
            vec![put("a", "1"), put("b", "1"), put("a", "2"), del("b"), put("a", "3"), del("c")];
        tried.push(writes);
        tried.run(true).await.unwrap();
        assert_eq!(tried.counters()["writes"], 6);
        let written = tried.store.lock().written.clone();
        let of = |key: &str| {
            let of: Vec<_> = written.iter().filter(|(found, _)| found == key).collect();
            of.last().map(|(_, value)| value.clone())
        };
        assert_eq!(of("a"), Some(Some("3".to_owned())), "{count}: {written:?}");
        assert_eq!((of("b"), of("c")), (Some(None), Some(None)), "{count}: {written:?}");
        let of_a = written.iter().filter(|(key, _)| key == "a");
        let ordered: Vec<_> = of_a.map(|(_, value)| value.clone()).collect();
        assert!(ordered.is_sorted(), "{count}: {ordered:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_a_while_is_tried_again() {
    for kind in [ErrorKind::Unavailable, ErrorKind::Storage] {
        let mut tried = Tried::new(100, 1 << 20);
        let failing = ("a".to_owned(), (3, kind));
        tried.store.lock().failing_writes.extend([failing]);
        tried.push(vec![put("a", "1"), put("b", "1")]);
        tried.run(true).await.unwrap();
        assert_eq!(tried.counters(), counted(2, 1, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_good_is_named() {
    for (times, kind) in
        [(4, ErrorKind::Unavailable), (4, ErrorKind::Storage), (1, ErrorKind::NotFound)]
    {
        let mut tried = Tried::new(100, 1 << 20);
        tried.store.lock().failing_writes.extend([("a".to_owned(), (times, kind))]);
        tried.push(vec![put("a", "1")]);
        let failure = tried.run(true).await.unwrap_err();
        assert_eq!((failure.kind, failure.phase), (FailureKind::Write(kind), Some(3)));
        assert_eq!(failure.input, Some(FailedInput::Object { id: id("a"), keydata: None }));
    }
}

#[tokio::test(start_paused = true)]
async fn pages_wait_for_room() {
    let mut tried = Tried::new(1_000, 4 << 20);
    assert!(tried.writes.has_room());
    tried.push((0..limits::WRITES_AHEAD).map(|number| del(&number.to_string())).collect());
    assert!(!tried.writes.has_room());
    tried.run(false).await.unwrap();
    assert!(tried.writes.has_room());
}
