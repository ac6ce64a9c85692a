//! A cluster to test with.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use mapring_cluster::fixed::{FixedCluster, FixedGroup, Spread};
use mapring_cluster::{Change, Cluster};
use mapring_engine::intercept::{Call, Intercept, Intercepted};
use mapring_engine::memory::MemoryEngine;
use mapring_engine::sled::{SledConfig, SledEngine};
use mapring_engine::{Durability, Engine, IndexChange, StoreKey};
use mapring_kv::executor::{Executor, Inline, ThreadPool};
use mapring_kv::{DeleteOptions, GetOptions, Kv, KvConfig, KvParts, NewValue, PutOptions};
use mapring_net::simulated::{Fate, Network};
use mapring_net::{Class, FrameStream, Method, Peer, Services, Transport};
use mapring_ring::RingSize;
use mapring_types::env::{SystemClock, SystemEntropy};
use mapring_types::props::PropChanges;
use mapring_types::{
    BucketId, Clock, Entropy, Error, ErrorKind, Metadata, NodeId, Object, ObjectId, Quorum, Record,
    Releases, Result, VersionVector,
};
use parking_lot::{Condvar, Mutex};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Simulated time as a wall clock, which can be set back.
pub(crate) struct TestClock {
    began: Instant,
    back_micros: AtomicU64,
}

impl Clock for TestClock {
    fn now_micros(&self) -> u64 {
        let now = 1_700_000_000_000_000 + self.began.elapsed().as_micros() as u64;
        now - self.back_micros.load(Ordering::Relaxed)
    }
}

pub(crate) struct TestEntropy(Mutex<StdRng>);

impl Entropy for TestEntropy {
    fn next_u64(&self) -> u64 {
        self.0.lock().next_u64()
    }
}

pub(crate) struct TestNode {
    pub(crate) id: NodeId,
    pub(crate) cluster: Arc<FixedCluster>,
    pub(crate) engine: Arc<MemoryEngine>,
    kv: Option<Kv>,
    alive: Arc<AtomicBool>,
}

/// The engine of one life of a node: what its tasks still try after the node was killed comes to
/// nothing, as if the process had ended.
struct MortalEngine {
    alive: Arc<AtomicBool>,
    medium: Arc<Medium>,
}

/// As [`MortalEngine`], the transport.
struct MortalTransport {
    inner: Arc<dyn Transport>,
    alive: Arc<AtomicBool>,
    /// The bytes of the largest message.
    largest: Arc<AtomicUsize>,
}

/// What engines read from.
#[derive(Default)]
pub(crate) struct Medium {
    stands_still: Mutex<bool>,
    changed: Condvar,
    /// How many writes it takes before it fails, where it does.
    writes_left: Mutex<Option<usize>>,
    /// Whether what writes ask for beside them, that they be on disk, is refused.
    refuses_fsyncs: AtomicBool,
}

impl Medium {
    /// Has reads wait, or end.
    pub(crate) fn stand_still(&self, stands_still: bool) {
        *self.stands_still.lock() = stands_still;
        self.changed.notify_all();
    }

    /// Has writes fail after so many, or all succeed.
    pub(crate) fn fail_after(&self, writes: Option<usize>) {
        *self.writes_left.lock() = writes;
    }

    /// Has fsyncs that writes ask for be refused, as if there were too many, or not.
    pub(crate) fn refuse_fsyncs(&self, refused: bool) {
        self.refuses_fsyncs.store(refused, Ordering::Relaxed);
    }

    fn fsync(&self) -> Result<()> {
        if self.refuses_fsyncs.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Overloaded, "too many fsyncs wait"));
        }
        Ok(())
    }

    fn write(&self) -> Result<()> {
        match &mut *self.writes_left.lock() {
            Some(0) => Err(Error::new(ErrorKind::Storage, "the medium is full")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn ready(&self) {
        self.changed.wait_while(&mut self.stands_still.lock(), |stands_still| *stands_still);
    }
}

fn check(alive: &AtomicBool) -> Result<()> {
    if alive.load(Ordering::Relaxed) {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::Storage, "the node is dead"))
    }
}

impl Intercept for MortalEngine {
    fn before(&self, call: Call<'_>) -> Result<()> {
        match call {
            Call::Vnodes => return Ok(()),
            Call::Read => self.medium.ready(),
            Call::Put { .. } | Call::Delete { .. } | Call::SetMeta => self.medium.write()?,
            Call::SyncDisk => self.medium.fsync()?,
            _ => {}
        }
        check(&self.alive)
    }
}

