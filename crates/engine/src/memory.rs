//! An engine in memory, for simulation and tests. What it holds lives as long as it does.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use bytes::Bytes;
use mapring_types::{BucketId, Error, ObjectId, Record, Result};
use parking_lot::RwLock;

use crate::{Engine, EngineStats, ScanDepth, ScanRange, StoreKey, limits};

type Records = BTreeMap<StoreKey, Record>;

/// One ordered map a vnode.
#[derive(Default)]
pub struct MemoryEngine {
    vnodes: RwLock<BTreeMap<u16, Arc<RwLock<Records>>>>,
    meta: RwLock<BTreeMap<String, Bytes>>,
    journal: RwLock<BTreeMap<u64, Vec<Bytes>>>,
}

impl MemoryEngine {
    /// An empty engine.
    pub fn new() -> Self {
        Self::default()
    }

    fn vnode(&self, vnode: u16) -> Option<Arc<RwLock<Records>>> {
        self.vnodes.read().get(&vnode).cloned()
    }
}

impl Engine for MemoryEngine {
    fn get(&self, vnode: u16, key: &StoreKey) -> Result<Option<Record>> {
        Ok(self.vnode(vnode).and_then(|records| records.read().get(key).cloned()))
    }

    fn put(&self, vnode: u16, key: &StoreKey, record: &Record) -> Result<()> {
        let records = match self.vnode(vnode) {
            Some(records) => records,
            None => Arc::clone(self.vnodes.write().entry(vnode).or_default()),
        };
        records.write().insert(key.clone(), record.clone());
        Ok(())
    }

    fn delete(&self, vnode: u16, key: &StoreKey) -> Result<()> {
        if let Some(records) = self.vnode(vnode) {
            records.write().remove(key);
        }
        Ok(())
    }

    fn scan(
        &self,
        vnode: u16,
        range: &ScanRange,
        depth: ScanDepth,
        visit: &mut dyn FnMut(StoreKey, Record) -> ControlFlow<()>,
    ) -> Result<()> {
        let Some(records) = self.vnode(vnode) else { return Ok(()) };
        let mut from = start(range);
        loop {
            // The lock is not held while visiting, which may write.
            let page = page(&records.read(), &from, range, depth);
            let Some((last, _)) = page.last() else { return Ok(()) };
            from = Bound::Excluded(last.clone());
            for (key, record) in page {
                if visit(key, record).is_break() {
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
        let full = vnodes.iter().filter(|(_, records)| !records.read().is_empty());
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
}

/// Where the scan of a range begins.
fn start(range: &ScanRange) -> Bound<StoreKey> {
    let empty = || BucketId { bucket_type: Bytes::new(), name: Bytes::new() };
    let first = ObjectId::new(range.bucket.clone().unwrap_or_else(empty), Bytes::new());
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
    let inside = |key: &StoreKey| {
        key.home == range.home && range.bucket.as_ref().is_none_or(|b| *b == key.id.bucket)
    };
    let read = |record: &Record| match depth {
        ScanDepth::Heads => Record { head: record.head.clone(), body: Bytes::new() },
        ScanDepth::Records => record.clone(),
    };
    records
        .range((from.as_ref(), Bound::Unbounded))
        .take_while(|(key, _)| inside(key))
        .take(limits::MEMORY_PAGE_RECORDS)
        .map(|(key, record)| (key.clone(), read(record)))
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
}
