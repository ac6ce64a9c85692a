//! What other replicas know, joined into what is stored here; and writes whose coordinator is gone.

use mapring_datatypes::object as datatypes;
use mapring_engine::StoreKey;
use mapring_ring::Partition;
use mapring_types::{Error, ErrorKind, Object, ObjectId, Piece, Record, Result};
use tokio::time::Instant;

use crate::storage::inflight::WriteMark;
use crate::storage::objects::Core;
use crate::storage::observe::{Cause, Change};
use crate::view;

impl Core {
    /// Joins what a replica knows into what is stored here, and logs the write that it is part of.
    ///
    /// # Errors
    /// `Corrupt`, `Overloaded`, `Storage`.
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
        let cause = Cause::of_merge(mark.is_some());
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
                // Whoever sent it may have gone on to a release that this node has not noted yet.
                let own;
                let record = if record.is_later_than(self.release()) {
                    own = Record::encode_for(&incoming, self.release());
                    &own
                } else {
                    record
                };
                let change =
                    Change { vnode, place: &place, after: Some((&incoming, record)), cause };
                return self.commit(self.before(&Object::default()), &change);
            }
            (stored, _) => stored.unwrap_or_default(),
        };
        let mut joined = before.clone();
        if let Some(grave) = grave {
            // What the tombstone had replaced stays replaced, also beside a newer value.
            joined.clock.merge(&grave.clock);
        }
        let began = Instant::now();
        joined.merge(&incoming);
        if !before.siblings.is_empty() {
            self.figures.count_merge(datatypes::kind(&joined), began);
        }
        let seen = joined.clock.dominates(&incoming.clock);
        assert!(seen, "{}: a merge has left writes out", place.id);
        self.store_joined(vnode, &place, &before, &joined, cause)
    }

    /// As [`Core::merge`], of a piece. Each is logged: whichever is the last stored here, the write
    /// is then known here, and one that comes so late that it has settled brings nothing back.
    pub(super) fn merge_piece(
        &self,
        vnode: Partition,
        id: ObjectId,
        piece: Piece,
        mark: Option<WriteMark>,
    ) -> Result<()> {
        let place = self.place(id);
        let cause = Cause::of_merge(mark.is_some());
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
        self.store_joined(vnode, &place, &before, &joined, cause)
    }

    /// Stores what another replica's copy has made of what was there before.
    fn store_joined(
        &self,
        vnode: Partition,
        place: &StoreKey,
        before: &Object,
        joined: &Object,
        cause: Cause,
    ) -> Result<()> {
        if joined.siblings.is_empty() {
            return Ok(());
        }
        check(joined).map_err(|error| error.context(&place.id))?;
        if joined == before {
            // Already here, but perhaps not yet durable: the caller still waits for a sync.
            if cause == Cause::Own {
                self.foreign.note(vnode, true);
            }
            return Ok(());
        }
        let seen = joined.clock.dominates(&before.clock);
        assert!(seen, "{}: a merge has forgotten writes", place.id);
        let record = Record::encode_for(joined, self.release());
        let change = Change { vnode, place, after: Some((joined, &record)), cause };
        self.commit(self.before(before), &change)
    }

    pub(super) fn recover(&self, id: ObjectId) -> Result<()> {
        let view = self.cluster.view();
        let unknown = || Error::new(ErrorKind::NotFound, format!("{id}: unknown bucket type"));
        let n_val = view::known_props(&view, &id.bucket).ok_or_else(unknown)?.n_val;
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
        let record = Record::encode_for(&joined, self.release());
        for entry in &primaries {
            // Also where it lies here already, in place of its owner, it is a hint now.
            self.merge(entry.vnode, place.id.clone(), &record, None)?;
        }
        Ok(())
    }
}

/// What must hold of every stored object: it has values, in order, each with a dot of its own that
/// the clock covers.
pub(super) fn check(object: &Object) -> Result<()> {
    let ordered = object.siblings.windows(2).all(|pair| pair[0].dot < pair[1].dot);
    let covered = object.siblings.iter().all(|sibling| object.clock.covers(sibling.dot));
    if object.siblings.is_empty() || !ordered || !covered {
        return Err(Error::corrupt("an object's clock and values contradict each other"));
    }
    Ok(())
}
