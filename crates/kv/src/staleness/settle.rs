//! Writes that this node coordinates and that have not settled yet.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Writes that this node coordinates and whose replicas have not all stored them or been hinted.
#[derive(Default)]
pub(crate) struct Unsettled {
    state: Mutex<Numbers>,
    changed: Notify,
    news: Arc<Notify>,
}

#[derive(Default)]
struct Numbers {
    next: u64,
    open: BTreeSet<u64>,
}

/// One write; settled when dropped.
pub(crate) struct Unsettling {
    all: Arc<Unsettled>,
    number: u64,
}

impl Unsettled {
    pub(crate) fn begin(self: &Arc<Self>) -> Unsettling {
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        let new = state.open.insert(number);
        assert!(new, "two writes under way have the number {number}");
        Unsettling { all: self.clone(), number }
    }

    /// Every write of a lower number has settled.
    pub(crate) fn watermark(&self) -> u64 {
        let state = self.state.lock();
        state.open.first().copied().unwrap_or(state.next)
    }

    /// How many writes have not settled.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().open.len()
    }

    /// Has a permit whenever a write has settled since the last one was taken.
    pub(crate) fn news(&self) -> Arc<Notify> {
        self.news.clone()
    }

    /// Waits until all writes begun before the call have settled.
    pub(crate) async fn settle(&self) {
        let upto = self.state.lock().next;
        loop {
            // Made before the check, so that a change in between is not missed.
            let changed = self.changed.notified();
            if self.state.lock().open.first().is_none_or(|&number| number >= upto) {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Unsettling {
    fn drop(&mut self) {
        let known = self.all.state.lock().open.remove(&self.number);
        assert!(known || std::thread::panicking(), "write {} has settled twice", self.number);
        self.all.changed.notify_waiters();
        self.all.news.notify_one();
    }
}

impl Unsettling {
    /// The number of the write, in the order in which this incarnation's writes began.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn settling_waits_for_earlier_writes_alone() {
        let all = Arc::new(Unsettled::default());
        let first = all.begin();
        let waiting = tokio::spawn({
            let all = all.clone();
            async move { all.settle().await }
        });
        tokio::task::yield_now().await;
        let _second = all.begin();
        assert!(!waiting.is_finished());
        drop(first);
        waiting.await.unwrap();
    }
}
