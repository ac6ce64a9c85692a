//! Index entries and the objects that they belong to, held against each other.
//!
//! A write adds entries before the object and removes them after it, so that an entry may be stale
//! but none is missing (see `docs/adr/011`). What is here makes up for the two exceptions: objects
//! that were stored before there were entries, and entries that damage has taken; and it removes
//! stale ones where a reader meets them.

use std::ops::ControlFlow;

use mapring_engine::{Engine, IndexChange, IndexEntry, ScanDepth, ScanRange, StoreKey};
use mapring_ring::{Partition, RingSize};
use mapring_types::{ErrorKind, Record, Result};

use crate::storage::vnode::Core;

/// The meta value that says that all stored objects have their entries.
const NAME: &str = "kv-indexes";
/// Its value: the version of the entries.
const VERSION: u8 = 1;

/// Gives all stored objects their entries, once for a data directory. Blocks, and for minutes where
/// there are millions of objects with terms from before.
///
/// A slice that cannot be read whole keeps nothing from being served: what the engine says to be lost
/// is filled from other nodes, and its entries with it. Where the entries cannot be written all of it is
/// tried again at the next start.
///
/// # Errors
/// `Storage`, when nothing can be read at all.
pub(crate) fn ensure(engine: &dyn Engine, ring_size: RingSize) -> Result<()> {
    if engine.meta(NAME)?.as_deref() == Some(&[VERSION]) {
        return Ok(());
    }
    for vnode in engine.vnodes().into_iter().filter(|vnode| crate::storage::apart::is_vnode(*vnode))
    {
        tracing::info!(vnode, "building the indexes of objects from before there were any");
        for home in ring_size.partitions() {
            match build(engine, Partition(vnode), home) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::warn!(%error, vnode, %home, "the indexes of a slice are not complete");
                }
                Err(error) => {
                    tracing::warn!(%error, "the indexes cannot be built; tried again at the next start");
                    return Ok(());
                }
            }
        }
    }
    engine.sync()?;
    engine.set_meta(NAME, &[VERSION])
}

/// Gives all objects of a slice their entries; those that they have are no error. What is written
/// meanwhile has its entries by itself.
///
/// # Errors
/// `Storage`, `Corrupt`.
pub(crate) fn build(engine: &dyn Engine, vnode: Partition, home: Partition) -> Result<()> {
    let mut built = Ok(());
    let add = |place: StoreKey, record: Record| -> Result<()> {
        let object = Record::decode_without_bodies(&record.head)?;
        let change = IndexChange::between(None, Some(&object));
        if change.is_empty() { Ok(()) } else { engine.change_index(vnode.0, &place, &change) }
    };
    engine.scan(vnode.0, &ScanRange::home(home.0), ScanDepth::Heads, &mut |place, record| {
        built = add(place, record);
        if built.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    built
}

impl Core {
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
}
