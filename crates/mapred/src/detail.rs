//! What a job shows of itself beside what every query does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a job has done so far, in detail.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct QueryDetail {
    /// Its stages in order: a grouped reduce has two, `gather` and `reduce`.
    pub phases: Vec<PhaseDetail>,
    /// What it and its functions have counted, by name.
    pub counters: BTreeMap<String, CounterDetail>,
    /// Its shards in order, of many those that are under way and the first others.
    pub shards: Vec<ShardDetail>,
    /// How many shards are known, shown or not; of inputs that come while it runs some are not yet.
    pub shards_known: u64,
    /// How many of them are not done.
    pub shards_active: u64,
    /// Milliseconds since it began to run.
    pub running_ms: u64,
    /// Milliseconds since the last page of anything was accepted, or since it began to run here; where
    /// nothing but its rate kept it from going on, since that did last.
    pub idle_ms: u64,
    /// The node that made that page, …
    pub last_node: Option<String>,
    /// … and the last input in it.
    pub last_input: Option<String>,
}

/// What a stage has done so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseDetail {
    /// The phase that it belongs to, from 0.
    pub phase: usize,
    /// `map`, `reduce`, `link`, `gather`, or `keys` for the listing before the first reduce.
    pub kind: String,
    /// Whether it is a grouped reduce.
    pub group: bool,
    /// `waiting`, `running` or `done`.
    pub state: String,
    /// Inputs that it has taken; of a grouped reduce its groups.
    pub inputs: u64,
    /// Results that it has made.
    pub results: u64,
    /// Inputs that were left out because its function failed.
    pub skipped: u64,
    /// Partitions or shards that it has worked through …
    pub partitions_done: u64,
    /// … of so many; 0 where it works on named inputs.
    pub partitions: u64,
}

/// A counter, and how fast it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct CounterDetail {
    /// What was counted.
    pub count: i64,
    /// So much a second, since the job began to run.
    pub avg_per_sec: f64,
    /// So much a second, in the last ten.
    pub now_per_sec: f64,
}

/// What a shard has done so far: a unit of work that one node has at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardDetail {
    /// The phase, from 0.
    pub phase: usize,
    /// Its number within the stage: `ctx.shard.number`.
    pub number: u32,
    /// What it is, such as `b partition 7`.
    pub description: String,
    /// The node that works on it, or did last.
    pub node: Option<String>,
    /// `waiting`, `running`, `done` or `failed`: the job fails with it.
    pub state: String,
    /// How often it was given out: `ctx.shard.attempt`.
    pub attempt: u32,
    /// How many pages of it were accepted.
    pub slice: u32,
    /// Inputs that it has done.
    pub inputs: u64,
    /// Results that it has made.
    pub results: u64,
    /// The last input that it has done, as far as one can be named.
    pub last_input: Option<String>,
    /// Why it was begun again the last time, or was not, with the stack of a function that failed.
    pub last_error: Option<String>,
    /// Milliseconds since something of it changed.
    pub idle_ms: u64,
}
