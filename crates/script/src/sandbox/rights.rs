//! Namespaces, user and capabilities: what a process may do by who it is.

use nix::sched::{CloneFlags, unshare};
use rustix::io;
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use super::layer::{LayerState, Taken};
use crate::limits;

/// What became of each.
pub(super) struct Rights {
    pub(super) namespaces: Taken,
    pub(super) user: Taken,
    pub(super) capabilities: Taken,
}

/// Leaves the node's namespaces, takes another user where this one is root, and gives up all
/// capabilities.
pub(super) fn give_up() -> Rights {
    let held = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    // Whoever administers the system needs no namespace of users for the others. Anybody else does,
    // in which there would be no other user to take: so that comes in between.
    let apart = if held.contains(CapabilitySet::SYS_ADMIN) {
        leave(CloneFlags::empty())
    } else {
        Err(String::new())
    };
    empty_bounding_set();
    let user = take_user(held);
    let namespaces = apart.or_else(|_| leave(CloneFlags::CLONE_NEWUSER));
    // A namespace of users brings a set of its own.
    empty_bounding_set();
    Rights { namespaces, user, capabilities: drop_capabilities() }
}

fn leave(with: CloneFlags) -> Taken {
    let apart =
        CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS | with;
    unshare(apart).map(|()| LayerState::Held).map_err(|error| error.desc().to_owned())
}

/// Takes a user that nobody is and that owns nothing.
fn take_user(held: CapabilitySet) -> Taken {
    if !geteuid().is_root() {
        return Ok(LayerState::NotNeeded);
    }
    // Without the last one the node could not end its own worker any more.
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::KILL;
    if !held.contains(needed) {
        return Err("root without the capabilities setuid, setgid and kill".to_owned());
    }
    let number = limits::FIRST_USER + std::process::id() % limits::USERS;
    // Without the number, which differs by process: what is told again is no news.
    become_user(number).map_err(|error| format!("another user: {error}"))?;
    Ok(LayerState::Held)
}

fn become_user(number: u32) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(number), Gid::from_raw(number));
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)
}

/// Takes away what an execution could bring. Without the right to do that there is less to take, and
/// other layers forbid to execute.
fn empty_bounding_set() {
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if remove_capability_from_bounding_set(capability).is_err() {
            return;
        }
    }
}

fn drop_capabilities() -> Taken {
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    // Kernels before 4.3 have no ambient ones.
    let _ = clear_ambient_capability_set();
    set_capabilities(None, none).map_err(|error| error.to_string())?;
    match capabilities(None) {
        Ok(sets) if sets == none => Ok(LayerState::Held),
        Ok(_) => Err("some are left".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
