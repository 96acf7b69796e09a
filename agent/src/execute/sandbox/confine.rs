//! The door that the executor shuts behind itself: resource limits, Landlock, and the system calls of one command. What
//! cannot be shut, or does not show as shut afterwards, is an error, and then nothing is done.

use std::{collections::BTreeMap, fs::File, io, os::fd::RawFd};

use landlock::{ABI, AccessFs, PathBeneath, PathFd, RestrictionStatus, RulesetCreatedAttr, RulesetStatus};
use nix::{
    libc,
    sys::resource::{Resource, setrlimit},
};
use seccompiler::{
    BpfProgram, SeccompAction,
    SeccompCmpArgLen::{Dword, Qword},
    SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use crate::execute::manager::RUNTIME;

use super::{
    kernel::NEWEST,
    order::Granted,
    proof::Witness,
    restrain::{ruleset, scopes},
    sys,
};

/// What a command does, as far as the kernel is asked for it. What a filter can compare is part of it: an executor that
/// a stranger took over can do what it was told to do, and little else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Nice {
        nice: i32,
    },
    IoPriority {
        class: u8,
        level: u8,
    },
    Affinity,
    Scheduler {
        policy: libc::c_int,
    },
    Limit {
        pid: u32,
    },
    Signal {
        pidfd: RawFd,
        signal: libc::c_int,
    },
    /// Asked to end, then killed.
    End {
        pidfd: RawFd,
    },
    Throttle {
        pidfd: RawFd,
    },
    Truncate {
        file: RawFd,
    },
    Thaw {
        mount: RawFd,
    },
    Write,
    /// The same, and what systemd remembers is taken away.
    Reset,
    Sync,
    ReadProc,
    ReadCgroup,
    Mounts,
    Descriptors,
}

/// Address space of the executor, bytes: the executable is mapped whole.
const MEMORY_MAX_BYTES: u64 = 1 << 30;
/// CPU time of an executor, s.
const CPU_MAX_S: u64 = 15;
/// CPU time of one that throttles, s: its lease is half an hour, and it looks a hundred times a second.
const THROTTLE_CPU_MAX_S: u64 = 300;

/// One resource limit, soft and hard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    resource: Resource,
    /// As in `/proc/PID/limits`.
    pub(super) name: &'static str,
    pub(super) most: u64,
}

/// Shuts the door and looks whether it is shut.
pub(super) fn confine(role: Role, granted: &Granted) -> Result<(), String> {
    let cpu_s = if matches!(role, Role::Throttle { .. }) { THROTTLE_CPU_MAX_S } else { CPU_MAX_S };
    confine_for(role, granted, cpu_s)
}

/// The same with another bound of CPU time, s.
pub(super) fn confine_for(role: Role, granted: &Granted, cpu_s: u64) -> Result<(), String> {
    let limits = limits(cpu_s);
    let witness = Witness::open()?;
    for limit in &limits {
        setrlimit(limit.resource, limit.most, limit.most)
            .map_err(|error| format!("the limit of {} could not be set: {error}", limit.name))?;
    }
    deny_files(role, granted.landlock)?;
    let filter = filter(role).map_err(|error| format!("the system call filter could not be built: {error}"))?;
    seccompiler::apply_filter(&filter).map_err(|error| format!("the system call filter could not be set: {error}"))?;
    witness.attest(granted, &limits).map_err(|reason| format!("the executor is not confined: {reason}"))
}

fn limits(cpu_s: u64) -> [Limit; 6] {
    let limit = |resource, name, most| Limit { resource, name, most };
    [
        limit(Resource::RLIMIT_NPROC, "Max processes", 0),
        limit(Resource::RLIMIT_FSIZE, "Max file size", 0),
        limit(Resource::RLIMIT_CORE, "Max core file size", 0),
        limit(Resource::RLIMIT_NOFILE, "Max open files", 128),
        limit(Resource::RLIMIT_AS, "Max address space", MEMORY_MAX_BYTES),
        limit(Resource::RLIMIT_CPU, "Max cpu time", cpu_s),
    ]
}

