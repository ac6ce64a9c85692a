//! Objects on the ring: vnodes, get, put and delete coordination, read repair, folds, listings.
//!
//! Bottom-up: [`executor`] runs blocking work, `sizes` bounds objects, `resolution` says what becomes
//! of concurrent values, `write` is a write on its way; `storage` is every access to what lies on this
//! node; `peer` asks the others; `staleness` knows which replicas lack writes, and brings them there;
//! `request` reads, writes and deletes single objects; `scan` reads many; `repair` fills a node that
//! has lost data; `service` answers the others.

pub mod executor;
#[cfg(test)]
mod formats;
pub mod limits;
mod peer;
mod repair;
mod request;
mod resolution;
mod scan;
mod service;
mod sizes;
mod staleness;
mod stats;
mod storage;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use mapring_cluster::{Cluster, View};
use mapring_engine::{Engine, ScanDepth};
use mapring_net::{Service, Transport};
use mapring_ring::{Coverage, Partition, PreferenceEntry, PreferenceList};
use mapring_types::limits::{MAX_TIMEOUT, REQUEST_TIMEOUT};
use mapring_types::{
    BucketId, BucketProps, Clock, Entropy, Error, ErrorKind, Metadata, NodeId, Object, ObjectId,
    Quorum, Record, Result, VersionVector,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use peer::calm::{self, Calm};
use peer::extent::Extents;
use peer::pause::{self, PauseDetector};
use peer::suspicion::Suspicion;
use request::reap::{self, Reaper};
use request::{delete, get, other_primaries, put};
use resolution::Resolution;
use scan::{coverage, list, merge, select};
use staleness::integrity::{self, Integrity, Numbers};
use staleness::settle::Unsettled;
use staleness::status::{self, Statuses};
use staleness::{handoff, holdings};
use stats::Stats;
use storage::objects::Core;
use storage::vnode::Vnodes;

pub use executor::Executor;
pub use peer::wire::SERVICE;
pub use repair::Progress;
pub use scan::fold::{Cursor, FoldRequest, Item, KeyTest, Page, Selection};
pub use sizes::ObjectSizes;
pub use staleness::holdings::Holdings;
pub use stats::KvStats;

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
    /// How long it is kept that an object was deleted, after its tombstone was reaped; at least
    /// [`limits::GRAVES_KEPT`]`.0`.
    pub graves_kept: Duration,
    /// How large objects may become.
    pub sizes: ObjectSizes,
}

impl Default for KvConfig {
    fn default() -> Self {
        Self {
            reap_after: Some(Duration::from_secs(3)),
            graves_kept: limits::GRAVES_KEPT.1,
            sizes: ObjectSizes::default(),
        }
    }
}

/// How much of an object is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ObjectPart {
    /// All of it.
    #[default]
    Whole,
    /// All but the bytes of its values.
    Heads,
    /// As [`ObjectPart::Heads`], with the bytes of the value that has this tag.
    Value(String),
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
    /// The write is made only if nothing is stored that this clock has not seen. One node decides
    /// about all such writes to an object, so that of two with the same clock one is made; two can
    /// be only where nodes are down or cut off from each other.
    pub unchanged: Option<VersionVector>,
}

/// A value to be written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct NewValue {
    /// What it carries beside its bytes.
    pub metadata: Metadata,
    /// The bytes.
    pub body: Bytes,
    /// Whether it is a tombstone.
    pub deleted: bool,
}

/// Options of a delete.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// Replicas that must answer the read before the write.
    pub r: Quorum,
    /// Primaries that must answer the read.
    pub pr: Quorum,
    /// Replicas that must take the tombstone.
    pub w: Quorum,
    /// Replicas that must have stored it.
    pub dw: Quorum,
    /// Primaries that must take it.
    pub pw: Quorum,
    /// Fills `r` and `w` where they are left open.
    pub rw: Quorum,
    /// The deadline of the read and of the write; the default when `None`.
    pub timeout: Option<Duration>,
    /// As [`PutOptions::unchanged`].
    pub unchanged: Option<VersionVector>,
}

/// The key-value store of a node. Cheap to clone.
#[derive(Clone)]
pub struct Kv {
    inner: Arc<Shared>,
}