#[async_trait]
impl Transport for MortalTransport {
    async fn call(
        &self,
        to: &Peer,
        class: Class,
        method: Method,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes> {
        if check(&self.alive).is_err() {
            return std::future::pending().await;
        }
        self.largest.fetch_max(body.len(), Ordering::Relaxed);
        let answer = self.inner.call(to, class, method, body, timeout).await;
        let length = answer.as_ref().map_or(0, Bytes::len);
        self.largest.fetch_max(length, Ordering::Relaxed);
        if check(&self.alive).is_err() { std::future::pending().await } else { answer }
    }

    async fn open(
        &self,
        to: &Peer,
        class: Class,
        method: Method,
        body: Bytes,
        timeout: Duration,
    ) -> Result<FrameStream> {
        check(&self.alive)?;
        self.inner.open(to, class, method, body, timeout).await
    }
}

pub(crate) struct TestCluster {
    pub(crate) network: Arc<Network>,
    pub(crate) nodes: Vec<TestNode>,
    cut: Arc<Mutex<BTreeSet<(NodeId, NodeId)>>>,
    silent: Arc<Mutex<BTreeSet<NodeId>>>,
    lost: Arc<Mutex<BTreeSet<(NodeId, NodeId)>>>,
    running: Arc<Mutex<BTreeSet<NodeId>>>,
    clock: Arc<TestClock>,
    seed: u64,
    config: KvConfig,
    pub(crate) medium: Arc<Medium>,
    largest: Arc<AtomicUsize>,
}

impl TestCluster {
    pub(crate) async fn start(nodes: u64, partitions: u16) -> Self {
        let config = KvConfig { reap_after: None, ..KvConfig::default() };
        Self::start_with(nodes, partitions, 1, config).await
    }

    pub(crate) async fn start_with(
        nodes: u64,
        partitions: u16,
        seed: u64,
        config: KvConfig,
    ) -> Self {
        let ring = RingSize::new(partitions).unwrap();
        Self::start_on(FixedGroup::start(nodes, ring), seed, config).await
    }

    /// A cluster whose members tell that they know these releases.
    pub(crate) async fn start_told(nodes: u64, releases: Option<Releases>) -> Self {
        let ring = RingSize::new(16).unwrap();
        let handles = FixedGroup::start_told(nodes, ring, Spread::AtOnce, releases);
        Self::start_on(handles, 1, KvConfig::default()).await
    }

    async fn start_on(handles: Vec<Arc<FixedCluster>>, seed: u64, config: KvConfig) -> Self {
        let network = Network::new();
        let cut: Arc<Mutex<BTreeSet<(NodeId, NodeId)>>> = Arc::default();
        let silent: Arc<Mutex<BTreeSet<NodeId>>> = Arc::default();
        let lost: Arc<Mutex<BTreeSet<(NodeId, NodeId)>>> = Arc::default();
        let (cuts, quiet, losses) = (cut.clone(), silent.clone(), lost.clone());
        network.set_weather(Box::new(move |from, to| {
            let lost = losses.lock().contains(&(from, to));
            if lost || quiet.lock().contains(&from) || quiet.lock().contains(&to) {
                Fate::Lose
            } else if cuts.lock().contains(&(from, to)) {
                Fate::Refuse
            } else {
                Fate::Deliver(Duration::from_micros(100))
            }
        }));
        let nodes = handles.into_iter().map(|cluster| TestNode {
            id: cluster.view().me,
            cluster,
            engine: Arc::new(MemoryEngine::new()),
            kv: None,
            alive: Arc::default(),
        });
        let clock = Arc::new(TestClock { began: Instant::now(), back_micros: AtomicU64::new(0) });
        let nodes: Vec<TestNode> = nodes.collect();
        let running: Arc<Mutex<BTreeSet<NodeId>>> = Arc::default();
        let (medium, largest) = (Arc::default(), Arc::default());
        let mut this = Self {
            network,
            nodes,
            cut,
            silent,
            lost,
            running,
            clock,
            seed,
            config,
            medium,
            largest,
        };
        this.gossip();
        for at in 0..this.nodes.len() {
            this.open(at).await;
        }
        this.seal().await;
        for at in 0..this.nodes.len() {
            this.kv(at).proven().await;
        }
        this
    }

