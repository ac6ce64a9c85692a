//! An engine in memory, for simulation and tests. What it holds lives as long as it does.
//!
//! It keeps large records apart as an engine on a disk does, so that the order in which files are
//! written, synced and removed is simulated too: see [`MemoryEngine::recover`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use mapring_types::{BucketId, Error, IndexValue, ObjectId, Record, Result};
use parking_lot::RwLock;

use crate::record_files::{self, Found, Memory, RecordFiles};
use crate::value::Outline;
use crate::{
    Engine, EngineStats, IndexChange, IndexEntry, ScanDepth, ScanRange, StoreKey, TermPlace,
    TermRange, Visitor, key, limits,
};

type Records = BTreeMap<StoreKey, Stored>;

/// What lies under a key: a record, or which file it lies in.
#[derive(Clone)]
pub struct Stored(Lies);

#[derive(Clone)]
enum Lies {
    Here(Record),
    InFile(Outline),
}

/// One vnode's data.
#[derive(Clone, Default)]
struct Vnode {
    records: Records,
    /// By home partition, bucket and field.
    indexes: BTreeMap<(u16, BucketId, String), BTreeSet<TermPlace>>,
}

impl Vnode {
    fn add(&mut self, key: &StoreKey, entries: &[IndexEntry]) {
        for (field, term) in entries {
            let index = (key.home, key.id.bucket.clone(), field.clone());
            self.indexes.entry(index).or_default().insert(place(key, term));
        }
    }

    fn remove(&mut self, key: &StoreKey, entries: &[IndexEntry]) {
        for (field, term) in entries {
            let index = (key.home, key.id.bucket.clone(), field.clone());
            if let Some(places) = self.indexes.get_mut(&index) {
                places.remove(&place(key, term));
                if places.is_empty() {
                    self.indexes.remove(&index);
                }
            }
        }
    }
}

fn place(key: &StoreKey, term: &IndexValue) -> TermPlace {
    TermPlace { term: term.clone(), key: key.id.key.clone() }
}

/// One ordered map a vnode.
pub struct MemoryEngine {
    vnodes: RwLock<BTreeMap<u16, Arc<RwLock<Vnode>>>>,
    meta: RwLock<BTreeMap<String, Bytes>>,
    journal: RwLock<BTreeMap<u64, Vec<Bytes>>>,
    /// How many writes there were.
    writes: AtomicU64,
    /// Records above so many bytes have a file of their own.
    without_file: usize,
    medium: Memory,
    files: Arc<RecordFiles>,
}

impl Default for MemoryEngine {
    fn default() -> Self {
        Self::with_files(limits::WITHOUT_FILE_BYTES)
    }
}

impl MemoryEngine {
    /// An empty engine.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty engine in which records above `bytes` have a file of their own.
    pub fn with_files(bytes: usize) -> Self {
        let medium = Memory::default();
        Self {
            vnodes: RwLock::default(),
            meta: RwLock::default(),
            journal: RwLock::default(),
            writes: AtomicU64::default(),
            without_file: bytes,
            files: Arc::new(RecordFiles::new(medium.clone())),
            medium,
        }
    }

    /// What it holds now, as an engine of its own: a copy of the files of a node would be this.
    ///
    /// # Errors
    /// As [`MemoryEngine::recover`], which it begins with.
    pub fn copy(&self) -> Result<Self> {
        let vnodes = self.vnodes.read();
        let copied = |vnode: &Arc<RwLock<Vnode>>| Arc::new(RwLock::new(vnode.read().clone()));
        let medium = self.medium.copy();
        let copy = Self {
            vnodes: RwLock::new(vnodes.iter().map(|(n, vnode)| (*n, copied(vnode))).collect()),
            meta: RwLock::new(self.meta.read().clone()),
            journal: RwLock::new(self.journal.read().clone()),
            writes: AtomicU64::new(self.writes.load(Ordering::Acquire)),
            without_file: self.without_file,
            files: Arc::new(RecordFiles::new(medium.clone())),
            medium,
        };
        copy.recover()?;
        Ok(copy)
    }

