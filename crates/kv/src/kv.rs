//! The store of a node, in one piece.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use mapring_background::Workers;
use mapring_cluster::Cluster;
use mapring_datatypes::Update;
use mapring_net::Service;
use mapring_ring::{Coverage, Partition, PreferenceList};
use mapring_types::{BucketId, NodeId, Object, ObjectId, Record, Result, Sibling, VersionVector};
use tokio::time::Instant;

use crate::body::{BlockSource, Body, OpenObject};
use crate::executor;
use crate::limits;
use crate::parts::KvParts;
use crate::peer::call::Peers;
use crate::peer::extent::Extents;
use crate::peer::pause::{PauseDetector, PauseWorker};
use crate::peer::reports::{Reports, ReportsWorker};
use crate::peer::suspicion::Suspicion;
use crate::repair::answer;
use crate::repair::watch::{self, RepairWorker};
use crate::request::collect::CollectWorker;
use crate::request::download::BlockReader;
use crate::request::options::{DeleteOptions, GetOptions, ObjectPart, PutOptions};
use crate::request::own::ReservedObjects;
use crate::request::reap::ReapWorker;
use crate::request::requests::{Backlog, Requests};
use crate::request::upload::Upload;
use crate::request::{delete, get, other_primaries, put};
use crate::reserved;
use crate::scan::census::{self, Census, Counted};
use crate::scan::coverage::coverage;
use crate::scan::entries::{self, Hit, IndexScan};
use crate::scan::fold::{FoldRequest, Page};
use crate::scan::list;
use crate::scan::page::Folds;
use crate::scan::watched;
use crate::service::KvService;
use crate::sizes::BodySizes;
use crate::staleness::handoff::HandoffWorker;
use crate::staleness::holdings::{self, Holdings, HoldingsWorker, StaleReplicas};
use crate::staleness::integrity::{Integrity, Numbers};
use crate::staleness::progress::Progress;
use crate::staleness::recover;
use crate::staleness::settle::Unsettled;
use crate::staleness::state::Staleness;
use crate::staleness::status::Statuses;
use crate::staleness::tell::{self, StatusWorker};
use crate::stats::{self, KvFigures, KvStats};
use crate::storage::node::Node;
use crate::storage::objects::Core;
use crate::storage::placement;
use crate::storage::vnode::Vnodes;
use crate::view;
use crate::write::NewValue;

/// The key-value store of a node. Cheap to clone.
#[derive(Clone)]
pub struct Kv {
    requests: Arc<Requests>,
    folds: Arc<Folds>,
    blocks: Arc<dyn BlockSource>,
}