    /// Every now and then everybody finds out who is up after all: a call that was under way when a
    /// node came back may have reported it down.
    fn gossip(&self) {
        let handles: Vec<_> = self.nodes.iter().map(|node| node.cluster.clone()).collect();
        let (cut, silent) = (self.cut.clone(), self.silent.clone());
        let running = Arc::downgrade(&self.running);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(10)).await;
                let Some(running) = running.upgrade() else { return };
                for handle in &handles {
                    let view = handle.view();
                    let heard = |node: &NodeId| {
                        let unheard = cut.lock().contains(&(*node, view.me))
                            || silent.lock().contains(node)
                            || silent.lock().contains(&view.me);
                        running.lock().contains(node) && !unheard
                    };
                    let known = running.lock().clone();
                    for node in known.into_iter().filter(heard) {
                        handle.report(node, true);
                    }
                }
            }
        });
    }

    async fn seal(&self) {
        self.nodes[0].cluster.propose(Change::Seal).await.unwrap();
    }

    async fn open(&mut self, at: usize) {
        self.open_with(at, Arc::new(Inline)).await;
    }

    /// Replaces a node's store by one that works on another executor.
    pub(crate) async fn reopen_with(&mut self, at: usize, executor: impl Executor) {
        self.kill(at);
        self.open_with(at, Arc::new(executor)).await;
    }

    async fn open_with(&mut self, at: usize, executor: Arc<dyn Executor>) {
        self.try_open_with(at, executor).await.unwrap();
    }

    /// As [`TestCluster::restart`]; gives what keeps the store from being opened.
    pub(crate) async fn try_restart(&mut self, at: usize) -> Result<()> {
        self.try_open_with(at, Arc::new(Inline)).await?;
        self.all_see_all();
        Ok(())
    }

    async fn try_open_with(&mut self, at: usize, executor: Arc<dyn Executor>) -> Result<()> {
        self.seed += 1;
        let alive = Arc::new(AtomicBool::new(true));
        self.nodes[at].alive = alive.clone();
        let node = &self.nodes[at];
        let transport = self.network.transport(node.id);
        let parts = KvParts {
            workers: mapring_background::Workers::default(),
            cluster: node.cluster.clone(),
            engine: Arc::new(Intercepted::new(
                node.engine.clone(),
                MortalEngine { alive: alive.clone(), medium: self.medium.clone() },
            )),
            transport: Arc::new(MortalTransport {
                inner: transport,
                alive,
                largest: self.largest.clone(),
            }),
            clock: self.clock.clone(),
            entropy: Arc::new(TestEntropy(Mutex::new(StdRng::seed_from_u64(self.seed)))),
            executor,
            config: self.config,
        };
        let kv = Kv::open(parts).await?;
        self.network.connect(node.id, Services::new([(mapring_kv::SERVICE, kv.service())]));
        self.nodes[at].kv = Some(kv);
        self.running.lock().insert(self.nodes[at].id);
        Ok(())
    }

    pub(crate) fn kv(&self, at: usize) -> &Kv {
        self.nodes[at].kv.as_ref().unwrap()
    }

    pub(crate) fn id(&self, at: usize) -> NodeId {
        self.nodes[at].id
    }

    /// Ends a node without warning: its calls are refused from now on; the others find out.
    pub(crate) fn kill(&mut self, at: usize) {
        self.network.disconnect(self.nodes[at].id);
        self.nodes[at].alive.store(false, Ordering::Relaxed);
        self.running.lock().remove(&self.nodes[at].id);
        self.nodes[at].kv = None;
    }

    /// A node takes the place of another, which runs on. All know it at once.
    pub(crate) async fn replace(&mut self, at: usize, id: NodeId) {
        let old = self.id(at);
        let cluster = self.nodes[at].cluster.newcomer(id);
        let (engine, alive) = (Arc::new(MemoryEngine::new()), Arc::default());
        self.nodes.push(TestNode { id, cluster, engine, kv: None, alive });
        let member = FixedGroup::member(&format!("n{}", old.0), id);
        let change = Change::Join { id, member, replaces: Some(old) };
        self.nodes[0].cluster.propose(change).await.unwrap();
        self.open(self.nodes.len() - 1).await;
        self.all_see_all();
    }

    /// Starts a killed node again on its data; all see it up.
    pub(crate) async fn restart(&mut self, at: usize) {
        self.open(at).await;
        self.all_see_all();
        // It has asked the others, as far as they answer, how far its data was.
        self.kv(at).proven().await;
    }

    /// The bytes of the largest message since the last call.
    pub(crate) fn largest_message(&self) -> usize {
        self.largest.swap(0, Ordering::Relaxed)
    }

    /// Sets the clock of all nodes back.
    pub(crate) fn set_clock_back(&self, by: Duration) {
        self.clock.back_micros.fetch_add(by.as_micros() as u64, Ordering::Relaxed);
    }

    /// Takes all that a killed node has stored.
    pub(crate) fn empty(&mut self, at: usize) {
        assert!(self.nodes[at].kv.is_none());
        self.nodes[at].engine = Arc::new(MemoryEngine::new());
    }

    /// What a node has stored, as a copy of its files would have it.
    pub(crate) fn copy(&self, at: usize) -> MemoryEngine {
        self.nodes[at].engine.copy().unwrap()
    }

    /// Puts a copy in place of what a killed node has stored.
    pub(crate) fn put_back(&mut self, at: usize, copy: MemoryEngine) {
        assert!(self.nodes[at].kv.is_none());
        self.nodes[at].engine = Arc::new(copy);
    }

    /// Whether a node counts as one that has lost data.
    pub(crate) fn incomplete(&self, at: usize) -> bool {
        self.nodes[0].cluster.view().state.members[&self.id(at)].incomplete
    }

    /// How often a node was found to have lost data.
    pub(crate) fn losses(&self, at: usize) -> u64 {
        self.nodes[0].cluster.view().state.members[&self.id(at)].losses
    }

    /// Has a node stop in good order.
    pub(crate) async fn stop(&mut self, at: usize) {
        self.kv(at).shutdown().await.unwrap();
        self.kill(at);
    }

    /// Everybody takes everybody for up.
    pub(crate) fn all_see_all(&self) {
        let running = self.running.lock().clone();
        for node in &self.nodes {
            node.cluster.set_up(running.clone());
        }
    }

    /// Lets no message pass between the two groups; calls are refused.
    pub(crate) fn partition(&self, left: &[usize], right: &[usize]) {
        let mut cut = self.cut.lock();
        for &a in left {
            for &b in right {
                cut.insert((self.id(a), self.id(b)));
                cut.insert((self.id(b), self.id(a)));
            }
        }
    }

    /// A node neither gets nor gives any message, and nobody is told.
    pub(crate) fn pause(&self, at: usize) {
        self.silent.lock().insert(self.id(at));
    }

    /// Loses every message from one node to another.
    pub(crate) fn lose(&self, from: usize, to: usize) {
        self.lost.lock().insert((self.id(from), self.id(to)));
    }

    /// All messages pass again, and all see all.
    pub(crate) fn heal(&self) {
        self.cut.lock().clear();
        self.silent.lock().clear();
        self.lost.lock().clear();
        self.all_see_all();
    }

    pub(crate) async fn set_props(&self, bucket: &BucketId, props: Value) {
        let changes = PropChanges(props.as_object().unwrap().clone());
        let change = Change::SetBucket { bucket: bucket.clone(), changes };
        self.nodes[0].cluster.propose(change).await.unwrap();
    }

    /// The record of each primary, by what lies in its node's engine.
    pub(crate) fn stored(&self, id: &ObjectId) -> Vec<Option<Object>> {
        let view = self.nodes[0].cluster.view();
        let n_val = view.props(&id.bucket).unwrap().n_val;
        let list = view.preference_list(&id.bucket, &id.key, n_val);
        list.primaries.iter().map(|entry| self.stored_at(entry.node, entry.vnode.0, id)).collect()
    }

    pub(crate) fn stored_at(&self, node: NodeId, vnode: u16, id: &ObjectId) -> Option<Object> {
        let view = self.nodes[0].cluster.view();
        let home = mapring_ring::hash::home(view.plan().ring_size(), &id.bucket, &id.key);
        let place = StoreKey { home: home.0, id: id.clone() };
        let node = self.nodes.iter().find(|n| n.id == node).unwrap();
        node.engine.get(vnode, &place).unwrap().map(|record| record.decode().unwrap())
    }

    /// Gives an object to one replica behind everybody's back.
    pub(crate) fn store_at(&self, node: NodeId, vnode: u16, id: &ObjectId, object: &Object) {
        let view = self.nodes[0].cluster.view();
        let home = mapring_ring::hash::home(view.plan().ring_size(), &id.bucket, &id.key);
        let place = StoreKey { home: home.0, id: id.clone() };
        let change = IndexChange::between(self.stored_at(node, vnode, id).as_ref(), Some(object));
        let node = self.nodes.iter().find(|n| n.id == node).unwrap();
        node.engine.put(vnode, &place, &Record::encode(object), &change).unwrap();
    }

    /// Takes an object from one replica behind everybody's back.
    pub(crate) fn forget(&self, node: NodeId, vnode: u16, id: &ObjectId) {
        let view = self.nodes[0].cluster.view();
        let home = mapring_ring::hash::home(view.plan().ring_size(), &id.bucket, &id.key);
        let place = StoreKey { home: home.0, id: id.clone() };
        let change = IndexChange::between(self.stored_at(node, vnode, id).as_ref(), None);
        let node = self.nodes.iter().find(|n| n.id == node).unwrap();
        node.engine.delete(vnode, &place, &change.remove).unwrap();
    }

    /// Whether all primaries hold the same.
    pub(crate) fn converged(&self, id: &ObjectId) -> bool {
        let stored = self.stored(id);
        stored[0].is_some() && stored.iter().all(|object| *object == stored[0])
    }

    /// A key of `bucket` for which `holds` is true of the nodes of its primaries.
    pub(crate) fn key_where(
        &self,
        bucket: &BucketId,
        holds: impl Fn(&[NodeId]) -> bool,
    ) -> ObjectId {
        let id = |n: u32| ObjectId::new(bucket.clone(), format!("key-{n}"));
        let nodes = |id: &ObjectId| -> Vec<NodeId> {
            let list = self.kv(0).preference(id).unwrap();
            list.primaries.iter().map(|entry| entry.node).collect()
        };
        (0..10_000).map(id).find(|id| holds(&nodes(id))).unwrap()
    }

    pub(crate) async fn list_keys(&self, at: usize, bucket: &BucketId) -> Result<Vec<String>> {
        let pages = self.kv(at).list_keys(bucket.clone(), Duration::from_secs(60));
        let pages: Vec<_> = pages.try_collect().await?;
        let mut keys: Vec<String> =
            pages.concat().iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
        keys.sort();
        Ok(keys)
    }
}

