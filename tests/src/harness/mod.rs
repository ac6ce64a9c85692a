//! Clusters of real processes.

mod cluster;
mod memory;
mod node;
mod ports;
mod raw;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::{Instant, sleep};

pub use cluster::Cluster;
pub use memory::{Memory, Watch, workers};
pub use node::{Node, NodeSettings, worker_ticks};
pub use ports::Ports;
pub use raw::{Exchange, metrics};

/// The name of [`program`], as `Cargo.toml` has it.
const PROGRAM: &str = "mapring-under-test";

/// How long a condition may take to come true: generous, because the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until the answer is there; fails, naming what was waited for, when it does not come.
#[track_caller]
pub fn eventually<T, F>(what: &str, mut ask: impl FnMut() -> F) -> impl Future<Output = T>
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

/// The program under test, as an absolute path. Only test binaries are told where it lies while they
/// are compiled; it is built beside the folder in which they are.
///
/// # Panics
/// When it is not there.
pub fn program() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let program = test.parent().and_then(Path::parent).unwrap().join(PROGRAM);
        assert!(program.is_file(), "{} is missing: it is built with the tests", program.display());
        program.into_os_string().into_string().unwrap()
    })
}

/// The root of the checkout.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Tells that a test cannot be done on this machine, and why: `.ci/run` names it again at its end, by
/// the file `SKIPPED_LIST`. With `STRICT=1` the test fails.
#[track_caller]
pub fn skip(why: &str) {
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
pub fn holds(condition: bool) -> Option<()> {
    condition.then_some(())
}
