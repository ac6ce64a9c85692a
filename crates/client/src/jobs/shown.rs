//! What is seen of jobs. Members that a node of another release does not tell are empty.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Some jobs, the newest first.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct JobList {
    /// The jobs.
    pub jobs: Vec<JobSummary>,
    /// Where the list goes on; `None` at its end.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct JobSummary {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: Option<String>,
    /// Whether it has not ended.
    pub active: bool,
    /// Where it stands, such as `waiting`, `running`, `stalled`, `done`.
    pub state: String,
    /// `success`, `failed` or `aborted`, once it has ended.
    pub result_status: Option<String>,
    /// When it was started, in milliseconds since 1970 began.
    pub start_timestamp_ms: u64,
    /// When that was last looked at, likewise.
    pub updated_timestamp_ms: u64,
    /// How long it has taken, such as `1 day, 00:00:04`.
    pub elapsed: String,
    /// Shards that are worked on.
    pub active_shards: u64,
    /// All its shards.
    pub shards: u64,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: Option<String>,
    /// Whether it has not ended.
    pub active: bool,
    /// Where it stands, such as `waiting`, `running`, `stalled`, `done`.
    pub state: String,
    /// `success`, `failed` or `aborted`, once it has ended.
    pub result_status: Option<String>,
    /// When it was started, in milliseconds since 1970 began.
    pub start_timestamp_ms: u64,
    /// When that was last looked at, likewise.
    pub updated_timestamp_ms: u64,
    /// How long it has taken, such as `00:00:04`.
    pub elapsed: String,
    /// All its shards.
    pub shard_count: u64,
    /// Shards that are worked on.
    pub active_shards: u64,
    /// Shards that have failed.
    pub failed_shards: u64,
    /// What it does, in order.
    pub phases: Vec<JobPhase>,
    /// What it and its functions have counted.
    pub counters: BTreeMap<String, i64>,
    /// How fast some of that is counted.
    pub rates: BTreeMap<String, Rate>,
    /// Its shards, in order.
    pub shards: Vec<JobShard>,
    /// The objects that it has written, each a list of bucket and key.
    pub outputs: Vec<Value>,
    /// Why it failed or was aborted.
    pub error: Option<Value>,
}

/// A phase of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct JobPhase {
    /// Its number, from 0.
    pub phase: u64,
    /// What it is, such as `map`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it stands.
    pub state: String,
    /// Inputs that it has taken.
    #[serde(rename = "in")]
    pub inputs: Option<u64>,
    /// Results that it has made.
    #[serde(rename = "out")]
    pub results: Option<u64>,
    /// Groups that it has made.
    pub groups: Option<u64>,
}

/// How fast something is counted.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Rate {
    /// Since the start.
    pub avg_per_sec: f64,
    /// Of late.
    pub now_per_sec: f64,
}

/// A shard of a job.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct JobShard {
    /// Its number, from 0.
    pub shard_number: u64,
    /// The phase that it is of.
    pub phase: u64,
    /// The node that works on it.
    pub node: Option<String>,
    /// Whether it has not ended.
    pub active: bool,
    /// How it ended.
    pub result_status: Option<String>,
    /// Which attempt it is, from 1.
    pub attempt: u64,
    /// How much of it is done, from 0 to 1.
    pub progress: f64,
    /// What it is.
    pub shard_description: String,
    /// The input that was last worked on.
    pub last_work_item: Option<String>,
    /// What went wrong last.
    pub last_error: Option<Value>,
}

impl Job {
    /// Why it failed or was aborted, in words, with the stack where there is one.
    pub fn why(&self) -> Option<String> {
        told(self.error.as_ref()?)
    }
}

impl JobShard {
    /// What went wrong last, in words, with the stack where there is one.
    pub fn why(&self) -> Option<String> {
        told(self.last_error.as_ref()?)
    }
}

/// The words of an error: a text, or an object as failures of queries are.
fn told(error: &Value) -> Option<String> {
    match error {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Object(_) => match serde_json::from_value::<crate::QueryFailure>(error.clone()) {
            Ok(failure) => Some(failure.to_string()),
            Err(_) => Some(error.to_string()),
        },
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_read_with_whatever_it_tells() {
        let job: Job = serde_json::from_str(
            r#"{"id":"j","name":null,"active":true,"state":"running","result_status":null,
                "counters":{"mapper-calls":4},"rates":{"mapper-calls":{"avg_per_sec":1.5}},
                "phases":[{"phase":1,"type":"reduce","group":true,"groups":3,"out":3}],
                "shards":[{"shard_number":0,"progress":0.5,"last_error":"boom on b"}],
                "error":{"phase":0,"error":"boom","stack":"at f"},"unknown":7}"#,
        )
        .unwrap();
        assert_eq!((job.name.as_deref(), job.counters["mapper-calls"]), (None, 4));
        assert_eq!((job.phases[0].groups, job.phases[0].inputs), (Some(3), None));
        assert_eq!(job.shards[0].why().as_deref(), Some("boom on b"));
        assert_eq!(job.why().as_deref(), Some("the query failed in phase 0: boom\nat f"));
        assert_eq!(Job::default().why(), None);
    }
}
