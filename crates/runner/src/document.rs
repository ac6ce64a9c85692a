//! The documents of jobs, where they are stored until the jobs have ended.
//!
//! One lies under the id of its job with its hash: of two that come under one id at once, the metadata say
//! which one is the job's, and the other has not replaced it.

use std::sync::Arc;

use mapring_cluster::JobRecord;
use mapring_types::Result;

use crate::formats::StoredDocument;
use crate::store::{self, Entry, Shelf, Store, newest_first};

/// The field by which documents are listed: the newest first.
pub(crate) const AT: &str = "at_bin";

fn key(id: &str, digest: u64) -> String {
    format!("{id}/{digest:016x}")
}

/// Stores the document of a job that is about to be started.
///
/// # Errors
/// Those of the store.
pub(crate) async fn put(store: &dyn Store, id: &str, document: &StoredDocument) -> Result<()> {
    let entry = Entry { terms: vec![(AT, newest_first(document.since_ms))], ..Entry::default() };
    let bytes = store::to_json(document)?;
    store.put(Shelf::Documents, &key(id, document.digest), bytes, entry).await
}

/// The document of a job.
///
/// # Errors
/// Those of the store.
pub(crate) async fn get(
    store: &Arc<dyn Store>,
    id: &str,
    record: &JobRecord,
) -> Result<Option<StoredDocument>> {
    store::read(&**store, Shelf::Documents, &key(id, record.digest)).await
}

/// Removes the document of a job.
///
/// # Errors
/// Those of the store.
pub(crate) async fn remove(store: &dyn Store, id: &str, digest: u64) -> Result<()> {
    store.remove(Shelf::Documents, &key(id, digest)).await.map(drop)
}

/// The id and the hash that a key says.
pub(crate) fn of_key(key: &str) -> Option<(&str, u64)> {
    let (id, digest) = key.rsplit_once('/')?;
    Some((id, u64::from_str_radix(digest, 16).ok()?))
}
