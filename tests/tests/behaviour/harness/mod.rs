//! Clusters of real processes.

mod cluster;
mod memory;
mod node;
mod ports;
mod raw;

use std::io::Write as _;
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

/// Tells that a test cannot be done on this machine, and why: `.ci/run` names it again at its end, by
/// the file `SKIPPED_LIST`. With `STRICT=1` the test fails.
#[track_caller]
pub(crate) fn skip(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    if let Some(list) = std::env::var_os("SKIPPED_LIST") {
        let list = std::fs::File::options().append(true).create(true).open(list);
        // One write for a line: tests run at the same time.
        list.unwrap().write_all(format!("{test}: {why}\n").as_bytes()).unwrap();
    }
    let strict =
        std::env::var_os("STRICT").is_some_and(|strict| strict != "0" && !strict.is_empty());
    assert!(!strict, "{why} (STRICT=0 skips what cannot be done)");
    eprintln!("SKIPPED: {test}: {why}");
}

/// `Some` when a condition holds.
pub(crate) fn holds(condition: bool) -> Option<()> {
    condition.then_some(())
}
