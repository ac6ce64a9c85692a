//! The groups of rows, in the order of the table.

mod book;
mod flat;
mod group;
mod inputs;
mod integers;
mod interface;
mod javascript;
mod jobs;
mod kv;
mod process;
mod queries;
mod runtime;
mod scan;

use std::time::Instant;

use clap::ValueEnum;

use crate::outcome::{Outcome, say};
use crate::plan::Plan;
use crate::report::Report;
use crate::tool::Tool;

/// What can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// GET and PUT against an HTTP server that does nothing else
    Kv,
    /// A native scan against the engine's fold
    Scan,
    /// JavaScript against the same runtime over documents in memory
    Javascript,
    /// Key filters, secondary indexes and lists of keys, against a plain scan
    Inputs,
    /// Riak's own benchmark
    Integers,
    /// Reduces by key, against plain queries, the map alone, PySpark and Redis
    #[value(name = "group")]
    Grouping,
    /// Pages of an index, counters, large bodies, listings
    Interface,
    /// Jobs: beside queries, many of them, and when a node is lost
    Jobs,
    /// Memory and start of a node
    Process,
    /// The cost per object of few and of many
    Flat,
}

impl Group {
    pub(crate) fn all() -> &'static [Self] {
        Self::value_variants()
    }
}

/// Measures one group after another.
pub(crate) async fn run(groups: &[Group], plan: &Plan, tool: &Tool) -> Outcome<Report> {
    let began = Instant::now();
    let mut report = Report::new();
    for group in groups {
        say(format!("{:4.0} s  {group:?} ...", began.elapsed().as_secs_f64()));
        let rows = match group {
            Group::Kv => kv::run(plan, tool).await,
            Group::Scan => scan::run(plan, tool).await,
            Group::Javascript => javascript::run(plan, tool).await,
            Group::Inputs => inputs::run(plan, tool).await,
            Group::Integers => integers::run(plan, tool).await,
            Group::Grouping => group::run(plan, tool).await,
            Group::Interface => interface::run(plan, tool).await,
            Group::Jobs => jobs::run(plan, tool).await,
            Group::Process => process::run(plan, tool).await,
            Group::Flat => flat::run(plan, tool).await,
        };
        report.rows.extend(rows.map_err(|error| format!("{group:?}: {error}"))?);
    }
    say(format!("{:4.0} s  done", began.elapsed().as_secs_f64()));
    Ok(report)
}
