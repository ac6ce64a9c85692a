//! Bounds of a node as a process, with their reasons.

use std::time::Duration;

/// Most memory that storage takes as its cache by itself: sled counts about four times the data.
pub(crate) const CACHE_BYTES: u64 = 1 << 30;

/// Least cache: below it every read goes to the disk.
pub(crate) const LEAST_CACHE_BYTES: u64 = 64 << 20;

/// Secrets of the cluster that are accepted besides the one that signs: one takes the place of another,
/// and each more makes it slower to refuse what is forged.
pub(crate) const SECRETS_ALSO: usize = 4;

/// Largest file of secrets, in bytes: some lines.
pub(crate) const SECRET_FILE_BYTES: u64 = 4_096;

/// Open files. Below this a node cannot hold its connections to peers, its files and some clients.
pub(crate) const LEAST_FILES: u64 = 256;

/// Open files. Below this a busy node may refuse connections; said in the log.
pub(crate) const GOOD_FILES: u64 = 4_096;

/// Open files that a node takes where it may: more than it can use, less than tables of some systems
/// suffer.
pub(crate) const WANTED_FILES: u64 = 65_536;

/// Connections that wait to be accepted; the system cuts it to its own limit.
pub(crate) const BACKLOG: u32 = 1_024;

/// How long the public interface waits for what the cluster knows of the data here.
pub(crate) const PROOF: Duration = Duration::from_secs(5);

/// How long each step of a stop may take; then it is given up, so that a stop always ends.
pub(crate) const STOP_STEP: Duration = Duration::from_secs(15);

/// How often the histograms of the metrics are emptied of what has been counted.
pub(crate) const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// How often the times of workers are read anew because one ended meanwhile.
pub(crate) const USAGE_TRIES: usize = 3;

/// Letters by which a name of the configuration may differ from one that is proposed in its place.
pub(crate) const NEAR_NAME: usize = 3;