    /// What lies under a key, to be put back by [`MemoryEngine::restore`].
    pub fn stored(&self, vnode: u16, key: &StoreKey) -> Option<Stored> {
        self.vnode(vnode)?.read().records.get(key).cloned()
    }

    /// Puts back what has lain under a key, as if nothing had been written since. To be followed by
    /// [`MemoryEngine::recover`].
    pub fn restore(&self, vnode: u16, key: &StoreKey, stored: Option<Stored>) {
        let vnode = self.vnode_or_new(vnode);
        let mut vnode = vnode.write();
        match stored {
            Some(stored) => vnode.records.insert(key.clone(), stored),
            None => vnode.records.remove(key),
        };
    }

    /// Begins again after a loss of power: files that were not synced are gone, and those that nothing
    /// names go. Gives how many records are there without their files: who reads one hears of it.
    ///
    /// # Errors
    /// None of a medium that is memory.
    pub fn recover(&self) -> Result<usize> {
        self.medium.lose_unsynced();
        let (mut stock, mut missing) = (self.files.take_stock()?, 0);
        for vnode in self.vnodes.read().values() {
            for Stored(lies) in vnode.read().records.values() {
                if let Lies::InFile(outline) = lies {
                    let there = stock.name(outline.generation, record_files::bytes_of(outline));
                    missing += usize::from(!there);
                }
            }
        }
        stock.finish(false)?;
        Ok(missing)
    }

    /// How many records have a file of their own: as many files as there are.
    ///
    /// # Errors
    /// None of a medium that is memory.
    pub fn files(&self) -> Result<usize> {
        Ok(self.files.numbers()?.len())
    }

    fn lies(&self, key: &StoreKey, record: &Record) -> Result<Stored> {
        if record.len() <= self.without_file {
            return Ok(Stored(Lies::Here(record.clone())));
        }
        self.files.write(&key::head(key), record).map(|outline| Stored(Lies::InFile(outline)))
    }

    /// What lay somewhere is not needed any more.
    fn leave(&self, old: Option<Stored>) {
        if let Some(Stored(Lies::InFile(outline))) = old {
            self.files.leave(outline.generation, record_files::bytes_of(&outline));
        }
    }

    fn page(
        &self,
        records: &Records,
        from: &Bound<StoreKey>,
        range: &ScanRange,
        depth: ScanDepth,
    ) -> Result<Vec<(StoreKey, Record)>> {
        let within = |key: &StoreKey| match &range.bucket {
            None => true,
            Some(bucket) => {
                *bucket == key.id.bucket && range.to.as_ref().is_none_or(|to| key.id.key <= *to)
            }
        };
        records
            .range((from.as_ref(), Bound::Unbounded))
            .take_while(|(key, _)| key.home == range.home && within(key))
            .take(limits::MEMORY_PAGE_RECORDS)
            .map(|(key, stored)| Ok((key.clone(), self.load(key, stored, depth)?)))
            .collect()
    }

    /// A record as far as `depth` says.
    fn load(&self, key: &StoreKey, stored: &Stored, depth: ScanDepth) -> Result<Record> {
        let outline = match &stored.0 {
            Lies::Here(record) => return Ok(upto(record, depth)),
            Lies::InFile(outline) => outline,
        };
        let what = match self.files.read(&key::head(key), outline, depth)? {
            Found::Record(record) => return Ok(record),
            Found::Damaged => "has a damaged file",
            Found::Gone => "lacks its file",
        };
        Err(Error::corrupt(format!("object {} {what}", key.id)))
    }

    fn wrote(&self) {
        self.writes.fetch_add(1, Ordering::AcqRel);
    }

    fn vnode(&self, vnode: u16) -> Option<Arc<RwLock<Vnode>>> {
        self.vnodes.read().get(&vnode).cloned()
    }

    fn vnode_or_new(&self, vnode: u16) -> Arc<RwLock<Vnode>> {
        match self.vnode(vnode) {
            Some(vnode) => vnode,
            None => Arc::clone(self.vnodes.write().entry(vnode).or_default()),
        }
    }
}

