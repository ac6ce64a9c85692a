//! The vnodes of this node: every read and change of stored objects goes through here.
//!
//! What is done with objects says `objects`; here is decided in which thread. No lock is held over an
//! await. Reads and changes of one object run in the caller's thread where [`Executor::permit`] lets
//! them, all else on the executor. A change is acknowledged when the group commit that follows it is
//! durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use mapring_engine::StoreKey;
use mapring_ring::Partition;
use mapring_types::{Error, ObjectId, Piece, Record, Release, Result, VersionVector};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::blocks;
use crate::executor::{self, Executor};
use crate::limits;
use crate::parts::KvParts;
use crate::storage::graves::Grave;
use crate::storage::held::Held;
use crate::storage::indexes;
use crate::storage::inflight::{InFlightLog, WriteMark};
use crate::storage::objects::Core;
use crate::storage::release::Written;
use crate::storage::stamp::{Stamped, Stamping};
use crate::write::Write;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Vnodes {
    core: Arc<Core>,
    executor: Arc<dyn Executor>,
}

impl Vnodes {
    /// Reads the journal; `news` has a permit when others' vnodes with data here change. Blocks.
    ///
    /// # Errors
    /// `Storage`; as [`Written::open`].
    pub(crate) fn open(parts: &KvParts, news: Arc<Notify>) -> Result<Self> {
        // Before anything is read, or changed.
        let written = Written::open(&*parts.engine)?;
        indexes::ensure(&*parts.engine, parts.cluster.view().plan().ring_size())?;
        let core = Arc::new(Core::open(parts, news, written)?);
        Ok(Self { core, executor: parts.executor.clone() })
    }

    /// What jobs need, for one that runs already.
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// Vnodes of other nodes that have data here, by the present plan.
    pub(crate) fn held(&self) -> &Held {
        let view = self.core.cluster.view();
        let held = self.core.foreign.held();
        held.follow(&view, || self.core.engine.vnodes());
        held
    }

    /// The release of the formats that is written.
    pub(crate) fn release(&self) -> Release {
        self.core.release()
    }

    /// Goes on to the release that all members read by now.
    ///
    /// # Errors
    /// `Storage`, `Overloaded`: then the former one is still written.
    pub(crate) async fn raise_release(&self) -> Result<()> {
        let release = self.core.cluster.view().state.release();
        if release <= self.release() {
            return Ok(());
        }
        self.run(move |core| core.raise_release(release)).await
    }

    /// Whether every member reads a release. It is gone on to where that was just heard: a new cluster knows
    /// it with its members, and nobody is to wait until the next round of telling.
    ///
    /// # Errors
    /// As [`Vnodes::raise_release`].
    pub(crate) async fn all_read(&self, release: Release) -> Result<bool> {
        if self.release() < release {
            self.raise_release().await?;
        }
        Ok(self.release() >= release)
    }

    /// Returns when all that was written before survives a loss of power, whatever is configured.
    ///
    /// # Errors
    /// `Storage`, `Overloaded`.
    pub(crate) async fn sync_disk(&self) -> Result<()> {
        metrics::counter!("mapring_kv_disk_syncs_total").increment(1);
        self.run(|core| core.engine.sync_disk()).await
    }

    /// The in-flight write log.
    pub(crate) fn in_flight(&self) -> &InFlightLog {
        &self.core.in_flight
    }

