//! A small async client over HTTP: objects, data types, key lists, MapReduce plain and chunked, jobs,
//! the state of the cluster.
//!
//! A [`Client`] speaks to one node and keeps a few connections open for the next requests. It is
//! cheap to clone. Everything is bounded: waits by [`Timeouts`], sizes by [`limits`].

mod bucket;
mod cluster;
mod connection;
mod datatypes;
mod error;
mod jobs;
mod json;
pub mod limits;
mod listing;
mod multipart;
mod object;
mod queries;
mod query;
mod workers;

pub use cluster::{
    BucketType, BucketTypeList, Chosen, ClusterStatus, Follower, Hints, MemberStatus, Metadata,
    MetadataMember, Repair, Repairs, Stale, Voting,
};
pub use connection::{Client, Timeouts};
pub use datatypes::{FieldKind, MapChange, MapValue, Seen, SetChange};
pub use error::{Error, Problem, QueryFailure, Refusal, Result};
pub use jobs::{
    Job, JobConfig, JobConfigs, JobEvent, JobEvents, JobFilter, JobList, JobParam, JobPhase,
    JobShard, JobSummary, Once, PipelineList, PipelineShown, PipelineSummary, Rate, ScheduleShown,
    Schedules, StartedJob, StepShown,
};
pub use listing::Keys;
pub use object::{NewObject, Place, Stored};
pub use queries::{RunningPhase, RunningQueries, RunningQuery};
pub use query::{Part, Parts};
pub use workers::{Sandbox, SandboxLayer, Worker, Workers};
