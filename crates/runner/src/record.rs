//! The records of jobs: what is shown of them, stored while they run and when they have ended.
//!
//! Only those of jobs that have ended are listed, by their start and by how they ended; the others are
//! known to the metadata.

use bytes::Bytes;
use mapring_cluster::JobResult;
use mapring_types::{Error, ErrorKind, Result};

use crate::formats::StoredRecord;
use crate::report::result_word;
use crate::store::{self, Entry, Shelf, Store, newest_first};

/// The field by which all are listed, the newest first, …
pub(crate) const AT: &str = "at_bin";
/// … those that ended in one way, …
pub(crate) const STATE: &str = "state_bin";
/// … those of one name, …
pub(crate) const NAME: &str = "name_bin";
/// … and all by the time until which they are kept.
pub(crate) const UNTIL: &str = "until_bin";

/// Stores a record of a job that `may_go_on` here, which is asked right before the write: never in place
/// of one that a later owner has written, or of an end.
///
/// # Errors
/// Those of the store and of `may_go_on`; `Unavailable` where there is such a record.
pub(crate) async fn put(
    store: &dyn Store,
    record: &StoredRecord,
    may_go_on: impl Fn() -> Result<()> + Send + Sync,
) -> Result<()> {
    let (id, bytes) = (&record.detail.id, store::to_json(record)?);
    let may = |stored: Option<&Bytes>| {
        let stored = stored.map(|stored| store::decode::<StoredRecord>(Shelf::Records, id, stored));
        match stored.transpose() {
            Ok(Some(stored)) if counts_before(&stored, record) => {
                let epoch = stored.epoch;
                let message = format!("{id}: what epoch {epoch} has stored of it stays");
                return Err(Error::unavailable(message));
            }
            // What is damaged is of no use to anybody.
            Err(error) if error.kind() != ErrorKind::Corrupt => return Err(error),
            _ => {}
        }
        may_go_on()
    };
    store.replace(Shelf::Records, id, bytes, entry(record), &may).await
}

/// Whether what is stored is not to be replaced by a record.
fn counts_before(stored: &StoredRecord, record: &StoredRecord) -> bool {
    if is_same(stored, record.digest, record.detail.start_timestamp_ms) {
        return stored.epoch > record.epoch || stored.end.is_some();
    }
    // Of an earlier job of the id something may lie about.
    let since = |record: &StoredRecord| record.detail.start_timestamp_ms;
    stored.epoch > record.epoch && since(stored) > since(record)
}

/// Whether a record is that of a job, and not of another one of its id.
pub(crate) fn is_same(stored: &StoredRecord, digest: u64, since_ms: u64) -> bool {
    (stored.digest, stored.detail.start_timestamp_ms) == (digest, since_ms)
}

/// The record of a job.
///
/// # Errors
/// Those of the store.
pub(crate) async fn get(store: &dyn Store, id: &str) -> Result<Option<StoredRecord>> {
    store::read(store, Shelf::Records, id).await
}

fn entry(record: &StoredRecord) -> Entry {
    let Some(end) = record.end else { return Entry::default() };
    let at = newest_first(record.detail.start_timestamp_ms);
    let mut terms = vec![
        (AT, at.clone()),
        (STATE, of_result(end.result, &at)),
        (UNTIL, until(end.keep_until_ms)),
    ];
    terms.extend(record.detail.name.as_ref().map(|name| (NAME, of_name(name, &at))));
    let brief = serde_json::to_vec(&record.detail.summary()).unwrap_or_default();
    Entry { terms, brief: brief.into() }
}

/// The term of those that ended in one way, at a time.
pub(crate) fn of_result(result: JobResult, at: &str) -> String {
    format!("{}/{at}", result_word(result))
}

/// The term of those of one name, at a time.
pub(crate) fn of_name(name: &str, at: &str) -> String {
    // No name has it: so none is the beginning of another.
    format!("{name}\0{at}")
}

/// The term of a time until which something is kept.
pub(crate) fn until(ms: u64) -> String {
    format!("{ms:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::End;
    use crate::report::JobDetail;
    use crate::store::memory::MemoryStore;

    fn record(epoch: u64, start_timestamp_ms: u64, ended: bool) -> StoredRecord {
        let end = End { result: JobResult::Success, keep_until_ms: 9 };
        StoredRecord {
            digest: 1,
            epoch,
            stored_ms: 7,
            end: ended.then_some(end),
            pieces: Vec::new(),
            events: Vec::new(),
            shards_told: 0,
            detail: JobDetail { id: "j".into(), start_timestamp_ms, ..JobDetail::default() },
        }
    }

    #[tokio::test]
    async fn an_earlier_owner_replaces_nothing() {
        let store = MemoryStore::new();
        let put = async |record: &StoredRecord| put(&*store, record, || Ok(())).await.is_ok();
        assert!(put(&record(1, 5, false)).await);
        assert!(put(&record(1, 5, false)).await);
        assert!(put(&record(2, 5, false)).await);
        assert!(!put(&record(1, 5, false)).await && !put(&record(1, 5, true)).await);
        assert!(put(&record(2, 5, true)).await);
        // An end stays, whoever comes.
        assert!(!put(&record(2, 5, false)).await && !put(&record(3, 5, true)).await);
        assert_eq!(get(&*store, "j").await.unwrap(), Some(record(2, 5, true)));
        // A later job of the id has nothing to do with it, and the earlier one not with that.
        assert!(put(&record(3, 6, false)).await);
        assert!(!put(&record(2, 5, true)).await);
    }

    #[tokio::test]
    async fn who_may_not_go_on_stores_nothing() {
        let store = MemoryStore::new();
        let refused = || Err(Error::unavailable("the lease is gone"));
        assert!(put(&*store, &record(1, 5, false), refused).await.is_err());
        assert_eq!(get(&*store, "j").await.unwrap(), None);
    }
}
