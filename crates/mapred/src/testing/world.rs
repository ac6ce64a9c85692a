//! Three nodes with a store in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use mapring_cluster::fixed::{FixedCluster, FixedGroup, Spread};
use mapring_cluster::{Change, Cluster, View};
use mapring_engine::ScanDepth;
use mapring_kv::executor::Inline;
use mapring_kv::{BodySizes, Cursor, FoldRequest, Item, NewValue, OpenObject, Page};
use mapring_net::Services;
use mapring_net::simulated::Network;
use mapring_ring::{Coverage, CoverageEntry, Partition, RingSize, hash};
use mapring_script::Row;
use mapring_types::clock::{ActorId, Dot};
use mapring_types::{
    BucketId, Entropy, Error, ErrorKind, Link, Metadata, NodeId, Object, ObjectId, Record,
    Releases, Result, Sibling, VersionVector, props,
};
use parking_lot::Mutex;

use super::workers::{TestWorkers, Watch};
use crate::config::MapredConfig;
use crate::earlier::EarlierJobs;
use crate::failure::Failure;
use crate::grammar;
use crate::job::JobOptions;
use crate::objects::{LargeBody, ObjectWrite, Objects};
use crate::query::Engine;
use crate::results::{PhaseResults, Results, Started};

/// What all vnodes hold, by vnode and home.
#[derive(Default)]
pub(crate) struct Store {
    slices: BTreeMap<(Partition, Partition), BTreeMap<ObjectId, Record>>,
    /// Reads of these vnodes fail.
    pub(super) broken: BTreeSet<Partition>,
    /// These vnodes are known to have missed writes.
    pub(super) stale: BTreeSet<Partition>,
    /// Folds hand out so many objects at once.
    pub(super) page: usize,
    /// Writes of objects with these keys fail so often, with this kind of error.
    pub(crate) failing_writes: BTreeMap<String, (u32, ErrorKind)>,
    /// Bodies of more bytes are uploaded.
    pub(super) whole_bytes: Option<usize>,
    /// How many were.
    pub(super) uploaded: u64,
    /// Keys of objects that were written or deleted, in order.
    pub(crate) written: Vec<(String, Option<String>)>,
}

/// A small cluster.
pub(super) struct World {
    pub(super) network: Arc<Network>,
    pub(super) clusters: Vec<Arc<FixedCluster>>,
    pub(super) engines: Vec<Arc<Engine>>,
    pub(super) store: Arc<Mutex<Store>>,
    pub(super) watch: Arc<Watch>,
}

struct TestObjects {
    cluster: Arc<FixedCluster>,
    store: Arc<Mutex<Store>>,
}

/// A store by itself.
pub(crate) fn store() -> (Arc<dyn Objects>, Arc<Mutex<Store>>) {
    let mut clusters = FixedGroup::start(3, RingSize::new(16).unwrap());
    let store = Arc::new(Mutex::new(Store { page: 10, ..Store::default() }));
    (Arc::new(TestObjects { cluster: clusters.remove(0), store: store.clone() }), store)
}

/// A generator that gives the same numbers in every run (splitmix64).
pub(super) struct Seeded(pub(super) AtomicU64);

impl Entropy for Seeded {
    fn next_u64(&self) -> u64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Store {
    /// Puts another object in place of one.
    pub(super) fn replace(&mut self, view: &View, bucket: &str, key: &str, object: &Object) {
        let id = ObjectId::new(BucketId::untyped(bucket.to_owned()), key.to_owned());
        self.place(view, &id, Some(object), |_| true);
    }

    /// Puts an object on replicas of it, or removes it there.
    fn place(
        &mut self,
        view: &View,
        id: &ObjectId,
        object: Option<&Object>,
        on: impl Fn(u16) -> bool,
    ) {
        let home = hash::home(view.plan().ring_size(), &id.bucket, &id.key);
        let n_val = view.props(&id.bucket).map_or(3, |props| props.n_val);
        let replicas = (0..).zip(view.plan().replicas(home).first(n_val));
        for (_, vnode) in replicas.filter(|(replica, _)| on(*replica)) {
            let slice = self.slices.entry((vnode, home)).or_default();
            match object {
                Some(object) => drop(slice.insert(id.clone(), Record::encode(object))),
                None => drop(slice.remove(id)),
            }
        }
    }
}

impl World {
    pub(super) fn new() -> Self {
        // Small pages, so that units are lost in the middle.
        Self::with(MapredConfig { page_inputs: 7, ..MapredConfig::default() })
    }

