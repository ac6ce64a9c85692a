//! The files of a store: one a query for its pairs, and beside it an index of those that were saved.
//!
//! In a store that keeps what is saved they are called `QUERY-NUMBER.pairs` and `QUERY-NUMBER.index`,
//! both in hexadecimal. The number tells a query apart from itself: one that was removed and has come
//! again has other files, whenever those of before are gone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mapring_types::{Error, ErrorKind, Result};

use super::index::Index;
use crate::limits::INDEX_BYTES;

const PAIRS: &str = "pairs";
const INDEX: &str = "index";
/// An index that is being written.
const UNFINISHED: &str = "unfinished";

/// What becomes of saved queries when the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// They are gone: files have no names.
    Nothing,
    /// They are there at the next start, whatever became of the process.
    Written,
    /// The same after a loss of power: files are fsynced.
    Synced,
}

/// Where the files of a store are.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    keeps: Keeps,
    /// The next number.
    number: AtomicU64,
}

/// The files of a query that were found at the start.
pub(super) struct FoundFiles {
    pub(super) files: QueryFiles,
    pub(super) index: Index,
}

impl Directory {
    pub(super) fn new(path: PathBuf, keeps: Keeps) -> Arc<Self> {
        Arc::new(Self { path, keeps, number: AtomicU64::new(0) })
    }

    pub(super) fn keeps(&self) -> bool {
        self.keeps != Keeps::Nothing
    }

    pub(super) fn fsyncs(&self) -> bool {
        self.keeps == Keeps::Synced
    }

    /// What was saved before the program began, one of each query. All other files of queries are
    /// removed: those that were never saved, and those that cannot be used.
    pub(super) fn found(self: &Arc<Self>) -> io::Result<Vec<FoundFiles>> {
        let mut stems = BTreeMap::<(u64, u64), bool>::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            let Some((query, number, kind)) = parse(&path) else { continue };
            *stems.entry((query, number)).or_default() |= kind == INDEX;
        }
        let last = stems.keys().map(|(_, number)| *number).max();
        self.number.store(last.map_or(0, |last| last.saturating_add(1)), Ordering::Relaxed);
        let mut found = Vec::<FoundFiles>::new();
        // The last ones first.
        for ((query, number), indexed) in stems.into_iter().rev() {
            let mut files = QueryFiles::of(self, query, number);
            let is_known = found.last().is_some_and(|last| last.index.query == query);
            match indexed && !is_known {
                false => files.remove(),
                true => match files.open(query) {
                    Ok(index) => found.push(FoundFiles { files, index }),
                    Err(error) => {
                        tracing::warn!(%error, "saved pairs of a query cannot be used, and are removed");
                        files.remove();
                    }
                },
            }
        }
        Ok(found)
    }

    fn failed(&self, error: io::Error) -> Error {
        let words = format!("cannot be written to {}", self.path.display());
        Error::new(ErrorKind::Storage, words).with_source(error)
    }
}

/// The query, the number and the ending of a file's name, if it is one of a store.
fn parse(path: &Path) -> Option<(u64, u64, &str)> {
    let kind = path.extension()?.to_str()?;
    let (query, number) = path.file_stem()?.to_str()?.split_once('-')?;
    let is_one = [PAIRS, INDEX, UNFINISHED].contains(&kind);
    let of = |text| u64::from_str_radix(text, 16).ok();
    is_one.then_some((of(query)?, of(number)?, kind))
}

/// The files of a query. Those that were not saved go with it.
#[derive(Debug)]
pub(super) struct QueryFiles {
    directory: Arc<Directory>,
    /// Where they are, without an ending; `None` where they have no names.
    stem: Option<PathBuf>,
    pairs: Option<Arc<File>>,
    /// Whether there is an index.
    indexed: bool,
}

impl QueryFiles {
    pub(super) fn new(directory: &Arc<Directory>, query: u64) -> Self {
        if directory.keeps() {
            let number = directory.number.fetch_add(1, Ordering::Relaxed);
            return Self::of(directory, query, number);
        }
        let directory = directory.clone();
        Self { directory, stem: None, pairs: None, indexed: false }
    }

    fn of(directory: &Arc<Directory>, query: u64, number: u64) -> Self {
        let stem = Some(directory.path.join(format!("{query:x}-{number:x}")));
        Self { directory: directory.clone(), stem, pairs: None, indexed: false }
    }

    fn path(&self, ending: &str) -> Option<PathBuf> {
        self.stem.as_ref().map(|stem| stem.with_extension(ending))
    }

