//! The objects that lie on this node, as jobs read and change them.
//!
//! A change is a read, a decision and a write under one of [`limits::STRIPES`] locks, all within one
//! job. It is made by [`Core::commit`] alone, which tells the observers. What leads to a change: `stamp`
//! (a write that is coordinated here), `join` (what other replicas know), [`Core::remove`] (what has gone
//! elsewhere or was reaped) and `graves` (what was proven to be deleted).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use mapring_cluster::Cluster;
use mapring_engine::{Engine, IndexChange, IndexEntry, ScanDepth, StoreKey};
use mapring_ring::{Partition, RingSize};
use mapring_types::{Clock, Object, ObjectId, Record, Release, Result, VersionVector};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::limits;
use crate::parts::KvParts;
use crate::sizes::{ObjectSizes, Warner};
use crate::stats::VnodeFigures;
use crate::storage::actor::Actors;
use crate::storage::commit::GroupCommit;
use crate::storage::foreign::Foreign;
use crate::storage::graves::{Grave, Graves};
use crate::storage::held::Held;
use crate::storage::indexes::Indexes;
use crate::storage::inflight::{InFlightLog, Source};
use crate::storage::observe::{Batch, Cause, Change, Observer};
use crate::storage::recent::{Left, Recent};
use crate::storage::release::Written;

/// Who is told of every change of an object.
pub(crate) type Observers = (Indexes, Foreign);

/// What they keep of an object that is about to change.
pub(crate) type Before = <Observers as Observer>::Before;

/// What jobs need. See the module.
pub(crate) struct Core {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) foreign: Foreign,
    observers: Observers,
    pub(crate) in_flight: InFlightLog,
    pub(crate) actors: Actors,
    pub(crate) graves: Graves,
    written: Written,
    pub(super) sizes: ObjectSizes,
    pub(super) warner: Warner,
    pub(super) cluster: Arc<dyn Cluster>,
    pub(super) clock: Arc<dyn Clock>,
    pub(crate) ring_size: RingSize,
    pub(super) commit: GroupCommit,
    stripes: Vec<Mutex<()>>,
    pub(super) recent: Mutex<Recent>,
    pub(super) left: Mutex<Left>,
    pub(crate) figures: VnodeFigures,
}

impl Core {
    /// Reads the journal; `news` has a permit when others' vnodes with data here change. Blocks.
    ///
    /// # Errors
    /// `Storage`.
    pub(super) fn open(parts: &KvParts, news: Arc<Notify>, written: Written) -> Result<Self> {
        let ring_size = parts.cluster.view().plan().ring_size();
        let own = Source { node: parts.cluster.view().me, incarnation: next_incarnation(parts)? };
        let foreign = Foreign::new(parts.cluster.clone(), Held::new(news));
        Ok(Self {
            in_flight: InFlightLog::open(parts.engine.clone(), own)?,
            engine: parts.engine.clone(),
            observers: (Indexes, foreign.clone()),
            foreign,
            actors: Actors::new(parts.engine.clone(), parts.entropy.clone()),
            graves: Graves::open(&*parts.engine, ring_size),
            ring_size,
            written,
            sizes: parts.config.sizes,
            warner: Warner::default(),
            cluster: parts.cluster.clone(),
            clock: parts.clock.clone(),
            commit: GroupCommit::new(parts.engine.clone()),
            stripes: (0..limits::STRIPES).map(|_| Mutex::new(())).collect(),
            recent: Mutex::default(),
            left: Mutex::default(),
            figures: VnodeFigures::default(),
        })
    }

    /// The release of the formats that is written.
    pub(crate) fn release(&self) -> Release {
        self.written.release()
    }

    /// Goes on to the release that all members read by now. Blocks.
    ///
    /// # Errors
    /// `Storage`: then the former one is still written.
    pub(super) fn raise_release(&self, release: Release) -> Result<()> {
        self.written.raise(&*self.engine, release)
    }

    /// Has `sender` told what was done once that is durable; of a failure at once. Returns whether
    /// the caller is to have the group commit led.
    pub(super) fn enlist<T: Send + 'static>(
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

    /// What the observers keep of an object until [`Core::commit`]; of one without values where there
    /// is none. Under its lock.
    pub(crate) fn before(&self, object: &Object) -> Before {
        self.observers.before(object)
    }

    /// Makes a change: the one place where stored objects are written and removed. Under the lock of
    /// the object.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn commit(&self, before: Before, change: &Change<'_>) -> Result<()> {
        let mut batch = Batch::default();
        self.observers.write(before, change, &mut batch);
        let Change { vnode, place, after, .. } = *change;
        match after {
            Some((object, record)) => {
                let empty = object.siblings.is_empty();
                assert!(!empty && is_record_of(record, object), "what is stored of {}", place.id);
                self.engine.put(vnode.0, place, record, &batch.indexes)?;
            }
            None => self.engine.delete(vnode.0, place, &batch.indexes.remove)?,
        }
        self.observers.done(change);
        self.figures.count_entries(&batch.indexes, after.is_none());
        Ok(())
    }

    /// Removes an entry that the object at `place` has no value for any more.
    ///
    /// # Errors
    /// `Storage`, `Corrupt`.
    pub(crate) fn sweep(
        &self,
        vnode: Partition,
        place: &StoreKey,
        entry: IndexEntry,
    ) -> Result<()> {
        // Under the lock: else a write that adds it at this moment would lose it.
        let _lock = self.stripe(vnode, place).lock();
        let head = self.engine.read(vnode.0, place, ScanDepth::Heads)?;
        if let Some(record) = head
            && Record::decode_without_bodies(&record.head)?.has_term(&entry.0, &entry.1)
        {
            return Ok(());
        }
        let change = IndexChange { remove: vec![entry], ..IndexChange::NONE };
        self.engine.change_index(vnode.0, place, &change)
    }

    /// Digs the grave of a tombstone that is about to be reaped, if it is the one that lies here.
    pub(super) fn entomb(
        &self,
        vnode: Partition,
        place: &StoreKey,
        clock: &VersionVector,
    ) -> Result<()> {
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
                let change = Change { vnode, place, after: None, cause: Cause::Removal };
                self.commit(self.before(&stored), &change)?;
                Ok(true)
            }
            Some(_) => Ok(false),
        }
    }
}

/// Whether a record is that of an object, as far as it can be seen without reading all of it.
fn is_record_of(record: &Record, object: &Object) -> bool {
    let values = Record::sibling_count(&record.head);
    record.body.len() == object.body_bytes()
        && values.is_ok_and(|values| values == object.siblings.len())
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
