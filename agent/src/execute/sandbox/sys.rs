//! The few system calls that no crate of ours wraps, each with its safe face.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::libc;

use super::kernel::NoLandlock;

/// `ioprio_set`'s and `ioprio_get`'s "one thread".
pub(super) const IOPRIO_WHO_PROCESS: libc::c_int = 1;
/// Bits of an I/O priority below its class.
const IOPRIO_CLASS_SHIFT: u32 = 13;
/// `_IOWR('X', 120, int)` (linux/fs.h).
pub(super) const FITHAW: u32 = 0xc004_5878;
/// `LANDLOCK_CREATE_RULESET_VERSION`.
const LANDLOCK_VERSION: libc::c_uint = 1;

/// A descriptor that stands for the process itself, whatever becomes of its number.
pub(in crate::execute) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers and touches no memory of ours.
    let fd = answer(unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) })?;
    // SAFETY: the kernel has just made this descriptor for us and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Sends `signal` to the very process that the descriptor stands for; 0 only asks whether it could.
pub(in crate::execute) fn pidfd_send_signal(process: BorrowedFd<'_>, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open for the length of the call, and a null siginfo is allowed.
    answer(unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0)
    })
    .map(drop)
}

/// Thaws the filesystem that the descriptor is of; `EINVAL` where it is not frozen.
pub(super) fn thaw(mount: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: FITHAW reads and writes nothing of ours, and the descriptor is open for the length of the call.
    answer(unsafe { libc::syscall(libc::SYS_ioctl, mount.as_raw_fd(), libc::c_ulong::from(FITHAW), 0) }).map(drop)
}

/// Nice value of one thread; 0 is the one that calls.
pub(crate) fn set_nice(tid: u32, nice: i32) -> io::Result<()> {
    // SAFETY: setpriority takes three integers and touches no memory of ours.
    answer(unsafe { libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS as libc::c_long, tid, nice) }).map(drop)
}

/// Class (0 none, 1 real-time, 2 best effort, 3 idle) and level of one thread.
pub(in crate::execute) fn io_priority(tid: u32) -> io::Result<(u8, u8)> {
    // SAFETY: ioprio_get takes two integers and touches no memory of ours.
    let raw = answer(unsafe { libc::syscall(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, tid) })?;
    Ok(((raw >> IOPRIO_CLASS_SHIFT) as u8, (raw & 0b111) as u8))
}

pub(super) fn set_io_priority(tid: u32, class: u8, level: u8) -> io::Result<()> {
    let raw = io_priority_of(class, level);
    // SAFETY: ioprio_set takes three integers and touches no memory of ours.
    answer(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, tid, raw) }).map(drop)
}

/// Policy and real-time priority of one thread. Whether its children inherit them stays as it is.
pub(super) fn set_scheduler(tid: u32, policy: libc::c_int, priority: libc::c_int) -> io::Result<()> {
    // SAFETY: sched_getscheduler takes an integer and touches no memory of ours.
    let now = answer(unsafe { libc::syscall(libc::SYS_sched_getscheduler, tid) })?;
    let kept = now & libc::c_long::from(libc::SCHED_RESET_ON_FORK);
    let priority = libc::sched_param { sched_priority: priority };
    // SAFETY: the kernel reads `priority`, which lives for the length of the call.
    answer(unsafe {
        libc::syscall(libc::SYS_sched_setscheduler, tid, libc::c_long::from(policy) | kept, &raw const priority)
    })
    .map(drop)
}

/// Soft and hard limit of open files of a process.
pub(super) fn open_files(pid: u32) -> io::Result<(u64, u64)> {
    let mut now = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let none = std::ptr::null::<libc::rlimit64>();
    // SAFETY: the kernel writes `now`, which lives for the length of the call; no new limit is allowed.
    answer(unsafe { libc::syscall(libc::SYS_prlimit64, pid, libc::RLIMIT_NOFILE, none, &raw mut now) })?;
    Ok((now.rlim_cur, now.rlim_max))
}

pub(super) fn set_open_files(pid: u32, soft: u64, hard: u64) -> io::Result<()> {
    let new = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    let none = std::ptr::null_mut::<libc::rlimit64>();
    // SAFETY: the kernel reads `new`, which lives for the length of the call; nowhere to put the old limit is allowed.
    answer(unsafe { libc::syscall(libc::SYS_prlimit64, pid, libc::RLIMIT_NOFILE, &raw const new, none) }).map(drop)
}

/// Class and level in one number, as `ioprio_set` takes them.
pub(super) fn io_priority_of(class: u8, level: u8) -> libc::c_int {
    (libc::c_int::from(class) << IOPRIO_CLASS_SHIFT) | libc::c_int::from(level)
}

/// The ABI of Landlock that this kernel has.
pub(super) fn landlock_abi() -> Result<u32, NoLandlock> {
    // SAFETY: with this flag the call takes no attributes and only answers a number.
    let abi = answer(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0, LANDLOCK_VERSION)
    });
    match abi {
        Ok(abi) => Ok(abi.try_into().unwrap_or(u32::MAX)),
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Err(NoLandlock::NotStarted),
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Err(NoLandlock::NotBuilt),
        Err(_) => Err(NoLandlock::Denied),
    }
}

/// Whether a filter of system calls can end the process that makes a wrong one.
pub(super) fn can_filter() -> bool {
    let action: u32 = libc::SECCOMP_RET_KILL_PROCESS;
    // SAFETY: the call reads the one action, which lives through it, and installs nothing.
    let answered = answer(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, std::ptr::from_ref(&action))
    });
    answered.is_ok()
}

/// Marks every descriptor from `first` on to be closed by the next exec.
pub(super) fn close_on_exec_from(first: libc::c_uint) -> io::Result<()> {
    // SAFETY: close_range with CLOEXEC only sets flags; no descriptor that somebody owns is closed here.
    answer(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) })
        .map(drop)
}

/// Lets one descriptor outlive the next exec.
pub(super) fn keep_on_exec(fd: RawFd) -> io::Result<()> {
    // SAFETY: F_SETFD takes an integer and touches no memory of ours.
    answer(libc::c_long::from(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) })).map(drop)
}

/// Locks the rule that user 0 has no capability by being user 0.
pub(super) fn root_is_nobody_special() -> io::Result<()> {
    let bits = libc::SECBIT_NOROOT | libc::SECBIT_NOROOT_LOCKED;
    // SAFETY: PR_SET_SECUREBITS takes an integer and touches no memory of ours.
    answer(libc::c_long::from(unsafe { libc::prctl(libc::PR_SET_SECUREBITS, bits as libc::c_ulong, 0, 0, 0) }))
        .map(drop)
}

/// The descriptor that the daemon passed under this number.
pub(super) fn passed(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: F_GETFD takes no pointer; it only says whether the number is an open descriptor.
    let open = fd > 2 && unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0;
    // SAFETY: it is open, and only this executor's one reader of the order takes it, once.
    open.then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes a descriptor that a call has just made and that nobody owns yet.
pub(in crate::execute) fn own(fd: RawFd) -> Option<OwnedFd> {
    passed(fd)
}

fn answer(returned: libc::c_long) -> io::Result<libc::c_long> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}
