//! A query's time, the servers' processor time for it, and their memory.

use std::fs;
use std::time::Instant;

use bytes::Bytes;
use serde_json::Value;

use crate::nodes::Nodes;
use crate::outcome::Outcome;
use crate::report::Row;
use crate::table::digits;
use crate::tool::median;

use super::queries::GROUP;

/// What was aimed at for a node with its workers, in megabytes.
const MEMORY: f64 = 400.0;

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

/// Processor time of all nodes and their workers so far.
pub(super) async fn cpu_seconds(nodes: &Nodes) -> Outcome<f64> {
    let mut sum = 0.0;
    for client in nodes.clients() {
        let metrics = client.metrics().await?;
        for name in ["process_cpu_seconds_total", "mapring_script_cpu_seconds_total"] {
            let mut lines = metrics.lines();
            let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            sum += found.ok_or_else(|| format!("no {name}"))?.parse::<f64>()?;
        }
    }
    Ok(sum)
}

/// From now on other peaks of memory are seen.
pub(super) fn forget_peaks(nodes: &Nodes) {
    for process in nodes.processes().into_iter().flat_map(with_children) {
        // One that has ended has no peak.
        let _ = fs::write(format!("/proc/{process}/clear_refs"), "5");
    }
}

/// The most memory that a node and its workers had, each at its own worst moment, in megabytes of
/// 1,000,000 bytes: of the node that had most.
pub(super) fn peak(nodes: &Nodes) -> f64 {
    let of_node = |node| with_children(node).into_iter().map(peak_of).sum::<f64>();
    nodes.processes().into_iter().map(of_node).fold(0.0, f64::max)
}

/// The row of such a peak.
pub(super) fn memory_row(what: &str, megabytes: f64) -> Row {
    Row::new(GROUP, format!("the most memory of a node with its workers: {what}"), megabytes, "MB")
        .target(format!("< {MEMORY} MB"), megabytes < MEMORY)
}

fn peak_of(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or_default() * 1_024.0 / 1e6
}

/// A process and those that it has started.
fn with_children(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |process: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let mut fields = stat.rsplit_once(") ").unwrap_or_default().1.split(' ');
        // After the name: state and parent.
        fields.nth(1).and_then(|field| field.parse().ok()) == Some(parent)
    };
    processes.filter(is_child).chain([parent]).collect()
}