/// What all parts of the store share.
pub(crate) struct Shared {
    pub(crate) me: NodeId,
    pub(crate) parts: KvParts,
    pub(crate) vnodes: Vnodes,
    pub(crate) reaper: Reaper,
    pub(crate) stats: Stats,
    pub(crate) unsettled: Arc<Unsettled>,
    /// Members that have said since the start that they hold nothing for this node.
    pub(crate) heard: Mutex<BTreeSet<NodeId>>,
    /// What the other members have said of themselves.
    pub(crate) statuses: Statuses,
    /// How far their data was.
    pub(crate) extents: Extents,
    /// Held while in-doubt writes are recovered.
    pub(crate) recovering: tokio::sync::Mutex<()>,
    /// Brings the next round of hand-off forward.
    pub(crate) wake: Arc<Notify>,
    tails: Arc<Semaphore>,
    pub(crate) repairs: Semaphore,
    /// Folds that test keys: fewer at once than there are threads for storage, which writes need.
    tests: Semaphore,
    pub(crate) pauses: PauseDetector,
    pub(crate) suspicion: Suspicion,
    /// Who has told what it holds for others.
    pub(crate) calm: Calm,
    /// Whether this node has what it once stored.
    pub(crate) integrity: Arc<Integrity>,
    stopping: AtomicBool,
}

/// What a node knows of replicas that lack writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StaleReplicas {
    /// For each member that holds data for vnodes of others, as it last said: these vnodes. They
    /// lack it, and are left out of queries until they have it.
    pub held: BTreeMap<NodeId, Vec<Partition>>,
    /// For each member whose vnodes wait for objects that have moved to them from vnodes of others, as
    /// it last said: these vnodes. They are left out of queries too.
    pub awaiting: BTreeMap<NodeId, Vec<Partition>>,
    /// Writes that this node coordinates and that have not yet reached all their replicas, nor are
    /// kept as hints.
    pub unsettled: usize,
    /// Writes of other coordinators that are stored here and not known to have settled.
    pub in_flight: usize,
    /// Members that have not said since this node's start that they hold nothing for it.
    pub unheard: Vec<NodeId>,
    /// Replicas that this node brings up to date after reads just now.
    pub read_repairs: usize,
}

/// What waits in a node or goes on in its background, each with a bound in [`limits`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// What requests hold that go on after their answer ([`limits::TAIL_UNITS`]).
    pub tail_units: usize,
    /// Read repairs under way ([`limits::REPAIRS`]).
    pub repairs: usize,
    /// Tombstones that wait to be reaped ([`limits::REAPS`]).
    pub reaps: usize,
}

