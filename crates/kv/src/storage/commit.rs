//! Group commit: writes that are in flight together share one `Engine::sync`.
//!
//! Who wrote first has a job of the executor lead: it syncs until nobody waits. Those who write
//! meanwhile only leave word, and are covered by the next sync. At most one thread is ever in a sync,
//! whatever the number of writers, and none is needed when the executor runs inline.

use std::sync::Arc;

use mapring_engine::Engine;
use mapring_types::error::WireError;
use mapring_types::{Error, Result};
use parking_lot::Mutex;

/// Told once, when the writes made before it was enlisted are durable or have failed.
pub(crate) type Waiter = Box<dyn FnOnce(Result<()>) + Send>;

/// The queue of writers that wait for a sync. Bounded by the requests in flight, each of which waits.
pub(crate) struct GroupCommit {
    engine: Arc<dyn Engine>,
    state: Mutex<State>,
    shared: metrics::Histogram,
}

#[derive(Default)]
struct State {
    syncing: bool,
    waiting: Vec<Waiter>,
}

impl GroupCommit {
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        let shared = metrics::histogram!("mapring_kv_group_commit_writes");
        Self { engine, state: Mutex::default(), shared }
    }

    /// Has `waiter` told once everything written before this call is durable. Returns whether the
    /// caller is to see to it that somebody leads.
    #[must_use]
    pub(crate) fn enlist(&self, waiter: Waiter) -> bool {
        let mut state = self.state.lock();
        state.waiting.push(waiter);
        !std::mem::replace(&mut state.syncing, true)
    }

    /// Syncs until nobody waits. Blocks: call it from an executor's job.
    pub(crate) fn lead(&self) {
        // Should a sync panic, nobody may wait for ever and the next writer must take over.
        let _relay = Relay(self);
        while let Some(covered) = self.take() {
            let outcome = self.engine.sync();
            self.shared.record(covered.len() as f64);
            let failure: Option<WireError> = outcome.err().map(|error| error.to_wire());
            for waiter in covered {
                waiter(failure.clone().map_or(Ok(()), |error| Err(Error::from(error))));
            }
        }
    }

    /// Those who wait; `None`, and nobody leads any more, when there is nobody.
    fn take(&self) -> Option<Vec<Waiter>> {
        let mut state = self.state.lock();
        assert!(state.syncing, "two lead a group commit, or none");
        state.syncing = !state.waiting.is_empty();
        state.syncing.then(|| std::mem::take(&mut state.waiting))
    }
}

struct Relay<'a>(&'a GroupCommit);

impl Drop for Relay<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0.state.lock() = State::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use mapring_engine::memory::MemoryEngine;

    use super::*;

    #[test]
    fn who_comes_first_has_somebody_lead_and_all_are_told() {
        let (told, heard) = mpsc::channel();
        let commit = GroupCommit::new(Arc::new(MemoryEngine::new()));
        let waiter = |number: u32| -> Waiter {
            let told = told.clone();
            Box::new(move |synced| {
                synced.unwrap();
                let _ = told.send(number);
            })
        };
        for round in 0..3 {
            assert!(commit.enlist(waiter(round)), "nobody leads");
            assert!(!commit.enlist(waiter(round)));
            commit.lead();
            assert_eq!(heard.try_iter().collect::<Vec<_>>(), [round; 2]);
        }
    }
}