impl Engine for MemoryEngine {
    fn read(&self, vnode: u16, key: &StoreKey, depth: ScanDepth) -> Result<Option<Record>> {
        let Some(vnode) = self.vnode(vnode) else { return Ok(None) };
        // Under the lock: what a record is in is not removed meanwhile.
        let vnode = vnode.read();
        vnode.records.get(key).map(|stored| self.load(key, stored, depth)).transpose()
    }

    fn put(&self, vnode: u16, key: &StoreKey, record: &Record, change: &IndexChange) -> Result<()> {
        let vnode = self.vnode_or_new(vnode);
        let stored = self.lies(key, record)?;
        let mut vnode = vnode.write();
        vnode.add(key, &change.add);
        self.leave(vnode.records.insert(key.clone(), stored));
        vnode.remove(key, &change.remove);
        self.wrote();
        Ok(())
    }

    fn delete(&self, vnode: u16, key: &StoreKey, entries: &[IndexEntry]) -> Result<()> {
        if let Some(vnode) = self.vnode(vnode) {
            let mut vnode = vnode.write();
            self.leave(vnode.records.remove(key));
            vnode.remove(key, entries);
            self.wrote();
        }
        Ok(())
    }

    fn change_index(&self, vnode: u16, key: &StoreKey, change: &IndexChange) -> Result<()> {
        let vnode = self.vnode_or_new(vnode);
        let mut vnode = vnode.write();
        vnode.add(key, &change.add);
        vnode.remove(key, &change.remove);
        self.wrote();
        Ok(())
    }

    fn walk(
        &self,
        vnode: u16,
        range: &ScanRange,
        depth: ScanDepth,
        visitor: &mut dyn Visitor,
    ) -> Result<()> {
        let Some(vnode) = self.vnode(vnode) else { return Ok(()) };
        let mut from = start(range);
        loop {
            // The lock is not held while visiting, which may write.
            let page = self.page(&vnode.read().records, &from, range, depth)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            from = Bound::Excluded(last.clone());
            for (key, record) in page {
                match visitor.wants(&key) {
                    ControlFlow::Continue(false) => continue,
                    ControlFlow::Continue(true) if visitor.visit(key, record).is_continue() => {}
                    _ => return Ok(()),
                }
            }
        }
    }

    fn scan_terms(
        &self,
        vnode: u16,
        range: &TermRange,
        visit: &mut dyn FnMut(TermPlace) -> ControlFlow<()>,
    ) -> Result<()> {
        let Some(vnode) = self.vnode(vnode) else { return Ok(()) };
        let index = (range.home, range.bucket.clone(), range.field.clone());
        let first = TermPlace { term: range.from.clone(), key: Bytes::new() };
        let mut from = match &range.after {
            Some(after) if *after >= first => Bound::Excluded(after.clone()),
            _ => Bound::Included(first),
        };
        loop {
            let page: Vec<TermPlace> = match vnode.read().indexes.get(&index) {
                Some(places) => places
                    .range((from, Bound::Unbounded))
                    .take_while(|place| place.term <= range.to)
                    .take(limits::MEMORY_PAGE_RECORDS)
                    .cloned()
                    .collect(),
                None => return Ok(()),
            };
            let Some(last) = page.last() else { return Ok(()) };
            from = Bound::Excluded(last.clone());
            for place in page {
                if visit(place).is_break() {
                    return Ok(());
                }
            }
        }
    }

    fn sync(&self) -> Result<()> {
        self.files.remove(&self.files.take_left());
        Ok(())
    }

    fn vnodes(&self) -> Vec<u16> {
        let vnodes = self.vnodes.read();
        let full = vnodes.iter().filter(|(_, vnode)| !vnode.read().records.is_empty());
        full.map(|(&vnode, _)| vnode).collect()
    }

    fn meta(&self, name: &str) -> Result<Option<Bytes>> {
        Ok(self.meta.read().get(name).cloned())
    }

    fn set_meta(&self, name: &str, value: &[u8]) -> Result<()> {
        crate::meta::file_name(name)?;
        self.meta.write().insert(name.to_owned(), Bytes::copy_from_slice(value));
        Ok(())
    }

