//! How the allocator is set: it reads that when a program begins, before there is any code of ours.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// How long it keeps memory that was freed before the system has it back, in milliseconds.
const SETTING: &str = "MIMALLOC_PURGE_DELAY";

/// A second, as it would be, is long where memory comes and goes in pieces of megabytes: a node that groups
/// pairs had a third more than it used. Shorter times save nothing more.
const DELAY: &str = "20";

/// Begins the program once more, as the same process and with the same arguments, unless the allocator
/// is set. Where that cannot be done it goes on as it is.
pub(crate) fn set() {
    if std::env::var_os(SETTING).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // It returns only when it has failed.
    let _ = again.args(arguments).env(SETTING, DELAY).exec();
}