/// Landlock, all that this ABI has, and one try at what it denies.
///
/// Landlock lets nobody look into a process outside of it, whatever capability there is: who lists descriptors does
/// without, and has no call in its filter that Landlock would shut.
fn deny_files(role: Role, abi: u32) -> Result<(), String> {
    if role == Role::Descriptors {
        return Ok(());
    }
    let status = landlock(role, abi).map_err(|error| format!("Landlock could not be set: {error}"))?;
    if status.ruleset != RulesetStatus::FullyEnforced || !status.no_new_privs {
        return Err(format!("Landlock is not fully enforced: {status:?}"));
    }
    match File::open("/") {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(format!("Landlock cannot be tried: {error}")),
        Ok(_) => Err("Landlock says that it is enforced, and a directory could be opened".to_owned()),
    }
}

/// No file, but `/proc` and the control groups for those that read them; no TCP; no signal and no abstract socket out of
/// the sandbox, but for those that signal.
fn landlock(role: Role, abi: u32) -> Result<RestrictionStatus, landlock::RulesetError> {
    let abi = ABI::from(i32::try_from(abi.min(NEWEST)).unwrap_or(0));
    let mut rules = ruleset(abi, scopes(abi, may_signal(role)))?;
    let readable: &[&str] = match role {
        Role::ReadProc | Role::Mounts => &["/proc"],
        Role::ReadCgroup => &["/proc", "/sys/fs/cgroup"],
        _ => &[],
    };
    for path in readable {
        if let Ok(path) = PathFd::new(path) {
            rules = rules.add_rule(PathBeneath::new(path, AccessFs::ReadFile | AccessFs::ReadDir))?;
        }
    }
    if role == Role::Reset
        && let Ok(path) = PathFd::new(RUNTIME)
    {
        rules = rules.add_rule(PathBeneath::new(path, AccessFs::RemoveFile))?;
    }
    rules.restrict_self()
}

fn may_signal(role: Role) -> bool {
    matches!(role, Role::Signal { .. } | Role::End { .. } | Role::Throttle { .. })
}

