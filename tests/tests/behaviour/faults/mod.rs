//! Exact while nodes die: faults of real processes, a behaviour a file.
//!
//! Each test keeps a cluster alive over many runs of one kind of fault. A run changes some objects,
//! asks a query, and at a random time makes a fault; the answer must be exactly what the model says
//! (invariants I2 and I5). Where the fault is to meet a running query, the run counts only if units
//! were in flight and at least one was run again. After the last run every acknowledged write is
//! read from all its replicas through every node (I1).

mod load;
mod model;
mod network;
mod query;
mod random;
mod rig;
mod wire;

mod cut;
mod grouped;
mod jobs;
mod kill;
mod kill_all;
mod overwrite;
mod own_node;
mod pause;
mod within;

use std::time::Duration;

/// Runs of each kind that must count with three nodes …
const RUNS: u32 = 30;

/// … and with five, whose processes share the same few cores.
const RUNS_OF_FIVE: u32 = 10;

/// Runs of the further forms of queries: each form twice.
const RUNS_OF_FORMS: u32 = 20;

/// Where every run waits for a silent node to be given up, the two together make as many.
const SILENT_RUNS: u32 = RUNS - RUNS_OF_FIVE;

/// How long the first map takes for each object, where a fault is to meet it.
const SLOW: Duration = Duration::from_millis(12);

/// What a node that falls silent may delay a query, a read or a write by …
const PROMISED: Duration = Duration::from_secs(5);

/// … and what a busy machine may add.
const SLACK: Duration = Duration::from_secs(3);
