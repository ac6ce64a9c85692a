//! The process and its machine, as Riak's statistics tell of them (fact R242): read when somebody asks.

use std::fs;
use std::path::Path;

use mapring_api::figures::{SystemFacts, Volume};
use rustix::param::page_size;

use crate::usage;

/// Riak tells the load of a machine in units of 1/256, as whole numbers.
const LOAD_UNIT: f64 = 256.0;

/// Reads it all, with `workers` the ids of the living worker processes and `data` the data directory.
pub(crate) fn facts(workers: &[u32], calls_waiting: usize, data: &Path) -> SystemFacts {
    let (load, processes) = read("/proc/loadavg").and_then(|text| load(&text)).unwrap_or_default();
    let (total, free) = read("/proc/meminfo").and_then(|text| memory(&text)).unwrap_or_default();
    let pages = read("/proc/self/statm").and_then(|text| pages(&text)).unwrap_or_default();
    let [own_bytes, code_bytes] = pages.map(|pages| pages.saturating_mul(page_size() as u64));
    let resident = workers.iter().filter_map(|id| usage::resident_bytes(&id.to_string()));
    SystemFacts {
        load,
        processes,
        memory_total: total,
        memory_used: total.saturating_sub(free),
        own_bytes,
        code_bytes,
        worker_bytes: resident.sum(),
        calls_waiting: calls_waiting as u64,
        open_files: usage::open_files().unwrap_or_default(),
        volume: volume(data).unwrap_or_default(),
        ..SystemFacts::default()
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// The load, and how many processes and threads there are, from `/proc/loadavg`.
fn load(text: &str) -> Option<([u64; 3], u64)> {
    let mut words = text.split_ascii_whitespace();
    let mut next = || {
        let load: f64 = words.next()?.parse().ok()?;
        // No load is negative or beyond counting.
        Some((load * LOAD_UNIT) as u64)
    };
    let loads = [next()?, next()?, next()?];
    let (_running, all) = words.next()?.split_once('/')?;
    Some((loads, all.parse().ok()?))
}

/// All memory and what is free of it, in bytes, from `/proc/meminfo`.
fn memory(text: &str) -> Option<(u64, u64)> {
    let of = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1_024)
    };
    Some((of("MemTotal")?, of("MemFree")?))
}

/// The resident pages and those of program text, from `/proc/…/statm`.
fn pages(text: &str) -> Option<[u64; 2]> {
    let mut words = text.split_ascii_whitespace().skip(1);
    let resident = words.next()?.parse().ok()?;
    Some([resident, words.nth(1)?.parse().ok()?])
}

fn volume(path: &Path) -> Option<Volume> {
    let disk = rustix::fs::statvfs(path).ok()?;
    let used = disk.f_blocks.saturating_sub(disk.f_bfree);
    // What only the superuser may use is no room.
    let usable = used.saturating_add(disk.f_bavail).max(1);
    Some(Volume {
        path: path.to_string_lossy().into_owned(),
        size_kb: disk.f_blocks.saturating_mul(disk.f_frsize) / 1_024,
        used_percent: used.saturating_mul(100).div_ceil(usable).min(100),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_system_are_read() {
        let loads = load("0.50 1.25 10.00 3/1234 5678\n");
        assert_eq!(loads, Some(([128, 320, 2_560], 1_234)));
        let text = "MemTotal:        2048 kB\nMemFree:  1024 kB\nMemFreeish: 9 kB\n";
        assert_eq!(memory(text), Some((2 << 20, 1 << 20)));
        assert_eq!(pages("900 52 9 17 0 300 0\n"), Some([52, 17]));
        for text in ["", "1 2", "x y z", "0.1 0.2 0.3 4 5", "MemTotal: many kB"] {
            assert_eq!((load(text), memory(text), pages(text)), (None, None, None), "{text:?}");
        }
    }

    #[test]
    fn everything_is_told() {
        let facts = facts(&[std::process::id()], 3, Path::new("/"));
        assert_eq!((facts.calls_waiting, facts.volume.path.as_str()), (3, "/"));
        assert!(facts.processes > 0 && facts.open_files >= 3, "{facts:?}");
        assert!(facts.memory_total > facts.memory_used && facts.memory_used > 0, "{facts:?}");
        assert!(facts.own_bytes > facts.code_bytes && facts.code_bytes > 0, "{facts:?}");
        assert!(facts.worker_bytes > 0 && facts.memory_total > facts.own_bytes, "{facts:?}");
        assert!(facts.volume.size_kb > 0 && facts.volume.used_percent <= 100, "{facts:?}");
    }
}