    /// Runs a job that only reads.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Core) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let core = self.core.clone();
        executor::run(&*self.executor, move || work(&core)).await
    }

    /// Runs a job that changes something, and returns what it gives when that is durable. A job
    /// that was begun is finished even if the caller goes.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Core) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let core = self.core.clone();
        self.executor.submit(Box::new(move || {
            if !sender.is_closed() && core.enlist(work(&core), sender) {
                core.commit.lead();
            }
        }))?;
        receiver.await.unwrap_or_else(|_| Err(unfinished()))
    }

    /// As [`Vnodes::change`], of a job that puts an object, which `stored` says of what it gives.
    async fn put<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Core) -> Result<T> + Send + 'static,
        stored: fn(&T) -> bool,
    ) -> Result<T> {
        let counted = move |core: &Core| {
            let began = Instant::now();
            let done = work(core);
            if done.as_ref().is_ok_and(stored) {
                core.figures.puts.since(began);
            }
            done
        };
        self.change(counted).await
    }

    /// As [`Vnodes::put`], in the caller's thread where it may if the job is short.
    async fn put_at_once<T: Send + 'static>(
        &self,
        short: bool,
        work: impl FnOnce(&Core) -> Result<T> + Send + 'static,
        stored: fn(&T) -> bool,
    ) -> Result<T> {
        let permit = if short { self.executor.inline_permit() } else { None };
        let Some(mut permit) = permit else { return self.put(work, stored).await };
        let (sender, receiver) = oneshot::channel();
        let done = executor::caught(|| work(&self.core));
        let (began, ended) = permit.end();
        drop(permit);
        if done.as_ref().is_ok_and(stored) {
            self.core.figures.puts.note(began, ended);
        }
        if self.core.enlist(done, sender) {
            self.lead();
        }
        receiver.await.unwrap_or_else(|_| Err(unfinished()))
    }

    /// Has a job lead the group commit: others wait for it too.
    fn lead(&self) {
        let job = |core: Arc<Core>| Box::new(move || core.commit.lead());
        if self.executor.submit(job(self.core.clone())).is_ok() {
            return;
        }
        let (core, executor) = (self.core.clone(), self.executor.clone());
        mapring_net::task::spawn(async move {
            loop {
                tokio::time::sleep(limits::LEAD_RETRY).await;
                if executor.submit(job(core.clone())).is_ok() {
                    return;
                }
            }
        });
    }

    /// The record of an object.
    pub(crate) async fn read(&self, vnode: Partition, id: ObjectId) -> Result<Option<Record>> {
        let place = self.core.place(id);
        if let Some(read) = self.read_at_once(vnode, &place) {
            return read;
        }
        let read = move |core: &Core| {
            let began = Instant::now();
            let read = core.engine.get(vnode.0, &place)?;
            core.figures.gets.since(began);
            Ok(read)
        };
        self.run(read).await
    }

    /// The record of an object, read in the caller's thread; `None` where that may not be.
    pub(crate) fn read_at_once(
        &self,
        vnode: Partition,
        place: &StoreKey,
    ) -> Option<Result<Option<Record>>> {
        let bytes = |read: &Option<Record>| read.as_ref().map_or(0, Record::len);
        let (read, (began, ended)) =
            self.timed_at_once(|core| core.engine.get(vnode.0, place), bytes)?;
        if read.is_ok() {
            self.core.figures.gets.note(began, ended);
        }
        Some(read)
    }

    /// What a short job that only reads gives, run in the caller's thread; `None` where that may not
    /// be. `bytes` tells how much it has read.
    pub(crate) fn run_at_once<T>(
        &self,
        work: impl FnOnce(&Core) -> Result<T>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Option<Result<T>> {
        Some(self.timed_at_once(work, bytes)?.0)
    }

    /// As [`Vnodes::run_at_once`], and from when to when it ran.
    fn timed_at_once<T>(
        &self,
        work: impl FnOnce(&Core) -> Result<T>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Option<(Result<T>, (Instant, Instant))> {
        let mut permit = self.executor.inline_permit()?;
        let read = executor::caught(|| work(&self.core));
        if read.as_ref().is_ok_and(|read| bytes(read) > limits::SHORT_BYTES) {
            permit.was_large();
        }
        let times = permit.end();
        Some((read, times))
    }

    /// Stamps a write and stores it, unless another node may have to decide about it.
    pub(crate) async fn stamp(&self, write: Write, stamping: Stamping) -> Result<Stamped> {
        // A new actor is noted with an fsync; how large a data type is that is updated is not known.
        let short = !write.updates
            && write.value.body.len() <= limits::SHORT_BYTES
            && write.value.metadata.indexes.len() <= limits::SHORT_TERMS
            && self.core.actors.is_known(write.vnode);
        let stored = |stamped: &Stamped| matches!(stamped, Stamped::Stored(..));
        self.put_at_once(short, move |core| core.stamp(write, stamping), stored).await
    }

    /// Joins what a replica knows into what is stored here, and logs the write that it is
    /// part of as in flight.
    pub(crate) async fn merge(
        &self,
        vnode: Partition,
        id: ObjectId,
        record: Record,
        mark: Option<WriteMark>,
    ) -> Result<()> {
        let short =
            record.len() <= limits::SHORT_BYTES && record.head.len() <= limits::SHORT_HEAD_BYTES;
        let merge = move |core: &Core| core.merge(vnode, id, &record, mark);
        self.put_at_once(short, merge, |()| true).await
    }

    /// As [`Vnodes::merge`], of one piece of what a replica knows.
    ///
    /// # Errors
    /// `Precondition` when the pieces before it are not here.
    pub(crate) async fn merge_piece(
        &self,
        vnode: Partition,
        id: ObjectId,
        piece: Piece,
        mark: Option<WriteMark>,
    ) -> Result<()> {
        self.put(move |core| core.merge_piece(vnode, id, piece, mark), |()| true).await
    }

    /// Joins several objects into what is stored here.
    pub(crate) async fn merge_all(
        &self,
        vnode: Partition,
        records: Vec<(ObjectId, Record)>,
    ) -> Result<()> {
        let mut records = records.into_iter();
        self.change(move |core| {
            records.try_for_each(|(id, record)| core.merge(vnode, id, &record, None))
        })
        .await
    }

    /// Recovers in-doubt writes: brings all that lies here of their objects to every vnode that
    /// ought to have them, as hints where these are other nodes'. Gives how many writes were
    /// recovered, and what kept it from one.
    pub(crate) async fn recover(
        &self,
        writes: Vec<(WriteMark, ObjectId)>,
    ) -> Result<(usize, Option<Error>)> {
        let recovering = self.change(move |core| {
            let mut objects: BTreeMap<ObjectId, Vec<WriteMark>> = BTreeMap::new();
            for (mark, id) in writes {
                objects.entry(id).or_default().push(mark);
            }
            let (mut recovered, mut failure) = (Vec::new(), None);
            for (id, marks) in objects {
                match core.recover(id) {
                    Ok(()) => recovered.extend(marks),
                    Err(error) => failure = Some(error),
                }
            }
            Ok((recovered, failure))
        });
        let (recovered, failure) = recovering.await?;
        let count = recovered.len();
        let forget = move |core: &Core| {
            core.in_flight.recovered(&recovered);
            Ok(())
        };
        self.run(forget).await?;
        Ok((count, failure))
    }

    /// Lets go of what was handed over to its owner, unless it has changed meanwhile, or is part of a
    /// write that has not settled: this node may have to bring that to further replicas. Gives
    /// whether it is gone.
    pub(crate) async fn let_go(
        &self,
        vnode: Partition,
        id: ObjectId,
        clock: VersionVector,
    ) -> Result<bool> {
        self.change(move |core| {
            // Under the lock: what is logged later is then also stored again.
            core.remove(vnode, &core.place(id), &clock, |id| !core.in_flight.is_open(id))
        })
        .await
    }

    /// Removes a tombstone whose clock is exactly `clock`, and keeps its grave; returns whether it
    /// is gone.
    pub(crate) async fn reap(
        &self,
        vnode: Partition,
        id: ObjectId,
        clock: VersionVector,
    ) -> Result<bool> {
        self.change(move |core| {
            let place = core.place(id);
            // Before it goes: a crash in between leaves both, and it is reaped once more. A block that
            // comes back is garbage once more, of which there may be more than graves.
            if !blocks::is_block(&place.id) {
                core.entomb(vnode, &place, &clock)?;
            }
            core.remove(vnode, &place, &clock, |_| true)
        })
        .await
    }

    /// Takes proofs of other replicas in that objects were deleted; gives of how many objects here
    /// something was removed.
    pub(crate) async fn bury_all(
        &self,
        vnode: Partition,
        graves: Vec<(ObjectId, Grave)>,
    ) -> Result<usize> {
        self.change(move |core| {
            let mut removed = 0;
            for (id, grave) in graves {
                removed += usize::from(core.bury(vnode, id, grave)?);
            }
            Ok(removed)
        })
        .await
    }

    /// Leaves an object to another node for a while; returns when no write of before is under way.
    pub(crate) async fn leave(&self, vnode: Partition, id: ObjectId) -> Result<()> {
        self.run(move |core| {
            core.left.lock().leave(id.clone());
            let place = core.place(id);
            drop(core.stripe(vnode, &place).lock());
            Ok(())
        })
        .await
    }

    /// Runs a job that writes something of the node's own, and returns when that is durable.
    pub(crate) async fn write(
        &self,
        work: impl FnOnce(&Core) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        self.change(work).await
    }

    /// Gives up the actor of a vnode whose objects are handed away.
    pub(crate) async fn retire(&self, vnode: Partition) -> Result<()> {
        self.run(move |core| core.actors.retire(vnode)).await
    }

    /// Makes everything durable and carries the actors over a clean stop.
    pub(crate) async fn stop(&self) -> Result<()> {
        self.run(|core| core.actors.stop()).await
    }
}

fn unfinished() -> Error {
    Error::internal("a write ended without a result")
}