    pub(super) fn with(config: MapredConfig) -> Self {
        Self::of(3, config)
    }

    /// Of so many nodes.
    pub(super) fn of(nodes: u64, config: MapredConfig) -> Self {
        Self::on(FixedGroup::start(nodes, RingSize::new(16).unwrap()), config)
    }

    /// Whose members tell that they know these releases.
    pub(super) fn told(releases: Option<Releases>) -> Self {
        let ring = RingSize::new(16).unwrap();
        let clusters = FixedGroup::start_told(3, ring, Spread::AtOnce, releases);
        Self::on(clusters, MapredConfig::default())
    }

    fn on(clusters: Vec<Arc<FixedCluster>>, config: MapredConfig) -> Self {
        let network = Network::new();
        let store = Arc::new(Mutex::new(Store { page: 10, ..Store::default() }));
        let watch = Arc::new(Watch::default());
        let mut engines = Vec::new();
        for cluster in &clusters {
            let me = cluster.view().me;
            let objects = TestObjects { cluster: cluster.clone(), store: store.clone() };
            let engine = Arc::new(Engine::new(
                Arc::new(objects),
                cluster.clone(),
                network.transport(me),
                Arc::new(TestWorkers(watch.clone())),
                Arc::new(Inline),
                Arc::new(Seeded(AtomicU64::new(me.0))),
                config.clone(),
            ));
            network.connect(me, Services::new([(crate::SERVICE, engine.service())]));
            engines.push(engine);
        }
        Self { network, clusters, engines, store, watch }
    }

    /// Stores an object on all of its replicas.
    pub(super) fn put(&self, bucket: &BucketId, key: &str, body: &str) {
        self.put_object(bucket, key, &object(body, &[], false), |_| true);
    }

    pub(super) fn put_object(
        &self,
        bucket: &BucketId,
        key: &str,
        object: &Object,
        on: impl Fn(u16) -> bool,
    ) {
        let id = ObjectId::new(bucket.clone(), Bytes::copy_from_slice(key.as_bytes()));
        self.store.lock().place(&self.clusters[0].view(), &id, Some(object), on);
    }

    /// What is stored in a bucket: content types and values by key.
    pub(super) fn stored(&self, bucket: &str) -> BTreeMap<String, (String, String)> {
        let store = self.store.lock();
        let all = store.slices.values().flatten();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        all.filter(|(id, _)| id.bucket == BucketId::untyped(bucket.to_owned()))
            .map(|(id, record)| {
                let sibling = record.decode().unwrap().siblings.remove(0);
                (text(&id.key), (sibling.metadata.content_type, text(&sibling.body)))
            })
            .collect()
    }

    /// Stores `k0`, `k1`, … with their numbers as bodies.
    pub(super) fn fill(&self, bucket: &BucketId, count: u64) {
        for number in 0..count {
            self.put(bucket, &format!("k{number}"), &number.to_string());
        }
    }

    pub(super) async fn set_n_val(&self, bucket: &BucketId, n_val: u32) {
        let changes = props::check(serde_json::json!({"n_val": n_val}).as_object().unwrap());
        let change = Change::SetBucket { bucket: bucket.clone(), changes: changes.unwrap() };
        self.clusters[0].propose(change).await.unwrap();
    }

    /// Has all nodes know what jobs have given.
    pub(super) fn know_jobs(&self, jobs: &Arc<dyn EarlierJobs>) {
        for engine in &self.engines {
            let known = engine.node.earlier.set(jobs.clone());
            assert!(known.is_ok(), "they are known already");
        }
    }

