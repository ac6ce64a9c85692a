//! What a node and its script workers use of the machine, read when somebody asks.
//!
//! The names for the process itself are those that every Prometheus client library gives. They do
//! not go through the recorder: its counters are whole numbers.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::time::{ClockId, clock_gettime};

use crate::limits;

/// The lines of `/metrics`, with `workers` the ids of the living worker processes. What the system
/// does not tell is left out.
pub(crate) fn text(workers: &[u32]) -> String {
    let mut text = String::new();
    let mut add = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        }
    };
    let (own, workers_time) = (cpu_time().as_secs_f64(), workers_cpu_seconds(workers));
    let help = "processor time of this process, without its script workers";
    add("process_cpu_seconds_total", "counter", help, Some(own));
    let help = "memory of this process, without its script workers";
    let own = resident_bytes("self").map(|bytes| bytes as f64);
    add("process_resident_memory_bytes", "gauge", help, own);
    let files = open_files().map(|files| files as f64);
    add("process_open_fds", "gauge", "open files of this process", files);
    let help = "processor time of all script workers, those that have ended included";
    add("mapring_script_cpu_seconds_total", "counter", help, workers_time);
    let help = "memory of all script workers; what they share is counted for each";
    let resident: u64 = workers.iter().filter_map(|id| resident_bytes(&id.to_string())).sum();
    add("mapring_script_resident_bytes", "gauge", help, Some(resident as f64));
    text
}

/// The processor time of this process so far.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// The processor time of the living workers and of those that have ended.
fn workers_cpu_seconds(workers: &[u32]) -> Option<f64> {
    let ended = || Stat::of("self").map(|stat| stat.children_ticks);
    let mut before = ended()?;
    let mut living = 0;
    // A worker that ends in between would count twice or not at all.
    for _ in 0..limits::USAGE_TRIES {
        let own = std::process::id();
        let stats = workers.iter().filter_map(|id| Stat::of(&id.to_string()));
        // An id whose process has ended may be another's already.
        living = stats.filter(|stat| stat.parent == own).map(|stat| stat.ticks).sum();
        let after = ended()?;
        if std::mem::replace(&mut before, after) == after {
            break;
        }
    }
    Some((before + living) as f64 / clock_ticks_per_second() as f64)
}

/// Resident memory of a process.
pub(crate) fn resident_bytes(process: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(page_size() as u64)
}

/// Open files and sockets of this process.
pub(crate) fn open_files() -> Option<u64> {
    let files = fs::read_dir("/proc/self/fd").ok()?.count();
    // One of them is that of the look at them.
    Some(files.saturating_sub(1) as u64)
}

/// What `/proc/…/stat` says of a process.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// In user and system mode, in clock ticks.
    ticks: u64,
    /// The same of its children that have ended and been waited for.
    children_ticks: u64,
}

impl Stat {
    fn of(process: &str) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name before may contain anything. Then come: state, parent, …; times from the 12th.
        let mut fields = text.rsplit_once(") ")?.1.split(' ').skip(1);
        let parent = fields.next()?.parse().ok()?;
        let mut times = fields.skip(9).map(|field| field.parse::<u64>().ok());
        let mut two = || times.next()??.checked_add(times.next()??);
        Some(Self { parent, ticks: two()?, children_ticks: two()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_process_is_read() {
        let line = "42 (a) b) S 41 42 42 0 -1 4194560 5 6 0 40 100 20 3 4 20 0 1 0 2394412 52 9";
        let expected = Stat { parent: 41, ticks: 120, children_ticks: 7 };
        assert_eq!(Stat::parse(line), Some(expected));
        assert_eq!(Stat::parse("42 (a) S 41"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn ended_children_count() {
        let before = workers_cpu_seconds(&[]).unwrap();
        let status = std::process::Command::new("sh")
            .args(["-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"])
            .status()
            .unwrap();
        assert!(status.success());
        assert!(workers_cpu_seconds(&[]).unwrap() > before);
    }

    #[test]
    fn everything_is_told() {
        let text = text(&[]);
        let value = |name: &str| -> f64 {
            let mut values =
                text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            values.next().unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
        };
        assert!(value("process_cpu_seconds_total") > 0.0);
        assert!(value("process_resident_memory_bytes") > 100_000.0);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("mapring_script_cpu_seconds_total") >= 0.0);
        assert_eq!(value("mapring_script_resident_bytes"), 0.0);
    }
}