pub(crate) fn bucket() -> BucketId {
    BucketId::untyped("b")
}

pub(crate) fn key(text: impl Into<String>) -> ObjectId {
    ObjectId::new(bucket(), text.into())
}

pub(crate) fn value(text: impl Into<String>) -> NewValue {
    let metadata = Metadata { content_type: "text/plain".into(), ..Metadata::default() };
    NewValue { metadata, body: text.into().into(), deleted: false }
}

pub(crate) fn bodies(object: &Object) -> Vec<String> {
    let text = |sibling: &mapring_types::Sibling| {
        if sibling.deleted {
            "(deleted)".to_owned()
        } else {
            String::from_utf8_lossy(&sibling.body).into_owned()
        }
    };
    let mut bodies: Vec<String> = object.siblings.iter().map(text).collect();
    bodies.sort();
    bodies
}

pub(crate) async fn put(kv: &Kv, id: &ObjectId, text: &str) -> Object {
    kv.put(id, None, value(text), &PutOptions::default()).await.unwrap()
}

pub(crate) async fn put_over(
    kv: &Kv,
    id: &ObjectId,
    context: &VersionVector,
    text: &str,
) -> Object {
    kv.put(id, Some(context.clone()), value(text), &PutOptions::default()).await.unwrap()
}

pub(crate) async fn get(kv: &Kv, id: &ObjectId) -> Vec<String> {
    let object = kv.get(id, &GetOptions::default()).await.unwrap();
    object.map_or_else(Vec::new, |object| bodies(&object))
}

