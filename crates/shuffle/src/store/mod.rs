//! The shuffle store of a node: segments of all queries that have something here.
//!
//! All of them share one budget of memory. When it is used up, whoever has most in memory, and so
//! more than his share, writes some of it to a file of his query. The files share a budget of disk. What
//! was not saved is lost when the node ends; that a query goes on then is for those to see to who put
//! its segments at two nodes. What was saved is there at the next start as it was then, where the store
//! keeps it: a file that becomes longer, and an index that is replaced as one. No byte that the index
//! on disk names is written over, and no segment that was found at the start is given out before its
//! bytes were compared with the checksum there.
//!
//! All calls block: on files, and on each other.

mod budget;
mod content;
mod files;
mod index;
mod name;
mod saving;
#[cfg(test)]
mod saving_tests;
mod source;
mod space;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mapring_types::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::limits::SPILL_BYTES;
use crate::segment::{Reader, Source, Summary, verify};

pub use content::StoredSegment;
pub use files::Keeps;
pub use name::SegmentId;
pub use source::Temporary;

use budget::Budget;
use content::Contents;
use files::{Directory, QueryFiles};
use name::Name;
use source::Stored;

/// How much a store may take, and where its files are.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Bytes of memory for all queries together.
    pub memory_bytes: u64,
    /// Bytes of all files together.
    pub disk_bytes: u64,
    /// Where the files are. Of a store that keeps something, no other one's may be there.
    pub directory: PathBuf,
    /// What becomes of saved queries when the program ends.
    pub keeps: Keeps,
}

/// What a store has at present.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Queries that have something here.
    pub queries: u64,
    /// Segments, those of merges among them.
    pub segments: u64,
    /// Bytes in memory, with what is needed beside the segments themselves.
    pub memory_bytes: u64,
    /// How many there may be.
    pub memory_limit: u64,
    /// Bytes of the files.
    pub disk_bytes: u64,
    /// How many there may be.
    pub disk_limit: u64,
    /// Bytes that have ever been written to files.
    pub spilled_bytes: u64,
}

/// The store. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: Arc<Directory>,
    budget: Arc<Budget>,
    queries: Mutex<BTreeMap<u64, Query>>,
    /// Held by who makes room.
    relieving: Mutex<()>,
    /// The next number of a temporary segment.
    number: AtomicU64,
}

#[derive(Debug)]
struct Query {
    contents: Arc<Mutex<Contents>>,
    /// Held by who saves it.
    saving: Arc<Mutex<()>>,
    /// When somebody last told that it is still wanted.
    touched: Duration,
}

impl Query {
    fn new(contents: Contents, touched: Duration) -> Self {
        Self { contents: Arc::new(Mutex::new(contents)), saving: Arc::default(), touched }
    }
}

impl Store {
    /// A store of what was saved in its directory, which counts as touched at a moment that may be still
    /// to come. What was not saved is removed there, and so is what cannot be used or finds no room.
    pub fn new(config: StoreConfig, touched: Duration) -> Self {
        let StoreConfig { memory_bytes, disk_bytes, directory, keeps } = config;
        let budget = Arc::new(Budget::new(memory_bytes, disk_bytes));
        let (queries, relieving, number) = Default::default();
        let directory = Directory::new(directory, keeps);
        let store = Self(Arc::new(Inner { directory, budget, queries, relieving, number }));
        if store.0.directory.keeps() {
            store.find(touched);
        }
        store
    }

    /// Puts a piece of a segment that stands there from byte `at` on. Pieces come one after the other;
    /// what has come already may come again. `now` counts from any moment, the same for all calls.
    ///
    /// # Errors
    /// `Invalid` for a piece that leaves a gap, or comes after the segment is whole; `Storage` when
    /// files are full or fail; `Overloaded` when there is no memory; `TooLarge` for a segment that is
    /// longer than its limit. The segment is as it was then.
    pub fn put(&self, id: SegmentId, at: u64, piece: &[u8], now: Duration) -> Result<()> {
        let contents = self.query(id.query, now);
        contents.lock().begin(Name::Stored(id))?;
        self.append(&contents, Name::Stored(id), at, piece)
    }