impl Kv {
    /// Opens the store and starts its background work (hand-off, reaping), which ends when the store
    /// is shut down or dropped. Silent on the network until the transport serves.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn open(parts: KvParts) -> Result<Self> {
        stats::describe();
        let view = parts.cluster.view();
        let unsettled = Arc::new(Unsettled::default());
        let (opening, news) = (parts.clone(), unsettled.news());
        let members: Vec<NodeId> = view.state.members.keys().copied().collect();
        let (vnodes, statuses) = executor::run(&*parts.executor, move || {
            let (statuses, me) = (Statuses::default(), opening.cluster.view().me);
            statuses.load(&*opening.engine, members.into_iter().filter(|node| *node != me));
            Ok((Vnodes::open(&opening, news)?, statuses))
        })
        .await?;
        let (vnodes, awaited) = vnodes;
        let (engine, entropy) = (parts.engine.clone(), parts.entropy.clone());
        let incarnation = vnodes.in_flight().incarnation();
        let (numbers, extents) = vnodes
            .run(move |_| {
                let numbers = Numbers::take(&*engine, &*entropy)?;
                Ok((numbers, Extents::open(&*engine, &*entropy, incarnation)?))
            })
            .await?;
        let incomplete = view.state.members.get(&view.me).is_some_and(|member| member.incomplete);
        let incomplete = incomplete || parts.engine.loss().is_some();
        let inner = Arc::new(Shared {
            me: view.me,
            vnodes,
            reaper: Reaper::new(parts.config.reap_after),
            stats: Stats::default(),
            unsettled,
            heard: Mutex::default(),
            statuses,
            extents,
            recovering: tokio::sync::Mutex::default(),
            wake: Arc::default(),
            tails: Arc::new(Semaphore::new(limits::TAIL_UNITS)),
            repairs: Semaphore::new(limits::REPAIRS),
            tests: Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get)),
            pauses: PauseDetector::new(),
            suspicion: Suspicion::new(),
            calm: Calm::default(),
            integrity: Arc::new(Integrity::new(numbers, incomplete, awaited)),
            stopping: AtomicBool::new(false),
            parts,
        });
        let left = inner.vnodes.in_flight().sources();
        if let Err(error) = status::recover(&inner, &left).await {
            // The background work, and every question for what this node knows, tries again.
            tracing::warn!(%error, "writes that were under way are not recovered yet");
        }
        mapring_net::task::spawn(pause::run(Arc::downgrade(&inner)));
        mapring_net::task::spawn(calm::run(Arc::downgrade(&inner)));
        mapring_net::task::spawn(status::run(Arc::downgrade(&inner)));
        mapring_net::task::spawn(handoff::run(Arc::downgrade(&inner)));
        mapring_net::task::spawn(holdings::run(Arc::downgrade(&inner)));
        mapring_net::task::spawn(reap::run(Arc::downgrade(&inner)));
        // Where the metadata answers at once, the data is known before anything is served.
        let _ = tokio::time::timeout(Duration::ZERO, integrity::round(&inner)).await;
        mapring_net::task::spawn(integrity::run(Arc::downgrade(&inner)));
        Ok(Self { inner })
    }

    /// Stops: no request is taken any more, writes under way settle, what is stored becomes durable.
    ///
    /// # Errors
    /// `Storage` when the engine fails; the next start is then treated like one after a crash.
    pub async fn shutdown(&self) -> Result<()> {
        self.inner.stopping.store(true, Ordering::Release);
        self.inner.wake.notify_one();
        let settled = self.inner.unsettled.settle();
        if tokio::time::timeout(limits::STOP_PATIENCE, settled).await.is_err() {
            tracing::warn!("stopping with writes that have not settled");
        } else {
            status::part(&self.inner).await;
            let close = |core: &Core| {
                core.in_flight.close();
                Ok(())
            };
            self.inner.vnodes.run(close).await?;
        }
        self.inner.vnodes.stop().await
    }

    /// What peers call.
    pub fn service(&self) -> Arc<dyn Service> {
        Arc::new(service::KvService { shared: Arc::downgrade(&self.inner) })
    }

    /// The cluster.
    pub fn cluster(&self) -> &Arc<dyn Cluster> {
        &self.inner.parts.cluster
    }

    /// Figures since the start.
    pub fn stats(&self) -> KvStats {
        self.inner.stats.snapshot()
    }

    /// What this node knows of replicas that lack writes.
    pub fn stale_replicas(&self) -> StaleReplicas {
        self.inner.stale_replicas()
    }

    /// As [`Kv::stale`], and how much the members hold, as far as they answer: asks those that
    /// hold anything.
    pub async fn holdings(&self) -> (StaleReplicas, BTreeMap<NodeId, Holdings>) {
        let stale = self.stale_replicas();
        let held = holdings::ask(&self.inner, &stale).await;
        (stale, held)
    }

    /// What waits in this node or goes on in its background.
    pub fn backlog(&self) -> Backlog {
        let shared = &self.inner;
        Backlog {
            tail_units: limits::TAIL_UNITS.saturating_sub(shared.tails.available_permits()),
            repairs: limits::REPAIRS.saturating_sub(shared.repairs.available_permits()),
            reaps: shared.reaper.waiting(),
        }
    }

    /// Returns when it is known, as far as the metadata can be reached, whether what is stored here
    /// is what once was: before that nothing is read here.
    pub async fn proven(&self) {
        self.inner.integrity.tried().await;
    }

    /// Has a node fill itself again from the others, as it does when it finds that it lost data.
    ///
    /// # Errors
    /// `NotFound` for who is no member; `Unavailable` without a majority of the metadata group.
    pub async fn repair(&self, node: NodeId) -> Result<()> {
        self.inner.repair(node).await
    }

    /// How far a node is with filling itself, or what came of it the last time.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` when it cannot be asked.
    pub async fn repair_status(&self, node: NodeId) -> Result<Progress> {
        self.inner.repair_status(node).await
    }

    /// The preference list of an object as this node sees it now.
    ///
    /// # Errors
    /// `NotFound` for an unknown bucket type.
    pub fn preference(&self, id: &ObjectId) -> Result<PreferenceList> {
        let view = self.inner.parts.cluster.view();
        let n_val = self.inner.props(&view, &id.bucket)?.n_val;
        Ok(view.preference_list(&id.bucket, &id.key, n_val))
    }

    /// A replica for every home partition that has all acknowledged writes, as far as any reachable
    /// node knows; waits for writes under way, and for hand-off where it must.
    ///
    /// # Errors
    /// `Unavailable`, naming the partitions without such a replica.
    pub async fn coverage(&self, n_val: u32) -> Result<Coverage> {
        coverage::coverage(&self.inner, n_val, &BTreeSet::new()).await
    }

    /// As [`Kv::coverage`], on other nodes than those in `without`: they have just failed the
    /// caller.
    ///
    /// # Errors
    /// As [`Kv::coverage`].
    pub async fn coverage_without(
        &self,
        n_val: u32,
        without: &BTreeSet<NodeId>,
    ) -> Result<Coverage> {
        coverage::coverage(&self.inner, n_val, without).await
    }

    /// Reads an object. A tombstone is returned as an object whose siblings are all deleted; `None`
    /// means that it does not exist: no write of it can have been acknowledged by a majority, nor,
    /// where `r` is more than a majority, by `n_val - r + 1` replicas. Where the bucket keeps no siblings the newest value is returned
    /// alone, with the clock of all.
    ///
    /// # Errors
    /// `NotFound` (unknown bucket type), `Invalid` (quorum larger than n_val), `Quorum`, `Timeout`,
    /// `Unavailable` (replicas that do not answer or refuse may have the object, and no other has it).
    /// `TooLarge` for an object of more than [`ObjectSizes::read_bytes`]: parts of it can be read.
    pub async fn get(&self, id: &ObjectId, options: &GetOptions) -> Result<Option<Object>> {
        let began = Instant::now();
        let outcome = match self.inner.running() {
            Ok(()) => get::get(&self.inner, id, options).await,
            Err(error) => Err(error),
        };
        self.inner.stats.count_get(began.elapsed(), outcome.is_err());
        outcome
    }

    /// As [`Kv::get`], of a part of the object: to be looked at, never to be written back.
    ///
    /// # Errors
    /// As [`Kv::get`].
    pub async fn get_part(
        &self,
        id: &ObjectId,
        options: &GetOptions,
        part: ObjectPart,
    ) -> Result<Option<Object>> {
        self.inner.running()?;
        get::get_part(&self.inner, id, options, part).await
    }

    /// Writes a value in place of what `context` has seen; without one, beside what is there
    /// (`allow_mult`) or in its place. Returns the object as the coordinator now has it; one that is
    /// still too large to be read whole with its newest value alone.
    ///
    /// # Errors
    /// As [`Kv::get`], and `TooLarge` for an object above its limits ([`ObjectSizes`]), of which
    /// nothing is stored then, `Precondition` where [`PutOptions::unchanged`] does not hold,
    /// `Overloaded`, `Storage`. After
    /// `Quorum` and `Timeout` the write may have been stored somewhere and can still take effect.
    pub async fn put(
        &self,
        id: &ObjectId,
        context: Option<VersionVector>,
        value: NewValue,
        options: &PutOptions,
    ) -> Result<Object> {
        let began = Instant::now();
        let outcome = match self.inner.running() {
            Ok(()) => put::put(&self.inner, id, context, value, options).await,
            Err(error) => Err(error),
        };
        self.inner.stats.count_put(began.elapsed(), outcome.is_err());
        outcome
    }

    /// Deletes what `context` has seen, or what a read just now finds; a concurrent write stays as a
    /// sibling. Returns whether there was anything (`false`: not found, or a tombstone already).
    ///
    /// # Errors
    /// As [`Kv::put`].
    pub async fn delete(
        &self,
        id: &ObjectId,
        context: Option<VersionVector>,
        options: &DeleteOptions,
    ) -> Result<bool> {
        self.inner.running()?;
        let outcome = delete::delete(&self.inner, id, context, options).await;
        self.inner.stats.count_delete(outcome.is_err());
        outcome
    }

    /// All keys of a bucket, a page at a time, tombstones left out, in no order. A stream ends at
    /// its first error. Dropping the stream ends the work.
    pub fn list_keys(
        &self,
        bucket: BucketId,
        timeout: Duration,
    ) -> BoxStream<'static, Result<Vec<Bytes>>> {
        list::keys(self.inner.clone(), bucket, timeout)
    }

    /// All buckets of a bucket type that hold at least one live key, each once, in order.
    pub fn list_buckets(
        &self,
        bucket_type: Bytes,
        timeout: Duration,
    ) -> BoxStream<'static, Result<Vec<Bytes>>> {
        list::buckets(self.inner.clone(), bucket_type, timeout)
    }

    /// Reads from a vnode of this node a page of the objects of a bucket whose home is one partition,
    /// in the order of the selection; ends at [`mapring_types::limits::PAGE_INPUTS`] or
    /// [`mapring_types::limits::PAGE_BYTES`], or sooner at `most` objects, or where
    /// [`limits::FOLD_PAGE_ENTRIES`] have been looked at.
    ///
    /// Tombstones are among the objects: the caller decides about them. Where the bucket keeps no
    /// siblings each record holds its newest value alone.
    ///
    /// Of an index an object is met once for each term of the range that a value of it has which
    /// readers see: never as a tombstone. An object whose terms change during a fold is held against
    /// the term at the moment it is met: it may be met under old terms, new ones, both or, where the
    /// new one lies before the place that the fold has come to, under none.
    ///
    /// With several [`FoldRequest::replicas`] the primaries nearest to the home partition that are
    /// up are read as well, and what they have is joined; `keep` and the selection hold for the
    /// joined object. Where a node that holds several of them is away, a vnode that is
    /// [`FoldRequest::complete`] is read without it, if all others are.
    ///
    /// # Errors
    /// `Storage`, `Corrupt`, `Overloaded`; that of [`FoldRequest::keep`]; `Invalid` for a place of
    /// another selection, or for more replicas than there are. Of several replicas, `Unavailable` or
    /// the last failure when too few of them answer.
    pub async fn fold_page(&self, request: FoldRequest) -> Result<Page> {
        self.inner.integrity.admit(request.vnode, request.home)?;
        let _permit = match &request.keep {
            Some(_) => Some(self.inner.tests.acquire().await.map_err(|_| stopped())?),
            None => None,
        };
        if request.replicas > 1 {
            return merge::page(&self.inner, request).await;
        }
        let resolution = self.inner.resolution(&request.bucket);
        // Most ranges hold little in a partition, or nothing. A test may take long for a key.
        let range = !matches!(request.selection, Selection::All);
        if range
            && request.after.is_none()
            && request.keep.is_none()
            && let Some(page) = self.inner.vnodes.fold_at_once(&request, resolution)
        {
            return page;
        }
        let work =
            move |core: &Core| select::page(core, &request, resolution, select::Bounds::PAGE);
        self.inner.vnodes.run(work).await
    }

    /// Reads objects from vnodes of this node, as [`Kv::fold_page`] gives them: the first of the
    /// named, at least one, until they have `most_bytes` together.
    ///
    /// # Errors
    /// `Storage`, `Corrupt`, `Overloaded`.
    pub async fn read_local(
        &self,
        places: Vec<(Partition, ObjectId)>,
        most_bytes: usize,
    ) -> Result<Vec<Option<Record>>> {
        let shared = self.inner.clone();
        places.iter().try_for_each(|(vnode, id)| shared.admit_slice(*vnode, id))?;
        let work = move |core: &Core| {
            let (mut records, mut bytes) = (Vec::with_capacity(places.len()), 0);
            for (vnode, id) in places {
                let resolution = shared.resolution(&id.bucket);
                let record = core.engine.get(vnode.0, &core.place(id))?;
                let resolve = |record| resolution.resolve_record(record, ScanDepth::Records);
                let record = record.map(resolve).transpose()?;
                bytes += record.as_ref().map_or(0, Record::len);
                records.push(record);
                if bytes >= most_bytes {
                    break;
                }
            }
            Ok(records)
        };
        self.inner.vnodes.run(work).await
    }

    /// Reads an object from the other primaries than `vnode`, until one has it: what a map phase does
    /// when its own replica lacks an input. `None` when none has it and it is known that it does not
    /// exist (as of [`Kv::get`]; `vnode` has said that it lacks it); the others are then waited for
    /// only for a moment.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` when that is not known: too many primaries could not be asked, or
    /// others may hold it, whom a read asks.
    pub async fn read_other_primaries(
        &self,
        vnode: Partition,
        id: &ObjectId,
    ) -> Result<Option<Record>> {
        other_primaries::read(&self.inner, vnode, id).await
    }
}

