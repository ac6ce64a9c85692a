//! Storage: the object-safe [`Engine`] trait, the sled engine, the memory engine, and one
//! conformance suite that every engine passes.
//!
//! An engine holds one ordered map a vnode. Keys are (home partition, bucket type, bucket, key), so
//! that the slices of the up to `n_val` home partitions that a vnode holds can each be scanned
//! alone and in order.

#[cfg(test)]
mod conformance;
mod journal;
mod key;
pub mod limits;
mod loss;
pub mod memory;
mod meta;
pub mod sled;
mod value;

use std::ops::ControlFlow;

use bytes::Bytes;
use mapring_types::{BucketId, ObjectId, Record, Result};

pub use self::loss::{Loss, LossKind};
pub use self::memory::MemoryEngine;
pub use self::sled::{Durability, SledConfig, SledEngine};

/// A place in a vnode: home partition and object name. Partitions are plain numbers here; the ring
/// gives them meaning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreKey {
    /// The partition that the object's name hashes to.
    pub home: u16,
    /// The object.
    pub id: ObjectId,
}

/// What a scan covers. Scans are ordered by (home, bucket type, bucket, key), bytewise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanRange {
    /// The home partition to scan.
    pub home: u16,
    /// Only this bucket; `None` for all.
    pub bucket: Option<BucketId>,
    /// Start strictly after this object; `None` from the beginning.
    pub after: Option<ObjectId>,
}

/// How much of each record a scan reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanDepth {
    /// Heads alone: `Record::body` is empty.
    Heads,
    /// Whole records.
    Records,
}

/// A storage engine. All calls block and may be made from any thread; none may be made on an async
/// reactor. Calls for one object must not overlap: the caller orders them.
pub trait Engine: Send + Sync + 'static {
    /// Reads a record.
    ///
    /// # Errors
    /// `Storage` when the medium fails, `Corrupt` when the bytes cannot be read.
    fn get(&self, vnode: u16, key: &StoreKey) -> Result<Option<Record>>;

    /// Writes a record in place of what was there. It survives what the configured durability says
    /// once a later [`Engine::sync`] has returned.
    ///
    /// # Errors
    /// `Storage` when the medium fails; the old record is then still there, or the new one.
    fn put(&self, vnode: u16, key: &StoreKey, record: &Record) -> Result<()>;

    /// Removes a record; removing nothing is no error.
    ///
    /// # Errors
    /// `Storage` when the medium fails.
    fn delete(&self, vnode: u16, key: &StoreKey) -> Result<()>;

    /// Visits the records of `range` in order until `visit` breaks. Records written meanwhile may
    /// or may not be seen; each record there before is seen exactly once (invariant I3).
    ///
    /// # Errors
    /// `Storage` or `Corrupt`, naming the place.
    fn scan(
        &self,
        vnode: u16,
        range: &ScanRange,
        depth: ScanDepth,
        visit: &mut dyn FnMut(StoreKey, Record) -> ControlFlow<()>,
    ) -> Result<()>;

    /// Returns when everything written before the call is as durable as configured. Concurrent
    /// callers share one flush (group commit).
    ///
    /// # Errors
    /// `Storage` when the medium fails: what was written since the last success may be lost.
    fn sync(&self) -> Result<()>;

    /// The vnodes that have any data.
    fn vnodes(&self) -> Vec<u16>;

    /// Reads a small named value that belongs to the node or a vnode, not to an object.
    ///
    /// # Errors
    /// `Storage` or `Corrupt`.
    fn meta(&self, name: &str) -> Result<Option<Bytes>>;

    /// Writes a small named value, fsynced before this returns, whatever the durability level.
    ///
    /// # Errors
    /// `Storage`.
    fn set_meta(&self, name: &str, value: &[u8]) -> Result<()>;

    /// Adds a small entry to a segment of the journal. Survives like a record that was written after
    /// it: once a later [`Engine::sync`] has returned.
    ///
    /// # Errors
    /// `Invalid` for an entry above [`limits::JOURNAL_ENTRY_BYTES`], `Storage`.
    fn append(&self, segment: u64, entry: &[u8]) -> Result<()>;

    /// The segments of the journal in order, each with its entries in order, as far as they
    /// survived.
    ///
    /// # Errors
    /// `Storage`.
    fn journal(&self) -> Result<Vec<(u64, Vec<Bytes>)>>;

    /// Removes a segment of the journal; removing none is no error.
    ///
    /// # Errors
    /// `Storage`.
    fn remove_segment(&self, segment: u64) -> Result<()>;

    /// Figures for `/stats` and `/metrics`.
    fn stats(&self) -> EngineStats;

    /// What is missing of what was once stored, or cannot be read; kept until [`Engine::mend`], also
    /// over restarts.
    fn loss(&self) -> Option<Loss> {
        None
    }

    /// Forgets `loss`: everything has been filled in again. Gives whether nothing is missing now;
    /// another loss may have been found meanwhile.
    ///
    /// # Errors
    /// `Storage`.
    fn mend(&self, _loss: &Loss) -> Result<bool> {
        Ok(true)
    }

    /// Sets all records aside and begins with none; meta values and the journal stay. The loss is
    /// then [`LossKind::Empty`].
    ///
    /// # Errors
    /// `Storage` when it cannot be done; `Invalid` when the engine cannot do this at all.
    fn renew(&self) -> Result<()> {
        Err(mapring_types::Error::invalid("this storage cannot be begun anew"))
    }

    /// Has an engine that has failed work again, where it can; gives whether it had failed. To be
    /// called now and then. Acknowledged writes are there again afterwards, or are a loss.
    ///
    /// # Errors
    /// `Storage` when it still fails.
    fn revive(&self) -> Result<bool> {
        Ok(false)
    }

    /// A number that changes whenever records may have gone back to an earlier state while the
    /// engine was in use.
    fn life(&self) -> u64 {
        0
    }
}

/// What an engine knows of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// The engine's name.
    pub name: &'static str,
    /// Bytes on disk; 0 in memory.
    pub disk_bytes: u64,
}
