//! Storage: the object-safe [`Engine`] trait, the sled engine, the memory engine, and one
//! conformance suite that every engine passes.
//!
//! An engine holds one ordered map a vnode. Keys are (home partition, bucket type, bucket, key), so
//! that the slices of the up to `n_val` home partitions that a vnode holds can each be scanned
//! alone and in order. Beside the objects lie the entries of their secondary indexes, (home
//! partition, bucket type, bucket, field, term, key): see `docs/adr/011`.

#[cfg(test)]
mod conformance;
pub mod intercept;
mod journal;
mod key;
pub mod limits;
mod loss;
pub mod memory;
mod meta;
mod record_files;
pub mod sled;
mod term;
mod value;

use std::ops::ControlFlow;

use bytes::Bytes;
use mapring_types::{BucketId, ObjectId, Record, Release, Result};

pub use self::loss::{Loss, LossKind};
pub use self::memory::MemoryEngine;
pub use self::sled::{Durability, SledConfig, SledEngine};
pub use self::term::{IndexChange, IndexEntry, TermPlace, TermRange};

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
    /// The first key of the bucket; has no meaning without one.
    pub from: Option<Bytes>,
    /// The last key of the bucket, itself included; has no meaning without one.
    pub to: Option<Bytes>,
}

impl ScanRange {
    /// All of a home partition.
    pub fn home(home: u16) -> Self {
        Self { home, bucket: None, after: None, from: None, to: None }
    }

    /// All of a bucket in a home partition.
    pub fn bucket(home: u16, bucket: BucketId) -> Self {
        Self { bucket: Some(bucket), ..Self::home(home) }
    }

    /// What of it lies behind `after`.
    #[must_use]
    pub fn after(self, after: Option<ObjectId>) -> Self {
        Self { after, ..self }
    }
}

/// How much of each record a scan reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanDepth {
    /// Heads alone: `Record::body` is empty.
    Heads,
    /// Whole records.
    Records,
}

/// Who is given what a scan meets.
pub trait Visitor {
    /// Whether the object is to be read and visited; `Break` ends the scan before it. Of those that
    /// are not, nothing but the key is looked at.
    fn wants(&mut self, _key: &StoreKey) -> ControlFlow<(), bool> {
        ControlFlow::Continue(true)
    }

    /// Takes an object; `Break` ends the scan.
    fn visit(&mut self, key: StoreKey, record: Record) -> ControlFlow<()>;
}

/// A closure that visits everything.
struct All<'a>(&'a mut dyn FnMut(StoreKey, Record) -> ControlFlow<()>);

impl Visitor for All<'_> {
    fn visit(&mut self, key: StoreKey, record: Record) -> ControlFlow<()> {
        (self.0)(key, record)
    }
}

