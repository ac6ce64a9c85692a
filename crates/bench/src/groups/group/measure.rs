//! A query's time, the servers' processor time for it, and their memory.

use std::time::Instant;

use bytes::Bytes;
use serde_json::Value;

use crate::nodes::Nodes;
use crate::outcome::Outcome;
use crate::report::Row;
use crate::table::digits;
use crate::tool::{Tool, median};
use crate::usage::{cpu_seconds, forget_peaks, peak};

use super::queries::GROUP;

/// What was aimed at for a node with its workers, in megabytes.
const MEMORY: f64 = 400.0;

/// What the nodes have for cached data. By itself that is a quarter of the machine's memory up to 1 GB:
/// it would hide what the queries take.
const CACHE: (&str, &str) = ("MAPRING__STORAGE__CACHE", "64 MB");

/// Starts so many nodes that share the ring.
pub(super) async fn start(tool: &Tool, count: usize) -> Outcome<Nodes> {
    Nodes::start_with(tool, count, &[CACHE]).await
}

/// What a query took.
pub(super) struct Took {
    /// By the clock.
    pub(super) seconds: f64,
    /// Of processor time, of all nodes and their workers.
    pub(super) cpu: f64,
    /// The most memory meanwhile, as [`peak`] has it.
    pub(super) memory: f64,
    pub(super) answer: Bytes,
}

/// What a query took in several turns.
#[derive(Default)]
pub(super) struct Turns(Vec<Took>);

impl Turns {
    pub(super) fn seconds(&self) -> f64 {
        median(self.0.iter().map(|took| took.seconds))
    }

    pub(super) fn cpu(&self) -> f64 {
        median(self.0.iter().map(|took| took.cpu))
    }

    /// The most of all.
    pub(super) fn memory(&self) -> f64 {
        self.0.iter().map(|took| took.memory).fold(0.0, f64::max)
    }

    /// One of the answers.
    fn answer(&self) -> Bytes {
        self.0.last().map(|took| took.answer.clone()).unwrap_or_default()
    }

    /// The sum of the second elements of an answer of pairs, and how many there are.
    pub(super) fn pairs(&self) -> Outcome<(u64, u64)> {
        let answer: Vec<(Value, u64)> = serde_json::from_slice(&self.answer())?;
        Ok((answer.iter().map(|(_, number)| number).sum(), answer.len() as u64))
    }

    /// Rate and processor time for what was worked on.
    pub(super) fn clock(&self, count: u64, unit: &str) -> String {
        let count = count as f64;
        format!(
            "{} {unit}s/s, {} µs/{unit} of processor time",
            digits(count / self.seconds()),
            digits(self.cpu() / count * 1e6)
        )
    }
}

/// Asks each query in turn, so many times.
pub(super) async fn in_turns(nodes: &Nodes, turns: usize, queries: &[&str]) -> Outcome<Vec<Turns>> {
    let mut all: Vec<Turns> = queries.iter().map(|_| Turns::default()).collect();
    for _ in 0..turns {
        for (query, turns) in queries.iter().zip(&mut all) {
            turns.0.push(ask(nodes, query).await?);
        }
    }
    Ok(all)
}

impl Turns {
    /// Asks once more.
    pub(super) async fn ask(&mut self, nodes: &Nodes, query: &str) -> Outcome {
        self.0.push(ask(nodes, query).await?);
        Ok(())
    }
}

async fn ask(nodes: &Nodes, query: &str) -> Outcome<Took> {
    forget_peaks(nodes);
    let before = cpu_seconds(nodes).await?;
    let began = Instant::now();
    let answer = nodes.client()?.mapred(query.to_owned()).await?;
    let seconds = began.elapsed().as_secs_f64();
    let cpu = cpu_seconds(nodes).await? - before;
    Ok(Took { seconds, cpu, memory: peak(nodes), answer })
}

/// The row of such a peak.
pub(super) fn memory_row(what: &str, megabytes: f64) -> Row {
    Row::new(GROUP, format!("the most memory of a node with its workers: {what}"), megabytes, "MB")
        .target(format!("< {MEMORY} MB"), megabytes < MEMORY)
}
