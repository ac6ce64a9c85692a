//! What remains of a tombstone when it has been reaped: its clock.
//!
//! A tombstone goes only when all primaries hold it, so its clock proves that what it had replaced was
//! deleted. The proof is kept for a long time by each of them, apart from the objects: a replica that
//! went back to an earlier state, a request that was under way, or hints that were put back with an old
//! copy bring the deleted value again, and it must not rise. Where no proof is left nobody can say
//! whether an object that one replica alone has was deleted, and it is kept.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use mapring_engine::{Engine, IndexChange, ScanDepth, ScanRange, StoreKey};
use mapring_ring::{Partition, RingSize};
use mapring_types::{Object, ObjectId, Record, Result, VersionVector, Versioned, versioned};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::storage::apart;
use crate::storage::objects::Core;
use crate::storage::observe::{Cause, Change};

/// The proof that the values which a clock covers were deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grave {
    pub(crate) clock: VersionVector,
    /// When the tombstone was reaped, in microseconds.
    pub(crate) at: u64,
}

mapring_types::first_version!(Grave, 1, "a grave");

impl Grave {
    pub(crate) fn encode(&self) -> Result<Record> {
        Ok(Record { head: versioned::to_postcard(self)?.into(), body: Bytes::new() })
    }
}

/// The vnodes that have graves: most writes meet one that has none.
#[derive(Default)]
pub(crate) struct Graves(RwLock<BTreeSet<Partition>>);

impl Graves {
    /// Looks for what was kept over a stop. Blocks.
    pub(crate) fn open(engine: &dyn Engine, ring_size: RingSize) -> Self {
        let present: BTreeSet<u16> = engine.vnodes().into_iter().collect();
        let with = ring_size.partitions().filter(|vnode| present.contains(&apart::graves(*vnode)));
        Self(RwLock::new(with.collect()))
    }

    fn any(&self, vnode: Partition) -> bool {
        self.0.read().contains(&vnode)
    }

    fn begin(&self, vnode: Partition) {
        if !self.any(vnode) {
            self.0.write().insert(vnode);
        }
    }

    fn vnodes(&self) -> Vec<Partition> {
        self.0.read().iter().copied().collect()
    }
}

/// A page of the graves of a slice, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Page {
    pub(crate) graves: Vec<(ObjectId, Grave)>,
    /// Where to go on; `None` at the end.
    pub(crate) next: Option<ObjectId>,
}

impl Core {
    /// The grave of an object.
    ///
    /// # Errors
    /// `Storage`, `Corrupt`.
    pub(crate) fn grave(&self, vnode: Partition, place: &StoreKey) -> Result<Option<Grave>> {
        if !self.graves.any(vnode) {
            return Ok(None);
        }
        let record = self.engine.get(apart::graves(vnode), place)?;
        record
            .map(|record| Grave::decode(&record.head))
            .transpose()
            .map_err(|e| e.context(&place.id))
    }

    /// Adds to the grave of an object. Under its lock.
    pub(crate) fn dig(&self, vnode: Partition, place: &StoreKey, mut grave: Grave) -> Result<()> {
        if let Some(known) = self.grave(vnode, place)? {
            if known.clock.dominates(&grave.clock) && known.at >= grave.at {
                return Ok(());
            }
            grave.clock.merge(&known.clock);
            grave.at = grave.at.max(known.at);
        }
        self.graves.begin(vnode);
        self.engine.put(apart::graves(vnode), place, &grave.encode()?, &IndexChange::NONE)
    }

    /// Takes the proof of another replica in: removes what it covers of the object here. Gives
    /// whether something was removed.
    ///
    /// # Errors
    /// `Storage`, `Corrupt`.
    pub(crate) fn bury(&self, vnode: Partition, id: ObjectId, grave: Grave) -> Result<bool> {
        let place = self.place(id);
        let _lock = self.stripe(vnode, &place).lock();
        let clock = grave.clock.clone();
        self.dig(vnode, &place, grave)?;
        let Some(before) = self.stored(vnode, &place)? else { return Ok(false) };
        let mut left = before.clone();
        left.merge(&Object { clock, siblings: Vec::new() });
        assert!(left.siblings.len() <= before.siblings.len(), "{}: a grave adds values", place.id);
        if left == before {
            return Ok(false);
        }
        let gone = left.siblings.len() < before.siblings.len();
        let record = (!left.siblings.is_empty()).then(|| Record::encode_for(&left, self.release()));
        let after = record.as_ref().map(|record| (&left, record));
        let change = Change { vnode, place: &place, after, cause: Cause::Removal };
        self.commit(self.before(&before), &change)?;
        Ok(gone)
    }

