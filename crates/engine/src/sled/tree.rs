//! One vnode's tree: head records, chunks, notes about chunks that are being changed, index entries.
//!
//! A large record is written in the order note, chunks, head record; then the old chunks go, then
//! the note. sled recovers a prefix of its log, so after a crash chunks without a head record
//! always have a note, and opening a tree sweeps only what the notes name.
//!
//! A record's index entries are written before its head record, and those that it loses are removed
//! after it. So after a crash an entry may be stale, and none is missing.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::sled as db;
use mapring_types::{Error, ErrorKind, Record, Result};

use crate::value::{self, Chunked, Stored};
use crate::{
    IndexChange, IndexEntry, ScanDepth, ScanRange, StoreKey, TermPlace, TermRange, Visitor, key,
    limits, term,
};

use super::health::Health;

/// The beginning of the names of trees, with the version of keys and values.
const NAME: &[u8] = b"v1/";

/// The vnode that a tree's name names.
pub(super) fn vnode_of(name: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(name.strip_prefix(NAME)?.try_into().ok()?))
}

/// A vnode's records.
pub(super) struct VnodeTree {
    tree: db::Tree,
    vnode: u16,
    /// Whether there ever was a chunk. While not, writes need not look for chunks to remove.
    chunks: AtomicBool,
    health: Arc<Health>,
}

/// The chunks of the record that a write replaces.
enum Old {
    None,
    Chunks(Chunked),
    /// The head record is damaged: whatever is there.
    Unknown,
}

impl VnodeTree {
    /// Opens, or makes, the tree of `vnode`, and removes what interrupted writes left.
    pub(super) fn open(db: &db::Db, vnode: u16, health: &Arc<Health>) -> Result<Self> {
        let name = [NAME, &vnode.to_be_bytes()].concat();
        let tree = health
            .call("open a tree", || db.open_tree(&name))
            .map_err(|error| error.context(format!("vnode {vnode}")))?;
        let chunks = AtomicBool::new(false);
        let tree = Self { tree, vnode, chunks, health: Arc::clone(health) };
        let any = tree.call("look for chunks", |tree| first(tree, &key::all_chunks()))?;
        tree.chunks.store(any, Ordering::Release);
        tree.sweep_all()?;
        Ok(tree)
    }

    /// Whether there is any record.
    pub(super) fn has_data(&self) -> bool {
        // A tree that cannot be read is not empty.
        self.call("look for records", |tree| first(tree, &[key::HEADS])).unwrap_or(true)
    }

    /// Reads the record whose head record has the key `head`.
    pub(super) fn read(&self, head: &[u8], depth: ScanDepth) -> Result<Option<Record>> {
        match self.call("read", |tree| tree.get(head))? {
            Some(value) => self.load(head, value, depth),
            None => Ok(None),
        }
    }

    /// Writes a record and its index entries; a large one takes a number from `generation`.
    pub(super) fn put(
        &self,
        place: &StoreKey,
        record: &Record,
        change: &IndexChange,
        generation: impl FnOnce() -> Result<u64>,
    ) -> Result<()> {
        let head = &key::head(place);
        self.add_entries(place, &change.add)?;
        if value::fits(record) {
            self.replace(head, |tree| {
                tree.insert(head, value::whole(head, record))?;
                Ok(())
            })?;
        } else {
            self.put_chunked(head, record, generation()?)?;
        }
        self.remove_entries(place, &change.remove)
    }

    /// Removes a record and its index entries.
    pub(super) fn delete(&self, place: &StoreKey, entries: &[IndexEntry]) -> Result<()> {
        let head = &key::head(place);
        self.replace(head, |tree| tree.remove(head).map(drop))?;
        self.remove_entries(place, entries)
    }

    /// Changes index entries alone.
    pub(super) fn change_index(&self, place: &StoreKey, change: &IndexChange) -> Result<()> {
        self.add_entries(place, &change.add)?;
        self.remove_entries(place, &change.remove)
    }

    fn add_entries(&self, place: &StoreKey, entries: &[IndexEntry]) -> Result<()> {
        entries.iter().try_for_each(|entry| {
            let key = term::entry(place, entry);
            let value = value::chunk(&key, &[]);
            self.call("write an index entry", |tree| tree.insert(key, value)).map(drop)
        })
    }

