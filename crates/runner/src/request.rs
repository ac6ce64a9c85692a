//! What is asked of the jobs of a cluster, and what is answered at once.

use bytes::Bytes;
use mapring_mapred::{Query, Results};
use serde::Serialize;
use serde_json::Value;

use crate::report::JobSummary;

/// A job to be started.
#[derive(Debug, Clone, Default)]
pub struct StartRequest {
    /// A job document, or the name of a job with its parameters.
    pub body: Bytes,
    /// What it is to be called; a new id where nothing is said.
    pub name: Naming,
}

/// How a job gets its id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Naming {
    /// A new one is made.
    #[default]
    New,
    /// It is given, as in `PUT /jobs/{id}`: started once, however often it is asked.
    Id(String),
    /// It follows from any text, as of the header `Idempotency-Key`: likewise.
    Key(String),
}

/// A job that has been started, now or before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedJob {
    /// Its id.
    pub id: String,
    /// Whether it has been started by this request.
    pub is_new: bool,
}

/// Which jobs are listed.
#[derive(Debug, Clone, Default)]
pub struct ListRequest {
    /// Most jobs, from 1 to [`crate::limits::MOST_LISTED`]; [`crate::limits::LIST_JOBS`] where nothing is
    /// said.
    pub count: Option<usize>,
    /// Where a list before ended.
    pub cursor: Option<String>,
    /// Only those in this state: `active`, `done`, a state of [`crate::STATES`], or a result
    /// (`success`, `failed`, `aborted`).
    pub state: Option<String>,
    /// Only those of this name.
    pub name: Option<String>,
}

/// Jobs, the newest first.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct JobList {
    /// The jobs.
    pub jobs: Vec<JobSummary>,
    /// Where the list goes on; `null` at its end.
    pub cursor: Option<String>,
}

/// Pipelines, the newest first.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct PipelineList {
    /// Each with `id`, `name`, `active`, `status`, `result_status`, `abort_message` and its times.
    pub pipelines: Vec<Value>,
    /// Where the list goes on; `null` at its end.
    pub cursor: Option<String>,
}

/// Schedules, by their names.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ScheduleList {
    /// Each as [`crate::Jobs::schedule`] has it.
    pub schedules: Vec<Value>,
    /// Where the list goes on; `null` at its end.
    pub cursor: Option<String>,
}

/// What a job would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DryRun {
    /// Always `true`: what is not valid is an error.
    pub valid: bool,
    /// How its inputs would be divided, as far as that is known before it runs.
    pub shards: Vec<PlannedShard>,
}

/// A shard as it is planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedShard {
    /// Its number, from 0.
    pub shard_number: usize,
    /// What it is to work on, such as `files/q bytes (0,11]`.
    pub shard_description: String,
}

/// What a job has given.
pub struct JobResults {
    /// Its query, which says how its answer is written ([`mapring_mapred::MapReduce::answer`]).
    pub query: Query,
    /// The rows, as the query gave them.
    pub results: Results,
}
