//! A job or a pipeline, as the metadata have it while it is unfinished.

use mapring_types::NodeId;
use serde::{Deserialize, Serialize};

/// What is run under an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// A query that outlives its request.
    Job,
    /// Jobs and other steps that follow each other.
    Pipeline,
}

/// Where a job stands, as all nodes agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Its owner runs it, or is about to.
    Active,
    /// Its owner is to end it.
    Aborting {
        /// What was said when that was asked for; empty for nothing.
        message: String,
    },
    /// How it ended is final. What follows from that can be repeated by whoever owns it.
    Decided {
        /// How it ended.
        result: JobResult,
    },
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobResult {
    /// All of it is done, and its outputs are or become visible.
    Success,
    /// It could not be done; nothing of its outputs becomes visible.
    Failed,
    /// Somebody ended it.
    Aborted,
}

/// An unfinished job or pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// What it is.
    pub kind: JobKind,
    /// The node that runs it, a member or one that was.
    pub owner: NodeId,
    /// Goes up with each owner, from 1. What is done under an earlier epoch does not count.
    pub epoch: u64,
    /// A hash of its document: the same id with another document is another job.
    pub digest: u64,
    /// When it was started, in milliseconds since 1970 by the clock of the node that was asked.
    pub since_ms: u64,
    /// Where it stands.
    pub state: JobState,
}

/// The run of a schedule that a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleRun {
    /// The name of the schedule.
    pub schedule: String,
    /// When it was to begin, in milliseconds since 1970.
    pub planned_ms: u64,
}

/// What is remembered of a job for a while when it is finished: the decision to start it may arrive
/// once more, and must not start it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedJob {
    /// Its id.
    pub id: String,
    /// Its last epoch: a later job of this id goes on from it.
    pub epoch: u64,
    /// The hash of its document.
    pub digest: u64,
    /// When it was started.
    pub since_ms: u64,
}

impl JobRecord {
    /// Whether how it ended is final.
    pub fn is_decided(&self) -> bool {
        matches!(self.state, JobState::Decided { .. })
    }
}
