//! The machine, as far as it explains numbers.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Processor time of this process so far, in seconds.
pub(crate) fn own_cpu_seconds() -> f64 {
    let time = Duration::try_from(clock_gettime(ClockId::ProcessCPUTime));
    time.unwrap_or_default().as_secs_f64()
}

/// The cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// Processor, cores, memory and kernel in one line.
pub(crate) fn describe() -> String {
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let clock = field("/proc/cpuinfo", "cpu MHz").and_then(|text| text.parse::<f64>().ok());
    let clock = clock.map_or(String::new(), |mhz| format!(" at {:.1} GHz", mhz / 1e3));
    let kilobytes = field("/proc/meminfo", "MemTotal");
    let kilobytes = kilobytes.and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok());
    let memory = kilobytes.map_or("unknown".to_owned(), |kb| format!("{} GB", kb >> 20));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = cores();
    format!("{model}{clock}, {cores} cores, {memory} memory, Linux {}", kernel.trim())
}

/// The value of the first line `name : value` of a file.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}