pub(crate) async fn delete(kv: &Kv, id: &ObjectId) -> bool {
    kv.delete(id, None, &DeleteOptions::default()).await.unwrap()
}

pub(crate) fn r(r: Quorum) -> GetOptions {
    GetOptions { r, ..GetOptions::default() }
}

pub(crate) fn siblings() -> Value {
    json!({"allow_mult": true})
}

/// Waits in simulated time until something holds.
#[track_caller]
pub(crate) fn eventually<'a>(
    what: &'a str,
    mut holds: impl FnMut() -> bool + 'a,
) -> impl Future<Output = ()> + 'a {
    let at = std::panic::Location::caller();
    async move {
        for _ in 0..10_000 {
            if holds() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{at}: never: {what}");
    }
}

/// The metadata of a node alone.
pub(crate) fn alone() -> Arc<FixedCluster> {
    FixedGroup::start(1, RingSize::new(8).unwrap()).remove(0)
}

/// A node alone, on sled and threads.
pub(crate) async fn on_sled(cluster: &Arc<FixedCluster>, dir: &std::path::Path) -> Kv {
    let config = SledConfig { durability: Durability::Process, ..SledConfig::default() };
    let kv = Kv::open(KvParts {
        workers: mapring_background::Workers::default(),
        cluster: cluster.clone(),
        engine: Arc::new(SledEngine::open(dir, config).unwrap()),
        transport: Network::new().transport(NodeId(1)),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        executor: Arc::new(ThreadPool::start("test", 2, 1_000).unwrap()),
        config: KvConfig::default(),
    })
    .await
    .unwrap();
    kv.proven().await;
    kv
}
