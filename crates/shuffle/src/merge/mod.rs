//! Merging the segments of a partition into its groups.
//!
//! Memory is what the readers of the segments need, a block each. Where these would be too many, some
//! of them, neighbours in the list, are first merged into one that lies in the store: its records have
//! their whole orders.

#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;

use mapring_types::Result;

use crate::groups::{Builder, Groups};
use crate::limits::{MERGE_BYTES, MERGE_SEGMENTS};
use crate::segment::{Reader, Source, Writer};
use crate::store::Store;

use tree::{Tree, rest};

/// How much a merge may take at once.
#[derive(Debug, Clone, Copy)]
pub struct MergeBounds {
    /// Most segments that are read at once; two are always.
    pub segments: usize,
    /// Bytes of memory for reading them; as many as two need are always taken.
    pub bytes: u64,
}

impl Default for MergeBounds {
    fn default() -> Self {
        Self { segments: MERGE_SEGMENTS, bytes: MERGE_BYTES }
    }
}

/// The groups of a partition, in the order of their keys; of each the values by order, then by the
/// place of their segment in the list, then by their place in it. Blocks while it reads.
pub struct Merge {
    tree: Tree,
    /// The key of the group that was given last.
    key: Vec<u8>,
    /// The next value belongs to that group.
    begun: bool,
    records: u64,
    passed: u64,
}

impl Merge {
    /// Begins to merge segments, of which those must be at hand in the store that are too many to be
    /// read at once. With `after`, the groups begin after this key.
    ///
    /// # Errors
    /// Those of the segments, named with their blocks; those of the store where it is needed.
    pub fn open(
        store: &Store,
        query: u64,
        segments: Vec<Arc<dyn Source>>,
        after: Option<&[u8]>,
        bounds: MergeBounds,
    ) -> Result<Self> {
        let readers: Result<Vec<_>> = segments.into_iter().map(Reader::open).collect();
        let mut readers = readers?;
        let records = readers.iter().map(|reader| reader.summary().records).sum();
        while !bounds.hold(&readers) {
            readers = narrow(store, query, readers, after, bounds)?;
        }
        let tree = Tree::new(readers, after)?;
        Ok(Self { tree, key: Vec::new(), begun: false, records, passed: 0 })
    }

    /// The next groups, with up to about so many values and bytes; `None` when there are no more. The
    /// last of them may go on in the next batch.
    ///
    /// # Errors
    /// Those of the segments. The merge is of no use then.
    pub fn next_groups(&mut self, max_values: usize, max_bytes: usize) -> Result<Option<Groups>> {
        let mut builder = Builder::default();
        while !builder.is_full(max_values, max_bytes)
            && let Some(reader) = self.tree.first()
        {
            self.key.clear();
            self.key.extend_from_slice(reader.key());
            builder.begin(&self.key, reader.order(), !self.begun);
            self.begun = false;
            self.fill(&mut builder, max_values, max_bytes)?;
            builder.end(!self.begun);
        }
        let groups = builder.finish();
        Ok((!groups.is_empty()).then_some(groups))
    }

    /// Adds the values of one key, as many as there is room for.
    fn fill(&mut self, builder: &mut Builder, max_values: usize, max_bytes: usize) -> Result<()> {
        let head = self.tree.head();
        while let Some(reader) = self.tree.first() {
            builder.value(reader.value());
            self.passed += 1;
            let same = self.tree.advance()? || self.tree.head() == head && self.is_next();
            if !same {
                break;
            }
            if builder.is_full(max_values, max_bytes) {
                self.begun = true;
                break;
            }
        }
        Ok(())
    }

    /// Whether the next record, whose key has the same head, has the key of the last.
    fn is_next(&self) -> bool {
        self.tree.first().is_some_and(|reader| rest(reader.key(), &self.key).is_eq())
    }

    /// How many records the segments have, those not after the key where it begins among them.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// How many have been given.
    pub fn passed(&self) -> u64 {
        self.passed
    }
}

impl MergeBounds {
    /// Whether so many can be read at once.
    fn hold(&self, readers: &[Reader]) -> bool {
        let bytes: u64 = readers.iter().map(cost).sum();
        readers.len() <= 2 || (readers.len() <= self.segments && bytes <= self.bytes)
    }
}

/// Memory that a reader takes: a block as it is stored, and as it is read.
fn cost(reader: &Reader) -> u64 {
    2 * u64::from(reader.summary().largest_block)
}

/// Merges neighbours until the rest can be read at once, each at the most once.
fn narrow(
    store: &Store,
    query: u64,
    readers: Vec<Reader>,
    after: Option<&[u8]>,
    bounds: MergeBounds,
) -> Result<Vec<Reader>> {
    let mut left: Vec<Reader> = readers;
    let mut narrowed: Vec<Reader> = Vec::new();
    while left.len() > 1 {
        let bytes: u64 = narrowed.iter().chain(&left).map(cost).sum();
        let count = narrowed.len() + left.len();
        let few = count <= bounds.segments;
        if few && bytes <= bounds.bytes {
            break;
        }
        // No more than needed, and no more than can be read at once.
        let most = if few { bounds.segments } else { count - bounds.segments + 1 };
        let most = most.clamp(2, bounds.segments.max(2));
        let mut bytes = 0;
        let within = left.iter().take(most).take_while(|reader| {
            bytes += cost(reader);
            bytes <= bounds.bytes
        });
        let bunch = within.count().max(2);
        let rest = left.split_off(bunch);
        narrowed.push(into_one(store, query, std::mem::replace(&mut left, rest), after)?);
    }
    narrowed.append(&mut left);
    Ok(narrowed)
}

/// Merges segments into one in the store.
fn into_one(
    store: &Store,
    query: u64,
    readers: Vec<Reader>,
    after: Option<&[u8]>,
) -> Result<Reader> {
    let mut writer = Writer::new(store.temporary(query)?, b"")?;
    let mut tree = Tree::new(readers, after)?;
    while let Some(reader) = tree.first() {
        writer.push(reader.key(), reader.order(), reader.value())?;
        tree.advance()?;
    }
    let (temporary, _) = writer.finish()?;
    Reader::open(Arc::new(temporary))
}
