//! The jail of a worker process: what it takes from itself before anything of a user reaches it.
//!
//! Each layer is a call of the process on itself while it has one thread; the threads that it starts
//! later inherit all of them. What the kernel refuses is reported with its reason, and the other layers
//! are taken all the same. See `docs/adr/028-workers-in-a-jail.md`.

mod calls;
mod descriptors;
mod layer;
mod paths;
mod rights;

use std::fs;
use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

pub use descriptors::close_inherited;
pub use layer::{Layer, LayerReport, LayerState, Sandbox};

/// Jails this process. To be called while it has one thread, when all is open that it needs: it opens
/// nothing any more.
pub(crate) fn enter() -> Vec<LayerReport> {
    if let Err(why) = has_one_thread() {
        return Layer::ALL.map(|layer| LayerReport::new(layer, Err(why.clone()))).to_vec();
    }
    let rights = rights::give_up();
    let privileges = rustix::thread::set_no_new_privs(true);
    let privileges = privileges.map(|()| LayerState::Held).map_err(|error| error.to_string());
    let taken = [
        (Layer::Namespaces, rights.namespaces),
        (Layer::User, rights.user),
        (Layer::Capabilities, rights.capabilities),
        (Layer::NoNewPrivileges, privileges),
        (Layer::Landlock, paths::forbid_all()),
        // Last: it forbids what the others are taken with.
        (Layer::Seccomp, calls::forbid_all_others()),
    ];
    taken.map(|(layer, taken)| LayerReport::new(layer, taken)).to_vec()
}

/// What can be forbidden only once the threads of the process are there: more of them, and files that
/// grow.
pub(crate) fn close_behind_threads() -> io::Result<()> {
    for resource in [Resource::Nproc, Resource::Fsize] {
        setrlimit(resource, Rlimit { current: Some(0), maximum: Some(0) })?;
    }
    Ok(())
}

/// What binds a thread binds a process only while it is its only one.
fn has_one_thread() -> Result<(), String> {
    let threads = fs::read_dir("/proc/self/task").map_err(|error| format!("no /proc: {error}"))?;
    match threads.count() {
        1 => Ok(()),
        threads => Err(format!("the process has {threads} threads already")),
    }
}
