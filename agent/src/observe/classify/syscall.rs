//! `syscall`: system calls that fail, are slow or are made without end, and the limits behind the failures.

use super::{Classifier, Measure, Readings, calls, calls::watched_throughout, say};
use crate::{
    numbers,
    observe::{
        Entity, SignalType, Window,
        sample::{Filesystem, SyscallError, SyscallsOfProcess},
        syscall_name::syscall_name,
        window::ProcessTick,
    },
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    signal: SignalType::Syscall,
    measures: &[
        NO_FILES,
        NO_FILES_NODE,
        NO_SPACE,
        IO_ERRORS,
        NO_PROCESSES,
        NO_MEMORY,
        OTHER_ERRORS,
        FILES_USED,
        FORKS_REFUSED,
        PIDS_USED,
        FILESYSTEM_USED,
        CALLS,
        LATENCY,
    ],
    read,
    react: None,
};

const NO_FILES: Measure = Measure::rising("emfile_per_s", "calls that failed for want of a file descriptor (EMFILE)")
    .of_calls()
    .wants_calls();
const NO_FILES_NODE: Measure =
    Measure::rising("enfile_per_s", "calls that failed for the node's file limit (ENFILE)").of_calls().wants_calls();
const NO_SPACE: Measure =
    Measure::rising("enospc_per_s", "calls that failed for want of space (ENOSPC, EDQUOT)").of_calls().wants_calls();
const IO_ERRORS: Measure =
    Measure::rising("eio_per_s", "calls that failed with an I/O error (EIO)").of_calls().wants_calls();
const NO_PROCESSES: Measure =
    Measure::rising("fork_eagain_per_s", "forks that failed for a process limit (EAGAIN)").of_calls().wants_calls();
const NO_MEMORY: Measure =
    Measure::rising("enomem_per_s", "calls that failed for want of memory (ENOMEM)").of_calls().wants_calls();
const OTHER_ERRORS: Measure =
    Measure::rising("other_errors_weighed_per_s", "calls that failed with other errors, the usual ones by a hundredth")
        .of_calls();
const FILES_USED: Measure = Measure::rising("process_open_files_percent", "open files of a process, of its limit");
const FORKS_REFUSED: Measure = Measure::rising("cgroup_forks_refused_per_s", "forks that a cgroup's pids.max refused");
const PIDS_USED: Measure = Measure::rising("cgroup_pids_percent", "tasks of a cgroup, of its pids.max");
const FILESYSTEM_USED: Measure =
    Measure::rising("filesystem_used_percent", "bytes or inodes of a filesystem that are used, of those that may be");
const CALLS: Measure = Measure::rising("process_calls_per_s", "system calls of a process").of_calls();
const LATENCY: Measure = Measure::rising("call_p99_ns", "time that one in a hundred calls of a kind took longer than")
    .of_calls()
    .wants_calls();

/// The errors of one measure; a number is the same on every architecture that the agent runs on.
type Class = (Measure, fn(&SyscallError) -> bool);

const CLASSES: [Class; 7] = [
    (NO_FILES, |error| error.errno == EMFILE),
    (NO_FILES_NODE, |error| error.errno == ENFILE),
    (NO_SPACE, SyscallError::is_for_want_of_space),
    (IO_ERRORS, |error| error.errno == EIO),
    (NO_PROCESSES, is_refused_fork),
    (NO_MEMORY, |error| error.errno == ENOMEM),
    (OTHER_ERRORS, |error| {
        let has_its_own = error.is_for_want_of_space() || is_refused_fork(error);
        !has_its_own && ![EMFILE, ENFILE, EIO, ENOMEM].contains(&error.errno)
    }),
];

const EIO: u32 = 5;
const EAGAIN: u32 = 11;
const ENOMEM: u32 = 12;
const ENFILE: u32 = 23;
const EMFILE: u32 = 24;
const ENOSPC: u32 = 28;
/// What programs meet as they look for files, poll, wait and are interrupted: EPERM, ENOENT, ESRCH, EINTR, ENXIO,
/// ECHILD, EAGAIN, EACCES, EEXIST, ENOTDIR, EINVAL, ENOTTY, ESPIPE, EPIPE, ENODATA, EOPNOTSUPP, ECONNRESET, ENOTCONN,
/// ETIMEDOUT, ECONNREFUSED, EALREADY, EINPROGRESS, and the kernel's own restarts (512 to 516).
const USUAL: [u32; 27] =
    [1, 2, 3, 4, 6, 10, 11, 13, 17, 20, 22, 25, 29, 32, 61, 95, 104, 107, 110, 111, 114, 115, 512, 513, 514, 515, 516];
