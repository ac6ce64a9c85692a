//! Writes that this node coordinates: each gets a dot and replaces what its client has seen.

use mapring_datatypes::{Update, object as datatypes};
use mapring_types::{
    Dot, Error, ErrorKind, Object, Record, Result, Sibling, VersionVector, Versioned,
};
use tokio::time::Instant;

use crate::resolution::Resolution;
use crate::sizes::Size;
use crate::storage::join::check;
use crate::storage::objects::Core;
use crate::storage::observe::{Cause, Change};
use crate::write::{NewValue, Write};

/// How a write is to be stamped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamping {
    /// The number of the write among this incarnation's.
    pub(crate) number: u64,
    pub(crate) resolution: Resolution,
    /// How many nodes write to the object without asking each other, as long as it is far from its
    /// limits; 1: this one decides.
    pub(crate) coordinators: usize,
}

/// What became of a write to be stamped.
#[derive(Debug)]
pub(crate) enum Stamped {
    /// It is stored: the object as it then is, and its record.
    Stored(Object, Record),
    /// Nothing was done: the object is so near a limit that one node has to decide.
    Near(Box<Write>),
}

impl Core {
    /// Stamps a write and stores it, unless another node may have to decide about it.
    ///
    /// # Errors
    /// `Precondition`, `TooLarge`, `Overloaded`, `Unavailable`, `Storage`, `Corrupt`; of updates also
    /// `Invalid`.
    pub(super) fn stamp(&self, mut write: Write, stamping: Stamping) -> Result<Stamped> {
        let Stamping { number, resolution, coordinators } = stamping;
        let (vnode, write_id) = (write.vnode, write.write_id);
        let place = self.place(write.id);
        let _lock = self.stripe(vnode, &place).lock();
        let stored = self.engine.get(vnode.0, &place)?;
        let bytes = stored.as_ref().map_or(0, Record::len);
        let grave = if stored.is_none() { self.grave(vnode, &place)? } else { None };
        let decoded = stored.map(|record| record.decode()).transpose();
        let mut object = decoded.map_err(|error| error.context(&place.id))?.unwrap_or_default();
        let changed = write.unchanged.as_ref().is_some_and(|seen| !seen.dominates(&object.clock));
        if let Some(grave) = grave {
            // It is written over the tombstone that was here.
            object.clock.merge(&grave.clock);
        }
        let repeated = self.recent.lock().dot((vnode, write_id));
        if repeated.is_some_and(|dot| object.clock.covers(dot)) {
            let record = Record::encode_for(&object, self.release());
            return Ok(Stamped::Stored(object, record));
        }
        if changed {
            let message = format!("{}: the object was changed meanwhile", place.id);
            return Err(Error::new(ErrorKind::Precondition, message));
        }
        let before = self.before(&object);
        let size_before = Size::new(&object, bytes);
        let mut context = write.context.unwrap_or_default();
        resolution.widen(&mut context, &object.clock);
        let stamp = |context: &VersionVector, object: &Object| {
            self.actors.stamp(vnode, [&object.clock, context])
        };
        // Of an update that is not made after all.
        let update = write.updates.then(|| write.value.clone());
        let dot = if write.updates {
            let update = Update::decode(&write.value.body)?;
            let none = VersionVector::new();
            let dot = stamp(update.context.as_ref().unwrap_or(&none), &object)?;
            let began = Instant::now();
            let applied = datatypes::update(&mut object, &update, dot, write.asked_at);
            let made = applied.as_ref().ok().copied();
            self.figures.count_update(update.kind(), began, made);
            applied?;
            dot
        } else {
            let dot = stamp(&context, &object)?;
            let last_modified = write.asked_at.max(object.last_modified().saturating_add(1));
            let NewValue { metadata, body, deleted } = write.value;
            object.update(&context, Sibling { dot, last_modified, deleted, metadata, body });
            assert!(object.clock.dominates(&context), "what {dot:?} had seen is lost");
            dot
        };
        assert!(object.clock.covers(dot), "{dot:?} is lost");
        let record = Record::encode_for(&object, self.release());
        let size = Size::new(&object, record.len());
        // Else each write replaces all that its node knows.
        if resolution.keeps_all()
            && coordinators > 1
            && size.outgrows(size_before)
            && (self.sizes.is_near(size, coordinators) || self.left.lock().is_left(&place.id))
        {
            write.id = place.id;
            write.context = Some(context);
            write.value = update.unwrap_or_else(|| taken_back(object, dot));
            return Ok(Stamped::Near(Box::new(write)));
        }
        self.sizes.check(&place.id, size_before, size)?;
        check(&object).map_err(|error| error.context(&place.id))?;
        self.in_flight.note(self.in_flight.own(number), &place.id)?;
        let after = Some((&object, &record));
        self.commit(before, &Change { vnode, place: &place, after, cause: Cause::Own })?;
        self.recent.lock().remember((vnode, write_id), dot);
        self.warner.look(&self.sizes, &place.id, size);
        Ok(Stamped::Stored(object, record))
    }
}

/// The value of a write that is not made after all.
fn taken_back(object: Object, dot: Dot) -> NewValue {
    let ours = object.siblings.into_iter().find(|sibling| sibling.dot == dot);
    let value = |Sibling { metadata, body, deleted, .. }| NewValue { metadata, body, deleted };
    ours.map(value).unwrap_or_default()
}
