//! What processes have of the memory of the machine.

use std::fmt;
use std::fs;

/// Resident memory of a process, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// At this moment.
    pub now: u64,
    /// The most since the process began or was last looked at by [`Watch::start`].
    pub peak: u64,
}

impl Memory {
    /// Looks at a process; nothing of one that is gone.
    pub fn of(process: i32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            kilobytes.unwrap_or(0_u64) << 10
        };
        Self { now: field("VmRSS:"), peak: field("VmHWM:") }
    }
}

/// How much a process grows from now on.
pub struct Watch {
    process: i32,
    before: u64,
}

impl Watch {
    /// Begins to watch a process, whose peak is forgotten.
    pub fn start(process: i32) -> Self {
        // Makes the peak what there is now.
        fs::write(format!("/proc/{process}/clear_refs"), "5").unwrap();
        Self { process, before: Memory::of(process).now }
    }

    /// The most that it has grown by.
    pub fn growth(&self) -> u64 {
        Memory::of(self.process).peak.saturating_sub(self.before)
    }
}

impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Memory { now, peak } = Memory::of(self.process);
        let [before, now, peak] = [self.before, now, peak].map(|bytes| bytes >> 20);
        write!(f, "{before} MB before, {now} MB now, {peak} MB at most")
    }
}

/// The processes that a node runs user code in.
pub fn workers(node: i32) -> Vec<i32> {
    let is_worker = |process: &i32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap_or_default().1.split(' ').collect();
        fields.get(1).and_then(|parent| parent.parse().ok()) == Some(node)
    };
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    processes.filter(is_worker).collect()
}
