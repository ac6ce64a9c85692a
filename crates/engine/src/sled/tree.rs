//! One vnode's tree: head records, chunks, entries of files, notes about objects whose chunks or files
//! are being changed, index entries.
//!
//! A large record is written in the order note, chunks, head record; then the old chunks go, then
//! the note. sled recovers a prefix of its log, so after a crash chunks without a head record
//! always have a note, and opening a tree sweeps only what the notes name.
//!
//! A record that is larger still lies in a file ([`crate::record_files`]), which is there before anything
//! of it is in the tree. Beside the head record that names the file lies an entry that does so too,
//! written and swept as a chunk is: by these alone it is known which files are needed.
//!
//! A record's index entries are written before its head record, and those that it loses are removed
//! after it. So after a crash an entry may be stale, and none is missing.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::sled as db;
use mapring_types::{Error, ErrorKind, Record, Result};

use crate::record_files::{self, Found, RecordFiles, Stock};
use crate::value::{self, Outline, Stored};
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
    /// Whether there ever was a chunk or a file. While not, writes need not look for any to remove.
    apart: AtomicBool,
    health: Arc<Health>,
    files: Arc<RecordFiles>,
}

/// What lies apart of the record that a write replaces.
enum Old {
    None,
    Chunks(Outline),
    File(Outline),
    /// The head record is damaged: whatever is there.
    Unknown,
}

/// What lies apart of the record that is in force.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Nothing,
    Chunks(u64),
    File(u64),
}

/// Where a record is to be stored that is too large for one piece.
pub(super) enum Apart {
    /// In chunks with a generation.
    Chunks(u64),
    File,
}

