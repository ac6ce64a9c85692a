//! What of jobs is kept as objects that no client sees: documents, records, checkpoints, results,
//! errors, groups, named jobs, schedules, pipelines.
//!
//! [`Store`] is what the rest of the crate asks for; `objects` keeps it in the key-value store of the
//! cluster, `memory` in tests.

#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod objects;

use async_trait::async_trait;
use bytes::Bytes;
use mapring_types::{Result, Versioned};
use serde::{Deserialize, Serialize};

/// A kind of what is kept. Its name is that of a bucket, and so stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Shelf {
    /// What jobs were started with, by their ids, until they have ended.
    Documents,
    /// What is shown of jobs, by their ids.
    Records,
    /// Where jobs go on, by their ids.
    Checkpoints,
    /// Pieces of what jobs have given: see [`piece_key`].
    Results,
    /// Inputs that failed or were left out, by the ids of the jobs.
    Errors,
    /// Named jobs, by their names.
    Configs,
    /// Schedules, by their names.
    Schedules,
    /// Pipelines with their steps, by their ids.
    Pipelines,
}

impl Shelf {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Documents,
        Self::Records,
        Self::Checkpoints,
        Self::Results,
        Self::Errors,
        Self::Configs,
        Self::Schedules,
        Self::Pipelines,
    ];

    /// The name of its bucket.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Records => "records",
            Self::Checkpoints => "checkpoints",
            Self::Results => "results",
            Self::Errors => "errors",
            Self::Configs => "configs",
            Self::Schedules => "schedules",
            Self::Pipelines => "pipelines",
        }
    }
}

/// How a thing is met in lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// The terms under which it is listed beside its key: the name of a field, which ends in `_bin`, and
    /// a text that is compared bytewise.
    pub terms: Vec<(&'static str, String)>,
    /// What brief lists show of it: little, for it is read for each thing on a page.
    pub brief: Bytes,
}

/// Which of the things on a shelf are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// The shelf.
    pub shelf: Shelf,
    /// The field by whose terms they are listed; by their keys where there is none.
    pub field: Option<&'static str>,
    /// The first term, or key.
    pub from: String,
    /// The last one.
    pub to: String,
    /// Those after this term and key, which a list before has ended with. Where it is by keys, both are
    /// the key.
    pub after: Option<(String, String)>,
    /// Most of them.
    pub most: usize,
    /// Whether the list gives what is brief of each, and not all of it.
    pub brief: bool,
}

/// A thing that was listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listed {
    /// The term under which it was met; where the list is by keys, the key.
    pub term: String,
    /// Its key.
    pub key: String,
    /// What it is, or what is brief of it.
    pub value: Bytes,
}

/// Says whether a thing may be replaced, by what it is: nothing where there is none.
pub type MayReplace<'a> = dyn Fn(Option<&Bytes>) -> Result<()> + Send + Sync + 'a;