const USUAL_WEIGHT: f64 = 0.01;

/// Full filesystems that are told.
const FULL_TOLD: usize = 3;
/// Calls of a kind in one tick below which a percentile says nothing.
const CALLS_MIN: u64 = 20;
/// Calls that wait for somebody else by their nature, or are told elsewhere (syncs, by `io_congestion`).
const WAITS: [&str; 30] = [
    "accept",
    "accept4",
    "clock_nanosleep",
    "connect",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "fdatasync",
    "flock",
    "fsync",
    "futex",
    "futex_wait",
    "futex_waitv",
    "io_getevents",
    "io_uring_enter",
    "msync",
    "nanosleep",
    "pause",
    "poll",
    "ppoll",
    "pselect6",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "select",
    "vfork",
    "wait4",
    "waitid",
];

fn read(window: &Window, readings: &mut Readings<'_>) {
    read_errors(window, readings);
    read_limits(window, readings);
    read_calls(window, readings);
}

fn read_errors(window: &Window, readings: &mut Readings<'_>) {
    for (measure, belongs) in CLASSES {
        let weight = |error: &SyscallError| match belongs(error) {
            false => 0.0,
            true if measure == OTHER_ERRORS && USUAL.contains(&error.errno) => USUAL_WEIGHT,
            true => 1.0,
        };
        let Some(failures) = calls::failures(window, weight) else { return };
        readings.worst(
            measure,
            failures.into_iter().map(|row| (row.weighed_per_s, row)),
            |row| row.entity.clone(),
            |_, row| {
                let mut sentence = row.sentence();
                let mut numbers = numbers! { failures_per_s: row.failures_per_s, errno: f64::from(row.errno) };
                if measure == NO_FILES
                    && let Some((open, limit)) = row.open_files.zip(row.open_files_limit)
                {
                    sentence +=
                        &format!("; {} of {} descriptors are open", say::short(open as f64), say::short(limit as f64));
                    numbers.0.push(("open_files".into(), open as f64));
                    numbers.0.push(("open_files_limit".into(), limit as f64));
                }
                if measure == NO_SPACE {
                    sentence += &full(window, row.entity.process().map(|process| process.pid));
                }
                (sentence, numbers)
            },
        );
    }
}

fn read_limits(window: &Window, readings: &mut Readings<'_>) {
    let Some(tick) = window.now() else { return };
    if !tick.processes.is_empty() {
        let used = tick.processes.iter().filter_map(|process| {
            let limit = process.sample.open_files_limit.filter(|limit| *limit > 0)? as f64;
            let open = process.sample.open_files? as f64;
            Some((100.0 * open / limit, (process, open, limit)))
        });
        readings.worst(
            FILES_USED,
            used,
            |(process, ..)| say::process(process),
            |percent, (process, open, limit)| {
                let sentence = format!(
                    "{} has {} of {} file descriptors open, {} %",
                    say::process(process),
                    say::short(*open),
                    say::short(*limit),
                    say::short(percent)
                );
                (sentence, numbers! { open_files: *open, open_files_limit: *limit, open_files_percent: percent })
            },
        );
    }
    if !tick.node.filesystems.is_empty() {
        readings.worst(
            FILESYSTEM_USED,
            tick.node.filesystems.iter().map(|one| (one.used_percent(), one)),
            |one| Entity::Mount { path: one.path.clone() },
            |percent, one| {
                let numbers = numbers! {
                    used_percent: percent,
                    available_bytes: one.available_bytes as f64,
                    total_bytes: one.total_bytes as f64,
                    files_free: one.files_free as f64,
                    errno: f64::from(ENOSPC),
                };
                (used(one), numbers)
            },
        );
    }
    if tick.cgroups.is_empty() {
        return;
    }
    let entity = |path: &crate::text::Text| Entity::Cgroup { path: path.clone() };
    let limits = || {
        tick.cgroups.iter().filter_map(|cgroup| {
            let pids = cgroup.sample.pids.as_ref()?;
            Some((
                cgroup,
                pids.current as f64,
                pids.maximum.filter(|maximum| *maximum > 0).map(|maximum| maximum as f64),
            ))
        })
    };
    readings.worst(
        FORKS_REFUSED,
        limits()
            .filter_map(|(cgroup, current, maximum)| Some((cgroup.forks_refused_per_s?, (cgroup, current, maximum)))),
        |(cgroup, ..)| entity(&cgroup.sample.path),
        |per_s, (cgroup, current, maximum)| {
            let maximum = maximum.unwrap_or_default();
            let sentence = format!(
                "cgroup {}: {} forks a second are refused by pids.max {}; it has {} tasks",
                cgroup.sample.path,
                say::short(per_s),
                say::short(maximum),
                say::short(*current)
            );
            (sentence, numbers! { forks_refused_per_s: per_s, tasks: *current, maximum_tasks: maximum })
        },
    );
    readings.worst(
        PIDS_USED,
        limits()
            .filter_map(|(cgroup, current, maximum)| Some((100.0 * current / maximum?, (cgroup, current, maximum?)))),
        |(cgroup, ..)| entity(&cgroup.sample.path),
        |percent, (cgroup, current, maximum)| {
            let sentence = format!(
                "cgroup {} has {} of the {} tasks that it may have, {} %",
                cgroup.sample.path,
                say::short(*current),
                say::short(*maximum),
                say::short(percent)
            );
            (sentence, numbers! { tasks: *current, maximum_tasks: *maximum, pids_percent: percent })
        },
    );
}