impl Kv {
    /// Opens the store and starts its background work (hand-off, reaping), which ends when the
    /// store is shut down or dropped. Silent on the network until the transport serves.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn open(parts: KvParts) -> Result<Self> {
        stats::describe();
        let staleness = Arc::new(opened(parts).await?);
        let left = staleness.node.vnodes.in_flight().sources();
        if let Err(error) = recover::recover(&staleness, &left).await {
            // The background work, and every question for what this node knows, tries again.
            tracing::warn!(%error, "writes that were under way are not recovered yet");
        }
        let requests = Arc::new(Requests::new(staleness.clone()));
        // Where the metadata answers at once, the data is known before anything is served.
        let _ = tokio::time::timeout(Duration::ZERO, watch::round(&staleness, None)).await;
        let (workers, peers) = (&requests.node.parts.workers, &requests.peers);
        workers.spawn(PauseWorker(Arc::downgrade(&peers.pauses)));
        workers.spawn(ReportsWorker::new(&requests.node, peers.reports.clone()));
        workers.spawn(StatusWorker::new(&staleness));
        workers.spawn(HandoffWorker::new(&staleness));
        workers.spawn(HoldingsWorker::new(&staleness));
        workers.spawn(ReapWorker::new(&requests));
        workers.spawn(RepairWorker::new(&staleness));
        workers.spawn(CollectWorker::new(&requests));
        let folds = Arc::new(Folds::new(requests.clone()));
        let blocks = Arc::new(BlockReader(requests.clone()));
        Ok(Self { requests, folds, blocks })
    }

    /// Stops: no request is taken any more, writes under way settle, what is stored becomes
    /// durable.
    ///
    /// # Errors
    /// `Storage` when the engine fails; the next start is then treated like one after a crash.
    pub async fn shutdown(&self) -> Result<()> {
        let (node, staleness) = (&self.requests.node, &self.requests.staleness);
        node.stop();
        node.parts.workers.stop();
        let settled = staleness.unsettled.settle();
        if tokio::time::timeout(limits::STOP_PATIENCE, settled).await.is_err() {
            tracing::warn!("stopping with writes that have not settled");
        } else {
            tell::part(staleness).await;
            let close = |core: &Core| {
                core.in_flight.close();
                Ok(())
            };
            node.vnodes.run(close).await?;
        }
        node.vnodes.stop().await
    }

    /// What peers call.
    pub fn service(&self) -> Arc<dyn Service> {
        Arc::new(KvService { requests: Arc::downgrade(&self.requests) })
    }

    /// The cluster.
    pub fn cluster(&self) -> &Arc<dyn Cluster> {
        &self.requests.node.parts.cluster
    }

    /// What goes on in the background of this node.
    pub fn workers(&self) -> &Workers {
        &self.requests.node.parts.workers
    }

    /// Figures since the start.
    pub fn stats(&self) -> KvStats {
        self.requests.node.stats.snapshot()
    }

    /// Figures of the last minute and since the start, as Riak tells them.
    pub fn figures(&self) -> KvFigures {
        let node = &self.requests.node;
        node.stats.figures(node.vnodes.core().figures.told(), &*node.parts.executor)
    }

    /// What this node knows of replicas that lack writes.
    pub fn stale_replicas(&self) -> StaleReplicas {
        self.requests.staleness.stale_replicas()
    }

    /// As [`Kv::stale_replicas`], and how much the members hold, as far as they answer: asks those
    /// that hold anything.
    pub async fn holdings(&self) -> (StaleReplicas, BTreeMap<NodeId, Holdings>) {
        let stale = self.stale_replicas();
        let held = holdings::ask(&self.requests.staleness, &stale).await;
        (stale, held)
    }

    /// What waits in this node or goes on in its background.
    pub fn backlog(&self) -> Backlog {
        self.requests.backlog()
    }

    /// Returns when it is known, as far as the metadata can be reached, whether what is stored here
    /// is what once was: before that nothing is read here.
    pub async fn proven(&self) {
        self.requests.staleness.integrity.tried().await;
    }

    /// Has a node fill itself again from the others, as it does when it finds that it lost data.
    ///
    /// # Errors
    /// `NotFound` for who is no member; `Unavailable` without a majority of the metadata group.
    pub async fn repair(&self, node: NodeId) -> Result<()> {
        answer::repair(&self.requests.staleness, node).await
    }

    /// How far a node is with filling itself, or what came of it the last time.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` when it cannot be asked.
    pub async fn repair_status(&self, node: NodeId) -> Result<Progress> {
        answer::repair_status(&self.requests.staleness, node).await
    }

    /// # Errors
    /// `Unavailable` once the store is being shut down; `NotFound` for what is no client's.
    fn admit(&self, id: &ObjectId) -> Result<()> {
        self.requests.node.running()?;
        reserved::refuse(&id.bucket)
    }

    /// The preference list of an object as this node sees it now.
    ///
    /// # Errors
    /// `NotFound` for an unknown bucket type.
    pub fn preference(&self, id: &ObjectId) -> Result<PreferenceList> {
        let view = self.requests.node.view();
        let n_val = view::props(&view, &id.bucket)?.n_val;
        Ok(view.preference_list(&id.bucket, &id.key, n_val))
    }

    /// A replica for every home partition that has all acknowledged writes, as far as any reachable
    /// node knows; waits for writes under way, and for hand-off where it must.
    ///
    /// # Errors
    /// `Unavailable`, naming the partitions without such a replica.
    pub async fn coverage(&self, n_val: u32) -> Result<Coverage> {
        coverage(&self.requests.staleness, n_val, &BTreeSet::new()).await
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
        coverage(&self.requests.staleness, n_val, without).await
    }

    /// Reads an object. A tombstone is returned as an object whose siblings are all deleted; `None`
    /// means that it does not exist: no write of it can have been acknowledged by a majority, nor,
    /// where `r` is more than a majority, by `n_val - r + 1` replicas. Where the bucket keeps no
    /// siblings the newest value is returned alone, with the clock of all.
    ///
    /// # Errors
    /// `NotFound` (unknown bucket type), `Invalid` (quorum larger than n_val), `Quorum`, `Timeout`,
    /// `Unavailable` (replicas that do not answer or refuse may have the object, and no other has
    /// it). `TooLarge` for an object of more than [`crate::ObjectSizes::read_bytes`]: parts of it can be
    /// read.
    pub async fn get(&self, id: &ObjectId, options: &GetOptions) -> Result<Option<Object>> {
        let began = Instant::now();
        let outcome = match self.admit(id) {
            Ok(()) => get::get(&self.requests, id, options).await,
            Err(error) => Err(error),
        };
        self.requests.node.stats.count_get(began.elapsed(), outcome.is_err());
        outcome
    }

    /// As [`Kv::get`], with the bytes of the values to be read piece by piece.
    ///
    /// # Errors
    /// As [`Kv::get`].
    pub async fn open_body(
        &self,
        id: &ObjectId,
        options: &GetOptions,
    ) -> Result<Option<OpenObject>> {
        let object = self.get(id, options).await?;
        Ok(object.map(|object| OpenObject::with(object, &self.blocks)))
    }

    /// The bytes of a value that was read, to be read piece by piece wherever they lie.
    pub fn body(&self, sibling: &Sibling) -> Body {
        Body::new(sibling, &self.blocks)
    }

    /// What the program keeps for itself of jobs.
    pub fn reserved(&self) -> ReservedObjects {
        ReservedObjects::new(self.requests.clone())
    }

    /// How large bodies may be.
    pub fn body_sizes(&self) -> BodySizes {
        self.requests.node.parts.config.bodies
    }

    /// Begins to write a large body to an object, which changes only when the upload is finished.
    ///
    /// # Errors
    /// `NotFound` (unknown bucket type), `Invalid` (names, or a quorum larger than `n_val`), `TooLarge`
    /// while a member runs a release that knows no such bodies, `Storage`, `Overloaded`.
    pub async fn upload(&self, id: &ObjectId, options: &PutOptions) -> Result<Upload> {
        self.requests.node.running()?;
        reserved::refuse(&id.bucket)?;
        Upload::begin(&self.requests, id, options).await
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
        self.admit(id)?;
        get::get_part(&self.requests, id, options, part).await
    }

    /// Writes a value in place of what `context` has seen; without one, beside what is there
    /// (`allow_mult`) or in its place. Returns the object as the coordinator now has it; one that
    /// is still too large to be read whole with its newest value alone.
    ///
    /// # Errors
    /// As [`Kv::get`], and `TooLarge` for an object above its limits ([`crate::ObjectSizes`]), of which
    /// nothing is stored then, `Precondition` where [`PutOptions::unchanged`] does not hold,
    /// `Overloaded`, `Storage`. After
    /// `Quorum` and `Timeout` the write may have been stored somewhere and can still take effect.
    pub async fn put(
        &self,
        id: &ObjectId,
        context: Option<VersionVector>,
        mut value: NewValue,
        options: &PutOptions,
    ) -> Result<Object> {
        let began = Instant::now();
        // Blocks belong to one write: what was read is written back with its bytes or not at all.
        value.metadata.blocks = None;
        let outcome = match self.admit(id) {
            Ok(()) => put::put(&self.requests, id, context, value, options).await,
            Err(error) => Err(error),
        };
        self.requests.node.stats.count_put(began.elapsed(), outcome.is_err());
        outcome
    }

    /// Updates a data type: the operation is made of what its coordinator knows, under the lock of the object.
    /// Returns the object as that then has it, of which [`mapring_datatypes::object::find`] makes the data
    /// type. Of an update that was answered once, what it adds is there once; one that failed may have been
    /// made or not.
    ///
    /// # Errors
    /// As [`Kv::put`]; `Forbidden` in a bucket without `allow_mult`; `Precondition` where something that is
    /// not there is removed without a context; `Unavailable` while a member runs a release that knows no data
    /// types.
    pub async fn update(
        &self,
        id: &ObjectId,
        update: &Update,
        options: &PutOptions,
    ) -> Result<Object> {
        let began = Instant::now();
        let outcome = match self.admit(id) {
            Ok(()) => put::update(&self.requests, id, update, options).await,
            Err(error) => Err(error),
        };
        self.requests.node.stats.count_put(began.elapsed(), outcome.is_err());
        outcome
    }

    /// Deletes what `context` has seen, or what a read just now finds; a concurrent write stays as
    /// a sibling. Returns whether there was anything (`false`: not found, or a tombstone already).
    ///
    /// # Errors
    /// As [`Kv::put`].
    pub async fn delete(
        &self,
        id: &ObjectId,
        context: Option<VersionVector>,
        options: &DeleteOptions,
    ) -> Result<bool> {
        self.admit(id)?;
        let outcome = delete::delete(&self.requests, id, context, options).await;
        self.requests.node.stats.count_delete(outcome.is_err());
        outcome
    }

    /// All keys of a bucket, a page at a time, tombstones left out, in no order. A stream ends at
    /// its first error. Dropping the stream ends the work.
    pub fn list_keys(
        &self,
        bucket: BucketId,
        timeout: Duration,
    ) -> BoxStream<'static, Result<Vec<Bytes>>> {
        let pages = list::keys(self.requests.staleness.clone(), bucket, timeout);
        watched::counted(&self.requests.node, |stats| &stats.listings, pages)
    }

    /// All buckets of a bucket type that hold at least one live key, each once, in order.
    pub fn list_buckets(
        &self,
        bucket_type: Bytes,
        timeout: Duration,
    ) -> BoxStream<'static, Result<Vec<Bytes>>> {
        let pages = list::buckets(self.requests.staleness.clone(), bucket_type, timeout);
        watched::counted(&self.requests.node, |stats| &stats.listings, pages)
    }

    /// The hits of an index, a page at a time, each entry of a live object once, in the order of (term,
    /// key), or of keys. A stream ends at its first error. Dropping the stream ends the work.
    ///
    /// # Errors
    /// `NotFound` (unknown bucket type), `Unavailable` (no complete replica of a partition, or a member
    /// runs an earlier release), `Timeout`, `Invalid` for a place of another selection or where the test
    /// cannot be run.
    pub fn index(&self, scan: IndexScan) -> BoxStream<'static, Result<Vec<Hit>>> {
        watched::index_query(&self.requests.node, entries::hits(self.requests.clone(), scan))
    }

    /// What the objects of a bucket are like, a page at a time, in no order, each object once. A stream
    /// ends at its first error. Dropping the stream ends the work.
    ///
    /// # Errors
    /// As [`Kv::index`].
    pub fn census(&self, census: Census) -> BoxStream<'static, Result<Counted>> {
        let pages = census::counted(self.requests.clone(), census);
        watched::counted(&self.requests.node, |stats| &stats.folds, pages)
    }

    /// Has a tombstone reaped as soon as may be, whatever the configuration says. Returns whether it
    /// waits now; not where as many wait as may.
    pub fn reap(&self, id: &ObjectId) -> bool {
        self.requests.reaper.enqueue(id.clone(), Instant::now(), 0)
    }

    /// Reads from a vnode of this node a page of the objects of a bucket whose home is one
    /// partition, in the order of the selection; ends at [`mapring_types::limits::PAGE_INPUTS`] or
    /// [`mapring_types::limits::PAGE_BYTES`], or sooner at `most` objects, or where
    /// [`limits::FOLD_PAGE_ENTRIES`] have been looked at.
    ///
    /// Tombstones are among the objects: the caller decides about them. Where the bucket keeps no
    /// siblings each record holds its newest value alone.
    ///
    /// Of an index an object is met once for each term of the range that a value of it has which
    /// readers see: never as a tombstone. An object whose terms change during a fold is held
    /// against the term at the moment it is met: it may be met under old terms, new ones, both or,
    /// where the new one lies before the place that the fold has come to, under none.
    ///
    /// With several [`FoldRequest::replicas`] the primaries nearest to the home partition that are
    /// up are read as well, and what they have is joined; `keep`, `refine` and the selection hold for the
    /// joined object. Where a node that holds several of them is away, a vnode that is
    /// [`FoldRequest::complete`] is read without it, if all others are.
    ///
    /// # Errors
    /// `Storage`, `Corrupt`, `Overloaded`; that of [`FoldRequest::keep`] or [`FoldRequest::refine`]; `Invalid` for a place of
    /// another selection, or for more replicas than there are. Of several replicas, `Unavailable`
    /// or the last failure when too few of them answer.
    pub async fn fold_page(&self, request: FoldRequest) -> Result<Page> {
        self.folds.page(request).await
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
        self.folds.read_local(places, most_bytes).await
    }

    /// Reads an object from the other primaries than `vnode`, until one has it: what a map phase
    /// does when its own replica lacks an input. `None` when none has it and it is known that it
    /// does not exist (as of [`Kv::get`]; `vnode` has said that it lacks it); the others are then
    /// waited for only for a moment.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` when that is not known: too many primaries could not be asked, or
    /// others may hold it, whom a read asks.
    pub async fn read_other_primaries(
        &self,
        vnode: Partition,
        id: &ObjectId,
    ) -> Result<Option<Record>> {
        other_primaries::read(&self.requests, vnode, id).await
    }
}

/// Opens the storage, and what is kept in it of other members and of this one.
///
/// # Errors
/// When the engine fails.
async fn opened(parts: KvParts) -> Result<Staleness> {
    let view = parts.cluster.view();
    let unsettled = Arc::new(Unsettled::default());
    let (opening, news) = (parts.clone(), unsettled.news());
    let members: Vec<NodeId> = view.state.members.keys().copied().collect();
    let (vnodes, awaited, statuses) = executor::run(&*parts.executor, move || {
        let (statuses, view) = (Statuses::default(), opening.cluster.view());
        statuses.load(&*opening.engine, members.into_iter().filter(|node| *node != view.me));
        let vnodes = Vnodes::open(&opening, news)?;
        let awaited = placement::settle(vnodes.core(), &view)?;
        Ok((vnodes, awaited, statuses))
    })
    .await?;
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
    let integrity = Integrity::new(numbers, incomplete, awaited);
    let node = Arc::new(Node::new(view.me, parts, vnodes));
    let peers = Peers {
        node,
        suspicion: Suspicion::new(),
        extents,
        reports: Arc::new(Reports::default()),
        pauses: Arc::new(PauseDetector::new()),
    };
    Ok(Staleness::new(Arc::new(peers), unsettled, statuses, integrity))
}
