//! The queries of a node: listed while they are under way, so that they can be watched, and ended.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::handle::{Ending, QueryHandle};
use crate::limits;
use crate::report::QueryReport;

/// The queries that a node coordinates, or that wait for their turn.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    queries: BTreeMap<u64, Arc<QueryHandle>>,
    shutdown: Shutdown,
}

/// How far a node has got with its shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Shutdown {
    /// It does not stop.
    #[default]
    NotBegun,
    /// Queries that run go on, others do not begin any more.
    Draining,
    /// No query goes on.
    Complete,
}

impl Registry {
    /// Lists a query until what is returned is dropped. While the node stops the query is ended at
    /// once.
    pub(crate) fn enter(self: &Arc<Self>, handle: Arc<QueryHandle>) -> Entry {
        let number = handle.id.number;
        let mut listed = self.0.lock();
        if listed.shutdown > Shutdown::NotBegun {
            handle.end(Ending::Stop);
        }
        listed.queries.insert(number, handle);
        Entry { registry: self.clone(), number }
    }

    /// How far the node has got with its shutdown.
    pub(crate) fn shutdown(&self) -> Shutdown {
        self.0.lock().shutdown
    }

    /// Goes on with the node's shutdown: ends the queries that may no longer wait or run. Returns
    /// how many.
    pub(crate) fn stop(&self, shutdown: Shutdown) -> usize {
        let mut listed = self.0.lock();
        listed.shutdown = listed.shutdown.max(shutdown);
        let over = listed.shutdown == Shutdown::Complete;
        let ends = |handle: &&Arc<QueryHandle>| over || !handle.is_admitted();
        let ended = listed.queries.values().filter(ends);
        ended.inspect(|handle| handle.end(Ending::Stop)).count()
    }

    /// Ends a query; returns whether it was under way.
    pub(crate) fn end(&self, number: u64) -> bool {
        let handle = self.0.lock().queries.get(&number).cloned();
        handle.inspect(|handle| handle.end(Ending::Operator)).is_some()
    }

    /// The report of one query.
    pub(crate) fn report(&self, number: u64) -> Option<QueryReport> {
        let handle = self.0.lock().queries.get(&number).cloned();
        handle.map(|handle| handle.report())
    }

    /// The reports of the oldest, [`limits::TOLD_QUERIES`] at most, and how many others there are.
    pub(crate) fn reports(&self) -> (Vec<QueryReport>, u64) {
        let mut queries: Vec<Arc<QueryHandle>> = self.0.lock().queries.values().cloned().collect();
        queries.sort_by_key(|query| Reverse(query.age()));
        let others = queries.len().saturating_sub(limits::TOLD_QUERIES) as u64;
        let oldest = queries.iter().take(limits::TOLD_QUERIES);
        (oldest.map(|query| query.report()).collect(), others)
    }

    /// How long the oldest has been under way.
    pub(crate) fn oldest(&self) -> Duration {
        let age = self.0.lock().queries.values().map(|handle| handle.age()).max();
        age.unwrap_or_default()
    }
}

/// Keeps a query in the [`Registry`] until it is dropped.
pub(crate) struct Entry {
    registry: Arc<Registry>,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.0.lock().queries.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::failure::{Failure, FailureKind};

    #[test]
    fn a_registry_forgets_what_has_ended() {
        let registry = Arc::new(Registry::default());
        let entry = registry.enter(QueryHandle::idle(1, r#"{"inputs":"b","query":[]}"#));
        let other = registry.enter(QueryHandle::idle(2, r#"{"inputs":"b","query":[]}"#));
        assert_eq!(registry.reports().0.len(), 2);
        assert!(registry.report(1).is_some() && registry.report(3).is_none());
        drop(entry);
        assert!(!registry.end(1) && registry.end(2));
        drop(other);
        assert_eq!(registry.oldest(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_stop_ends_what_has_not_begun_then_the_rest() {
        let registry = Arc::new(Registry::default());
        let query = |number| QueryHandle::idle(number, r#"{"inputs":"b","query":[]}"#);
        let (begun, waiting, late) = (query(1), query(2), query(3));
        begun.admit();
        let _entries = [registry.enter(begun.clone()), registry.enter(waiting.clone())];
        assert_eq!(registry.stop(Shutdown::Draining), 1);
        let _late = registry.enter(late.clone());
        for refused in [waiting, late] {
            assert_eq!(refused.ended().await, Failure::stopping("n1"));
        }
        assert!(begun.ended().now_or_never().is_none());
        registry.stop(Shutdown::Complete);
        // Nothing leads back.
        registry.stop(Shutdown::Draining);
        assert_eq!(registry.shutdown(), Shutdown::Complete);
        assert_eq!(begun.ended().await.kind, FailureKind::Stopping);
    }
}