    /// Starts a query on a node, counted from 0.
    pub(super) fn start(&self, node: usize, inputs: &str, query: &str, more: &str) -> Results {
        let body = format!(r#"{{"inputs":{inputs},"query":{query}{more}}}"#);
        let query = grammar::parse(body.as_bytes()).unwrap_or_else(|refused| panic!("{refused:?}"));
        self.engines[node].start(query).unwrap().results
    }

    /// Starts a query as a job on a node.
    pub(super) fn start_job(
        &self,
        node: usize,
        inputs: &str,
        query: &str,
        more: &str,
        options: JobOptions,
    ) -> Started {
        let body = format!(r#"{{"inputs":{inputs},"query":{query}{more}}}"#);
        let query = grammar::parse(body.as_bytes()).unwrap_or_else(|refused| panic!("{refused:?}"));
        self.engines[node].start_job(query, options).unwrap()
    }

    /// Runs a query and gives the results of each kept phase.
    pub(super) async fn run(
        &self,
        node: usize,
        inputs: &str,
        query: &str,
    ) -> Result<BTreeMap<usize, Vec<String>>, Failure> {
        gather(self.start(node, inputs, query, "")).await
    }

    /// Cuts a node off from the others, for them and for itself.
    pub(super) fn kill(&self, node: NodeId) {
        self.network.disconnect(node);
    }
}

/// All results by phase.
pub(super) async fn gather(mut results: Results) -> Result<BTreeMap<usize, Vec<String>>, Failure> {
    let mut found: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    while let Some(results) = results.next().await {
        let PhaseResults { phase, values, .. } = results?;
        assert!(!values.is_empty());
        found.entry(phase).or_default().extend(values.into_iter().map(Row::into_text));
    }
    Ok(found)
}

pub(super) fn object(body: &str, links: &[(&str, &str, &str)], deleted: bool) -> Object {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let link = |(bucket, key, tag): &(&str, &str, &str)| Link {
        bucket: bytes(bucket),
        key: bytes(key),
        tag: bytes(tag),
    };
    let mut object = Object::default();
    let sibling = Sibling {
        dot: Dot { actor: ActorId(1), counter: 1 },
        last_modified: 1,
        deleted,
        metadata: Metadata { links: links.iter().map(link).collect(), ..Metadata::default() },
        body: bytes(body),
    };
    object.update(&VersionVector::new(), sibling);
    object
}

/// A large body, which lies in the store as any other once it is finished.
struct TestUpload {
    objects: TestObjects,
    write: ObjectWrite,
    body: Vec<u8>,
}

#[async_trait]
impl LargeBody for TestUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.body.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        let Self { objects, mut write, body } = *self;
        write.value.as_mut().unwrap().body = body.into();
        objects.write(&write, Duration::from_secs(1)).await?;
        objects.store.lock().uploaded += 1;
        Ok(())
    }
}

#[async_trait]
impl Objects for TestObjects {
    async fn coverage(&self, n_val: u32, without: &BTreeSet<NodeId>) -> Result<Coverage> {
        let view = self.cluster.view();
        let stale = self.store.lock().stale.clone();
        let fit = |entry: CoverageEntry| {
            view.is_up(entry.node)
                && !without.contains(&entry.node)
                && !stale.contains(&entry.vnode)
        };
        Coverage::new(view.plan(), n_val, 0, fit).map_err(|missing| {
            Error::unavailable(format!("no complete replica of partitions {missing:?}"))
        })
    }

    async fn fold_page(&self, request: FoldRequest) -> Result<Page> {
        let store = self.store.lock();
        if store.broken.contains(&request.vnode) {
            return Err(Error::corrupt(format!("vnode {} is damaged", request.vnode)));
        }
        let Some(objects) = store.slices.get(&(request.vnode, request.home)) else {
            return Ok(Page::default());
        };
        let cursor = |id: &ObjectId| Cursor::new(id.key.clone());
        let keep = request.keep.unwrap_or_else(|| Arc::new(|_| Ok(true)));
        // An error of the test is met whatever it is for.
        objects.keys().try_for_each(|id| keep(&id.key).map(drop))?;
        let rest = objects
            .iter()
            .filter(|(id, _)| id.bucket == request.bucket && matches!(keep(&id.key), Ok(true)))
            .filter(|(id, _)| request.after.as_ref().is_none_or(|after| cursor(id) > *after))
            .map(|(id, record)| {
                let heads = request.depth == ScanDepth::Heads;
                let body = if heads { Bytes::new() } else { record.body.clone() };
                let record = Record { head: record.head.clone(), body };
                Item { cursor: cursor(id), id: id.clone(), record }
            });
        let most = request.most.min(store.page);
        let mut items: Vec<_> = rest.take(most).collect();
        let full = items.len() == most;
        let next = items.last().filter(|_| full).map(|item| item.cursor.clone());
        let looked_at = items.len() as u64;
        let read_bytes = items.iter().map(|item| item.record.len() as u64).sum();
        if let Some(refine) = request.refine {
            for Item { cursor, id, record } in std::mem::take(&mut items) {
                let record = refine(&id, None, record)?;
                items.extend(record.map(|record| Item { cursor, id, record }));
            }
        }
        Ok(Page { items, next, looked_at, read_bytes })
    }

