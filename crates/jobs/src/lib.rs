//! Jobs: queries that outlive their requests. What can be said of them without a cluster.
//!
//! Everything here turns text into checked values, or tells all that is wrong with it ([`Invalid`],
//! [`Mistakes`] of files). [`Document`] is what one job is to do. [`Configs`] are job documents with
//! parameters, by name, and [`Start`] what is posted to start either; [`Schedule`] says when that is
//! done by the clock, and a [`Pipeline`] is several that follow each other. [`callback`] says whom a
//! job may tell of its end.
//!
//! Nothing waits, nothing reads a clock: times come in, and go out.

pub mod callback;
pub mod limits;

mod code;
mod config;
mod document;
#[cfg(test)]
mod examples;
mod inputs;
mod json;
mod members;
mod pipeline;
mod problem;
mod schedule;
mod start;
mod tree;

pub use config::{Config, Configs, Param, ParamType};
pub use document::{Begin, Document, Execution, Hearers, Hook};
pub use mapring_mapred::{CallLimits, Priority, Retries};
pub use pipeline::{NamedJob, Pipeline, Status, Step, StepKind, StepRetries};
pub use problem::{Invalid, Problem};
pub use schedule::{Missed, Overlap, Schedule};
pub use start::Start;
pub use tree::{Mistake, Mistakes, Place, Syntax};
