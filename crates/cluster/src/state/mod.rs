//! The replicated state and its changes: a pure state machine.
//!
//! Reading order: `metadata` (what is known of a cluster), `change` (what can happen to it), `apply`.

mod apply;
mod change;
mod job;
mod jobs;
#[cfg(test)]
mod jobs_tests;
mod member;
mod membership;
mod metadata;
mod properties;
#[cfg(test)]
mod tests;

pub use change::{Change, Outcome};
pub use job::{EndedJob, JobKind, JobRecord, JobResult, JobState, ScheduleRun};
pub use member::{Member, MemberStatus};
pub use metadata::ClusterState;
