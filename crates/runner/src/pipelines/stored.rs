//! Pipelines as they are stored, and how they are met in lists.

use bytes::Bytes;
use mapring_jobs::limits as documents;
use mapring_types::{Error, ErrorKind, Result};

use super::progress::Progress;
use crate::store::{self, Entry, ListQuery, Shelf, Store, newest_first};
use crate::{limits, record};

/// How far a pipeline is, as it was stored last.
pub(super) async fn get(store: &dyn Store, id: &str) -> Result<Option<Progress>> {
    store::read(store, Shelf::Pipelines, id).await
}

/// Stores how far a pipeline is that `may_go_on` here, which is asked right before the write: never in
/// place of what a later owner has written, or of its end.
pub(super) async fn put(
    store: &dyn Store,
    progress: &Progress,
    may_go_on: impl Fn() -> Result<()> + Send + Sync,
) -> Result<()> {
    let at = newest_first(progress.started_ms);
    let state = of_state(progress.status.word(), &at);
    let mut terms = vec![(record::AT, at.clone()), (record::STATE, state)];
    terms.extend(progress.name().map(|name| (record::NAME, record::of_name(name, &at))));
    let keep = u64::try_from(documents::KEEP.as_millis()).unwrap_or(u64::MAX);
    let until = progress.ended_ms.map(|ended| record::until(ended.saturating_add(keep)));
    terms.extend(until.map(|until| (record::UNTIL, until)));
    let entry = Entry { terms, brief: progress.summary().to_string().into() };
    let (id, bytes) = (&progress.id, store::to_json(progress)?);
    let may = |stored: Option<&Bytes>| {
        let stored = stored
            .map(|stored| store::decode::<Progress>(Shelf::Pipelines, id, stored))
            .transpose();
        match stored {
            Ok(Some(stored)) if counts_before(&stored, progress) => {
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
    store.replace(Shelf::Pipelines, id, bytes, entry, &may).await
}

/// Whether what is stored is not to be replaced.
fn counts_before(stored: &Progress, progress: &Progress) -> bool {
    if (stored.digest, stored.started_ms) == (progress.digest, progress.started_ms) {
        let reopens = stored.ended_ms.is_some() && progress.ended_ms.is_none();
        return stored.epoch > progress.epoch || reopens;
    }
    // Of an earlier pipeline of the id something may lie about.
    stored.epoch > progress.epoch && stored.started_ms > progress.started_ms
}

/// The term of those that stand somewhere, at a time.
pub(super) fn of_state(word: &str, at: &str) -> String {
    format!("{word}/{at}")
}

/// Where it lies that somebody has consented to a step. It has no terms, and so is never listed.
pub(super) fn approval_key(id: &str, step: &str) -> String {
    format!("{id}/approved/{step}")
}

/// The ids of some of the pipelines that were kept long enough at a time.
pub(super) async fn over(store: &dyn Store, now_ms: u64) -> Result<Vec<String>> {
    let query = ListQuery {
        shelf: Shelf::Pipelines,
        field: Some(record::UNTIL),
        from: record::until(0),
        to: record::until(now_ms),
        after: None,
        most: limits::CLEANED_AT_ONCE,
        brief: true,
    };
    let found = store.list(&query).await?;
    Ok(found.into_iter().map(|listed| listed.key).collect())
}

#[cfg(test)]
mod tests {
    use mapring_jobs::Pipeline;

    use super::*;
    use crate::store::memory::MemoryStore;

    fn progress(epoch: u64, started_ms: u64, ended_ms: Option<u64>) -> Progress {
        let document = br#"{"steps":{"a":{"delay_ms":1}}}"#;
        let pipeline = Pipeline::parse(document.as_slice()).unwrap();
        Progress { epoch, ended_ms, ..Progress::new("p", &pipeline, 1, started_ms) }
    }

    #[tokio::test]
    async fn an_earlier_owner_replaces_nothing() {
        let store = MemoryStore::new();
        let put = async |progress: &Progress| put(&*store, progress, || Ok(())).await.is_ok();
        assert!(put(&progress(1, 5, None)).await && put(&progress(2, 5, None)).await);
        assert!(!put(&progress(1, 5, None)).await && !put(&progress(1, 5, Some(9))).await);
        assert!(put(&progress(2, 5, Some(9))).await && put(&progress(2, 5, Some(9))).await);
        assert!(!put(&progress(3, 5, None)).await, "it has ended");
        let refused = || Err(Error::unavailable("the lease is gone"));
        assert!(super::put(&*store, &progress(3, 5, Some(9)), refused).await.is_err());
        assert_eq!(get(&*store, "p").await.unwrap(), Some(progress(2, 5, Some(9))));
        // A later pipeline of the id has nothing to do with it.
        assert!(put(&progress(3, 6, None)).await && !put(&progress(2, 5, Some(9))).await);
    }
}