/// A storage engine. All calls block and may be made from any thread; none may be made on an async
/// reactor. Calls for one object must not overlap: the caller orders them.
pub trait Engine: Send + Sync + 'static {
    /// Reads a record.
    ///
    /// # Errors
    /// `Storage` when the medium fails, `Corrupt` when the bytes cannot be read.
    fn get(&self, vnode: u16, key: &StoreKey) -> Result<Option<Record>> {
        self.read(vnode, key, ScanDepth::Records)
    }

    /// Reads a record as far as `depth` says.
    ///
    /// # Errors
    /// As [`Engine::get`].
    fn read(&self, vnode: u16, key: &StoreKey, depth: ScanDepth) -> Result<Option<Record>>;

    /// Writes a record in place of what was there, with what changes in the indexes. It survives
    /// what the configured durability says once a later [`Engine::sync`] has returned.
    ///
    /// A write that fails, or is cut short by a crash, may leave entries that the stored record does
    /// not have; never does one that it has miss its entry. Readers hold entries against records.
    ///
    /// # Errors
    /// `Storage` when the medium fails; the old record is then still there, or the new one.
    fn put(&self, vnode: u16, key: &StoreKey, record: &Record, change: &IndexChange) -> Result<()>;

    /// Removes a record, and then its index entries; removing nothing is no error.
    ///
    /// # Errors
    /// `Storage` when the medium fails.
    fn delete(&self, vnode: u16, key: &StoreKey, entries: &[IndexEntry]) -> Result<()>;

    /// Changes the index entries of an object alone.
    ///
    /// # Errors
    /// `Storage` when the medium fails.
    fn change_index(&self, vnode: u16, key: &StoreKey, change: &IndexChange) -> Result<()>;

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
    ) -> Result<()> {
        self.walk(vnode, range, depth, &mut All(visit))
    }

    /// As [`Engine::scan`], of those records that `visitor` wants. The others are not read.
    ///
    /// # Errors
    /// As [`Engine::scan`].
    fn walk(
        &self,
        vnode: u16,
        range: &ScanRange,
        depth: ScanDepth,
        visitor: &mut dyn Visitor,
    ) -> Result<()>;

    /// Visits the index entries of `range` in the order of (term, key) until `visit` breaks. An
    /// entry may be stale: who needs to know reads the record. Entries added or removed meanwhile
    /// may or may not be seen; each of the others is seen exactly once.
    ///
    /// # Errors
    /// As [`Engine::scan`].
    fn scan_terms(
        &self,
        vnode: u16,
        range: &TermRange,
        visit: &mut dyn FnMut(TermPlace) -> ControlFlow<()>,
    ) -> Result<()>;

    /// Returns when everything written before the call is as durable as configured. Concurrent
    /// callers share one flush (group commit).
    ///
    /// # Errors
    /// `Storage` when the medium fails: what was written since the last success may be lost.
    fn sync(&self) -> Result<()>;

    /// As [`Engine::sync`], but what was written before survives a loss of power too, whatever is
    /// configured. An engine that keeps nothing on disk has nothing to do.
    ///
    /// # Errors
    /// As [`Engine::sync`].
    fn sync_disk(&self) -> Result<()> {
        self.sync()
    }

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

    /// What is missing of what was once stored, or cannot be read; kept until [`Engine::clear_loss`],
    /// also over restarts.
    fn loss(&self) -> Option<Loss> {
        None
    }

    /// Forgets `loss`: everything has been filled in again. Returns whether nothing is missing now;
    /// another loss may have been found meanwhile.
    ///
    /// # Errors
    /// `Storage`.
    fn clear_loss(&self, _loss: &Loss) -> Result<bool> {
        Ok(true)
    }

    /// Sets all records aside and begins with none; meta values and the journal stay. The loss is
    /// then [`LossKind::Empty`].
    ///
    /// # Errors
    /// `Storage` when it cannot be done; `Invalid` when the engine cannot do this at all.
    fn reset(&self) -> Result<()> {
        Err(mapring_types::Error::invalid("this storage cannot be begun anew"))
    }

    /// Has an engine that has failed work again, where it can; returns whether it had failed. To be
    /// called now and then. Acknowledged writes are there again afterwards, or are a loss.
    ///
    /// # Errors
    /// `Storage` when it still fails.
    fn reopen(&self) -> Result<bool> {
        Ok(false)
    }

    /// A number that changes whenever records may have gone back to an earlier state while the
    /// engine was in use.
    fn generation(&self) -> u64 {
        0
    }

    /// How far what was written is acknowledged: a number that grows with what [`Engine::sync`] has
    /// made durable. The same store opened again does not begin below what it gave before, unless it
    /// has a [`Engine::loss`]; an older copy of it does. 0 where the engine does not know.
    fn position(&self) -> u64 {
        0
    }

    /// What is written from now on may be of the formats of `release`: no program that does not know
    /// them is to open the store any more. Until then, and over restarts, it is of those of before.
    ///
    /// # Errors
    /// `Storage`: then the former formats are still written.
    fn raise_release(&self, _release: Release) -> Result<()> {
        Ok(())
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
