//! Processor time and memory of nodes with their workers.

use std::fs;

use crate::nodes::Nodes;
use crate::outcome::Outcome;

/// Processor time of all nodes and their workers so far.
pub(crate) async fn cpu_seconds(nodes: &Nodes) -> Outcome<f64> {
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
pub(crate) fn forget_peaks(nodes: &Nodes) {
    for process in nodes.processes().into_iter().flat_map(with_children) {
        // One that has ended has no peak.
        let _ = fs::write(format!("/proc/{process}/clear_refs"), "5");
    }
}

/// The most memory that a node and its workers had, each at its own worst moment, in megabytes of
/// 1,000,000 bytes: of the node that had most.
pub(crate) fn peak(nodes: &Nodes) -> f64 {
    most(nodes, "VmHWM:")
}

/// The memory that a node and its workers have now, in megabytes of 1,000,000 bytes: of the node that has
/// most.
pub(crate) fn resident(nodes: &Nodes) -> f64 {
    most(nodes, "VmRSS:")
}

/// The most that any node and its workers have of something.
fn most(nodes: &Nodes, what: &str) -> f64 {
    let of_process = |process| megabytes(process, what);
    let of_node = |node| with_children(node).into_iter().map(of_process).sum::<f64>();
    nodes.processes().into_iter().map(of_node).fold(0.0, f64::max)
}

fn megabytes(process: u32, what: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
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