    /// A page of the graves of a slice.
    ///
    /// # Errors
    /// `Storage`, `Corrupt`.
    pub(crate) fn graves_page(
        &self,
        vnode: Partition,
        home: Partition,
        after: Option<ObjectId>,
    ) -> Result<Page> {
        let mut page = Page::default();
        if !self.graves.any(vnode) {
            return Ok(page);
        }
        let range = ScanRange::home(home.0).after(after);
        let (mut bytes, mut full, mut failure) = (0, false, None);
        self.engine.scan(
            apart::graves(vnode),
            &range,
            ScanDepth::Heads,
            &mut |place, record| {
                bytes += place.id.key.len() + record.head.len() + 32;
                match Grave::decode(&record.head) {
                    Ok(grave) => page.graves.push((place.id, grave)),
                    Err(error) => {
                        failure = Some(error.context(&place.id));
                        return ControlFlow::Break(());
                    }
                }
                full =
                    page.graves.len() >= limits::REPAIR_PAGE || bytes >= limits::REPAIR_PAGE_BYTES;
                if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        )?;
        failure.map_or(Ok(()), Err)?;
        page.next = page.graves.last().filter(|_| full).map(|(id, _)| id.clone());
        Ok(page)
    }

    /// Removes the graves that are older than `keep` at `now`, in microseconds, and the oldest of
    /// those that are too many. Gives how many are left. Blocks.
    ///
    /// # Errors
    /// `Storage`, `Corrupt`.
    pub(crate) fn level_graves(&self, now: u64, keep: Duration) -> Result<usize> {
        self.level_graves_beyond(now, keep, limits::GRAVES)
    }

    fn level_graves_beyond(&self, now: u64, keep: Duration, most: usize) -> Result<usize> {
        let keep = u64::try_from(keep.as_micros()).unwrap_or(u64::MAX);
        let mut oldest = now.saturating_sub(keep);
        let mut times = Vec::new();
        self.visit_graves(&mut |_, _, grave| {
            if grave.at >= oldest {
                times.push(grave.at);
            }
            ControlFlow::Continue(())
        })?;
        if times.len() > most {
            let cut = times.len() - most;
            oldest = *times.select_nth_unstable(cut).1;
        }
        loop {
            let mut due: Vec<(Partition, StoreKey)> = Vec::new();
            self.visit_graves(&mut |vnode, place, grave| {
                if grave.at < oldest {
                    due.push((vnode, place));
                }
                let full = due.len() >= limits::REPAIR_PAGE;
                if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            if due.is_empty() {
                return Ok(times.into_iter().filter(|at| *at >= oldest).count());
            }
            for (vnode, place) in due {
                let _lock = self.stripe(vnode, &place).lock();
                if self.grave(vnode, &place)?.is_some_and(|grave| grave.at < oldest) {
                    self.engine.delete(apart::graves(vnode), &place, &[])?;
                }
            }
        }
    }

    fn visit_graves(
        &self,
        visit: &mut dyn FnMut(Partition, StoreKey, Grave) -> ControlFlow<()>,
    ) -> Result<()> {
        for vnode in self.graves.vnodes() {
            for home in self.ring_size.partitions() {
                let (mut failure, mut ended) = (None, false);
                let (tree, range) = (apart::graves(vnode), ScanRange::home(home.0));
                self.engine.scan(tree, &range, ScanDepth::Heads, &mut |place, record| {
                    let going_on = match Grave::decode(&record.head) {
                        Ok(grave) => visit(vnode, place, grave),
                        Err(error) => {
                            failure = Some(error.context(&place.id));
                            ControlFlow::Break(())
                        }
                    };
                    ended = going_on.is_break();
                    going_on
                })?;
                failure.map_or(Ok(()), Err)?;
                if ended {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
