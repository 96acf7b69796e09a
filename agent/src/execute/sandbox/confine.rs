//! The door that the executor shuts behind itself: resource limits, Landlock, and the system calls of one command.

use std::collections::BTreeMap;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use nix::{
    libc,
    sys::resource::{Resource, setrlimit},
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// What a command does, as far as the kernel is asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Nice,
    IoPriority,
    Affinity,
    Scheduler,
    Limit,
    Signal,
    Throttle,
    Write,
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

/// Shuts the door. Whatever cannot be shut is an error, but for Landlock on a kernel that does not have it.
pub(super) fn confine(role: Role) -> Result<(), String> {
    limit(role).map_err(|error| format!("the resource limits could not be set: {error}"))?;
    landlock(role).map_err(|error| format!("Landlock could not be set: {error}"))?;
    let filter = filter(role).map_err(|error| format!("the system call filter could not be built: {error}"))?;
    seccompiler::apply_filter(&filter).map_err(|error| format!("the system call filter could not be set: {error}"))
}

fn limit(role: Role) -> nix::Result<()> {
    let cpu_s = if role == Role::Throttle { THROTTLE_CPU_MAX_S } else { CPU_MAX_S };
    setrlimit(Resource::RLIMIT_NPROC, 0, 0)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    setrlimit(Resource::RLIMIT_NOFILE, 128, 128)?;
    setrlimit(Resource::RLIMIT_AS, MEMORY_MAX_BYTES, MEMORY_MAX_BYTES)?;
    setrlimit(Resource::RLIMIT_CPU, cpu_s, cpu_s)
}

/// No file, but `/proc` and the control groups for those that read them; no TCP; no signal and no abstract socket out of the sandbox, but for
/// those that signal.
fn landlock(role: Role) -> Result<(), landlock::RulesetError> {
    // Landlock lets nobody look into a process outside of it, whatever capability there is. Without openat, socket and
    // the like in its list of system calls, this one has no use for what it would shut.
    if role == Role::Descriptors {
        return Ok(());
    }
    let newest = ABI::V6;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(newest))?
        .handle_access(AccessNet::from_all(newest))?
        .scope(Scope::AbstractUnixSocket)?;
    if !matches!(role, Role::Signal | Role::Throttle) {
        rules = rules.scope(Scope::Signal)?;
    }
    let mut rules = rules.create()?;
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
    rules.restrict_self().map(drop)
}

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
        libc::SYS_fcntl,
        libc::SYS_getdents64,
        libc::SYS_poll,
        libc::SYS_ppoll,
        libc::SYS_brk,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
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
    let own: &[i64] = match role {
        Role::Nice => &[libc::SYS_setpriority],
        Role::IoPriority => &[libc::SYS_ioprio_set],
        Role::Affinity => &[libc::SYS_sched_setaffinity],
        Role::Scheduler => &[libc::SYS_sched_getscheduler, libc::SYS_sched_setscheduler],
        Role::Limit => &[libc::SYS_prlimit64],
        Role::Signal | Role::Throttle => &[libc::SYS_pidfd_send_signal],
        Role::Write => &[],
        Role::Sync => &[libc::SYS_sync],
        Role::ReadProc => &[libc::SYS_openat],
        Role::ReadCgroup => &[libc::SYS_openat, libc::SYS_openat2],
        Role::Descriptors => &[libc::SYS_readlinkat],
        Role::Mounts => &[libc::SYS_openat, libc::SYS_statfs],
    };
    let rules: BTreeMap<i64, Vec<_>> = EVERYONE.iter().chain(own).map(|number| (*number, Vec::new())).collect();
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, architecture)?.try_into()
}