impl Shared {
    /// # Errors
    /// `NotFound` for an unknown bucket type.
    pub(crate) fn props(&self, view: &View, bucket: &BucketId) -> Result<BucketProps> {
        view.props(bucket).ok_or_else(|| {
            let name = String::from_utf8_lossy(&bucket.bucket_type);
            Error::new(ErrorKind::NotFound, format!("unknown bucket type: {name}"))
        })
    }

    /// How concurrent values of a bucket's objects are resolved.
    pub(crate) fn resolution(&self, bucket: &BucketId) -> Resolution {
        Resolution::of_known(self.parts.cluster.view().props(bucket).as_ref())
    }

    /// The replicas of an object as if the nodes in `excluded` were down as well.
    pub(crate) fn entries(
        &self,
        id: &ObjectId,
        n_val: u32,
        excluded: &BTreeSet<NodeId>,
    ) -> Vec<PreferenceEntry> {
        let view = self.parts.cluster.view();
        self.list(&view, home(&view, id), n_val, excluded).entries
    }

    /// The replicas of a home partition as if the nodes in `excluded` were down as well.
    pub(crate) fn list(
        &self,
        view: &View,
        home: Partition,
        n_val: u32,
        excluded: &BTreeSet<NodeId>,
    ) -> PreferenceList {
        let up = |node: NodeId| view.is_up(node) && !excluded.contains(&node);
        PreferenceList::new(view.plan(), home, n_val, up)
    }

