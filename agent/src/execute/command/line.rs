//! How each command is written: the words that it is read from, and the very same words again.

use std::fmt;

use super::{Check, Command, PROC_FILES, Signal, THREADS_MAX, TopBy, own};
use crate::execute::{
    cgroup_file::CgroupFile,
    manager::{Limit, Property},
    qdisc::{Qdisc, QdiscKind, hex, read_major, unhex},
    scheduling::Scheduling,
    sysctl::{Numbers, SysctlKey},
    value::PID_MAX,
};

pub(super) fn read(arguments: &[&str]) -> Option<Command> {
    let (threads, rest) = match arguments {
        [head @ .., "-t", list, "-p", pid] => (tids(list)?, [head, &["-p", pid]].concat()),
        _ => (Vec::new(), arguments.to_vec()),
    };
    Some(match (rest.as_slice(), threads.is_empty()) {
        (["renice", "-n", nice, "-p", pid], _) => {
            Command::Renice { nice: signed(nice)?, plus: false, threads, pid: unsigned(pid)? }
        }
        (["renice", nice, "-p", pid], true) => {
            Command::Renice { nice: unsigned(nice.strip_prefix('+')?)?, plus: true, threads, pid: unsigned(pid)? }
        }
        (["ionice", "-c", class @ ("1" | "2"), "-n", level, "-p", pid], _) => {
            Command::Ionice { class: unsigned(class)?, level: unsigned(level)?, threads, pid: unsigned(pid)? }
        }
        (["ionice", "-c", class @ ("0" | "3"), "-p", pid], _) => {
            Command::Ionice { class: unsigned(class)?, level: 0, threads, pid: unsigned(pid)? }
        }
        (["taskset", "-a", "-c", cpus, "-p", pid], _) => {
            Command::Taskset { cpus: cpus.parse().ok()?, threads, pid: unsigned(pid)? }
        }
        (["chrt", flag, priority, "-p", pid], _) => Command::Chrt {
            scheduling: Scheduling::from_flag(flag, unsigned(priority)?)?,
            threads,
            pid: unsigned(pid)?,
        },
        (["choom", "-n", adj, "-p", pid], true) => Command::Choom { adj: signed(adj)?, pid: unsigned(pid)? },
        (["prlimit", limit, "--pid", pid], true) => {
            let (soft, hard) = limit.strip_prefix("--nofile=")?.split_once(':')?;
            Command::Prlimit { soft: unsigned(soft)?, hard: unsigned(hard)?, pid: unsigned(pid)? }
        }
        (["kill", signal, pid], true) => Command::Kill { signal: read_signal(signal)?, pid: unsigned(pid)? },
        (["kill", "--timeout", wait_ms, "KILL", "--signal", "TERM", pid], true) => {
            Command::End { wait_ms: unsigned(wait_ms)?, pid: unsigned(pid)? }
        }
        (["cpulimit", "-p", pid, "-l", percent], true) => {
            Command::Cpulimit { pid: unsigned(pid)?, percent: unsigned(percent)? }
        }
        (["sysctl", "-w", setting], true) => {
            let (key, value) = setting.split_once('=')?;
            Command::Sysctl { key: SysctlKey::from_name(key)?, values: Numbers::from_line(value)? }
        }
        (["cgset", "-r", setting, path], true) => {
            let (file, value) = setting.split_once('=')?;
            Command::Cgset { file: CgroupFile::from_name(file)?, value: value.to_owned(), path: path.parse().ok()? }
        }
        ([verb @ ("set_property" | "reset_property"), setting, path], true) => {
            let (property, limit) = setting.split_once('=')?;
            let (property, limit, path) = (Property::from_name(property)?, Limit::parse(limit)?, path.parse().ok()?);
            match *verb {
                "set_property" => Command::SetProperty { property, limit, path },
                _ => Command::ResetProperty { property, limit, path },
            }
        }
        (["cgclassify", rest @ ..], true) => own::read_confine(rest)?,
        (["cgdelete", rest @ ..], true) => own::read_release(rest)?,
        (["sync"], true) => Command::Sync,
        (["truncate_file", path], true) => Command::Truncate { path: path.parse().ok()? },
        (["fsfreeze", "-u", path], true) => Command::Thaw { path: path.parse().ok()? },
        (["restart_unit", unit, run], true) => Command::Restart { unit: unit.parse().ok()?, run: run.parse().ok()? },
        (["qdisc", "del", "dev", interface, "root", "handle", handle, kind], true) => Command::DeleteQdisc {
            interface: interface.parse().ok()?,
            major: read_major(handle)?,
            kind: QdiscKind::from_name(kind)?,
        },
        (["qdisc", "add", "dev", interface, "root", "handle", handle, kind, "options", options], true) => {
            let (major, kind, options) = (read_major(handle)?, QdiscKind::from_name(kind)?, unhex(options)?);
            Command::AddQdisc { interface: interface.parse().ok()?, qdisc: Qdisc { major, kind, options } }
        }
        // Whoever loses that one loses himself.
        (["ethtool", "-s", "lo", ..], _) => return None,
        (["ethtool", "-s", interface, "speed", mbit], true) => {
            Command::SetSpeed { interface: interface.parse().ok()?, mbit: unsigned(mbit)? }
        }
        (["ethtool", "-s", interface, speed @ ..], true) => {
            Command::SetLink { interface: interface.parse().ok()?, speed: speed.join(" ").parse().ok()? }
        }
        (["top", "-o", by, "-n", count], true) => Command::Top {
            by: match *by {
                "rss" => TopBy::Rss,
                "cpu" => TopBy::Cpu,
                "io" => TopBy::Io,
                _ => return None,
            },
            count: unsigned(count)?,
        },
        (["cat", path], true) => Command::Cat { path: PROC_FILES.into_iter().find(|file| file == path)? },
        (["lsfd", "-p", pid], true) => Command::Lsfd { pid: unsigned(pid)? },
        (["cgget", "-a", path], true) => Command::Cgget { path: path.parse().ok()? },
        (["check_io_activity"], true) => Command::Check { what: Check::IoActivity },
        (["check_network_stats"], true) => Command::Check { what: Check::NetworkStats },
        (["check_tcp_stats"], true) => Command::Check { what: Check::TcpStats },
        (["monitor_swap"], true) => Command::Check { what: Check::Swap },
        (["list_sockets"], true) => Command::Check { what: Check::Sockets },
        (["list_mounts"], true) => Command::Check { what: Check::Mounts },
        _ => return None,
    })
}

