//! Jobs as they run: queries that outlive their requests, their nodes, and the patience of whoever started
//! them.
//!
//! [`Jobs`] is what a protocol asks. A start (`start`) looks whether the document can run (`check`), stores
//! it and has the metadata decide that there is a job, once for an id. Every node follows the metadata
//! (`watch`): it takes up the jobs that it owns, while a majority hears of it (`lease`), and takes over
//! those whose owners are gone. On its owner a job lives (`life`): it waits for its time and its turn
//! (`slots`), its query runs (`work`), its results are put away (`pieces`), its end is stored (`record`),
//! decided, and forgotten by the metadata. What is shown of it meanwhile is in its owner's memory (`live`,
//! `progress`, `events`, `errors`), which other nodes ask for (`service`, `show`); what has ended is listed
//! as it is stored (`list`), and removed when it was kept long enough (`remove`); what comes to light after
//! that goes as well (`sweep`). Others hear of it by its
//! hooks and its callback (`hearers`, `callbacks`).
//!
//! `pipelines` are jobs and other steps that follow each other, `schedules` start jobs by the clock; both
//! call upon what is there for jobs.
//!
//! [`store`] keeps all of it in objects that no client sees, in [`mod@formats`] that have versions.
//!
//! Invariants: a job has one owner an epoch; who may not go on stores nothing; what an earlier epoch did
//! behind its checkpoint counts for nothing; an end is stored before it is decided, and decided once.

pub mod limits;

mod callbacks;
mod check;
mod configs;
mod document;
mod dry_run;
mod earlier;
mod error;
mod errors;
mod events;
mod failure;
mod formats;
mod functions;
mod hearers;
mod ids;
mod jobs;
mod keeping;
mod lease;
mod life;
mod list;
mod live;
mod pages;
mod peers;
mod pieces;
mod pipelines;
mod progress;
mod record;
mod remove;
mod rendezvous;
mod report;
mod request;
mod results;
mod runner;
mod schedules;
mod service;
mod show;
mod slots;
mod start;
pub mod store;
mod sweep;
#[cfg(test)]
mod testing;
mod validator;
mod watch;
mod wire;
mod work;

pub use callbacks::{CallbackConfig, Courier};
pub use configs::ConfigList;
pub use error::JobsError;
pub use jobs::{Jobs, Parts};
pub use live::STATES;
pub use report::{
    Chart, EventId, JobDetail, JobErrorEntry, JobErrors, JobEvent, JobSummary, PhaseDetail, Rate,
    ShardDetail, Stall, Unreachable, elapsed,
};
pub use request::{
    DryRun, JobList, JobResults, ListRequest, Naming, PipelineList, PlannedShard, ScheduleList,
    StartRequest, StartedJob,
};
pub use runner::{RunnerConfig, Witness};
pub use wire::SERVICE;