    /// The leave of a request with an object of `bytes` to go on after its answer; `None` at the
    /// bound.
    pub(crate) fn tail(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.tails.clone().try_acquire_many_owned(limits::tail_units(bytes)).ok()
    }

    /// Refuses to answer for an object whose slice here may lack something.
    pub(crate) fn admit_slice(&self, vnode: Partition, id: &ObjectId) -> Result<()> {
        let integrity = &self.integrity;
        if integrity.is_tried() && !integrity.is_incomplete() && !integrity.awaited.any() {
            return Ok(());
        }
        let ring_size = self.parts.cluster.view().plan().ring_size();
        self.integrity.admit(vnode, mapring_ring::hash::home(ring_size, &id.bucket, &id.key))
    }

    /// The name of a member, for the log.
    pub(crate) fn name(&self, node: NodeId) -> String {
        let view = self.parts.cluster.view();
        let member = view.state.members.get(&node);
        member.map_or_else(|| "a former member".to_owned(), |member| member.name.clone())
    }

    /// Whether the store is being shut down.
    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// # Errors
    /// `Unavailable` once the store is being shut down.
    fn running(&self) -> Result<()> {
        if self.stopping() { Err(stopped()) } else { Ok(()) }
    }
}

fn stopped() -> Error {
    Error::unavailable("this node is stopping")
}

/// The home partition of an object.
pub(crate) fn home(view: &View, id: &ObjectId) -> Partition {
    mapring_ring::hash::home(view.plan().ring_size(), &id.bucket, &id.key)
}

/// When a request that asks for `timeout` ends.
pub(crate) fn deadline(timeout: Option<Duration>) -> Instant {
    Instant::now() + timeout.unwrap_or(REQUEST_TIMEOUT).min(MAX_TIMEOUT)
}