impl VnodeTree {
    /// Opens, or makes, the tree of `vnode`, and removes what interrupted writes left.
    pub(super) fn open(
        db: &db::Db,
        vnode: u16,
        health: &Arc<Health>,
        files: &Arc<RecordFiles>,
    ) -> Result<Self> {
        let name = [NAME, &vnode.to_be_bytes()].concat();
        let tree = health
            .call("open a tree", || db.open_tree(&name))
            .map_err(|error| error.context(format!("vnode {vnode}")))?;
        let (apart, health, files) = (AtomicBool::new(false), health.clone(), files.clone());
        let tree = Self { tree, vnode, apart, health, files };
        let any = tree.call("look for chunks", |tree| {
            Ok(first(tree, &key::all_chunks())? || first(tree, &key::all_files())?)
        })?;
        tree.apart.store(any, Ordering::Release);
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

    /// Writes a record and its index entries; `apart` says where, if it is too large for one piece.
    pub(super) fn put(
        &self,
        place: &StoreKey,
        record: &Record,
        change: &IndexChange,
        apart: impl FnOnce() -> Result<Apart>,
    ) -> Result<()> {
        let head = &key::head(place);
        self.add_entries(place, &change.add)?;
        if value::fits(record) {
            self.replace(head, |tree| {
                tree.insert(head, value::whole(head, record))?;
                Ok(())
            })?;
        } else {
            match apart()? {
                Apart::Chunks(generation) => self.put_chunked(head, record, generation)?,
                Apart::File => self.put_filed(head, record)?,
            }
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

    /// Names the files of all records; gives what is wrong with the first of which it is not there.
    pub(super) fn name_files(&self, stock: &mut Stock) -> Result<Option<Error>> {
        let mut wrong = None;
        let mut entries = self.tree.scan_prefix(key::all_files());
        while let Some((entry, value)) = self.call("scan", |_| entries.next().transpose())? {
            let bytes = value::parse_chunk(&entry, &value);
            let bytes = bytes.and_then(|bytes| Some(u64::from_le_bytes(*bytes.first_chunk()?)));
            match (key::of_file(&entry), bytes) {
                (Some((_, number)), Some(bytes)) if stock.name(number, bytes) => {}
                _ if wrong.is_some() => {}
                (Some((head, number)), Some(_)) => {
                    let lacks = format!("lacks its file {}", self.files.place(number));
                    wrong = Some(self.corrupt(&head, &lacks));
                }
                _ => {
                    let what = format!("vnode {}: the entry of a file is damaged", self.vnode);
                    wrong = Some(Error::corrupt(what));
                }
            }
        }
        Ok(wrong)
    }

    /// Puts a record in one piece, or nothing, in place of what is there.
    fn replace(&self, head: &[u8], write: impl FnOnce(&db::Tree) -> db::Result<()>) -> Result<()> {
        let old = self.old(head)?;
        if matches!(old, Old::None) {
            return self.call("write", write);
        }
        let unclean = self.begin(head)?;
        self.call("write", write)?;
        self.finish(head, old, Kept::Nothing, unclean)
    }

    fn put_filed(&self, head: &[u8], record: &Record) -> Result<()> {
        let old = self.old(head)?;
        self.apart.store(true, Ordering::Release);
        let unclean = self.begin(head)?;
        let outline = self.files.write(head, record)?;
        let number = outline.generation;
        let entry = key::file(head, number);
        let value = value::chunk(&entry, &record_files::bytes_of(&outline).to_le_bytes());
        self.call("write the entry of a file", |tree| tree.insert(entry, value))?;
        #[cfg(test)]
        record_files::steps::reached();
        self.call("write", |tree| tree.insert(head, value::filed(head, &outline)))?;
        #[cfg(test)]
        record_files::steps::reached();
        self.finish(head, old, Kept::File(number), unclean)
    }

    fn put_chunked(&self, head: &[u8], record: &Record, generation: u64) -> Result<()> {
        let old = self.old(head)?;
        self.apart.store(true, Ordering::Release);
        let unclean = self.begin(head)?;
        let chunked = Outline::new(record, generation);
        let pieces = chunked.split(record);
        let (made, told) = (pieces.len(), chunked.count());
        assert!(made == told as usize, "{made} chunks of which the head record says {told}");
        for (number, data) in (0..).zip(pieces) {
            let key = key::chunk(head, generation, number);
            let value = value::chunk(&key, &data);
            self.call("write a chunk", |tree| tree.insert(key, value))?;
        }
        self.call("write", |tree| tree.insert(head, value::chunked(head, &chunked)))?;
        self.finish(head, old, Kept::Chunks(generation), unclean)
    }

    fn old(&self, head: &[u8]) -> Result<Old> {
        if !self.apart.load(Ordering::Acquire) {
            return Ok(Old::None);
        }
        let Some(value) = self.call("read", |tree| tree.get(head))? else { return Ok(Old::None) };
        Ok(match value::parse(head, &value, ScanDepth::Heads) {
            Some(Stored::Whole(_)) => Old::None,
            Some(Stored::Chunked(outline)) => Old::Chunks(outline),
            Some(Stored::Filed(outline)) => Old::File(outline),
            None => Old::Unknown,
        })
    }

    /// Notes that what lies apart of the object changes; true when an earlier change was not finished.
    fn begin(&self, head: &[u8]) -> Result<bool> {
        let note = key::note(head);
        Ok(self.call("write a note", |tree| tree.insert(note, &[1]))?.is_some())
    }

    /// Removes the chunks that the new record does not have, or leaves their file to be removed, and
    /// removes the note.
    fn finish(&self, head: &[u8], old: Old, keep: Kept, unclean: bool) -> Result<()> {
        match old {
            Old::Chunks(old) if !unclean => {
                for number in 0..old.count() {
                    let key = key::chunk(head, old.generation, number);
                    self.call("remove a chunk", |tree| tree.remove(key))?;
                }
            }
            Old::File(old) if !unclean => {
                let entry = key::file(head, old.generation);
                self.call("remove the entry of a file", |tree| tree.remove(entry))?;
                self.files.leave(old.generation, record_files::bytes_of(&old));
            }
            Old::None if !unclean => {}
            _ => self.sweep(head, keep)?,
        }
        let note = key::note(head);
        self.call("remove a note", |tree| tree.remove(note)).map(drop)
    }

    /// Removes all that lies apart of an object but what is in force.
    fn sweep(&self, head: &[u8], keep: Kept) -> Result<()> {
        let mut chunks = self.tree.scan_prefix(key::chunks(head));
        while let Some((chunk, _)) = self.call("sweep", |_| chunks.next().transpose())? {
            let generation = key::generation_of_chunk(&chunk);
            if generation.map(Kept::Chunks) != Some(keep) {
                self.call("sweep", |tree| tree.remove(chunk))?;
            }
        }
        let mut files = self.tree.scan_prefix(key::files(head));
        while let Some((entry, value)) = self.call("sweep", |_| files.next().transpose())? {
            let Some((_, number)) = key::of_file(&entry) else { continue };
            if keep != Kept::File(number) {
                let bytes = value::parse_chunk(&entry, &value);
                let bytes = bytes.and_then(|bytes| Some(u64::from_le_bytes(*bytes.first_chunk()?)));
                self.call("sweep", |tree| tree.remove(entry))?;
                self.files.leave(number, bytes.unwrap_or_default());
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
                // Damaged: what lies apart is left for whoever looks at the damage.
                Some(None) => continue,
                Some(Some(Stored::Chunked(outline))) => {
                    self.sweep(&head, Kept::Chunks(outline.generation))?;
                }
                Some(Some(Stored::Filed(outline))) => {
                    self.sweep(&head, Kept::File(outline.generation))?;
                }
                Some(Some(Stored::Whole(_))) | None => self.sweep(&head, Kept::Nothing)?,
            }
            self.call("sweep", |tree| tree.remove(note))?;
        }
        Ok(())
    }

    /// Makes a record of a head record, reading its chunks or its file where they are wanted. `None`
    /// when the object was removed meanwhile.
    fn load(&self, head: &[u8], value: db::IVec, depth: ScanDepth) -> Result<Option<Record>> {
        let mut value = value;
        for _ in 0..limits::READ_ATTEMPTS {
            let stored = value::parse(head, &value, depth);
            let (found, lacks) = match stored.ok_or_else(|| self.corrupt(head, "is damaged"))? {
                Stored::Whole(record) => return Ok(Some(record)),
                Stored::Chunked(chunked) => {
                    (self.join(head, &chunked, depth)?, "lacks a part of its body".to_owned())
                }
                Stored::Filed(filed) => {
                    let place = self.files.place(filed.generation);
                    (self.read_file(head, &filed, depth)?, format!("lacks its file {place}"))
                }
            };
            if found.is_some() {
                return Ok(found);
            }
            // Whoever replaced the record has removed its chunks, or its file.
            match self.call("read", |tree| tree.get(head))? {
                None => return Ok(None),
                Some(same) if same == value => return Err(self.corrupt(head, &lacks)),
                Some(newer) => value = newer,
            }
        }
        let message = format!("{} changes faster than it can be read", self.place(head));
        Err(Error::new(ErrorKind::Unavailable, message))
    }

    /// Reads a record's file; `None` when there is none.
    fn read_file(&self, head: &[u8], filed: &Outline, depth: ScanDepth) -> Result<Option<Record>> {
        match self.files.read(head, filed, depth) {
            Ok(Found::Record(record)) => Ok(Some(record)),
            Ok(Found::Gone) => Ok(None),
            Ok(Found::Damaged) => {
                let place = self.files.place(filed.generation);
                Err(self.corrupt(head, &format!("has a damaged file {place}")))
            }
            Err(error) => Err(error.context(self.place(head))),
        }
    }

    /// Reads a record's chunks; `None` when one is not there.
    fn join(&self, head: &[u8], chunked: &Outline, depth: ScanDepth) -> Result<Option<Record>> {
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