    /// The file of pairs, if there is one.
    pub(super) fn opened(&self) -> Option<&Arc<File>> {
        self.pairs.as_ref()
    }

    /// The file of pairs.
    pub(super) fn pairs(&mut self) -> Result<&Arc<File>> {
        if self.pairs.is_none() {
            let made = match self.path(PAIRS) {
                Some(path) => File::options().read(true).write(true).create_new(true).open(path),
                None => tempfile::tempfile_in(&self.directory.path),
            };
            let made = made.map_err(|error| self.directory.failed(error))?;
            self.pairs = Some(Arc::new(made));
        }
        self.pairs.as_ref().ok_or_else(|| Error::internal("a file was not opened"))
    }

    /// What it means that they cannot be written.
    pub(super) fn failed(&self, error: io::Error) -> Error {
        self.directory.failed(error)
    }

    /// Opens what was saved.
    fn open(&mut self, query: u64) -> Result<Index> {
        let read = || -> io::Result<_> {
            let path = |ending| self.path(ending).unwrap_or_default();
            let mut bytes = Vec::new();
            File::open(path(INDEX))?.take(INDEX_BYTES + 1).read_to_end(&mut bytes)?;
            let pairs = File::options().read(true).write(true).open(path(PAIRS))?;
            let length = pairs.metadata()?.len();
            Ok((bytes, pairs, length))
        };
        let named = || format!("query {query:x} in {}", self.directory.path.display());
        let (bytes, pairs, length) = read().map_err(|error| {
            let words = format!("the files of {} cannot be read", named());
            Error::new(ErrorKind::Storage, words).with_source(error)
        })?;
        let index = Index::of(&bytes, query, length).map_err(|error| error.context(named()))?;
        // What is behind was written after it was saved.
        pairs.set_len(index.end()).map_err(|error| self.directory.failed(error))?;
        if let Some(path) = self.path(UNFINISHED) {
            // Mostly there is none.
            let _ = fs::remove_file(path);
        }
        self.pairs = Some(Arc::new(pairs));
        self.indexed = true;
        Ok(index)
    }

    /// Writes an index that [`QueryFiles::publish`] makes the present one. What it names is durable
    /// then, where files are fsynced.
    pub(super) fn writer(&self) -> Option<IndexWriter> {
        let path = self.path(UNFINISHED)?;
        Some(IndexWriter { directory: self.directory.clone(), path, pairs: self.pairs.clone() })
    }

    /// Makes an index that was written the present one.
    pub(super) fn publish(&mut self, written: &IndexWriter) -> Result<()> {
        let Some(path) = self.path(INDEX) else { return Ok(()) };
        fs::rename(&written.path, path).map_err(|error| self.directory.failed(error))?;
        self.indexed = true;
        Ok(())
    }

    /// Removes them. Who reads the file still does; what comes then has no name.
    pub(super) fn remove(&mut self) {
        // An index without its file would say what is not so.
        for ending in [UNFINISHED, INDEX, PAIRS] {
            let removed = self.path(ending).map_or(Ok(()), fs::remove_file);
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, "a file of pairs cannot be removed");
                }
                _ => {}
            }
        }
        (self.stem, self.indexed) = (None, false);
    }
}

impl Drop for QueryFiles {
    fn drop(&mut self) {
        if !self.indexed && self.pairs.is_some() {
            self.remove();
        }
    }
}

/// Writes an index beside the present one.
pub(super) struct IndexWriter {
    directory: Arc<Directory>,
    path: PathBuf,
    pairs: Option<Arc<File>>,
}

impl IndexWriter {
    /// Writes it; where files are fsynced, it and what it names.
    pub(super) fn write(&self, index: &[u8]) -> Result<()> {
        let written = || {
            let fsyncs = self.directory.fsyncs();
            if let Some(pairs) = self.pairs.as_ref().filter(|_| fsyncs) {
                pairs.sync_data()?;
            }
            let mut file = File::create(&self.path)?;
            file.write_all(index)?;
            if fsyncs { file.sync_all() } else { Ok(()) }
        };
        written().map_err(|error| self.directory.failed(error))
    }

    /// Makes its name, and that of the file of pairs, durable.
    pub(super) fn sync_names(&self) -> Result<()> {
        if !self.directory.fsyncs() {
            return Ok(());
        }
        let synced = File::open(&self.directory.path).and_then(|directory| directory.sync_all());
        synced.map_err(|error| self.directory.failed(error))
    }
}

impl Drop for IndexWriter {
    fn drop(&mut self) {
        // It is not there any more when it has become the present one.
        let _ = fs::remove_file(&self.path);
    }
}
