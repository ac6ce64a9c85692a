//! The tasks of a transport: all end when it stops, and somebody can wait for that.

use std::future::Future;

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Starts tasks and ends them.
pub(super) struct Tasks {
    stop: watch::Sender<bool>,
    /// Every task holds a clone: when all are gone, `gone` tells.
    alive: Mutex<Option<mpsc::Sender<()>>>,
    gone: tokio::sync::Mutex<mpsc::Receiver<()>>,
}

/// Held by a task (or by anything else that `Tasks::ended` must wait for).
pub(super) struct Alive {
    _token: mpsc::Sender<()>,
}

impl Tasks {
    pub(super) fn new() -> Self {
        let (alive, gone) = mpsc::channel(1);
        Self {
            stop: watch::Sender::new(false),
            alive: Mutex::new(Some(alive)),
            gone: tokio::sync::Mutex::new(gone),
        }
    }

    /// A token for work that somebody else ends; `None` when it must not begin any more.
    pub(super) fn alive(&self) -> Option<Alive> {
        self.alive.lock().clone().map(|token| Alive { _token: token })
    }

    /// Runs `work` until it ends or the transport stops; `None` in the latter case. The task's
    /// result is lost when nobody waits for the handle.
    pub(super) fn spawn<F>(&self, work: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let alive = self.alive();
        let mut stop = self.stop.subscribe();
        tokio::spawn(async move {
            let _alive = alive?;
            tokio::select! {
                biased;
                _ = stop.wait_for(|stopped| *stopped) => None,
                output = work => Some(output),
            }
        })
    }

    /// Asks all tasks to end, and lets no other begin.
    pub(super) fn stop(&self) {
        self.alive.lock().take();
        self.stop.send_replace(true);
    }

    /// Waits until all tasks have ended. Only after [`Self::stop`].
    pub(super) async fn ended(&self) {
        let _ = self.gone.lock().await.recv().await;
    }
}

/// Ends a task when it is dropped.
pub(super) struct AbortOnDrop(pub(super) tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