/// See the module. What is written is on a majority of its replicas, and what is read has all that was
/// written before.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Reads a thing; `None` where there is none.
    ///
    /// # Errors
    /// Those of the nodes that have it.
    async fn get(&self, shelf: Shelf, key: &str) -> Result<Option<Bytes>>;

    /// Puts a thing in place of what is there.
    ///
    /// # Errors
    /// Those of the nodes that are to have it. It may be stored all the same.
    async fn put(&self, shelf: Shelf, key: &str, value: Bytes, entry: Entry) -> Result<()>;

    /// Puts a thing in place of what is there, where `may` allows that: it is asked when that has been
    /// read, right before the write. What somebody else has put there meanwhile is not replaced.
    ///
    /// # Errors
    /// Those of `may`, as [`Store::put`], and `Unavailable` where something else is there now.
    async fn replace(
        &self,
        shelf: Shelf,
        key: &str,
        value: Bytes,
        entry: Entry,
        may: &MayReplace<'_>,
    ) -> Result<()>;

    /// Removes a thing; returns whether there was one.
    ///
    /// # Errors
    /// Those of the nodes that have it.
    async fn remove(&self, shelf: Shelf, key: &str) -> Result<bool>;

    /// When a thing was written, in milliseconds since 1970 began; `None` where there is none, as most of the
    /// nodes that are to have it say. What it is is not read.
    ///
    /// # Errors
    /// `Unavailable` where too few of them can be asked, and theirs.
    async fn written_ms(&self, shelf: Shelf, key: &str) -> Result<Option<u64>>;

    /// Removes a thing that was written before a time; returns whether it did. What somebody writes meanwhile
    /// stays.
    ///
    /// # Errors
    /// As [`Store::written_ms`].
    async fn remove_older(&self, shelf: Shelf, key: &str, before_ms: u64) -> Result<bool>;

    /// Lists things in the order of their terms, and of their keys where these are equal. Fewer than asked
    /// for, only where there are no more.
    ///
    /// # Errors
    /// `Unavailable` where a part of the shelf cannot be read.
    async fn list(&self, query: &ListQuery) -> Result<Vec<Listed>>;
}

/// The key of a piece of results: of a job, by the epoch in which it was made, and its number in that.
pub(crate) fn piece_key(id: &str, epoch: u64, number: u64) -> String {
    format!("{id}/{epoch:08x}/{number:08x}")
}

/// What stands for a job's id in the keys of the pieces that it has put aside. They lie among those of its
/// results, of which no job has one with an id like this.
pub(crate) fn aside_id(id: &str) -> String {
    format!("{id}/aside")
}

/// Reads a thing of a format.
///
/// # Errors
/// As [`Store::get`], and those of the format, with the key.
pub(crate) async fn read<T: Versioned>(
    store: &dyn Store,
    shelf: Shelf,
    key: &str,
) -> Result<Option<T>> {
    let Some(bytes) = store.get(shelf, key).await? else { return Ok(None) };
    decode(shelf, key, &bytes).map(Some)
}

/// Reads bytes of a thing.
///
/// # Errors
/// Those of the format, with the key.
pub(crate) fn decode<T: Versioned>(shelf: Shelf, key: &str, bytes: &[u8]) -> Result<T> {
    T::decode(bytes).map_err(|error| error.context(format!("{}/{key}", shelf.name())))
}

/// Writes a value as JSON behind the version of its format.
///
/// # Errors
/// `Internal`: a defect.
pub(crate) fn to_json<T: Versioned + Serialize>(value: &T) -> Result<Bytes> {
    let mut bytes = vec![T::VERSION];
    serde_json::to_writer(&mut bytes, value).map_err(|error| {
        mapring_types::Error::internal(format!("{} cannot be written", T::WHAT)).with_source(error)
    })?;
    Ok(bytes.into())
}

/// Reads what [`to_json`] has written, without the version.
///
/// # Errors
/// `Corrupt` where it is damaged.
pub(crate) fn from_json<'a, T: Versioned + Deserialize<'a>>(body: &'a [u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(mapring_types::versioned::damaged::<T>)
}

/// A time as a term: later ones come first.
pub(crate) fn newest_first(ms: u64) -> String {
    format!("{:016x}", u64::MAX - ms)
}

/// The time of a term.
pub(crate) fn time_of(term: &str) -> Option<u64> {
    u64::from_str_radix(term, 16).ok().map(|inverted| u64::MAX - inverted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_backwards() {
        let times = [0, 1, 999, 1_700_000_000_000, u64::MAX];
        for pair in times.windows(2) {
            assert!(newest_first(pair[0]) > newest_first(pair[1]), "{pair:?}");
        }
        assert!(times.iter().all(|time| time_of(&newest_first(*time)) == Some(*time)));
        assert_eq!(time_of("x"), None);
        assert!(piece_key("a", 1, 255) < piece_key("a", 1, 256));
    }
}