impl fmt::Display for Command {
    /// The argument vector, joined by single spaces; no argument has a space.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let only = |threads: &[u32]| match threads {
            [] => String::new(),
            _ => format!(" -t {}", threads.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
        };
        match self {
            Self::Renice { nice, plus: true, pid, .. } => write!(f, "renice +{nice} -p {pid}"),
            Self::Renice { nice, threads, pid, .. } => write!(f, "renice -n {nice}{} -p {pid}", only(threads)),
            Self::Ionice { class: class @ (0 | 3), threads, pid, .. } => {
                write!(f, "ionice -c {class}{} -p {pid}", only(threads))
            }
            Self::Ionice { class, level, threads, pid } => {
                write!(f, "ionice -c {class} -n {level}{} -p {pid}", only(threads))
            }
            Self::Taskset { cpus, threads, pid } => write!(f, "taskset -a -c {cpus}{} -p {pid}", only(threads)),
            Self::Chrt { scheduling, threads, pid } => {
                write!(f, "chrt {} {}{} -p {pid}", scheduling.flag(), scheduling.priority(), only(threads))
            }
            Self::Choom { adj, pid } => write!(f, "choom -n {adj} -p {pid}"),
            Self::Prlimit { soft, hard, pid } => write!(f, "prlimit --nofile={soft}:{hard} --pid {pid}"),
            Self::Kill { signal, pid } => write!(f, "kill {} {pid}", signal_flag(*signal)),
            Self::End { wait_ms, pid } => write!(f, "kill --timeout {wait_ms} KILL --signal TERM {pid}"),
            Self::Cpulimit { pid, percent } => write!(f, "cpulimit -p {pid} -l {percent}"),
            Self::Sysctl { key, values } => write!(f, "sysctl -w {}={values}", key.name()),
            Self::Cgset { file, value, path } => write!(f, "cgset -r {}={value} {path}", file.name()),
            Self::SetProperty { property, limit, path } => {
                write!(f, "set_property {}={limit} {path}", property.name())
            }
            Self::ResetProperty { property, limit, path } => {
                write!(f, "reset_property {}={limit} {path}", property.name())
            }
            Self::Confine { limits, process } => own::write_confine(f, limits, *process),
            Self::Release { tree, process, to } => own::write_release(f, *tree, *process, to.as_deref()),
            Self::Sync => f.write_str("sync"),
            Self::Truncate { path } => write!(f, "truncate_file {path}"),
            Self::Thaw { path } => write!(f, "fsfreeze -u {path}"),
            Self::Restart { unit, run } => write!(f, "restart_unit {unit} {run}"),
            Self::DeleteQdisc { interface, major, kind } => {
                write!(f, "qdisc del dev {interface} root handle {major:x}: {}", kind.name())
            }
            Self::AddQdisc { interface, qdisc: Qdisc { major, kind, options } } => {
                let options = hex(options);
                write!(f, "qdisc add dev {interface} root handle {major:x}: {} options {options}", kind.name())
            }
            Self::SetSpeed { interface, mbit } => write!(f, "ethtool -s {interface} speed {mbit}"),
            Self::SetLink { interface, speed } => write!(f, "ethtool -s {interface} {speed}"),
            Self::Top { by: TopBy::Rss, count } => write!(f, "top -o rss -n {count}"),
            Self::Top { by: TopBy::Cpu, count } => write!(f, "top -o cpu -n {count}"),
            Self::Top { by: TopBy::Io, count } => write!(f, "top -o io -n {count}"),
            Self::Cat { path } => write!(f, "cat {path}"),
            Self::Lsfd { pid } => write!(f, "lsfd -p {pid}"),
            Self::Cgget { path } => write!(f, "cgget -a {path}"),
            Self::Check { what } => f.write_str(match what {
                Check::IoActivity => "check_io_activity",
                Check::NetworkStats => "check_network_stats",
                Check::TcpStats => "check_tcp_stats",
                Check::Swap => "monitor_swap",
                Check::Sockets => "list_sockets",
                Check::Mounts => "list_mounts",
            }),
        }
    }
}

/// Decimal digits without a sign; leading zeros do not survive the printing.
pub(in crate::execute) fn unsigned<T: TryFrom<u64>>(text: &str) -> Option<T> {
    let plain = matches!(text.len(), 1..=19) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse::<u64>().ok()).flatten().and_then(|value| T::try_from(value).ok())
}

fn signed(text: &str) -> Option<i32> {
    match text.strip_prefix('-') {
        Some(digits) => unsigned::<i32>(digits).map(|value| -value),
        None => unsigned(text),
    }
}

fn tids(list: &str) -> Option<Vec<u32>> {
    let tids: Vec<u32> = list.split(',').map(unsigned).collect::<Option<_>>()?;
    (tids.len() <= THREADS_MAX && tids.iter().all(|tid| (1..=PID_MAX).contains(&i64::from(*tid)))).then_some(tids)
}

const fn signal_flag(signal: Signal) -> &'static str {
    match signal {
        Signal::Stop => "-STOP",
        Signal::Continue => "-CONT",
        Signal::Terminate => "-TERM",
    }
}

fn read_signal(flag: &str) -> Option<Signal> {
    [Signal::Stop, Signal::Continue, Signal::Terminate].into_iter().find(|signal| signal_flag(*signal) == flag)
}
