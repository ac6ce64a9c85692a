//! What can be decided about the metadata.

use mapring_types::props::PropChanges;
use mapring_types::{BucketId, NodeId, Release};
use serde::{Deserialize, Serialize};

use super::job::{JobKind, JobResult, ScheduleRun};
use super::member::Member;

/// One decision about the metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// The cluster comes into being.
    Found {
        /// Its identity, not 0.
        id: u64,
    },
    /// A node asks to be a member, or tells its present addresses.
    Join {
        /// The node.
        id: NodeId,
        /// Its name and addresses; the other fields are decided here.
        member: Member,
        /// The holder of the name so far, whose place the node takes: one that is gone for good.
        replaces: Option<NodeId>,
    },
    /// The first write is about to be taken.
    Seal,
    /// A node has lost data, or is to be filled again for another reason.
    Lost {
        /// The node.
        id: NodeId,
    },
    /// A node has begun a run with an older state of its data than it had acknowledged before, as it
    /// or another member found. Said by several, it counts once.
    WentBack {
        /// The node.
        id: NodeId,
        /// Its run: later ones are higher.
        run: u64,
    },
    /// A node has been filled again from the others.
    Filled {
        /// The node.
        id: NodeId,
        /// Its losses when the filling began: it may have lost something since.
        losses: u64,
    },
    /// A node has started on a data directory.
    Start {
        /// The node.
        id: NodeId,
        /// The numbers that the directory may have been given last: another one belongs to a copy
        /// of an earlier time.
        known: Vec<u64>,
        /// The number that it is given now.
        next: u64,
    },
    /// The chain of hashes over the metadata begins anew, on all nodes at the same entry and over
    /// what they have then.
    BeginChain,
    /// A member without partitions has gone for good.
    Forget {
        /// The node.
        id: NodeId,
    },
    /// Properties of a bucket are changed.
    SetBucket {
        /// The bucket.
        bucket: BucketId,
        /// The checked changes.
        changes: PropChanges,
    },
    /// A bucket's own properties are dropped.
    ResetBucket {
        /// The bucket.
        bucket: BucketId,
    },
    /// A bucket type is created, or its properties changed.
    SetBucketType {
        /// The type.
        name: String,
        /// The checked changes.
        changes: PropChanges,
    },
    /// A job or a pipeline starts. The same one again is no other.
    StartJob {
        /// Its id.
        id: String,
        /// What it is.
        kind: JobKind,
        /// The node that is to run it.
        owner: NodeId,
        /// A hash of its document.
        digest: u64,
        /// When it was asked for, in milliseconds since 1970.
        now_ms: u64,
        /// The run of a schedule that it is: refused where that run, or a later one, has been dealt
        /// with.
        run: Option<ScheduleRun>,
        /// The epoch of the last one of this id that had ended ([`ClusterState::ended_epoch`]) when it was
        /// looked whether there is one already: refused where another has ended since. `None`: not asked.
        ///
        /// [`ClusterState::ended_epoch`]: super::ClusterState::ended_epoch
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_epoch: Option<u64>,
    },
    /// A run of a schedule, and each before it, is not to be started.
    SkipRun {
        /// The run.
        run: ScheduleRun,
    },
    /// A schedule is gone, and what is known of its runs with it.
    ForgetRuns {
        /// The name of the schedule.
        schedule: String,
    },
    /// A job changes hands. Refused where it has done so since.
    TakeJob {
        /// The job.
        id: String,
        /// The epoch of the owner whose place is taken; the new one is the next.
        epoch: u64,
        /// The new owner.
        owner: NodeId,
        /// How often owners were trusted again ([`ClusterState::job_trusts`]) when the members were asked
        /// whether they have heard of the present one: refused when it happened since, for what they said
        /// does not count any more. `None`: not asked.
        ///
        /// [`ClusterState::job_trusts`]: super::ClusterState::job_trusts
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trusts: Option<u64>,
    },
    /// A member is about to go by what owners of jobs say that it had given up, or of whom it does not know
    /// whether it had.
    TrustOwners,
    /// A job is to be ended. Refused where it has come to another end.
    AbortJob {
        /// The job.
        id: String,
        /// Why, for humans; may be empty.
        message: String,
    },
    /// How a job ended becomes final. Refused to all but its present owner.
    DecideJob {
        /// The job.
        id: String,
        /// The epoch of the owner.
        epoch: u64,
        /// How it ended.
        result: JobResult,
    },
    /// All that the end of a job brings about is done: what is left of it is stored as objects.
    ForgetJob {
        /// The job.
        id: String,
        /// The epoch of the owner.
        epoch: u64,
    },
}

impl Change {
    /// The first release whose programs read it: nothing may be decided that a member does not read.
    pub fn since(&self) -> Release {
        match self {
            Self::Found { .. }
            | Self::Join { .. }
            | Self::Seal
            | Self::Lost { .. }
            | Self::WentBack { .. }
            | Self::Filled { .. }
            | Self::Start { .. }
            | Self::BeginChain
            | Self::Forget { .. }
            | Self::SetBucket { .. }
            | Self::ResetBucket { .. }
            | Self::SetBucketType { .. } => Release::FIRST,
            Self::StartJob { .. }
            | Self::SkipRun { .. }
            | Self::ForgetRuns { .. }
            | Self::TakeJob { .. }
            | Self::TrustOwners
            | Self::AbortJob { .. }
            | Self::DecideJob { .. }
            | Self::ForgetJob { .. } => Release::JOBS,
        }
    }

    /// The job that it is about.
    pub(super) fn job(&self) -> Option<&str> {
        match self {
            Self::StartJob { id, .. }
            | Self::TakeJob { id, .. }
            | Self::AbortJob { id, .. }
            | Self::DecideJob { id, .. }
            | Self::ForgetJob { id, .. } => Some(id),
            _ => None,
        }
    }

    /// The schedule that it is about.
    pub(super) fn schedule(&self) -> Option<&str> {
        match self {
            Self::StartJob { run, .. } => run.as_ref().map(|run| run.schedule.as_str()),
            Self::SkipRun { run } => Some(&run.schedule),
            Self::ForgetRuns { schedule } => Some(schedule),
            _ => None,
        }
    }
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is done, or was so already.
    Applied,
    /// It is refused, with the reason; nothing has changed.
    Refused(String),
}
