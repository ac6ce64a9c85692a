//! A query that is run as a job: it may take as long as it does, and whoever runs it can lose the right to.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mapring_script::{CallBounds, FailureCause, Priority};
use mapring_types::Result;
use mapring_workers::CallTerms;

use crate::limits;
use crate::results::{PhaseResults, Results};
use crate::unit::LaneTerms;

/// How a job is run, beside what its query says.
#[derive(Clone)]
pub struct JobOptions {
    /// The job's id: what functions see as `ctx.job.id`, and what names of objects are made of. What is
    /// random in a job follows from it, so that another attempt gives the same.
    pub id: String,
    /// The longest that it may take; `None` for as long as it takes. What the query says of that does not
    /// count.
    pub timeout: Option<Duration>,
    /// Inputs a second of its first phase, on all nodes together; `None` for as many as can be.
    pub rate: Option<f64>,
    /// How often work is tried at which its functions fail.
    pub retries: Retries,
    /// What a single call may take.
    pub limits: CallLimits,
    /// When its calls have their turn.
    pub priority: Priority,
    /// The time from one checkpoint to the next, at least.
    pub slice: Duration,
    /// Where checkpoints go, if they are wanted. There are none of a query that is not resumable
    /// ([`crate::QueryHandle::is_resumable`]).
    pub checkpoints: Option<Arc<dyn Checkpoints>>,
    /// The checkpoint of the same query, and of the same id, that the job goes on from; `None` to begin.
    pub resume: Option<Bytes>,
    /// Who is asked before something is stored.
    pub control: Arc<dyn Control>,
}

/// Where the checkpoints of a job are kept.
///
/// A job that goes on from a checkpoint gives the results that follow the first [`Checkpoint::rows`] of
/// them: whoever takes results keeps so many, in the order in which they came, and lets go of those behind.
/// All that those results' inputs asked to be written is written by then, and what they counted is in the
/// checkpoint. What the job has done since is done again, also its writes.
#[async_trait]
pub trait Checkpoints: Send + Sync + 'static {
    /// Keeps a checkpoint in place of the one before. It may be called before all of its rows have been
    /// taken: then it waits until they have, and are kept, too. The job goes on meanwhile, and makes no other
    /// checkpoint.
    ///
    /// # Errors
    /// When it could not be kept: the one before counts, and another is made soon.
    async fn save(&self, checkpoint: Checkpoint) -> Result<()>;

    /// Keeps results, behind those before: of a job with objects as its output all results come here, and
    /// what it gives are the names of the objects, when these are written. The rows of its checkpoints are
    /// those that came here.
    ///
    /// # Errors
    /// `TooLarge` when they become too many to be kept: then the job goes on without further checkpoints.
    async fn put_aside(&self, results: PhaseResults) -> Result<()>;

    /// The results that were put aside before the checkpoint that the job goes on from, in order: at least
    /// as many as it counts.
    fn take_back(&self) -> Results;
}

/// Where a job stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// How many results the job had given, since it first began, when it stood there.
    pub rows: u64,
    /// What it goes on from. Its format has a version.
    pub bytes: Bytes,
}

/// How often work is tried before it has failed. A slice, the inputs of a page, is tried again from where
/// its shard stood when the last page was accepted; so what was accepted stays, with all that it did. Where
/// it fails so often that its attempts are over, another attempt at its shard begins there too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Attempts at a shard without any progress; at least 1.
    pub shard: u32,
    /// Attempts at a slice in each of them; at least 1.
    pub slice: u32,
    /// The pause before the second attempt at a slice; it doubles with each further one of the same attempt
    /// at the shard, to a minute where it is not longer from the start.
    pub backoff: Duration,
}

/// Limits of the calls of functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// The longest that a call may take, whatever the node's own limit is.
    pub call: Duration,
    /// How many bytes a worker may grow by while it works for the job: at least 16 MB, and never beyond
    /// what the node's configuration gives a worker.
    pub memory_bytes: u64,
    /// Most bytes of the values of a group that a function gets whole: 64 MB at the most.
    pub group_bytes: u64,
}

