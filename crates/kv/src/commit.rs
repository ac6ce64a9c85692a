//! Group commit: writes that are in flight together share one `Engine::sync`.
//!
//! The job that wrote first syncs on its own thread; the jobs that write meanwhile only leave word
//! and give their thread back, and are covered by the next sync. At most one thread is ever in a
//! sync, whatever the number of writers, and none is needed when the executor runs inline.

use std::sync::Arc;

use mapring_engine::Engine;
use mapring_types::error::WireError;
use mapring_types::{Error, Result};
use parking_lot::Mutex;

/// Told once, when the writes made before it was enlisted are durable or have failed.
pub(crate) type Waiter = Box<dyn FnOnce(Result<()>) + Send>;

/// The queue of writers that wait for a sync. Bounded by the writes in flight, which the executor
/// bounds.
pub(crate) struct GroupCommit {
    engine: Arc<dyn Engine>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    syncing: bool,
    waiting: Vec<Waiter>,
}

impl GroupCommit {
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, state: Mutex::default() }
    }

    /// Has `waiter` told once everything written before this call is durable. Blocks when the
    /// caller is the one to sync: call it from an executor's job.
    pub(crate) fn enlist(&self, waiter: Waiter) {
        {
            let mut state = self.state.lock();
            state.waiting.push(waiter);
            if state.syncing {
                return;
            }
            state.syncing = true;
        }
        // Should a sync panic, nobody may wait for ever and the next writer must take over.
        let _relay = Relay(self);
        loop {
            let covered = {
                let mut state = self.state.lock();
                if state.waiting.is_empty() {
                    state.syncing = false;
                    return;
                }
                std::mem::take(&mut state.waiting)
            };
            let outcome = self.engine.sync();
            metrics::histogram!("mapring_commit_writes").record(covered.len() as f64);
            let failure: Option<WireError> = outcome.err().map(|error| error.to_wire());
            for waiter in covered {
                waiter(failure.clone().map_or(Ok(()), |error| Err(Error::from(error))));
            }
        }
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
