//! Descriptors that a process has without knowing.

use std::fs;
use std::os::fd::RawFd;

/// The highest of the standard ones.
const STANDARD: RawFd = 2;

/// Closes all descriptors but the standard ones. A node opens nothing that what it starts inherits,
/// but who started the node may have. To be called before anything else is open.
pub fn close_inherited() {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
    // The list is read to its end first: it has a descriptor itself, which is closed by then.
    let open: Vec<RawFd> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok())
        .filter(|descriptor| *descriptor > STANDARD)
        .collect();
    for descriptor in open {
        let _ = nix::unistd::close(descriptor);
    }
}
