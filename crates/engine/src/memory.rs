//! An engine in memory, for simulation and tests. What it holds lives as long as it does.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use mapring_types::{BucketId, Error, IndexValue, ObjectId, Record, Result};
use parking_lot::RwLock;

use crate::{
    Engine, EngineStats, IndexChange, IndexEntry, ScanDepth, ScanRange, StoreKey, TermPlace,
    TermRange, Visitor, limits,
};

type Records = BTreeMap<StoreKey, Record>;

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
#[derive(Default)]
pub struct MemoryEngine {
    vnodes: RwLock<BTreeMap<u16, Arc<RwLock<Vnode>>>>,
    meta: RwLock<BTreeMap<String, Bytes>>,
    journal: RwLock<BTreeMap<u64, Vec<Bytes>>>,
    /// How many writes there were.
    writes: AtomicU64,
}

impl MemoryEngine {
    /// An empty engine.
    pub fn new() -> Self {
        Self::default()
    }

    /// What it holds now, as an engine of its own: a copy of the files of a node would be this.
    #[must_use]
    pub fn copy(&self) -> Self {
        let vnodes = self.vnodes.read();
        let copied = |vnode: &Arc<RwLock<Vnode>>| Arc::new(RwLock::new(vnode.read().clone()));
        Self {
            vnodes: RwLock::new(vnodes.iter().map(|(n, vnode)| (*n, copied(vnode))).collect()),
            meta: RwLock::new(self.meta.read().clone()),
            journal: RwLock::new(self.journal.read().clone()),
            writes: AtomicU64::new(self.writes.load(Ordering::Acquire)),
        }
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
        let vnode = self.vnode(vnode);
        Ok(vnode.and_then(|vnode| vnode.read().records.get(key).map(|record| upto(record, depth))))
    }

    fn put(&self, vnode: u16, key: &StoreKey, record: &Record, change: &IndexChange) -> Result<()> {
        let vnode = self.vnode_or_new(vnode);
        let mut vnode = vnode.write();
        vnode.add(key, &change.add);
        vnode.records.insert(key.clone(), record.clone());
        vnode.remove(key, &change.remove);
        self.wrote();
        Ok(())
    }

    fn delete(&self, vnode: u16, key: &StoreKey, entries: &[IndexEntry]) -> Result<()> {
        if let Some(vnode) = self.vnode(vnode) {
            let mut vnode = vnode.write();
            vnode.records.remove(key);
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
            let page = page(&vnode.read().records, &from, range, depth);
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

fn page(
    records: &Records,
    from: &Bound<StoreKey>,
    range: &ScanRange,
    depth: ScanDepth,
) -> Vec<(StoreKey, Record)> {
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
        .map(|(key, record)| (key.clone(), upto(record, depth)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[test]
    fn passes_the_conformance_suite() {
        conformance::run("memory", MemoryEngine::new);
    }

    #[test]
    fn equals_the_model() {
        conformance::equals_the_model(&MemoryEngine::new(), 200);
    }
    #[test]
    fn indexes_equal_the_model() {
        conformance::indexes::equal_the_model(&MemoryEngine::new(), 200);
    }
}