    fn remove_entries(&self, place: &StoreKey, entries: &[IndexEntry]) -> Result<()> {
        entries.iter().try_for_each(|entry| {
            let key = term::entry(place, entry);
            self.call("remove an index entry", |tree| tree.remove(key)).map(drop)
        })
    }

    /// Visits those records of a range that the visitor wants.
    pub(super) fn walk(
        &self,
        range: &ScanRange,
        depth: ScanDepth,
        visitor: &mut dyn Visitor,
    ) -> Result<()> {
        let mut items = self.tree.range(key::bounds(range));
        let mut names = key::Reader::default();
        while let Some((head, value)) = self.call("scan", |_| items.next().transpose())? {
            let key = names.read(&head).ok_or_else(|| self.corrupt(&head, "has a damaged key"))?;
            match visitor.wants(&key) {
                ControlFlow::Continue(true) => {}
                ControlFlow::Continue(false) => continue,
                ControlFlow::Break(()) => break,
            }
            if let Some(record) = self.load(&head, value, depth)?
                && visitor.visit(key, record).is_break()
            {
                break;
            }
        }
        Ok(())
    }

    /// Visits the index entries of a range.
    pub(super) fn scan_terms(
        &self,
        range: &TermRange,
        visit: &mut dyn FnMut(TermPlace) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut items = self.tree.range(term::bounds(range));
        let common = term::common_bytes(range);
        while let Some((key, value)) = self.call("scan", |_| items.next().transpose())? {
            let place = key.get(common..).and_then(TermPlace::from_bytes);
            let Some(place) = place.filter(|_| value::parse_chunk(&key, &value).is_some()) else {
                let what = format!("vnode {}: the index {} is damaged", self.vnode, range.field);
                return Err(Error::corrupt(what));
            };
            if visit(place).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Puts a record without chunks, or nothing, in place of what is there.
    fn replace(&self, head: &[u8], write: impl FnOnce(&db::Tree) -> db::Result<()>) -> Result<()> {
        let old = self.old(head)?;
        if matches!(old, Old::None) {
            return self.call("write", write);
        }
        let unclean = self.begin(head)?;
        self.call("write", write)?;
        self.finish(head, old, None, unclean)
    }

    fn put_chunked(&self, head: &[u8], record: &Record, generation: u64) -> Result<()> {
        let old = self.old(head)?;
        self.chunks.store(true, Ordering::Release);
        let unclean = self.begin(head)?;
        let chunked = Chunked::new(record, generation);
        let pieces = chunked.split(record);
        let (made, told) = (pieces.len(), chunked.count());
        assert!(made == told as usize, "{made} chunks of which the head record says {told}");
        for (number, data) in (0..).zip(pieces) {
            let key = key::chunk(head, generation, number);
            let value = value::chunk(&key, &data);
            self.call("write a chunk", |tree| tree.insert(key, value))?;
        }
        self.call("write", |tree| tree.insert(head, value::chunked(head, &chunked)))?;
        self.finish(head, old, Some(generation), unclean)
    }

    fn old(&self, head: &[u8]) -> Result<Old> {
        if !self.chunks.load(Ordering::Acquire) {
            return Ok(Old::None);
        }
        let Some(value) = self.call("read", |tree| tree.get(head))? else { return Ok(Old::None) };
        Ok(match value::parse(head, &value, ScanDepth::Heads) {
            Some(Stored::Whole(_)) => Old::None,
            Some(Stored::Chunked(chunked)) => Old::Chunks(chunked),
            None => Old::Unknown,
        })
    }

    /// Notes that the object's chunks change; true when an earlier change was not finished.
    fn begin(&self, head: &[u8]) -> Result<bool> {
        let note = key::note(head);
        Ok(self.call("write a note", |tree| tree.insert(note, &[1]))?.is_some())
    }

    /// Removes the chunks that the new record does not have, and the note.
    fn finish(&self, head: &[u8], old: Old, keep: Option<u64>, unclean: bool) -> Result<()> {
        match old {
            Old::Chunks(old) if !unclean => {
                for number in 0..old.count() {
                    let key = key::chunk(head, old.generation, number);
                    self.call("remove a chunk", |tree| tree.remove(key))?;
                }
            }
            Old::None if !unclean => {}
            _ => self.sweep(head, keep)?,
        }
        let note = key::note(head);
        self.call("remove a note", |tree| tree.remove(note)).map(drop)
    }

    /// Removes all chunks of an object but those of one generation.
    fn sweep(&self, head: &[u8], keep: Option<u64>) -> Result<()> {
        let mut chunks = self.tree.scan_prefix(key::chunks(head));
        while let Some((chunk, _)) = self.call("sweep", |_| chunks.next().transpose())? {
            let generation = key::generation_of_chunk(&chunk);
            if generation.is_none() || generation != keep {
                self.call("sweep", |tree| tree.remove(chunk))?;
            }
        }
        Ok(())
    }

    /// Finishes the writes that a crash interrupted.
    fn sweep_all(&self) -> Result<()> {
        let mut notes = self.tree.scan_prefix([key::NOTES]);
        while let Some((note, _)) = self.call("sweep", |_| notes.next().transpose())? {
            let head = key::head_of_note(&note);
            let value = self.call("read", |tree| tree.get(&head))?;
            match value.map(|value| value::parse(&head, &value, ScanDepth::Heads)) {
                // Damaged: its chunks are left for whoever looks at the damage.
                Some(None) => continue,
                Some(Some(Stored::Chunked(chunked))) => {
                    self.sweep(&head, Some(chunked.generation))?;
                }
                Some(Some(Stored::Whole(_))) | None => self.sweep(&head, None)?,
            }
            self.call("sweep", |tree| tree.remove(note))?;
        }
        Ok(())
    }

    /// Makes a record of a head record, reading its chunks where they are wanted. `None` when the
    /// object was removed meanwhile.
    fn load(&self, head: &[u8], value: db::IVec, depth: ScanDepth) -> Result<Option<Record>> {
        let mut value = value;
        for _ in 0..limits::READ_ATTEMPTS {
            let stored = value::parse(head, &value, depth);
            let chunked = match stored.ok_or_else(|| self.corrupt(head, "is damaged"))? {
                Stored::Whole(record) => return Ok(Some(record)),
                Stored::Chunked(chunked) => chunked,
            };
            if let Some(record) = self.join(head, &chunked, depth)? {
                return Ok(Some(record));
            }
            // Whoever replaced the record has removed its chunks.
            match self.call("read", |tree| tree.get(head))? {
                None => return Ok(None),
                Some(same) if same == value => {
                    return Err(self.corrupt(head, "lacks a part of its body"));
                }
                Some(newer) => value = newer,
            }
        }
        let message = format!("{} changes faster than it can be read", self.place(head));
        Err(Error::new(ErrorKind::Unavailable, message))
    }

    /// Reads a record's chunks; `None` when one is not there.
    fn join(&self, head: &[u8], chunked: &Chunked, depth: ScanDepth) -> Result<Option<Record>> {
        let mut chunks = Vec::new();
        for number in 0..chunked.count_for(depth) {
            let key = key::chunk(head, chunked.generation, number);
            let Some(value) = self.call("read a chunk", |tree| tree.get(&key))? else {
                return Ok(None);
            };
            let data = value::parse_chunk(&key, &value);
            chunks.push(data.ok_or_else(|| self.corrupt(head, "has a damaged body"))?);
        }
        let record = chunked.join(depth, &chunks);
        record.ok_or_else(|| self.corrupt(head, "has a body of the wrong length")).map(Some)
    }

    #[cfg(test)]
    pub(super) fn raw(&self) -> &db::Tree {
        &self.tree
    }

    fn call<T>(&self, what: &str, call: impl FnOnce(&db::Tree) -> db::Result<T>) -> Result<T> {
        self.health
            .call(what, || call(&self.tree))
            .map_err(|error| error.context(format!("vnode {}", self.vnode)))
    }

    fn corrupt(&self, head: &[u8], what: &str) -> Error {
        Error::corrupt(format!("{} {what}", self.place(head)))
    }

    /// The vnode and the object, in words.
    fn place(&self, head: &[u8]) -> String {
        let name = match key::Reader::default().read(head) {
            Some(key) => format!("object {}", key.id),
            None => format!("record {}", String::from_utf8_lossy(head)),
        };
        let shown: String = name.chars().take(limits::SHOWN_NAME_CHARS).collect();
        let cut = if shown.len() < name.len() { "…" } else { "" };
        format!("vnode {}: {shown}{cut}", self.vnode)
    }
}

/// Whether any key begins with `prefix`.
fn first(tree: &db::Tree, prefix: &[u8]) -> db::Result<bool> {
    tree.scan_prefix(prefix).next().transpose().map(|first| first.is_some())
}
