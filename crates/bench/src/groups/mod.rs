//! The groups of rows, in the order of the table.

mod book;
mod flat;
mod inputs;
mod integers;
mod javascript;
mod kv;
mod process;
mod runtime;
mod scan;

use std::time::Instant;

use clap::ValueEnum;

use crate::plan::Plan;
use crate::report::{Report, Row};
use crate::tool::Tool;
use crate::{Outcome, say};

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
            Group::Process => process::run(plan, tool).await,
            Group::Flat => flat::run(plan, tool).await,
        };
        report.rows.extend(rows.map_err(|error| format!("{group:?}: {error}"))?);
    }
    say(format!("{:4.0} s  done", began.elapsed().as_secs_f64()));
    Ok(report)
}

/// A query with native functions that hands every object on and counts them.
fn count_query(bucket: &str) -> String {
    count_of(&format!("\"{bucket}\""))
}

/// The same of the inputs that this JSON names.
fn count_of(inputs: &str) -> String {
    let (map, reduce) = (native_map(), native("reduce", "reduce_count_inputs"));
    format!(r#"{{"inputs":{inputs},"timeout":600000,"query":[{map},{reduce}]}}"#)
}

/// A map phase that hands every object on.
fn native_map() -> String {
    native("map", "map_object_value")
}

fn native(kind: &str, function: &str) -> String {
    format!(
        r#"{{"{kind}":{{"language":"erlang","module":"riak_kv_mapreduce","function":"{function}"}}}}"#
    )
}

/// A query of a JavaScript map and the sum of its results.
fn sum_query(bucket: &str, map: &str) -> String {
    format!(
        r#"{{"inputs":"{bucket}","timeout":600000,"query":[{{"map":{{"language":"javascript",{map}}}}},{{"reduce":{{"language":"javascript","name":"Riak.reduceSum"}}}}]}}"#
    )
}

/// Runs a query once and holds its answer against what it must be.
async fn check(client: &mapring_client::Client, query: &str, expected: &str) -> Outcome {
    let answer = client.mapred(query.to_owned()).await?;
    if answer != expected.as_bytes() {
        let answer = String::from_utf8_lossy(&answer);
        let answer: String = answer.chars().take(200).collect();
        return Err(format!("a query answered {answer} instead of {expected}").into());
    }
    Ok(())
}

/// A row of a figure that cannot be told from the rest of a name.
fn seconds_row(group: &str, what: &str, millis: f64) -> Row {
    Row::new(group, what, millis, "ms")
}
