//! What users see of a job: its members are those of `GET /jobs` and `GET /jobs/{id}`.

use std::collections::BTreeMap;

use mapring_cluster::JobResult;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a list shows of a job.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobSummary {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: Option<String>,
    /// Whether it has not ended yet.
    pub active: bool,
    /// One of [`crate::STATES`].
    pub state: String,
    /// How it ended: `success`, `failed` or `aborted`; `null` before.
    pub result_status: Option<String>,
    /// When it was started, in milliseconds since 1970 began.
    pub start_timestamp_ms: u64,
    /// When anything was last heard of it, or when it ended.
    pub updated_timestamp_ms: u64,
    /// How long it has taken, such as `00:00:04` or `1 day, 02:03:04`.
    pub elapsed: String,
    /// Shards that are being worked on.
    pub active_shards: usize,
    /// How many shards it has.
    pub shards: usize,
    /// Inputs a second, on the average.
    pub rate: f64,
}

/// All that is shown of a job.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobDetail {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: Option<String>,
    /// Whether it has not ended yet.
    pub active: bool,
    /// One of [`crate::STATES`].
    pub state: String,
    /// How it ended: `success`, `failed` or `aborted`; `null` before.
    pub result_status: Option<String>,
    /// When it was started, in milliseconds since 1970 began.
    pub start_timestamp_ms: u64,
    /// When anything was last heard of it, or when it ended.
    pub updated_timestamp_ms: u64,
    /// How long it has taken, such as `00:00:04` or `1 day, 02:03:04`.
    pub elapsed: String,
    /// Its document.
    pub spec: Value,
    /// The node that runs it, or ran it last.
    pub node: Option<String>,
    /// How often it was given to a node, from 1.
    pub epoch: u64,
    /// How many shards it has.
    pub shard_count: usize,
    /// Shards that are being worked on.
    pub active_shards: usize,
    /// Shards that have failed.
    pub failed_shards: usize,
    /// Shards that were given up because the job was aborted.
    pub aborted_shards: usize,
    /// Its phases in order.
    pub phases: Vec<PhaseDetail>,
    /// What it and its functions have counted, by name.
    pub counters: BTreeMap<String, i64>,
    /// How fast the counters go up.
    pub rates: BTreeMap<String, Rate>,
    /// Its shards side by side.
    pub chart: Chart,
    /// Its shards, by their numbers.
    pub shards: Vec<ShardDetail>,
    /// Objects that it has written as its outputs, as `[bucket,key]`: the first of them. Its results are
    /// all of them.
    pub outputs: Vec<Value>,
    /// How many more there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub outputs_left_out: u64,
    /// Why it failed, with `phase`, `error`, `input`, `type` and `stack`; or why it was aborted.
    pub error: Option<Value>,
    /// What keeps it from going on, of a stalled job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stalled: Option<Stall>,
    /// That the node which runs it could not be asked: the rest is as it was told before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<Unreachable>,
}

/// What is shown of a phase.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PhaseDetail {
    /// Its number, from 0.
    pub phase: usize,
    /// `map`, `reduce`, `link`, or `keys` for the listing before the first reduce.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it is a reduce of groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<bool>,
    /// `waiting`, `running` or `done`; `failed` where the job failed in it.
    pub state: String,
    /// Inputs that it has taken.
    #[serde(rename = "in")]
    pub inputs: u64,
    /// Groups that it has reduced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<u64>,
    /// Results that it has made.
    pub out: u64,
    /// Inputs that were left out because its function failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub skipped: u64,
}

pub(crate) fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How fast a counter goes up.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rate {
    /// Since the job began.
    pub avg_per_sec: f64,
    /// In the last seconds; 0 when it has ended.
    pub now_per_sec: f64,
}

/// Shards side by side, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Chart {
    /// Inputs that each has worked through.
    pub processed: Vec<u64>,
    /// `running`, `success`, `failed` or `aborted`.
    pub status: Vec<String>,
}

/// What is shown of a shard.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ShardDetail {
    /// Its number, from 0.
    pub shard_number: usize,
    /// The job's id with it.
    pub shard_id: String,
    /// The phase that it belongs to.
    pub phase: usize,
    /// The node that works on it, or did last.
    pub node: Option<String>,
    /// Whether it is being worked on.
    pub active: bool,
    /// How it ended: `success`, `failed` or `aborted`; `null` before.
    pub result_status: Option<String>,
    /// Which attempt at it this is, from 1.
    pub attempt: u32,
    /// Which slice of it this is, from 1.
    pub slice: u64,
    /// The epoch of the job in which it was last worked on.
    pub epoch: u64,
    /// How much of it is done, from 0 to 1.
    pub progress: f64,
    /// What it works on.
    pub shard_description: String,
    /// The input that it has finished last.
    pub last_work_item: Option<String>,
    /// When anything was last heard of it.
    pub updated_timestamp_ms: u64,
    /// What was counted in it, by name.
    pub counters: BTreeMap<String, i64>,
    /// Why it failed last.
    pub last_error: Option<Value>,
}