    async fn read_local(
        &self,
        places: Vec<(Partition, ObjectId)>,
        _most_bytes: usize,
    ) -> Result<Vec<Option<Record>>> {
        let store = self.store.lock();
        if let Some((vnode, _)) = places.iter().find(|(vnode, _)| store.broken.contains(vnode)) {
            return Err(Error::corrupt(format!("vnode {vnode} is damaged")));
        }
        let size = self.cluster.view().plan().ring_size();
        let read = |(vnode, id): &(Partition, ObjectId)| {
            let home = hash::home(size, &id.bucket, &id.key);
            store.slices.get(&(*vnode, home))?.get(id).cloned()
        };
        // Fewer than asked for, as the real store may give.
        Ok(places.iter().take(3).map(read).collect())
    }

    async fn read_other_primaries(
        &self,
        _vnode: Partition,
        id: &ObjectId,
    ) -> Result<Option<Record>> {
        let store = self.store.lock();
        Ok(store.slices.values().find_map(|slice| slice.get(id)).cloned())
    }

    async fn read_quorum(&self, id: &ObjectId) -> Result<Option<Object>> {
        let found = self.read_other_primaries(Partition(0), id).await?;
        found.map(|record| record.decode()).transpose()
    }

    async fn read_all(&self, id: &ObjectId) -> Result<Option<Object>> {
        self.read_quorum(id).await
    }

    async fn open_body(&self, id: &ObjectId) -> Result<Option<OpenObject>> {
        Ok(self.read_quorum(id).await?.map(OpenObject::new))
    }

    async fn open_body_at_all(&self, id: &ObjectId) -> Result<Option<OpenObject>> {
        self.open_body(id).await
    }

    fn list_buckets(
        &self,
        bucket_type: Bytes,
        _timeout: Duration,
    ) -> BoxStream<'static, Result<Vec<Bytes>>> {
        let store = self.store.lock();
        let buckets = store.slices.values().flatten().map(|(id, _)| &id.bucket);
        let names: BTreeSet<Bytes> = buckets
            .filter(|bucket| bucket.bucket_type == bucket_type)
            .map(|bucket| bucket.name.clone())
            .collect();
        futures::stream::iter([Ok(names.into_iter().collect())]).boxed()
    }

    async fn write(&self, write: &ObjectWrite, timeout: Duration) -> Result<()> {
        // As a network would.
        tokio::time::sleep(timeout.min(Duration::from_millis(1))).await;
        let key = String::from_utf8(write.id.key.to_vec()).unwrap();
        if write.only_new && self.exists(&write.id).await? {
            return Err(Error::new(ErrorKind::Precondition, "it is there"));
        }
        let mut store = self.store.lock();
        if let Some((left, kind)) = store.failing_writes.get_mut(&key).filter(|(left, _)| *left > 0)
        {
            *left -= 1;
            return Err(Error::new(*kind, format!("{}: no", write.id)));
        }
        let text = |value: &NewValue| String::from_utf8(value.body.to_vec()).unwrap();
        store.written.push((key, write.value.as_ref().map(text)));
        let object = write.value.as_ref().map(|value| {
            let mut object = object("", &[], false);
            object.siblings[0].metadata = value.metadata.clone();
            object.siblings[0].body = value.body.clone();
            object
        });
        store.place(&self.cluster.view(), &write.id, object.as_ref(), |_| true);
        Ok(())
    }

    fn body_sizes(&self) -> BodySizes {
        let (usual, whole_bytes) = (BodySizes::default(), self.store.lock().whole_bytes);
        BodySizes { whole_bytes: whole_bytes.unwrap_or(usual.whole_bytes), ..usual }
    }

    async fn upload(&self, write: &ObjectWrite) -> Result<Box<dyn LargeBody>> {
        if write.only_new && self.exists(&write.id).await? {
            return Err(Error::new(ErrorKind::Precondition, "it is there"));
        }
        let objects = Self { cluster: self.cluster.clone(), store: self.store.clone() };
        Ok(Box::new(TestUpload { objects, write: write.clone(), body: Vec::new() }))
    }

    async fn exists(&self, id: &ObjectId) -> Result<bool> {
        Ok(self.read_quorum(id).await?.is_some())
    }
}
