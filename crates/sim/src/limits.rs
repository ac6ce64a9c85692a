//! How long a simulation lasts and how much happens in it.

use std::time::Duration;

/// Nodes of the cluster.
pub(crate) const NODES: u64 = 3;

/// Replicas of each object.
pub(crate) const N_VAL: u32 = 3;

/// How long the clients work, faults included.
pub(crate) const WORK: Duration = Duration::from_secs(55);

/// How long the cluster is then left in peace, before everything must be right: longer than every
/// patience, retry and hand-off tick.
pub(crate) const PEACE: Duration = Duration::from_secs(60);

/// Clients that write, one at a time each.
pub(crate) const WRITERS: u64 = 3;

/// Clients that ask queries, one at a time each.
pub(crate) const QUERIERS: u64 = 2;

/// Fewest and most objects that each writer begins with.
pub(crate) const OBJECTS: std::ops::Range<u64> = 20..250;

/// How long a client waits for a write or read.
pub(crate) const CLIENT_PATIENCE: Duration = Duration::from_secs(10);

/// How long a query may take, in milliseconds.
pub(crate) const QUERY_MS: u64 = 20_000;

/// Fewest and most milliseconds between two operations of a client. The fewest are well above twice
/// the skew of clocks: the last write wins by clock.
pub(crate) const THINKING_MS: std::ops::Range<u64> = 60..500;

/// How far a node's clock is off at most, in microseconds, to either side.
pub(crate) const SKEW_MICROS: u64 = 20_000;

/// Fewest and most milliseconds that a fault lasts.
pub(crate) const FAULT_MS: std::ops::Range<u64> = 500..12_000;

/// What the cluster is given to get over a fault before the next, in milliseconds, when the faults
/// are calm: gossip and a round of hand-off (10 s) take part of it.
pub(crate) const RECOVERY_MS: u64 = 20_000;

/// How long after its acknowledgement a write has settled on all replicas when nothing is wrong, in
/// microseconds: longer than the slowest message takes …
pub(crate) const SETTLING_MICROS: u64 = 2_000_000;

/// … or, where messages are lost by chance, than a round of hand-off.
pub(crate) const HARSH_SETTLING_MICROS: u64 = 15_000_000;

// Calm faults end before the clients do.
const _: () = assert!(WORK.as_millis() > 7_000 + 2 * FAULT_MS.end as u128 + RECOVERY_MS as u128);

/// Fewest and most milliseconds until a node that has gone counts as down.
pub(crate) const SUSPICION_MS: std::ops::Range<u64> = 200..3_000;

/// Fewest and most milliseconds until a node that is back counts as up.
pub(crate) const TRUST_MS: std::ops::Range<u64> = 100..2_000;

/// How often gossip goes round.
pub(crate) const GOSSIP_TICK: Duration = Duration::from_millis(100);

/// How long a node that refused a call counts as down at least, as in the live cluster.
pub(crate) const REPORT_HOLD: Duration = Duration::from_secs(1);

/// How many plans for random sets of nodes are made each time.
pub(crate) const PLANS_AT_ONCE: usize = 10;

/// How often coverage plans are looked at.
pub(crate) const PLAN_TICK: Duration = Duration::from_millis(700);