/// `mount /data (ext4) has 0 B of 28 MiB left`, or its inodes, whichever are nearer their end.
fn used(filesystem: &Filesystem) -> String {
    let Filesystem { path, kind, .. } = filesystem;
    if filesystem.used_files_percent() > filesystem.used_bytes_percent() {
        let (left, all) = (say::short(filesystem.files_free as f64), say::short(filesystem.files as f64));
        return format!("mount {path} ({kind}) has {left} of {all} inodes left");
    }
    let (left, all) = (say::bytes(filesystem.available_bytes as f64), say::bytes(filesystem.total_bytes as f64));
    format!("mount {path} ({kind}) has {left} of {all} left")
}

/// `; mount /data (ext4) has 0 B of 28 MiB left`, for those that have nothing to give; nothing where none is full.
fn full(window: &Window, pid: Option<u32>) -> String {
    let Some(tick) = window.now() else { return String::new() };
    tick.full_for(pid).take(FULL_TOLD).map(|one| format!("; {}", used(one))).collect()
}

fn read_calls(window: &Window, readings: &mut Readings<'_>) {
    let Some(tick) = window.now() else { return };
    let Some(syscalls) = &tick.kernel.syscalls else { return };
    let seconds = syscalls.seconds();
    let mut by_process: Vec<(f64, (&ProcessTick, &SyscallsOfProcess))> = Vec::new();
    for row in &syscalls.by_process {
        let calls = row.calls as f64 / seconds;
        match by_process.iter_mut().find(|(_, (process, _))| process.sample.id.pid == row.pid) {
            Some((sum, (_, most))) => {
                *sum += calls;
                if row.calls > most.calls {
                    *most = row;
                }
            }
            None => by_process.extend(window.process_by_pid(row.pid).map(|process| (calls, (process, row)))),
        }
    }
    readings.worst(
        CALLS,
        by_process,
        |(process, _)| say::process(process),
        |per_s, (process, most)| {
            let of_most = most.calls as f64 / seconds;
            let sentence = format!(
                "{} makes {} system calls a second, {} of them {}",
                say::process(process),
                say::short(per_s),
                say::short(of_most),
                syscall_name(most.syscall)
            );
            let numbers = numbers! {
                calls_per_s: per_s,
                most_called_per_s: of_most,
                most_called_number: f64::from(most.syscall),
                sampled_one_in: f64::from(syscalls.sampled_one_in),
            };
            (sentence, numbers)
        },
    );
    if !watched_throughout(tick, syscalls) {
        return;
    }
    let slowest = syscalls
        .latency
        .iter()
        .filter(|(_, latency)| latency.count() >= CALLS_MIN)
        .map(|(number, latency)| (latency.quantile_ns(0.99).unwrap_or(0.0), syscall_name(*number), latency.count()))
        .filter(|(_, name, _)| !WAITS.contains(&name.as_str()))
        .max_by(|(a, ..), (b, ..)| a.total_cmp(b));
    let (p99, name, count) = slowest.unwrap_or((0.0, "any call".to_owned(), 0));
    readings.node(LATENCY, Some(p99), |ns| {
        let sentence = format!("one {name} in a hundred took more than {}", say::latency(ns));
        (sentence, numbers! { call_p99_ns: ns, calls: count as f64 })
    });
}

fn is_refused_fork(error: &SyscallError) -> bool {
    error.errno == EAGAIN && ["clone", "clone3", "fork", "vfork"].contains(&syscall_name(error.syscall).as_str())
}
