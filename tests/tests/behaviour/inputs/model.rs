//! What is stored, kept beside the cluster.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use mapring_client::Place;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use mapring_tests::harness::{Cluster, Exchange};

/// Terms of the index `w_bin`, in no order.
pub(super) const WORDS: [&str; 8] =
    ["elm", "ash", "birch", "Cedar", "fir", "birches", "0", "willow"];

/// Requests at once.
const AT_ONCE: usize = 16;

/// The terms of an object.
#[derive(Debug, Clone, Default)]
pub(super) struct Terms {
    /// Of the index `n_int`.
    pub(super) numbers: BTreeSet<i64>,
    /// Of the index `w_bin`.
    pub(super) words: BTreeSet<&'static str>,
}

/// A bucket.
pub(super) struct Model {
    pub(super) bucket: &'static str,
    pub(super) objects: BTreeMap<String, Terms>,
    /// Keys that were in use, now or once.
    known: Vec<String>,
    new_key: fn(&mut StdRng, usize) -> String,
    /// Whether a write adds a sibling. An object has the terms of all its siblings.
    siblings: bool,
}

/// A key of three tokens.
pub(super) fn place(random: &mut StdRng, number: usize) -> String {
    let city = ["oslo", "Oslo", "paris", "rome", "roma", "malmö"].choose(random).unwrap();
    format!("{city}-{}-{number:03}", random.random_range(1995..2015))
}

/// A key of any characters.
pub(super) fn odd(random: &mut StdRng, number: usize) -> String {
    let chars: Vec<char> = "ab/ +%&?=#;é漢\"\\~.".chars().collect();
    let more = (0..random.random_range(0..6)).map(|_| *chars.choose(random).unwrap());
    let more: String = more.collect();
    format!("{more}{number}")
}

/// Any node that runs.
pub(super) fn running(cluster: &Cluster, random: &mut StdRng) -> usize {
    let running = (0..cluster.nodes.len()).filter(|node| cluster.nodes[*node].is_running());
    *running.collect::<Vec<_>>().choose(random).unwrap()
}

/// A change of one object.
enum Change {
    Put(String, Terms),
    Delete(String),
}

impl Model {
    pub(super) fn of(bucket: &'static str, new_key: fn(&mut StdRng, usize) -> String) -> Self {
        let (objects, known, siblings) = (BTreeMap::new(), Vec::new(), false);
        Self { bucket, objects, known, new_key, siblings }
    }

    /// The same, for a bucket that keeps siblings.
    pub(super) fn with_siblings(self) -> Self {
        Self { siblings: true, ..self }
    }

    /// A key that is or was in use, or never was.
    pub(super) fn some_key(&self, random: &mut StdRng) -> String {
        if random.random_bool(0.2) {
            return (self.new_key)(random, 900);
        }
        self.known.choose(random).unwrap().clone()
    }

    /// A key that is in use.
    pub(super) fn present_key(&self, random: &mut StdRng) -> Option<String> {
        let keys: Vec<&String> = self.objects.keys().collect();
        keys.choose(random).map(|key| (*key).clone())
    }

    /// Stores new objects.
    pub(super) async fn grow(&mut self, cluster: &Cluster, random: &mut StdRng, count: usize) {
        let first = self.known.len();
        let keys: Vec<_> = (first..first + count).map(|n| (self.new_key)(random, n)).collect();
        self.known.extend(keys.clone());
        let changes = keys.into_iter().map(|key| Change::Put(key, terms(random))).collect();
        self.apply(cluster, random, changes).await;
    }

    /// Gives a third of all keys other terms or none, also keys whose objects are gone.
    pub(super) async fn overwrite_some(&mut self, cluster: &Cluster, random: &mut StdRng) {
        let keys = some(random, &self.known, 0.33);
        let changes = keys.into_iter().map(|key| Change::Put(key, terms(random))).collect();
        self.apply(cluster, random, changes).await;
    }

    /// Deletes a quarter of the objects.
    pub(super) async fn delete_some(&mut self, cluster: &Cluster, random: &mut StdRng) {
        let keys: Vec<String> = self.objects.keys().cloned().collect();
        let changes = some(random, &keys, 0.25).into_iter().map(Change::Delete).collect();
        self.apply(cluster, random, changes).await;
    }

    /// Makes the changes here and, by way of any node, there.
    async fn apply(&mut self, cluster: &Cluster, random: &mut StdRng, changes: Vec<Change>) {
        for change in &changes {
            match change {
                Change::Put(key, terms) if self.siblings => {
                    let object = self.objects.entry(key.clone()).or_default();
                    object.numbers.extend(&terms.numbers);
                    object.words.extend(&terms.words);
                }
                Change::Put(key, terms) => {
                    self.objects.insert(key.clone(), terms.clone());
                }
                Change::Delete(key) => {
                    self.objects.remove(key);
                }
            }
        }
        let changes: Vec<_> =
            changes.into_iter().map(|change| (change, running(cluster, random))).collect();
        let bucket = self.bucket;
        let changes = futures::stream::iter(changes).map(|(change, node)| async move {
            match change {
                Change::Put(key, terms) => put(cluster, node, bucket, key, terms).await,
                Change::Delete(key) => {
                    cluster.client(node).delete(&Place::new(bucket, key)).await.unwrap();
                }
            }
        });
        changes.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    }
}

async fn put(cluster: &Cluster, node: usize, bucket: &str, key: String, terms: Terms) {
    let numbers: Vec<String> = terms.numbers.iter().map(i64::to_string).collect();
    let words: Vec<&str> = terms.words.iter().copied().collect();
    let mut headers = vec!["Content-Type: text/plain".to_owned()];
    if !numbers.is_empty() {
        headers.push(format!("X-Riak-Index-n_int: {}", numbers.join(", ")));
    }
    // Several values may also be several headers.
    headers.extend(words.iter().map(|word| format!("x-riak-index-w_bin: {word}")));
    let path = Place::new(bucket, key.clone()).path();
    let node = &cluster.nodes[node];
    let answer = Exchange::with_headers(node, "PUT", &path, &headers, &key).await.answer().await;
    assert_eq!(answer.0, 204, "{key:?}: {}", answer.1);
}

fn terms(random: &mut StdRng) -> Terms {
    let numbers = (0..random.random_range(0..4)).map(|_| random.random_range(-20..20));
    let numbers = numbers.collect();
    let count = random.random_range(0..4);
    let words = WORDS.choose_multiple(random, count);
    Terms { numbers, words: words.copied().collect() }
}

fn some(random: &mut StdRng, keys: &[String], part: f64) -> Vec<String> {
    keys.iter().filter(|_| random.random_bool(part)).cloned().collect()
}