/// The calls that each role may make, and with which arguments. Whoever makes another one is ended.
fn filter(role: Role) -> Result<BpfProgram, seccompiler::BackendError> {
    const EVERYONE: &[i64] = &[
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_pread64,
        libc::SYS_close,
        libc::SYS_lseek,
        libc::SYS_fstat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_fstatfs,
        libc::SYS_getdents64,
        libc::SYS_poll,
        libc::SYS_ppoll,
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_futex,
        libc::SYS_getrandom,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_nanosleep,
        libc::SYS_sched_yield,
        libc::SYS_restart_syscall,
        libc::SYS_rt_sigreturn,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigaction,
        libc::SYS_sigaltstack,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = EVERYONE.iter().map(|number| (*number, Vec::new())).collect();
    let executable = none_of(2, libc::PROT_EXEC)?;
    rules.insert(libc::SYS_mmap, vec![rule([executable.clone()])?]);
    rules.insert(libc::SYS_mprotect, vec![rule([executable])?]);
    // Not F_SETOWN: the kernel would send the signals that nobody here may.
    let mut controls = vec![rule([is(1, libc::F_SETFD)?, is(2, libc::FD_CLOEXEC)?])?];
    for command in [libc::F_GETFD, libc::F_GETFL, libc::F_DUPFD_CLOEXEC] {
        controls.push(rule([is(1, command)?])?);
    }
    rules.insert(libc::SYS_fcntl, controls);
    match role {
        Role::Nice { nice } => {
            rules.insert(libc::SYS_setpriority, vec![rule([is(0, libc::PRIO_PROCESS as i32)?, is(2, nice)?])?]);
        }
        Role::IoPriority { class, level } => {
            let priority = sys::io_priority_of(class, level);
            rules.insert(libc::SYS_ioprio_set, vec![rule([is(0, sys::IOPRIO_WHO_PROCESS)?, is(2, priority)?])?]);
        }
        Role::Affinity => {
            rules.insert(libc::SYS_sched_setaffinity, Vec::new());
        }
        Role::Signal { pidfd, signal } => {
            rules.insert(libc::SYS_pidfd_send_signal, vec![sends(pidfd, signal)?]);
        }
        Role::Throttle { pidfd } => {
            let turns = vec![sends(pidfd, libc::SIGSTOP)?, sends(pidfd, libc::SIGCONT)?];
            rules.insert(libc::SYS_pidfd_send_signal, turns);
        }
        Role::End { pidfd } => {
            let both = vec![sends(pidfd, libc::SIGTERM)?, sends(pidfd, libc::SIGKILL)?];
            rules.insert(libc::SYS_pidfd_send_signal, both);
        }
        Role::Truncate { file } => {
            let to_nothing = SeccompCondition::new(1, Qword, SeccompCmpOp::Eq, 0)?;
            rules.insert(libc::SYS_ftruncate, vec![rule([is(0, file)?, to_nothing])?]);
        }
        Role::Thaw { mount } => {
            let thaw = SeccompCondition::new(1, Dword, SeccompCmpOp::Eq, sys::FITHAW.into())?;
            rules.insert(libc::SYS_ioctl, vec![rule([is(0, mount)?, thaw])?]);
        }
        Role::Write => {}
        Role::Reset => {
            rules.insert(libc::SYS_unlinkat, vec![rule([is(0, libc::AT_FDCWD)?, is(2, 0)?])?]);
        }
        Role::Sync => {
            rules.insert(libc::SYS_sync, Vec::new());
        }
        Role::Scheduler { policy } => {
            rules.insert(libc::SYS_sched_getscheduler, Vec::new());
            // What a thread hands down to its children stays as it is.
            let policies = [policy, policy | libc::SCHED_RESET_ON_FORK];
            let set: Result<Vec<SeccompRule>, _> = policies.map(|policy| rule([is(1, policy)?])).into_iter().collect();
            rules.insert(libc::SYS_sched_setscheduler, set?);
        }
        Role::Limit { pid } => {
            let open_files = rule([is(0, pid.cast_signed())?, is(1, libc::RLIMIT_NOFILE as i32)?])?;
            rules.insert(libc::SYS_prlimit64, vec![open_files]);
        }
        Role::Descriptors => {
            rules.insert(libc::SYS_readlinkat, Vec::new());
        }
        Role::ReadProc | Role::Mounts | Role::ReadCgroup => {
            // __O_TMPFILE is the bit of O_TMPFILE that O_DIRECTORY is not.
            let writing = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | (libc::O_TMPFILE & !libc::O_DIRECTORY);
            rules.insert(libc::SYS_openat, vec![rule([none_of(2, writing | libc::O_PATH)?])?]);
            if role == Role::Mounts {
                rules.insert(libc::SYS_statfs, Vec::new());
            }
        }
    }
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, architecture)?.try_into()
}

/// This signal to the one process, and not to its group.
fn sends(pidfd: RawFd, signal: libc::c_int) -> Result<SeccompRule, seccompiler::BackendError> {
    rule([is(0, pidfd)?, is(1, signal)?, is(3, 0)?])
}

fn rule<const N: usize>(conditions: [SeccompCondition; N]) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(conditions.into())
}

/// The argument, an int, is this.
fn is(argument: u8, value: i32) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, Dword, SeccompCmpOp::Eq, u64::from(value.cast_unsigned()))
}

/// The argument has none of these bits.
fn none_of(argument: u8, bits: i32) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, Dword, SeccompCmpOp::MaskedEq(u64::from(bits.cast_unsigned())), 0)
}
