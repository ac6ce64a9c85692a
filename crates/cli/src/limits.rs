//! Bounds of the command line, with their reasons.

use std::time::Duration;

/// The pause of a connection after an error: it must not spin on a server that refuses.
pub(crate) const BENCH_ERROR_PAUSE: Duration = Duration::from_millis(20);

/// How often the progress of a measurement is shown.
pub(crate) const BENCH_SHOW_EVERY: Duration = Duration::from_millis(500);

/// How often the progress of a query is asked for and shown.
pub(crate) const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// How long the answer may take.
pub(crate) const PROGRESS_PATIENCE: Duration = Duration::from_secs(2);

/// For how long nothing may be heard of a job that is waited for: longer than a cluster takes to be
/// started again.
pub(crate) const JOB_PATIENCE: Duration = Duration::from_secs(60);

/// Digits of a key of a measurement; of others no more can be asked for.
pub(crate) const KEY_DIGITS: u32 = 9;

/// The largest object that a node takes.
pub(crate) const BENCH_BODY_BYTES: u64 = mapring_types::limits::OBJECT_BYTES as u64;

/// How long the keys may take to be stored before the load: a day.
pub(crate) const BENCH_FILL: Duration = Duration::from_secs(86_400);

/// Kinds of errors that are counted apart; all further ones count as one.
pub(crate) const ERROR_KINDS: usize = 32;

/// How long an answer to a measurement may take; then it counts as an error.
pub(crate) const BENCH_ANSWER: Duration = Duration::from_secs(60);

/// Bytes read at once by a measurement. A longer head is an error.
pub(crate) const BENCH_BUFFER_BYTES: usize = 64 << 10;

/// How often a node is asked whether it is ready.
pub(crate) const READY_ASK_EVERY: Duration = Duration::from_millis(100);

/// Tries of one write before the load stops.
pub(crate) const LOAD_TRIES: u32 = 8;

/// The pause after the first try of a write, doubled after each further one: 13 s in all, longer than
/// the death of a node goes unnoticed.
pub(crate) const LOAD_PAUSE: Duration = Duration::from_millis(100);

/// Items that a load reads ahead of its writes.
pub(crate) const LOAD_READ_AHEAD: usize = 16;

/// How long the nodes of a playground may take to share the ring.
pub(crate) const PLAYGROUND_START: Duration = Duration::from_secs(60);

/// How often they are asked whether they do.
pub(crate) const PLAYGROUND_ASK_EVERY: Duration = Duration::from_millis(100);

/// How long a node of a playground may take to stop: longer than its own grace period.
pub(crate) const PLAYGROUND_STOP: Duration = Duration::from_secs(30);

/// Lines of a log that are shown when its node did not start.
pub(crate) const PLAYGROUND_LOG_LINES: usize = 20;

/// How often a node that repairs is asked how far it is.
pub(crate) const REPAIR_ASK_EVERY: Duration = Duration::from_millis(500);