    /// Says that a segment has come whole, with so many bytes, and tells what it has. May be said
    /// again.
    ///
    /// # Errors
    /// `NotFound` when nothing of it is here; `Invalid` when it has another length; `Corrupt` when it is
    /// damaged; `Storage` when it cannot be read.
    pub fn finish(&self, id: SegmentId, bytes: u64) -> Result<Summary> {
        let name = Name::Stored(id);
        let contents = self.existing(&id)?;
        let state = contents.lock().state(&name).ok_or_else(|| missing(&id))?;
        let (length, summary) = (state.length, state.summary);
        if length != bytes {
            let words = format!("{name} has {length} bytes here, and should have {bytes}");
            return Err(Error::invalid(words));
        }
        if let Some(summary) = summary {
            return Ok(summary);
        }
        let summary = verify(Arc::new(Stored::new(&contents, name, length)))?;
        contents.lock().finish(name, length, summary)?;
        Ok(summary)
    }

    /// Puts a whole segment.
    ///
    /// # Errors
    /// As [`Store::put`] and [`Store::finish`].
    pub fn write(&self, id: SegmentId, segment: &[u8], now: Duration) -> Result<Summary> {
        self.put(id, 0, segment, now)?;
        self.finish(id, segment.len() as u64)
    }

    /// Opens a segment that is whole.
    ///
    /// # Errors
    /// `NotFound` when it is not here, or not whole; as [`Reader::open`].
    pub fn open(&self, id: SegmentId) -> Result<Reader> {
        Reader::open(self.source(id)?)
    }

    /// A segment that is whole, to be read. It is gone when it is removed, whoever reads it. One that was
    /// found at the start is read through before it is given out for the first time.
    ///
    /// # Errors
    /// `NotFound` when it is not here, or not whole; when it was found at the start and is damaged, it is
    /// removed.
    pub fn source(&self, id: SegmentId) -> Result<Arc<dyn Source>> {
        let (name, contents) = (Name::Stored(id), self.existing(&id)?);
        let state = contents.lock().state(&name).filter(|state| state.summary.is_some());
        let state = state.ok_or_else(|| missing(&id))?;
        let stored = Stored::new(&contents, name, state.length);
        match state.unseen.map_or(Ok(()), |sum| stored.check(sum)) {
            Ok(()) => {
                if state.unseen.is_some() {
                    contents.lock().is_seen(&name);
                }
                Ok(Arc::new(stored))
            }
            Err(error) => {
                tracing::warn!(%error, "a saved segment is removed");
                contents.lock().remove(&name);
                Err(missing(&id).with_source(error))
            }
        }
    }

    /// The segments of a query, in their order.
    pub fn list(&self, query: u64) -> Vec<StoredSegment> {
        let contents = self.0.queries.lock().get(&query).map(|query| query.contents.clone());
        contents.map(|contents| contents.lock().list()).unwrap_or_default()
    }

    /// Removes the segments of a query that are not wanted.
    pub fn retain(&self, query: u64, wanted: impl Fn(&SegmentId) -> bool) {
        let contents = self.0.queries.lock().get(&query).map(|query| query.contents.clone());
        let Some(contents) = contents else { return };
        let mut contents = contents.lock();
        for segment in contents.list() {
            if !wanted(&segment.id) {
                contents.remove(&Name::Stored(segment.id));
            }
        }
    }

    /// Removes all that a query has here; whether there was anything.
    pub fn remove_query(&self, query: u64) -> bool {
        let removed = self.0.queries.lock().remove(&query);
        removed.inspect(Query::remove_files).is_some()
    }

    /// Tells that a query is still wanted; whether it has anything here.
    pub fn touch(&self, query: u64, now: Duration) -> bool {
        let mut queries = self.0.queries.lock();
        let Some(query) = queries.get_mut(&query) else { return false };
        query.touched = query.touched.max(now);
        true
    }

