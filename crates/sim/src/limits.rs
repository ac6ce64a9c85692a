//! How long a simulation lasts and how much happens in it.

use std::time::Duration;

use mapring_datatypes::Kind;

/// How long the clients work, faults included.
pub(crate) const WORK: Duration = Duration::from_secs(40);

/// Faults that last end so long before the clients do at the latest.
pub(crate) const LAST_WORDS_MS: u64 = 1_000;

/// How long after the last fault the cluster has come to rest at the latest: longer than every
/// patience, retry and round of hand-off.
pub(crate) const REST: Duration = Duration::from_secs(60);

/// How often it is looked whether the cluster has come to rest.
pub(crate) const REST_TICK: Duration = Duration::from_secs(1);

/// Records above so many bytes lie in files of their own: about half of them.
pub(crate) const WITHOUT_FILE_BYTES: usize = 110;

/// Clients that write keys of their own, one at a time each.
pub(crate) const WRITERS: u64 = 3;

/// Clients that write keys that others write too.
pub(crate) const CONTENDED_WRITERS: u64 = 3;

/// Keys that are written by several.
pub(crate) const SHARED_KEYS: u64 = 5;

/// Clients that ask queries, one at a time each.
pub(crate) const QUERIERS: u64 = 2;

/// Fewest and most objects that each writer begins with.
pub(crate) const OBJECTS: std::ops::Range<u64> = 20..120;

/// Most objects that point to others.
pub(crate) const POINTERS: usize = 40;

/// Most keys that a query lists.
pub(crate) const LISTED: u64 = 30;

/// Most objects that a page of a fold which a client asks for itself has: so few that replicas which
/// differ end their pages at different places.
pub(crate) const FOLDED: usize = 4;

/// How long a client asks a node to take at most over a write or read.
pub(crate) const CLIENT_PATIENCE: Duration = Duration::from_secs(10);

/// How much longer than it was asked to a node may take.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// How long a query may take, in milliseconds.
pub(crate) const QUERY_MS: u64 = 20_000;

/// How long another node's pause or absence may delay a read, write or query …
pub(crate) const DELAY: Duration = Duration::from_secs(5);

/// … beside what a read or write takes anyway, and messages that are slow by chance …
pub(crate) const ALLOWANCE: Duration = Duration::from_millis(1_000);

/// … or a query.
pub(crate) const QUERY_ALLOWANCE: Duration = Duration::from_secs(4);

/// For so long after a fault the next one does not count as alone.
pub(crate) const AFTERMATH_MICROS: u64 = 25_000_000;

/// Fewest and most milliseconds between two operations of a client. The fewest are well above twice
/// the small skew of clocks: where writers do not say what they have seen the last write wins by
/// clock.
pub(crate) const THINKING_MS: std::ops::Range<u64> = 60..500;

/// How far a node's clock is off at most, in microseconds, to either side …
pub(crate) const SKEW_MICROS: u64 = 20_000;

/// … or where clocks are bad.
pub(crate) const WIDE_SKEW_MICROS: u64 = 5_000_000;

/// Fewest and most milliseconds that a fault lasts.
pub(crate) const FAULT_MS: std::ops::Range<u64> = 500..10_000;

/// What the cluster is given to get over a fault before the next, in milliseconds, when faults come
/// one by one.
pub(crate) const RECOVERY_MS: u64 = 12_000;

// Faults that come one by one end before the clients do.
const _: () = assert!(WORK.as_millis() > 5_000 + 2 * FAULT_MS.end as u128 + RECOVERY_MS as u128);

/// Fewest and most milliseconds until a node that has gone counts as down.
pub(crate) const SUSPICION_MS: std::ops::Range<u64> = 200..3_000;

/// Fewest and most milliseconds until a node that is back counts as up.
pub(crate) const TRUST_MS: std::ops::Range<u64> = 100..2_000;

/// How often gossip goes round.
pub(crate) const GOSSIP_TICK: Duration = Duration::from_millis(100);

/// How long a node that refused a call counts as down at least, as in the live cluster.
pub(crate) const REPORT_HOLD: Duration = Duration::from_secs(1);

/// Numbers of nodes at the beginning are lower; a node that takes the place of another has that one's
/// number and a multiple of this.
pub(crate) const SEATS: u64 = 100;

/// How long it takes at most until a node that reaches a majority learns what is decided, in
/// milliseconds: a run has one of these.
pub(crate) const LAGS_MS: [u64; 4] = [100, 500, 3_000, 10_000];

/// How many runs of a thousand have a node that is gone for good, and another that takes its place.
pub(crate) const REPLACEMENTS: u64 = 400;

/// When it goes, in milliseconds after the clients have begun …
pub(crate) const LEAVES_MS: std::ops::Range<u64> = 2_000..20_000;

/// … and how long it is missed.
pub(crate) const MISSED_MS: std::ops::Range<u64> = 300..5_000;

/// How often it is tried to have the other one take its place.
pub(crate) const JOIN_TICK: Duration = Duration::from_millis(200);

/// How many plans for random sets of nodes are made each time.
pub(crate) const PLANS_AT_ONCE: usize = 10;

/// How often coverage plans are looked at.
pub(crate) const PLAN_TICK: Duration = Duration::from_millis(1_500);

/// How often the sizes of queues are looked at.
pub(crate) const SIZE_TICK: Duration = Duration::from_millis(500);

/// Replicas of shared objects.
pub(crate) const SHARED_N_VAL: u32 = 3;

/// How many runs of a thousand have data types, where nothing is said.
pub(crate) const WITH_DATATYPES: u64 = 500;

/// Clients that update them.
pub(crate) const DATATYPE_CLIENTS: u64 = 3;

