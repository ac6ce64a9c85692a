//! Index entries and the objects that they belong to, held against each other.
//!
//! A write adds entries before the object and removes them after it, so that an entry may be stale
//! but none is missing (see `docs/adr/011`). What is here makes up for the two exceptions: objects
//! that were stored before there were entries, and entries that damage has taken; and it removes
//! stale ones where a reader meets them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use mapring_engine::{Engine, IndexChange, IndexEntry, ScanDepth, ScanRange, StoreKey};
use mapring_ring::{Partition, RingSize};
use mapring_types::{ErrorKind, Object, Record, Result, Versioned};

use crate::storage::observe::{Batch, Change, Observer};

/// The meta value that says that all stored objects have their entries.
const NAME: &str = "kv-indexes";
/// Its value: that all objects have entries of this version.
struct Complete;

mapring_types::first_version!(Complete, 1, "the mark of the indexes", Complete);

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
    match engine.meta(NAME)?.map(|value| Complete::decode(&value)) {
        Some(Ok(Complete)) => return Ok(()),
        // Entries of a version that is not known here are not touched.
        Some(Err(error)) if error.kind() != ErrorKind::Corrupt => return Err(error),
        Some(Err(_)) | None => {}
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
    engine.set_meta(NAME, &[Complete::VERSION])
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

/// Keeps the entries of an object in step with it.
pub(crate) struct Indexes;

impl Observer for Indexes {
    type Before = BTreeSet<IndexEntry>;

    fn before(&self, object: &Object) -> Self::Before {
        object.index_entries()
    }

    fn write(&self, before: Self::Before, change: &Change<'_>, batch: &mut Batch) {
        let after = change.after.map(|(object, _)| object.index_entries());
        batch.indexes = IndexChange::of(&before, &after.unwrap_or_default());
    }

    fn done(&self, _: &Change<'_>) {}
}
