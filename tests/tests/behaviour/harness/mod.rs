//! Clusters of real processes.

mod cluster;
mod memory;
mod node;
mod ports;
mod raw;

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep};

pub(crate) use cluster::Cluster;
pub(crate) use memory::{Memory, Watch, workers};
pub(crate) use node::{Node, NodeSettings, worker_ticks};
pub(crate) use ports::Ports;
pub(crate) use raw::{Exchange, metrics};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_mapring-under-test");

/// How long a condition may take to come true: generous, because the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until the answer is there; fails, naming what was waited for, when it does not come.
#[track_caller]
pub(crate) fn eventually<T, F>(what: &str, mut ask: impl FnMut() -> F) -> impl Future<Output = T>
where
    F: Future<Output = Option<T>>,
{
    let place = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            assert!(Instant::now() < deadline, "{place}: waited in vain for {what}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// `Some` when a condition holds.
pub(crate) fn holds(condition: bool) -> Option<()> {
    condition.then_some(())
}