    fn append(&self, segment: u64, entry: &[u8]) -> Result<()> {
        if entry.len() > limits::JOURNAL_ENTRY_BYTES {
            return Err(Error::invalid("the journal entry is too long"));
        }
        let mut journal = self.journal.write();
        journal.entry(segment).or_default().push(Bytes::copy_from_slice(entry));
        Ok(())
    }

    fn journal(&self) -> Result<Vec<(u64, Vec<Bytes>)>> {
        Ok(self.journal.read().iter().map(|(&segment, all)| (segment, all.clone())).collect())
    }

    fn remove_segment(&self, segment: u64) -> Result<()> {
        self.journal.write().remove(&segment);
        Ok(())
    }

    fn stats(&self) -> EngineStats {
        EngineStats { name: "memory", disk_bytes: 0 }
    }

    fn position(&self) -> u64 {
        self.writes.load(Ordering::Acquire)
    }
}

/// A record as far as `depth` says.
fn upto(record: &Record, depth: ScanDepth) -> Record {
    match depth {
        ScanDepth::Heads => Record { head: record.head.clone(), body: Bytes::new() },
        ScanDepth::Records => record.clone(),
    }
}

/// Where the scan of a range begins.
fn start(range: &ScanRange) -> Bound<StoreKey> {
    let empty = || BucketId { bucket_type: Bytes::new(), name: Bytes::new() };
    let from = range.bucket.as_ref().and(range.from.clone()).unwrap_or_default();
    let first = ObjectId::new(range.bucket.clone().unwrap_or_else(empty), from);
    let key = |id| StoreKey { home: range.home, id };
    match &range.after {
        Some(after) if *after >= first => Bound::Excluded(key(after.clone())),
        _ => Bound::Included(key(first)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, at, object, record};

    #[test]
    fn passes_the_conformance_suite() {
        conformance::run("memory", MemoryEngine::new);
    }

    #[test]
    fn equals_the_model() {
        conformance::equals_the_model(&MemoryEngine::new(), 200);
    }

    #[test]
    fn passes_with_all_in_files() {
        conformance::run("memory in files", || MemoryEngine::with_files(0));
        conformance::equals_the_model(&MemoryEngine::with_files(100), 100);
    }

    #[test]
    fn a_loss_of_power_leaves_what_is_named_and_nothing_else() {
        let engine = MemoryEngine::with_files(100);
        let (one, two) = (at(0, object("b", "one")), at(0, object("b", "two")));
        let put = |key: &StoreKey, fill| {
            let before = engine.stored(1, key);
            engine.put(1, key, &record(10, 500, fill), &IndexChange::NONE).unwrap();
            before
        };
        put(&one, 1);
        engine.sync().unwrap();
        assert_eq!(engine.files().unwrap(), 1);
        // Replaced and made, and all of that lost.
        let (first, second) = (put(&one, 2), put(&two, 3));
        assert_eq!(engine.files().unwrap(), 3);
        engine.restore(1, &one, first);
        engine.restore(1, &two, second);
        assert_eq!(engine.recover().unwrap(), 0);
        assert_eq!(engine.files().unwrap(), 1);
        assert_eq!(engine.get(1, &one).unwrap(), Some(record(10, 500, 1)));
        assert_eq!(engine.get(1, &two).unwrap(), None);
        // Once that is durable nothing is left of what was replaced.
        put(&one, 4);
        engine.delete(1, &two, &[]).unwrap();
        engine.sync().unwrap();
        assert_eq!(engine.files().unwrap(), 1);
        assert_eq!(engine.copy().unwrap().get(1, &one).unwrap(), Some(record(10, 500, 4)));
        // One that is named and gone is known.
        let kept = engine.stored(1, &one);
        engine.delete(1, &one, &[]).unwrap();
        engine.sync().unwrap();
        engine.restore(1, &one, kept);
        assert_eq!(engine.recover().unwrap(), 1);
        let error = engine.get(1, &one).unwrap_err();
        assert!(error.message().contains("b/one lacks its file"), "{error}");
    }

    #[test]
    fn indexes_equal_the_model() {
        conformance::indexes::equal_the_model(&MemoryEngine::new(), 200);
    }
}