/// What a job asks of whoever runs it.
pub trait Control: Send + Sync + 'static {
    /// Whether the job may still store what functions and outputs want stored. Asked right before each write
    /// is made: where it says no, nothing is, and the job fails.
    fn may_store(&self) -> bool;

    /// Whether the objects of an output may be written. Asked once, right before the first of them: who says
    /// yes does not end the job before it has written all of them, so that there are all or none.
    fn may_write_outputs(&self) -> bool {
        self.may_store()
    }
}

impl JobOptions {
    /// Of a job that says nothing else.
    pub fn new(id: impl Into<String>, control: Arc<dyn Control>) -> Self {
        Self {
            id: id.into(),
            timeout: None,
            rate: None,
            retries: Retries::default(),
            limits: CallLimits::default(),
            priority: Priority::default(),
            slice: Duration::from_secs(15),
            checkpoints: None,
            resume: None,
            control,
        }
    }

    /// What its calls are held to.
    pub(crate) fn call_terms(&self) -> CallTerms {
        let call_ms = u64::try_from(self.limits.call.as_millis()).unwrap_or(u64::MAX);
        let memory_bytes = self.limits.memory_bytes.max(limits::LEAST_MEMORY_BYTES);
        let bounds = CallBounds { call_ms: call_ms.max(1), memory_bytes };
        CallTerms { bounds, priority: self.priority }
    }

    /// What its lanes are held to.
    pub(crate) fn lane_terms(&self) -> LaneTerms {
        let CallTerms { bounds, priority } = self.call_terms();
        let most = limits::WHOLE_GROUP_BYTES as u64;
        LaneTerms { bounds, priority, group_bytes: self.limits.group_bytes.min(most), inputs: None }
    }
}

impl Default for Retries {
    fn default() -> Self {
        Self { shard: 4, slice: 3, backoff: Duration::from_secs(1) }
    }
}

impl Default for CallLimits {
    fn default() -> Self {
        Self { call: Duration::from_secs(30), memory_bytes: 64 << 20, group_bytes: 256 << 20 }
    }
}

impl Retries {
    /// The pause before the next attempt, where the last `failures` in a row failed for this cause; `None`
    /// where there is no other.
    pub(crate) fn pause(&self, failures: u32, cause: FailureCause) -> Option<Duration> {
        // What cannot be called, or wants to end, does not become better.
        let hopeless =
            matches!(cause, FailureCause::Failed | FailureCause::Syntax | FailureCause::Undefined);
        let (slice, shard) = (self.slice.max(1), self.shard.max(1));
        if hopeless || failures >= slice.saturating_mul(shard) {
            return None;
        }
        let doubled = 1_u32 << (failures.saturating_sub(1) % slice).min(20);
        let longest = self.backoff.max(limits::LONGEST_BACKOFF);
        Some(self.backoff.saturating_mul(doubled).min(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_within_an_attempt_at_a_shard() {
        let retries = Retries { shard: 2, slice: 3, backoff: Duration::from_secs(1) };
        let pause = |failures, cause| {
            let pause = retries.pause(failures, cause);
            pause.map(|pause| pause.as_secs())
        };
        let thrown: Vec<_> = (1..=6).map(|n| pause(n, FailureCause::Thrown)).collect();
        assert_eq!(thrown, [Some(1), Some(2), Some(4), Some(1), Some(2), None]);
        assert_eq!(pause(1, FailureCause::Retry), Some(1));
        for cause in [FailureCause::Failed, FailureCause::Syntax, FailureCause::Undefined] {
            assert_eq!(pause(1, cause), None);
        }
        let many = Retries { slice: 100, ..retries };
        assert_eq!(many.pause(50, FailureCause::Thrown), Some(limits::LONGEST_BACKOFF));
        let once = Retries { shard: 0, slice: 0, ..retries };
        assert_eq!(once.pause(1, FailureCause::Thrown), None);
    }
}
