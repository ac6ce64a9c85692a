//! Seccomp: the calls of the system that the interpreter, its allocator and its threads need.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

use super::layer::{LayerState, Taken};

/// Calls whose arguments do not matter: memory, time, threads that wait for each other, descriptors
/// that are open, and who this is: libraries take it that those cannot fail, and panic.
const FREE: [i64; 35] = [
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    // What it makes is decided elsewhere, see `NO_CLONE3`.
    libc::SYS_clone3,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getcpu,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_getuid,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_write,
];

/// What a thread may be made with: with more it would be a process, or have namespaces of its own.
const NO_THREAD: libc::c_int = libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS;

/// The filter of a call that takes its arguments from memory, where no filter sees them: it does not
/// exist, so that the C library does the same by the older call.
const NO_CLONE3: u32 = libc::ENOSYS as u32;

/// What forbidden calls fail with. A worker ends by that at worst, and says of what.
const FORBIDDEN: u32 = libc::EPERM as u32;

/// Forbids all calls but those of the list, to this thread and to those that it starts.
pub(super) fn forbid_all_others() -> Taken {
    forbid().map(|()| LayerState::Held).map_err(|error| error.to_string())
}

fn forbid() -> Result<(), seccompiler::Error> {
    let machine = TargetArch::try_from(std::env::consts::ARCH)?;
    let newer = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let newer = program(newer, SeccompAction::Allow, SeccompAction::Errno(NO_CLONE3), machine)?;
    let forbidden = SeccompAction::Errno(FORBIDDEN);
    let listed = program(listed()?, forbidden, SeccompAction::Allow, machine)?;
    // Of two filters the stricter one counts. The list comes last: it forbids to add filters.
    apply_filter(&newer)?;
    apply_filter(&listed)
}

fn program(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    others: SeccompAction,
    these: SeccompAction,
    machine: TargetArch,
) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(rules, others, these, machine)?.try_into()
}

/// The calls with the conditions on their arguments, of which one must be met where there are any.
fn listed() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let own = u64::from(std::process::id());
    let mut calls: BTreeMap<i64, Vec<SeccompRule>> =
        FREE.iter().map(|call| (*call, Vec::new())).collect();
    calls.extend([
        // Memory is never executed.
        (libc::SYS_mmap, vec![without(2, libc::PROT_EXEC)?]),
        (libc::SYS_mprotect, vec![without(2, libc::PROT_EXEC)?]),
        // Over the socket to the node, which needs no address.
        (libc::SYS_sendto, vec![equals(4, 0)?]),
        (libc::SYS_recvfrom, vec![equals(4, 0)?]),
        (libc::SYS_clone, vec![masked(0, libc::CLONE_THREAD | NO_THREAD, libc::CLONE_THREAD)?]),
        // An abort is a signal to oneself.
        (libc::SYS_tgkill, vec![word(0, own)?]),
        (libc::SYS_prlimit64, vec![word(0, 0)?]),
        // Names of threads and of memory.
        (
            libc::SYS_prctl,
            vec![word(0, libc::PR_SET_NAME as u64)?, word(0, libc::PR_SET_VMA as u64)?],
        ),
        (
            libc::SYS_fcntl,
            vec![word(1, libc::F_GETFD as u64)?, word(1, libc::F_DUPFD_CLOEXEC as u64)?],
        ),
    ]);
    Ok(calls)
}

/// An argument of four bytes has this value.
fn word(argument: u8, value: u64) -> Result<SeccompRule, BackendError> {
    rule(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

/// An argument of eight bytes has this value.
fn equals(argument: u8, value: u64) -> Result<SeccompRule, BackendError> {
    rule(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value)
}

/// None of these bits is set in an argument.
fn without(argument: u8, bits: libc::c_int) -> Result<SeccompRule, BackendError> {
    masked(argument, bits, 0)
}

/// Of these bits of an argument those of `value` are set.
fn masked(
    argument: u8,
    bits: libc::c_int,
    value: libc::c_int,
) -> Result<SeccompRule, BackendError> {
    let operator = SeccompCmpOp::MaskedEq(bits as u64);
    rule(argument, SeccompCmpArgLen::Qword, operator, value as u64)
}

fn rule(
    argument: u8,
    length: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, length, operator, value)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_a_filter_on_every_machine() {
        for machine in [TargetArch::x86_64, TargetArch::aarch64] {
            let forbidden = SeccompAction::Errno(FORBIDDEN);
            let program =
                program(listed().unwrap(), forbidden, SeccompAction::Allow, machine).unwrap();
            // The kernel takes no longer ones.
            assert!((FREE.len()..4_096).contains(&program.len()));
        }
    }

    #[test]
    fn what_opens_and_starts_is_not_in_the_list() {
        let calls = listed().unwrap();
        for call in [
            libc::SYS_openat,
            libc::SYS_openat2,
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_sendmsg,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_kill,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_io_uring_setup,
            libc::SYS_bpf,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_mount,
            libc::SYS_seccomp,
        ] {
            assert!(!calls.contains_key(&call), "{call} is in the list");
        }
        assert_eq!(FREE.iter().filter(|call| calls[*call].is_empty()).count(), FREE.len());
    }
}
