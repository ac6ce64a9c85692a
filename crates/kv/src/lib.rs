//! Objects on the ring: vnodes, get, put and delete coordination, read repair, folds, listings.

pub mod executor;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use mapring_cluster::Cluster;
use mapring_engine::{Engine, ScanDepth};
use mapring_net::{Service, Transport};
use mapring_ring::Partition;
use mapring_types::{
    BucketId, Clock, Entropy, Metadata, Object, ObjectId, Quorum, Record, Result, VersionVector,
};

pub use executor::Executor;

/// What a [`Kv`] is made of.
#[derive(Clone)]
pub struct KvParts {
    /// Membership, plan, properties.
    pub cluster: Arc<dyn Cluster>,
    /// The storage.
    pub engine: Arc<dyn Engine>,
    /// The way to other nodes.
    pub transport: Arc<dyn Transport>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Where storage calls run.
    pub executor: Arc<dyn Executor>,
    /// Settings.
    pub config: KvConfig,
}

/// Settings of the key-value store.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KvConfig {
    /// How long a tombstone stays before it may be reaped; `None` keeps it for ever (Riak's
    /// `delete_mode`).
    pub reap_after: Option<Duration>,
}

impl Default for KvConfig {
    fn default() -> Self {
        Self { reap_after: Some(Duration::from_secs(3)) }
    }
}

/// Options of a read.
#[derive(Debug, Clone, Default)]
pub struct GetOptions {
    /// Replicas that must answer.
    pub r: Quorum,
    /// Primaries that must answer.
    pub pr: Quorum,
    /// Whether a majority of not-founds ends the read; the bucket's property when `None`.
    pub basic_quorum: Option<bool>,
    /// Whether a missing replica counts as an answer; the bucket's property when `None`.
    pub notfound_ok: Option<bool>,
    /// The deadline; the default when `None`.
    pub timeout: Option<Duration>,
}

/// Options of a write or a delete.
#[derive(Debug, Clone, Default)]
pub struct PutOptions {
    /// Replicas that must take the write.
    pub w: Quorum,
    /// Replicas that must have stored it.
    pub dw: Quorum,
    /// Primaries that must take it.
    pub pw: Quorum,
    /// The deadline; the default when `None`.
    pub timeout: Option<Duration>,
}

/// A value to be written.
#[derive(Debug, Clone, Default)]
pub struct NewValue {
    /// What it carries beside its bytes.
    pub metadata: Metadata,
    /// The bytes.
    pub body: Bytes,
    /// Whether it is a tombstone.
    pub deleted: bool,
}

/// The key-value store of a node. Cheap to clone.
#[derive(Clone)]
pub struct Kv {
    inner: Arc<KvParts>,
}

/// A page of a fold over one slice.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Objects in key order. With [`ScanDepth::Heads`] their bodies are empty.
    pub items: Vec<(ObjectId, Record)>,
    /// Where to go on; `None` at the end.
    pub next: Option<ObjectId>,
}

impl Kv {
    /// Opens the store: reads or makes the actor of each vnode.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn open(parts: KvParts) -> Result<Self> {
        Ok(Self { inner: Arc::new(parts) })
    }

    /// What peers call.
    pub fn service(&self) -> Arc<dyn Service> {
        todo!()
    }

    /// The cluster.
    pub fn cluster(&self) -> &Arc<dyn Cluster> {
        &self.inner.cluster
    }

    /// Reads an object. A tombstone is returned as an object whose siblings are all deleted; `None`
    /// means that no replica knows it.
    ///
    /// # Errors
    /// `NotFound` (unknown bucket type), `Invalid` (quorum larger than n_val), `Quorum`, `Timeout`.
    pub async fn get(&self, id: &ObjectId, options: &GetOptions) -> Result<Option<Object>> {
        let _ = (id, options);
        todo!()
    }

    /// Writes a value in place of what `context` has seen; without one, beside what is there
    /// (`allow_mult`) or in its place. Returns the object as the coordinator now has it.
    ///
    /// # Errors
    /// As [`Kv::get`], and `TooLarge` for too many siblings.
    pub async fn put(
        &self,
        id: &ObjectId,
        context: Option<VersionVector>,
        value: NewValue,
        options: &PutOptions,
    ) -> Result<Object> {
        let _ = (id, context, value, options);
        todo!()
    }

    /// All keys of a bucket, a page at a time, tombstones left out. Dropping the stream ends the
    /// work.
    pub fn list_keys(
        &self,
        bucket: BucketId,
        timeout: Duration,
    ) -> BoxStream<'static, Result<Vec<Bytes>>> {
        let _ = (bucket, timeout);
        todo!()
    }

    /// All buckets of a bucket type that hold at least one live key, each once.
    pub fn list_buckets(
        &self,
        bucket_type: Bytes,
        timeout: Duration,
    ) -> BoxStream<'static, Result<Vec<Bytes>>> {
        let _ = (bucket_type, timeout);
        todo!()
    }

    /// Reads from a vnode of this node the objects of `bucket` whose home is `home`, in key order,
    /// strictly after `after`; ends at [`mapring_types::limits::PAGE_INPUTS`] or
    /// [`mapring_types::limits::PAGE_BYTES`], or sooner at `most` objects.
    ///
    /// # Errors
    /// `Storage`, `Corrupt`, `Overloaded`.
    pub async fn fold_page(
        &self,
        vnode: Partition,
        home: Partition,
        bucket: &BucketId,
        after: Option<ObjectId>,
        depth: ScanDepth,
        most: usize,
    ) -> Result<Page> {
        let _ = (vnode, home, bucket, after, depth, most);
        todo!()
    }

    /// Reads objects from a vnode of this node, one answer for each.
    ///
    /// # Errors
    /// `Storage`, `Corrupt`, `Overloaded`.
    pub async fn read_local(
        &self,
        vnode: Partition,
        ids: Vec<ObjectId>,
    ) -> Result<Vec<Option<Record>>> {
        let _ = (vnode, ids);
        todo!()
    }

    /// Reads an object from the other primaries than `vnode`, one after another, until one has it:
    /// what a map phase does when its own replica lacks an input.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` when a primary could not be asked and none that could has it.
    pub async fn read_elsewhere(&self, vnode: Partition, id: &ObjectId) -> Result<Option<Record>> {
        let _ = (vnode, id);
        todo!()
    }
}
