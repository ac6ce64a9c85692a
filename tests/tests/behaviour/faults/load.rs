//! Clients that write while nodes fail, and what must be there afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use mapring_client::{Client, NewObject, Place};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, timeout};

use super::random::Random;
use super::wire;
use mapring_tests::harness::PATIENCE;

/// How long a writer waits for an answer before it leaves the key alone.
const GIVEN_UP: Duration = Duration::from_secs(6);

/// A key of a writer that is overwritten instead of a new one made.
const OVERWRITES: f64 = 0.4;

/// Keys that are looked for at once.
const AT_ONCE: usize = 16;

/// What is known of a key. A value is a number; the body begins with it.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    /// The last acknowledged value.
    acknowledged: Option<u64>,
    /// A later write of which nobody knows what became. The key is not written again.
    doubtful: Option<u64>,
}

impl Written {
    /// Whether the key may have this value, or none.
    pub(super) fn allows(&self, value: Option<u64>) -> bool {
        value == self.acknowledged || (value.is_some() && value == self.doubtful)
    }
}

/// Writers at work, each with its own keys of one bucket.
pub(super) struct Load {
    bucket: String,
    stop: Arc<AtomicBool>,
    rests: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    writers: Vec<JoinHandle<BTreeMap<String, Written>>>,
}

struct Writer {
    name: usize,
    bucket: String,
    clients: Vec<Client>,
    random: Random,
    stop: Arc<AtomicBool>,
    rests: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
}

impl Load {
    /// Starts writers, each with so much time from one write to the next.
    pub(super) fn start(
        bucket: &str,
        clients: &[Client],
        writers: usize,
        pace: Duration,
        random: &mut Random,
    ) -> Self {
        let (stop, rests) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let acknowledged = Arc::<AtomicUsize>::default();
        let start = |name| {
            let writer = Writer {
                name,
                bucket: bucket.to_owned(),
                clients: clients.to_vec(),
                random: random.fork(),
                stop: stop.clone(),
                rests: rests.clone(),
                acknowledged: acknowledged.clone(),
            };
            tokio::spawn(writer.run(pace))
        };
        let writers = (0..writers).map(start).collect();
        Self { bucket: bucket.to_owned(), stop, rests, acknowledged, writers }
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Lets the writers rest after their present writes, or go on.
    pub(super) fn rest(&self, rests: bool) {
        self.rests.store(rests, Ordering::Relaxed);
    }

    /// Ends the writers; what they have written.
    pub(super) async fn end(self) -> Contents {
        self.stop.store(true, Ordering::Relaxed);
        let keys = join_all(self.writers).await.into_iter().flat_map(Result::unwrap).collect();
        Contents { bucket: self.bucket, keys }
    }
}

impl Writer {
    async fn run(mut self, pace: Duration) -> BTreeMap<String, Written> {
        let mut keys = BTreeMap::<String, Written>::new();
        // Those that may be overwritten.
        let mut settled: Vec<String> = Vec::new();
        let mut ticks = interval(pace);
        for value in 1.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            ticks.tick().await;
            if self.rests.load(Ordering::Relaxed) {
                continue;
            }
            let again = !settled.is_empty() && self.random.chance(OVERWRITES);
            let key = if again {
                settled.swap_remove(self.random.below(settled.len()))
            } else {
                format!("{}-{value}", self.name)
            };
            let written = keys.entry(key.clone()).or_default();
            if self.put(&key, value).await {
                written.acknowledged = Some(value);
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                settled.push(key);
            } else {
                written.doubtful = Some(value);
            }
        }
        keys
    }

    async fn put(&mut self, key: &str, value: u64) -> bool {
        let object = NewObject {
            body: body(value).into(),
            content_type: "text/plain".into(),
            ..NewObject::default()
        };
        let place = Place::new(self.bucket.as_str(), key);
        let client = self.random.pick(&self.clients);
        matches!(timeout(GIVEN_UP, client.put(&place, object)).await, Ok(Ok(())))
    }
}

/// Some values are large enough to be stored in chunks.
pub(super) fn body(value: u64) -> String {
    let padding = if value.is_multiple_of(9) { 40_000 } else { 100 };
    format!("{value} {}", "x".repeat(padding))
}

/// The keys of a bucket and what is known of each.
pub(super) struct Contents {
    pub(super) bucket: String,
    pub(super) keys: BTreeMap<String, Written>,
}

impl Contents {
    /// Keys with an acknowledged value.
    pub(super) fn acknowledged(&self) -> usize {
        self.keys.values().filter(|written| written.acknowledged.is_some()).count()
    }

    /// Reads every key from every one of `nodes` with the parameters; each must be found with its
    /// acknowledged value, or a later one. A node that cannot answer yet is asked again for a while.
    pub(super) async fn are_read_from(&self, nodes: &[String], parameters: &str) {
        let deadline = Instant::now() + PATIENCE;
        let of_node = |node| self.keys.iter().map(move |(key, written)| (node, key, written));
        let reads = nodes.iter().flat_map(of_node).map(|(node, key, written)| async move {
            let path = format!("/buckets/{}/keys/{key}{parameters}", self.bucket);
            loop {
                let answer = wire::get(node, &path).await.unwrap_or_default();
                let value = match answer.status {
                    200 => answer.text().split(' ').next().and_then(|value| value.parse().ok()),
                    404 => None,
                    status => {
                        let text = answer.text();
                        assert!(Instant::now() < deadline, "{path} of {node}: {status} {text}");
                        continue;
                    }
                };
                assert!(
                    written.allows(value),
                    "{path} of {node} is {value:?}, not as written: {written:?}"
                );
                if let Some(value) = value {
                    assert!(
                        answer.whole && answer.text() == body(value),
                        "{path} of {node} is cut"
                    );
                }
                return;
            }
        });
        let reads: Vec<_> = reads.collect();
        futures::stream::iter(reads).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    }

    /// Judges a list of all keys with their values: each once, none missing.
    #[track_caller]
    pub(super) fn are(&self, listed: &[(String, u64)], source: &str) {
        let mut found = BTreeMap::new();
        for (key, value) in listed {
            let twice = found.insert(key.as_str(), *value);
            assert!(twice.is_none(), "{key} is twice in {source}");
            assert!(self.keys.contains_key(key), "{key} was never written, but is in {source}");
        }
        for (key, written) in &self.keys {
            let value = found.get(key.as_str()).copied();
            assert!(
                written.allows(value),
                "{key} is {value:?} in {source}, not as written: {written:?}"
            );
        }
    }
}