/// How many of a thousand of their operations are updates; the others are reads.
pub(crate) const DATATYPE_UPDATES: u64 = 650;

/// Of updates of sets from which something can be removed, how many of a thousand do that.
pub(crate) const REMOVALS: u64 = 500;

/// The data types: kinds with how many of each. So few that several clients meet at each, and so many that
/// counters last: see [`COUNTS`]. What is there twice is chosen twice as often.
pub(crate) const DATATYPES: [(Kind, u64); 6] = [
    (Kind::Counter, 3),
    (Kind::Counter, 3),
    (Kind::Set, 2),
    (Kind::Map, 3),
    (Kind::GSet, 1),
    (Kind::Hll, 1),
];

/// How often a counter is changed at most: by powers of four, whose sum is to be a number of 64 bits even where
/// some count twice.
pub(crate) const COUNTS: u32 = 31;

/// Elements that are added to sets and removed again.
pub(crate) const ELEMENTS: u64 = 10;

/// The precision of HyperLogLogs: few registers, so that texts share some.
pub(crate) const PRECISION: u8 = 8;

/// How many runs of a thousand have jobs, where nothing is said.
pub(crate) const WITH_JOBS: u64 = 500;

/// How far a minute has come when all begins, in milliseconds: about ten seconds later clients work.
pub(crate) const PAST_MINUTE_MS: std::ops::Range<u64> = 15_000..45_000;

/// Jobs that clients start in such a run, each by a client of its own …
pub(crate) const ORDERS: u64 = 8;

/// … and when, in milliseconds after the others have begun.
pub(crate) const ORDER_MS: std::ops::Range<u64> = 0..34_000;

/// Objects that jobs have as their inputs.
pub(crate) const FLOCK: std::ops::Range<u64> = 20..60;

/// Inputs of jobs that are no objects.
pub(crate) const JOB_INPUTS: std::ops::Range<u64> = 1..80;

/// Into how many groups jobs put their inputs that group.
pub(crate) const GROUPS: u64 = 4;

/// How often schedules run, in milliseconds.
pub(crate) const MINUTE_MS: u64 = 60_000;

/// Inputs of the job of a schedule.
pub(crate) const SCHEDULED_INPUTS: u64 = 20;

/// How long a shard of a job works between two checkpoints, in milliseconds.
pub(crate) const SLICES_MS: [u64; 4] = [100, 300, 1_000, 3_000];

/// Inputs a second of jobs; 0 for as many as can be.
pub(crate) const RATES: [u64; 4] = [0, 3, 6, 12];

/// How many jobs of a thousand are kept for a moment only.
pub(crate) const BRIEF_JOBS: u64 = 150;

/// How many jobs of a thousand are aborted at some time.
pub(crate) const ABORTED_JOBS: u64 = 200;

/// How many of a thousand are removed when they have ended.
pub(crate) const REMOVED_JOBS: u64 = 250;

/// How many of a thousand tell somebody of their end.
pub(crate) const TOLD_JOBS: u64 = 400;

/// How long a callback is under way, in milliseconds, to there and back; …
pub(crate) const CALLBACK_MS: std::ops::Range<u64> = 1..50;

/// … of a thousand, how many are refused, …
pub(crate) const BUSY_RECEIVER: u64 = 200;

/// … and how many are heard without an answer.
pub(crate) const SILENT_RECEIVER: u64 = 50;

/// Pipelines that clients start, each by a client of its own.
pub(crate) const PIPELINES: u64 = 3;

/// Inputs of the first job of one: few, so that all of its jobs can have ended in time.
pub(crate) const PIPELINE_INPUTS: std::ops::Range<u64> = 1..20;

/// How long a pipeline pauses, in milliseconds.
pub(crate) const DELAY_MS: std::ops::Range<u64> = 1..4_000;

/// How many of a thousand are started again, as by a client that has not heard the answer.
pub(crate) const STARTED_AGAIN: u64 = 400;

/// Most faults of a run that are aimed at the owners of jobs, beside the others …
pub(crate) const AIMED: u64 = 2;

/// … how long they wait for each other, in milliseconds …
pub(crate) const BEFORE_AIMED_MS: std::ops::Range<u64> = 1_000..12_000;

/// … and how long each lasts: mostly long enough that a job is taken over.
pub(crate) const AIMED_MS: std::ops::Range<u64> = 2_000..9_000;

/// How often it is looked whether there is an owner to aim at.
pub(crate) const AIM_TICK: Duration = Duration::from_millis(50);

/// How long after the last fault all runs of schedules have started that were due before.
pub(crate) const RUNS_OVERDUE: Duration = Duration::from_secs(20);

/// How far clocks that are set are off at most.
pub(crate) const SET_CLOCKS: Duration = Duration::from_secs(25);

/// How often a client asks for its job, in milliseconds.
pub(crate) const ASKING_MS: std::ops::Range<u64> = 200..1_500;

/// How long a decision about a job is under way, in milliseconds, to there and back …
pub(crate) const DECISION_MS: std::ops::Range<u64> = 1..20;

/// … and how long it takes until it is clear that its answer is lost.
pub(crate) const LOST_DECISION_MS: std::ops::Range<u64> = 500..3_000;

/// Answers to decisions about jobs that are lost, of a thousand: a run has one of these.
pub(crate) const LOST_ANSWERS: [u64; 3] = [0, 50, 300];

/// How long after the last fault all jobs have ended at the latest: a node may learn of the decisions
/// after ten seconds, a lost owner is missed for ten more, and what was begun goes at its rate.
pub(crate) const JOBS_END: Duration = Duration::from_secs(90);

/// What is shown of a message at most, in characters.
pub(crate) const TRACE_CHARS: usize = 120;