    /// Removes the queries that nobody has put to or touched for so long; gives their numbers.
    pub fn expire(&self, now: Duration, after: Duration) -> Vec<u64> {
        let old = |query: &Query| now.saturating_sub(query.touched) >= after;
        let mut queries = self.0.queries.lock();
        let expired = queries.iter().filter(|(_, query)| old(query)).map(|(number, _)| *number);
        let expired: Vec<u64> = expired.collect();
        let removed: Vec<_> = expired.iter().map(|number| queries.remove(number)).collect();
        // What they had is given back without holding others up.
        drop(queries);
        removed.into_iter().flatten().for_each(|query| query.remove_files());
        expired
    }

    /// What it has at present.
    pub fn usage(&self) -> Usage {
        let budget = &self.0.budget;
        Usage {
            queries: self.0.queries.lock().len() as u64,
            segments: budget.segments(),
            memory_bytes: budget.memory(),
            memory_limit: budget.memory_limit,
            disk_bytes: budget.disk(),
            disk_limit: budget.disk_limit,
            spilled_bytes: budget.spilled(),
        }
    }

    /// A segment that a merge of a query writes for itself.
    ///
    /// # Errors
    /// `NotFound` when the query has nothing here; `Overloaded` when there is no memory.
    pub(crate) fn temporary(&self, query: u64) -> Result<Temporary> {
        let contents = self.0.queries.lock().get(&query).map(|query| query.contents.clone());
        let contents = contents.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("query {query:x} has no segments here"))
        })?;
        let name = Name::Temporary(query, self.0.number.fetch_add(1, Ordering::Relaxed));
        contents.lock().begin(name)?;
        Ok(Temporary::new(self.clone(), &contents, name))
    }

    fn query(&self, query: u64, now: Duration) -> Arc<Mutex<Contents>> {
        let mut queries = self.0.queries.lock();
        let query = queries.entry(query).or_insert_with(|| {
            let files = QueryFiles::new(&self.0.directory, query);
            Query::new(Contents::new(self.0.budget.clone(), files), now)
        });
        query.touched = query.touched.max(now);
        query.contents.clone()
    }

    fn existing(&self, id: &SegmentId) -> Result<Arc<Mutex<Contents>>> {
        let queries = self.0.queries.lock();
        queries.get(&id.query).map(|query| query.contents.clone()).ok_or_else(|| missing(id))
    }

    fn append(&self, contents: &Mutex<Contents>, name: Name, at: u64, bytes: &[u8]) -> Result<()> {
        let budget = &self.0.budget;
        let length = bytes.len() as u64;
        let put = || {
            let added = contents.lock().append(name, at, bytes);
            budget.give_memory(length - added.as_ref().map_or(0, |new| *new as u64));
            added.map(|_| ())
        };
        if budget.begin_put(length) {
            let done = put();
            budget.end_put(length);
            return done;
        }
        // One at a time makes room: who waited for others that wait as well would wait for ever.
        let _alone = self.0.relieving.lock();
        budget.take_memory(length);
        match self.relieve() {
            Ok(()) => put(),
            Err(error) => {
                budget.give_memory(length);
                Err(error)
            }
        }
    }

    /// Has those who have most in memory write some of it to their files, until all is within the
    /// budget.
    fn relieve(&self) -> Result<()> {
        let budget = &self.0.budget;
        while budget.excess() > 0 {
            let all: Vec<_> =
                self.0.queries.lock().values().map(|query| query.contents.clone()).collect();
            let most = all.iter().max_by_key(|contents| contents.lock().memory());
            let bytes = budget.excess().max(SPILL_BYTES);
            let spilled = match most {
                Some(most) => most.lock().spill(bytes)?,
                None => 0,
            };
            if spilled == 0 && budget.is_put_underway() {
                // It was counted, and cannot be found yet.
                std::thread::yield_now();
                continue;
            }
            let none = || all.iter().all(|contents| contents.lock().memory() == 0);
            if spilled == 0 && budget.excess() > 0 && none() {
                let words = format!(
                    "segments of groups need more than the {} bytes of memory that this node has \
                     for them",
                    budget.memory_limit
                );
                return Err(Error::new(ErrorKind::Overloaded, words));
            }
        }
        Ok(())
    }
}

fn missing(id: &SegmentId) -> Error {
    Error::new(ErrorKind::NotFound, format!("{id} is not here, or not whole"))
}