/// What keeps a job from going on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Stall {
    /// How long nothing has been accepted, in milliseconds.
    pub for_ms: u64,
    /// The node that was heard of last.
    pub node: Option<String>,
    /// The input that was finished last.
    pub last_work_item: Option<String>,
}

/// That the node which runs a job could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Unreachable {
    /// The node.
    pub node: String,
    /// How long ago the rest was stored, in milliseconds.
    pub age_ms: u64,
    /// Why it could not be asked.
    pub error: String,
}

/// An input that failed, or was left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobErrorEntry {
    /// The phase, where it was in one.
    pub phase: Option<usize>,
    /// The shard, where that is known, as [`ShardDetail::shard_number`].
    pub shard: Option<usize>,
    /// The attempt at it.
    pub attempt: Option<u32>,
    /// The input, as its key form or its JSON.
    pub input: Option<String>,
    /// What kind of failure it is, as `/mapred` names it.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What happened.
    pub error: String,
    /// The JavaScript stack.
    pub stack: Option<String>,
    /// When, in milliseconds since 1970 began.
    pub time_ms: u64,
}

/// The errors of a job, the newest first, of very many the newest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobErrors {
    /// The errors.
    pub errors: Vec<JobErrorEntry>,
    /// How many more there were.
    pub left_out: u64,
}

/// Something that has happened to a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobEvent {
    /// Its place among the events of the job, which goes on over a take-over.
    pub id: EventId,
    /// When, in milliseconds since 1970 began.
    pub time_ms: u64,
    /// What: `state`, `checkpoint`, `shard`, `retry`, `stall` or `end`.
    pub kind: String,
    /// What is said of it.
    pub data: Value,
}

/// The place of an event: the epoch of the job, and a number within it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct EventId {
    /// The epoch.
    pub epoch: u64,
    /// The number, from 1.
    pub number: u64,
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.epoch, self.number)
    }
}

impl std::str::FromStr for EventId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (epoch, number) = text.split_once('-').ok_or(())?;
        let number_of = |text: &str| text.parse::<u64>().map_err(|_| ());
        Ok(Self { epoch: number_of(epoch)?, number: number_of(number)? })
    }
}

/// A time that something has taken as it is shown: `00:00:04`, `1 day, 02:03:04`.
pub fn elapsed(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60);
    match days {
        0 => clock,
        1 => format!("1 day, {clock}"),
        _ => format!("{days} days, {clock}"),
    }
}

/// How a job ended, as users read it.
pub(crate) fn result_word(result: JobResult) -> &'static str {
    match result {
        JobResult::Success => "success",
        JobResult::Failed => "failed",
        JobResult::Aborted => "aborted",
    }
}

impl JobDetail {
    /// What a list shows of it.
    pub fn summary(&self) -> JobSummary {
        let rate = self.rates.get("mapper-calls").map_or(0.0, |rate| rate.avg_per_sec);
        JobSummary {
            id: self.id.clone(),
            name: self.name.clone(),
            active: self.active,
            state: self.state.clone(),
            result_status: self.result_status.clone(),
            start_timestamp_ms: self.start_timestamp_ms,
            updated_timestamp_ms: self.updated_timestamp_ms,
            elapsed: self.elapsed.clone(),
            active_shards: self.active_shards,
            shards: self.shard_count,
            rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_app_engine_showed_them() {
        for (ms, shown) in [
            (0, "00:00:00"),
            (4_000, "00:00:04"),
            (93_784_000, "1 day, 02:03:04"),
            (180_000_000, "2 days, 02:00:00"),
            (86_399_999, "23:59:59"),
        ] {
            assert_eq!(elapsed(ms), shown);
        }
    }

    #[test]
    fn events_are_named_and_read() {
        let id = EventId { epoch: 2, number: 17 };
        assert_eq!((id.to_string().as_str(), id.to_string().parse()), ("2-17", Ok(id)));
        for text in ["", "2", "-", "a-1", "1-", "1-2-3"] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
    }
}
