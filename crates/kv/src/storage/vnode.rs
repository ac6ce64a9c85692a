//! The vnodes of this node: every read and change of stored objects goes through here.
//!
//! A change of one object is a read, a decision and a write under one of [`limits::STRIPES`] locks,
//! all within one job; no lock is held over an await. Reads and changes of one object run in the
//! caller's thread where [`Executor::permit`] lets them, all else on the executor. A change is
//! acknowledged when the group commit that follows it is durable.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use mapring_cluster::Cluster;
use mapring_engine::{Engine, IndexChange, StoreKey};
use mapring_ring::{Partition, RingSize};
use mapring_types::{
    Clock, Dot, Error, ErrorKind, Object, ObjectId, Piece, Record, Result, Sibling, VersionVector,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::executor::{self, Executor};
use crate::scan::fold::{FoldRequest, Page};
use crate::scan::select::{self, Bounds};
use crate::sizes::{ObjectSizes, Size, Warner};
use crate::staleness::settle::Held;
use crate::storage::actor::Actors;
use crate::storage::commit::GroupCommit;
use crate::storage::graves::{Grave, Graves};
use crate::storage::inflight::{InFlightLog, Source, WriteMark};
use crate::storage::placement::{self, Awaited};
use crate::storage::recent::{Left, Recent};
use crate::{KvParts, NewValue, limits};

/// A write to be stamped by a vnode.
#[derive(Debug, Clone)]
pub(crate) struct Stamping {
    pub(crate) id: ObjectId,
    /// Names the request: a repetition is not stored again.
    pub(crate) write_id: u64,
    /// The number of the write among this incarnation's.
    pub(crate) number: u64,
    /// When the client asked, in microseconds. Not when it is stamped: a node that slept must not
    /// make an old write newer than those that were made meanwhile.
    pub(crate) asked_at: u64,
    pub(crate) context: VersionVector,
    pub(crate) value: NewValue,
    /// Whether values that the context has not seen stay beside the new one.
    pub(crate) siblings: bool,
    /// How many nodes write to the object without asking each other, as long as it is far from its
    /// limits; 1: this one decides.
    pub(crate) sharers: usize,
    /// See [`crate::PutOptions::unchanged`].
    pub(crate) unchanged: Option<VersionVector>,
}

/// What became of a write to be stamped.
#[derive(Debug)]
pub(crate) enum Stamped {
    /// It is stored: the object as it then is, and its record.
    Stored(Object, Record),
    /// Nothing was done: the object is so near a limit that one node has to decide.
    Near(Box<Stamping>),
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Vnodes {
    core: Arc<Core>,
    executor: Arc<dyn Executor>,
}

/// What jobs need.
pub(crate) struct Core {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) held: Held,
    pub(crate) in_flight: InFlightLog,
    pub(crate) actors: Actors,
    pub(crate) graves: Graves,
    sizes: ObjectSizes,
    warner: Warner,
    cluster: Arc<dyn Cluster>,
    clock: Arc<dyn Clock>,
    pub(crate) ring_size: RingSize,
    commit: GroupCommit,
    stripes: Vec<Mutex<()>>,
    recent: Mutex<Recent>,
    left: Mutex<Left>,
}

impl Vnodes {
    /// Reads the journal; `news` has a permit when others' vnodes with data here change. Gives as
    /// well what is awaited here. Blocks.
    ///
    /// # Errors
    /// `Storage`; as [`placement::settle`].
    pub(crate) fn open(parts: &KvParts, news: Arc<Notify>) -> Result<(Self, Awaited)> {
        let ring_size = parts.cluster.view().plan().ring_size();
        crate::storage::indexes::ensure(&*parts.engine, ring_size)?;
        let own = Source { node: parts.cluster.view().me, incarnation: next_incarnation(parts)? };
        let core = Core {
            in_flight: InFlightLog::open(parts.engine.clone(), own)?,
            engine: parts.engine.clone(),
            held: Held::new(news),
            actors: Actors::new(parts.engine.clone(), parts.entropy.clone()),
            graves: Graves::open(&*parts.engine, ring_size),
            ring_size,
            sizes: parts.config.sizes,
            warner: Warner::default(),
            cluster: parts.cluster.clone(),
            clock: parts.clock.clone(),
            commit: GroupCommit::new(parts.engine.clone()),
            stripes: (0..limits::STRIPES).map(|_| Mutex::new(())).collect(),
            recent: Mutex::default(),
            left: Mutex::default(),
        };
        let awaited = placement::settle(&core, &parts.cluster.view())?;
        Ok((Self { core: Arc::new(core), executor: parts.executor.clone() }, awaited))
    }

    /// Vnodes of other nodes that have data here.
    pub(crate) fn held(&self) -> &Held {
        &self.core.held
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

    /// As [`Vnodes::change`], in the caller's thread where it may if the job is short.
    async fn change_at_once<T: Send + 'static>(
        &self,
        short: bool,
        work: impl FnOnce(&Core) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = if short { self.executor.inline_permit() } else { None };
        let Some(permit) = permit else { return self.change(work).await };
        let (sender, receiver) = oneshot::channel();
        let done = executor::caught(|| work(&self.core));
        drop(permit);
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
        match self.read_at_once(vnode, &place) {
            Some(read) => read,
            None => self.run(move |core| core.engine.get(vnode.0, &place)).await,
        }
    }

    /// The record of an object, read in the caller's thread; `None` where that may not be.
    pub(crate) fn read_at_once(
        &self,
        vnode: Partition,
        place: &StoreKey,
    ) -> Option<Result<Option<Record>>> {
        let mut permit = self.executor.inline_permit()?;
        let read = executor::caught(|| self.core.engine.get(vnode.0, place));
        if let Ok(Some(record)) = &read
            && record.len() > limits::SHORT_BYTES
        {
            permit.was_large();
        }
        Some(read)
    }

    /// The first page of a fold, a short one read in the caller's thread; `None` where that may not
    /// be.
    pub(crate) fn fold_at_once(
        &self,
        request: &FoldRequest,
        siblings: bool,
    ) -> Option<Result<Page>> {
        let mut permit = self.executor.inline_permit()?;
        let page = executor::caught(|| select::page(&self.core, request, siblings, Bounds::SHORT));
        let bytes = |page: &Page| page.items.iter().map(|item| item.record.len()).sum::<usize>();
        if page.as_ref().is_ok_and(|page| bytes(page) > limits::SHORT_BYTES) {
            permit.was_large();
        }
        Some(page)
    }

    /// Stamps a write and stores it, unless another node may have to decide about it.
    pub(crate) async fn stamp(&self, vnode: Partition, write: Stamping) -> Result<Stamped> {
        // A new actor is noted with an fsync.
        let short = write.value.body.len() <= limits::SHORT_BYTES
            && write.value.metadata.indexes.len() <= limits::SHORT_TERMS
            && self.core.actors.is_known(vnode);
        self.change_at_once(short, move |core| core.stamp(vnode, write)).await
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
        self.change_at_once(short, move |core| core.merge(vnode, id, &record, mark)).await
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
        self.change(move |core| core.merge_piece(vnode, id, piece, mark)).await
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
            // Before it goes: a crash in between leaves both, and it is reaped once more.
            core.entomb(vnode, &place, &clock)?;
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

impl Core {
    /// Has `sender` told what was done once that is durable; of a failure at once. Returns whether
    /// the caller is to have the group commit led.
    fn enlist<T: Send + 'static>(
        &self,
        done: Result<T>,
        sender: oneshot::Sender<Result<T>>,
    ) -> bool {
        match done {
            Ok(done) => self.commit.enlist(Box::new(move |synced| {
                let _ = sender.send(synced.map(|()| done));
            })),
            Err(error) => {
                let _ = sender.send(Err(error));
                false
            }
        }
    }

    /// Where an object lies in each vnode that holds it.
    pub(crate) fn place(&self, id: ObjectId) -> StoreKey {
        StoreKey { home: mapring_ring::hash::home(self.ring_size, &id.bucket, &id.key).0, id }
    }

    /// Writes a record, and notes it when the vnode is another node's: after the write, so that
    /// hand-off, which looks first and forgets then, cannot miss it.
    fn store(
        &self,
        vnode: Partition,
        place: &StoreKey,
        record: &Record,
        change: &IndexChange,
        stale: bool,
    ) -> Result<()> {
        self.engine.put(vnode.0, place, record, change)?;
        self.note(vnode, stale);
        Ok(())
    }

    /// Notes that something lies here for a vnode, where that is another node's; `stale` as in
    /// [`Held::note`].
    fn note(&self, vnode: Partition, stale: bool) {
        let view = self.cluster.view();
        if view.plan().owner(vnode) != Some(view.me) {
            self.held.note(vnode, stale);
        }
    }

    pub(crate) fn stripe(&self, vnode: Partition, place: &StoreKey) -> &Mutex<()> {
        let mut hasher = DefaultHasher::new();
        (vnode, place).hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % limits::STRIPES as u64).unwrap_or(0);
        &self.stripes[at]
    }

    pub(crate) fn stored(&self, vnode: Partition, place: &StoreKey) -> Result<Option<Object>> {
        match self.engine.get(vnode.0, place)? {
            Some(record) => record.decode().map(Some).map_err(|error| error.context(&place.id)),
            None => Ok(None),
        }
    }

    fn stamp(&self, vnode: Partition, write: Stamping) -> Result<Stamped> {
        let Stamping { id, write_id, number, asked_at, mut context, value, .. } = write;
        let Stamping { siblings, sharers, unchanged, .. } = write;
        let place = self.place(id);
        let _lock = self.stripe(vnode, &place).lock();
        let stored = self.engine.get(vnode.0, &place)?;
        let bytes = stored.as_ref().map_or(0, Record::len);
        let grave = if stored.is_none() { self.grave(vnode, &place)? } else { None };
        let decoded = stored.map(|record| record.decode()).transpose();
        let mut object = decoded.map_err(|error| error.context(&place.id))?.unwrap_or_default();
        let changed = unchanged.as_ref().is_some_and(|seen| !seen.dominates(&object.clock));
        if let Some(grave) = grave {
            // It is written over the tombstone that was here.
            object.clock.merge(&grave.clock);
        }
        let before = object.index_entries();
        let size_before = Size::new(&object, bytes);
        let repeated = self.recent.lock().dot((vnode, write_id));
        if repeated.is_some_and(|dot| object.clock.covers(dot)) {
            let record = Record::encode(&object);
            return Ok(Stamped::Stored(object, record));
        }
        if changed {
            let message = format!("{}: the object was changed meanwhile", place.id);
            return Err(Error::new(ErrorKind::Precondition, message));
        }
        if !siblings {
            context.merge(&object.clock);
        }
        let dot = self.actors.stamp(vnode, [&object.clock, &context])?;
        let last_modified = asked_at.max(object.last_modified().saturating_add(1));
        let NewValue { metadata, body, deleted } = value;
        let sibling = Sibling { dot, last_modified, deleted, metadata, body };
        object.update(&context, sibling);
        let record = Record::encode(&object);
        let size = Size::new(&object, record.len());
        // Without siblings each write replaces all that its node knows.
        if siblings
            && sharers > 1
            && size.outgrows(size_before)
            && (self.sizes.is_near(size, sharers) || self.left.lock().is_left(&place.id))
        {
            let value = taken_back(object, dot);
            let id = place.id.clone();
            return Ok(Stamped::Near(Box::new(Stamping {
                id,
                write_id,
                number,
                asked_at,
                context,
                value,
                siblings,
                sharers,
                unchanged,
            })));
        }
        self.sizes.check(&place.id, size_before, size)?;
        check(&object).map_err(|error| error.context(&place.id))?;
        self.in_flight.note(self.in_flight.own(number), &place.id)?;
        let change = IndexChange::of(&before, &object.index_entries());
        self.store(vnode, &place, &record, &change, true)?;
        self.recent.lock().remember((vnode, write_id), dot);
        self.warner.look(&self.sizes, &place.id, size);
        Ok(Stamped::Stored(object, record))
    }

    /// See [`Vnodes::merge`].
    pub(crate) fn merge(
        &self,
        vnode: Partition,
        id: ObjectId,
        record: &Record,
        mark: Option<WriteMark>,
    ) -> Result<()> {
        let incoming = record.decode().map_err(|error| error.context(&id))?;
        check(&incoming).map_err(|error| error.context(&id))?;
        let place = self.place(id);
        // The coordinator of another's write keeps a hint of its own.
        let stale = mark.is_none();
        let _lock = self.stripe(vnode, &place).lock();
        // Under the lock: who recovers what is in flight finds it stored.
        if let Some(mark) = mark
            && !self.in_flight.note(mark, &place.id)?
        {
            return Ok(());
        }
        let grave = self.grave(vnode, &place)?;
        let before = match (self.stored(vnode, &place)?, &grave) {
            (None, None) => {
                let change = IndexChange::between(None, Some(&incoming));
                return self.store(vnode, &place, record, &change, stale);
            }
            (stored, _) => stored.unwrap_or_default(),
        };
        let mut joined = before.clone();
        if let Some(grave) = grave {
            // What the tombstone had replaced stays replaced, also beside a newer value.
            joined.clock.merge(&grave.clock);
        }
        joined.merge(&incoming);
        self.store_joined(vnode, &place, &before, &joined, stale)
    }

    /// As [`Core::merge`], of a piece. Each is logged: whichever is the last stored here, the write
    /// is then known here, and one that comes so late that it has settled brings nothing back.
    fn merge_piece(
        &self,
        vnode: Partition,
        id: ObjectId,
        piece: Piece,
        mark: Option<WriteMark>,
    ) -> Result<()> {
        let place = self.place(id);
        let stale = mark.is_none();
        let _lock = self.stripe(vnode, &place).lock();
        if let Some(mark) = mark
            && !self.in_flight.note(mark, &place.id)?
        {
            return Ok(());
        }
        let before = self.stored(vnode, &place)?.unwrap_or_default();
        let mut joined = before.clone();
        if let Some(grave) = self.grave(vnode, &place)? {
            joined.clock.merge(&grave.clock);
        }
        joined.join_piece(piece).map_err(|error| error.context(&place.id))?;
        self.store_joined(vnode, &place, &before, &joined, stale)
    }

    /// Stores what another replica's copy has made of what was there before.
    fn store_joined(
        &self,
        vnode: Partition,
        place: &StoreKey,
        before: &Object,
        joined: &Object,
        stale: bool,
    ) -> Result<()> {
        if joined.siblings.is_empty() {
            return Ok(());
        }
        check(joined).map_err(|error| error.context(&place.id))?;
        if joined == before {
            // Already here, but perhaps not yet durable: the caller still waits for a sync.
            if stale {
                self.note(vnode, true);
            }
            return Ok(());
        }
        let change = IndexChange::between(Some(before), Some(joined));
        self.store(vnode, place, &Record::encode(joined), &change, stale)
    }

    fn recover(&self, id: ObjectId) -> Result<()> {
        let view = self.cluster.view();
        let unknown = || Error::new(ErrorKind::NotFound, format!("{id}: unknown bucket type"));
        let n_val = view.props(&id.bucket).ok_or_else(unknown)?.n_val;
        let primaries = view.preference_list(&id.bucket, &id.key, n_val).primaries;
        let place = self.place(id);
        let mut joined = Object::default();
        for entry in &primaries {
            let _lock = self.stripe(entry.vnode, &place).lock();
            if let Some(stored) = self.stored(entry.vnode, &place)? {
                joined.merge(&stored);
            }
        }
        if joined.siblings.is_empty() {
            // The write never came to be stored here.
            return Ok(());
        }
        let record = Record::encode(&joined);
        for entry in &primaries {
            // Also where it lies here already, in place of its owner, it is a hint now.
            self.merge(entry.vnode, place.id.clone(), &record, None)?;
        }
        Ok(())
    }

    /// Digs the grave of a tombstone that is about to be reaped, if it is the one that lies here.
    fn entomb(&self, vnode: Partition, place: &StoreKey, clock: &VersionVector) -> Result<()> {
        let _lock = self.stripe(vnode, place).lock();
        match self.stored(vnode, place)? {
            Some(stored) if stored.clock == *clock => {
                let at = self.clock.now_micros();
                self.dig(vnode, place, Grave { clock: clock.clone(), at })
            }
            _ => Ok(()),
        }
    }

    /// Removes an object whose clock is exactly `clock`, if it `may` go; returns whether it is
    /// gone.
    pub(crate) fn remove(
        &self,
        vnode: Partition,
        place: &StoreKey,
        clock: &VersionVector,
        may: impl Fn(&ObjectId) -> bool,
    ) -> Result<bool> {
        let _lock = self.stripe(vnode, place).lock();
        match self.stored(vnode, place)? {
            None => Ok(true),
            Some(stored) if stored.clock == *clock && may(&place.id) => {
                let entries = IndexChange::between(Some(&stored), None).remove;
                self.engine.delete(vnode.0, place, &entries)?;
                Ok(true)
            }
            Some(_) => Ok(false),
        }
    }
}

/// The value of a write that is not made after all.
fn taken_back(object: Object, dot: Dot) -> NewValue {
    let ours = object.siblings.into_iter().find(|sibling| sibling.dot == dot);
    let value = |Sibling { metadata, body, deleted, .. }| NewValue { metadata, body, deleted };
    ours.map(value).unwrap_or_default()
}

fn unfinished() -> Error {
    Error::internal("a write ended without a result")
}

/// The number of this incarnation of the node: higher than all before it, also where the clock went
/// back, and where an older copy of the data was put in place.
fn next_incarnation(parts: &KvParts) -> Result<u64> {
    const NAME: &str = "kv-run";
    let last = parts.engine.meta(NAME)?;
    let last = last.and_then(|bytes| Some(u64::from_be_bytes(*bytes.first_chunk()?)));
    let incarnation = parts.clock.now_micros().max(last.unwrap_or_default().saturating_add(1));
    parts.engine.set_meta(NAME, &incarnation.to_be_bytes())?;
    Ok(incarnation)
}

/// What must hold of every stored object: it has values, in order, each with a dot of its own that
/// the clock covers.
fn check(object: &Object) -> Result<()> {
    let ordered = object.siblings.windows(2).all(|pair| pair[0].dot < pair[1].dot);
    let covered = object.siblings.iter().all(|sibling| object.clock.covers(sibling.dot));
    if object.siblings.is_empty() || !ordered || !covered {
        return Err(Error::corrupt("an object's clock and values contradict each other"));
    }
    Ok(())
}
