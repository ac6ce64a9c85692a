//! Bounds that only the workers know, with their reasons. Those that hold across crates stand in
//! `mapring_types::limits`, those that functions are held to in `mapring_script::limits`.

use std::time::Duration;

use mapring_script::limits::BATCH_RESULT_BYTES;

/// A request to a worker carries inputs up to so many bytes, so that a large batch does not need
/// the memory of the worker twice.
pub const REQUEST_BYTES: usize = 4 << 20;

/// After a start that failed the next waits; this doubles up to [`LONGEST_RESTART_DELAY`]. A
/// worker that ends in a call is replaced at once: functions that end theirs must not cost the
/// others' theirs too.
pub const FIRST_RESTART_DELAY: Duration = Duration::from_millis(80);

/// See [`FIRST_RESTART_DELAY`].
pub const LONGEST_RESTART_DELAY: Duration = Duration::from_secs(2);

/// After so many starts that failed in a row, calls fail instead of waiting for better times.
pub const FAILED_STARTS: u32 = 3;

/// How long a shutdown waits for the processes.
pub const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);

/// How far a query may get ahead of others before its worker goes to them. A context for another
/// query costs some 0.6 ms, a call much less.
pub const SLICE: Duration = Duration::from_millis(10);

/// The share of the workers that a query has which somebody waits for, beside others that want them
/// all the time.
pub const WHOLE_SHARE: u32 = 16;

/// The share of a job as most are.
pub const NORMAL_SHARE: u32 = 4;

/// The share of a job that everything else comes before: it goes on, however busy the workers are.
pub const LOW_SHARE: u32 = 1;

/// Most queries that are remembered though none of their calls waits. More: what they have had beyond
/// their share is forgotten.
pub const REMEMBERED_QUERIES: usize = 1_000;

/// How long a process may take until it is ready; then it is broken or the machine is.
pub const START_PATIENCE: Duration = Duration::from_secs(20);

/// What a call gets beyond its limit: the worker's news are that old at most.
pub const CALL_GRACE: Duration = Duration::from_millis(300);

/// When a process ends by itself after a call has taken so long, it was that call, and it is not
/// tried again: its caller would have to wait for as long once more. The news of calls that take
/// longer than a heartbeat are exact.
pub const LONG_CALL: Duration = Duration::from_secs(1);

/// How long an ended process may take to be gone, and the rest of its standard error to arrive.
pub const EXIT_PATIENCE: Duration = Duration::from_secs(2);

/// Lines of a worker's standard error that are kept for naming the cause of its end.
pub const STDERR_LINES: usize = 20;

/// Longest such line, in bytes; the rest is dropped.
pub const STDERR_LINE_BYTES: usize = 2_048;

/// Most lines of user code that one worker logs in a second; more are dropped.
pub const LOG_LINES: u32 = 100;

/// Room that is made for an answer before it comes: most answers fit, since batches end in time.
pub const EXPECTED_RESPONSE_BYTES: usize = 2 * BATCH_RESULT_BYTES;

/// How often the node looks whether the files of functions have changed.
pub const LIBRARY_POLL: Duration = Duration::from_secs(1);

/// After so many workers that ended over it for reasons of their own, the files of functions
/// count as the reason.
pub const LIBRARY_DEATHS: u32 = 3;

/// Most bytes of writes and counts that the calls of one reduce may ask for together: they wait in
/// the node's memory for its results. More: the reduce fails.
pub const REDUCE_EFFECT_BYTES: usize = 64 << 20;
