//! What the machine offers: cores, memory, file descriptors.

use std::path::Path;

use mapring_types::{Error, Result};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits;

/// The cores that this process may use; at least 1.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// A quarter of the memory, between 64 MB and 1 GB.
pub(crate) fn default_cache_bytes() -> u64 {
    let quarter = memory_bytes().unwrap_or(limits::CACHE_BYTES) / 4;
    quarter.clamp(limits::LEAST_CACHE_BYTES, limits::CACHE_BYTES)
}

/// The memory that this process may use: the machine's, or its control group's where that is less.
fn memory_bytes() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(meminfo_bytes);
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .find_map(|file| std::fs::read_to_string(Path::new(file)).ok()?.trim().parse::<u64>().ok());
    machine.into_iter().chain(group).min()
}

fn meminfo_bytes(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// Keeps the system from backing a few used bytes with 2 MB at a time. The allocator asks for such
/// pages, and then a node that has only started takes 110 MB instead of 40, each worker likewise,
/// and what is freed comes back late. Workers inherit this.
pub(crate) fn use_small_pages() {
    // Kernels without it do no such thing in the first place.
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "large pages stay");
    }
}

/// Has all that this process makes from now on be its user's only: directories 0700, files 0600.
pub(crate) fn keep_files_private() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Raises the limit on open files as far as is allowed and useful.
///
/// # Errors
/// `Invalid` when even the raised limit is too low to work with.
pub(crate) fn check_open_files() -> Result<u64> {
    let found = getrlimit(Resource::Nofile);
    let hard = found.maximum.unwrap_or(u64::MAX);
    let wanted = hard.min(limits::WANTED_FILES);
    let current = found.current.unwrap_or(u64::MAX);
    if current < wanted {
        let raised = Rlimit { current: Some(wanted), maximum: found.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "cannot raise the limit on open files");
        }
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if files < limits::LEAST_FILES {
        return Err(Error::invalid(format!(
            "the limit on open files is {files}; a node needs at least {} (ulimit -n)",
            limits::LEAST_FILES
        )));
    }
    if files < limits::GOOD_FILES {
        tracing::warn!(
            files,
            good = limits::GOOD_FILES,
            "the limit on open files is low (ulimit -n)"
        );
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read() {
        assert_eq!(meminfo_bytes("MemFree: 1 kB\nMemTotal:   2048 kB\n"), Some(2 << 20));
        assert_eq!(meminfo_bytes("nothing"), None);
        assert!((limits::LEAST_CACHE_BYTES..=limits::CACHE_BYTES).contains(&default_cache_bytes()));
    }

    #[test]
    fn open_files_suffice_here() {
        assert!(check_open_files().unwrap() >= limits::LEAST_FILES);
    }
}
