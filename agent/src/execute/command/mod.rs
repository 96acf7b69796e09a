//! The grammar of the command lines that the executor knows. A line that does not read as one of these, or that does
//! not print as the very same line again, is no command.

mod line;
mod own;

use serde::{Deserialize, Serialize};

use super::{
    action::{Power, Target},
    cgroup_file::CgroupFile,
    link_speed::LinkSpeed,
    manager::{Invocation, Limit, Property},
    own_cgroup::Tree,
    qdisc::{Qdisc, QdiscKind},
    scheduling::Scheduling,
    sysctl::{Numbers, SysctlKey},
    value::{CgroupPath, CpuList, FilePath, Interface, PID_MAX, UnitName},
};
use crate::observe::ProcessId;
pub(super) use line::unsigned;

/// Threads that one command can name.
pub const THREADS_MAX: usize = 64;
/// Most open files that the kernel can count for one process (`sysctl_nr_open_max`).
const FILES_MAX: i64 = 1_073_741_816;

/// One command of the executor, read from its argument vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `renice -n 10 [-t 7,8] -p 4242`: all threads, or those named.
    Renice { nice: i32, plus: bool, threads: Vec<u32>, pid: u32 },
    /// `ionice -c 2 -n 7 [-t 7,8] -p 4242`; the classes 0 (none) and 3 (idle) have no level.
    Ionice { class: u8, level: u8, threads: Vec<u32>, pid: u32 },
    /// `taskset -a -c 0-3,5 [-t 7,8] -p 4242`.
    Taskset { cpus: CpuList, threads: Vec<u32>, pid: u32 },
    /// `chrt -o 0 [-t 7,8] -p 4242`; with `-f` or `-r` and a priority it is real-time.
    Chrt { scheduling: Scheduling, threads: Vec<u32>, pid: u32 },
    /// `choom -n 500 -p 4242`.
    Choom { adj: i32, pid: u32 },
    /// `prlimit --nofile=8192:65536 --pid 4242`: soft and hard limit of open files.
    Prlimit { soft: u64, hard: u64, pid: u32 },
    /// `kill -STOP 4242`.
    Kill { signal: Signal, pid: u32 },
    /// `kill --timeout 10000 KILL --signal TERM 4242`: asked to end, and killed when it lives after so many ms.
    End { wait_ms: u32, pid: u32 },
    /// `cpulimit -p 4242 -l 50`: percent of one CPU.
    Cpulimit { pid: u32, percent: u32 },
    /// `sysctl -w vm.swappiness=10`; a comma stands between the numbers of one that holds several.
    Sysctl { key: SysctlKey, values: Numbers },
    /// `cgset -r memory.high=1048576 /x`; a comma stands where the kernel wants a space.
    Cgset { file: CgroupFile, value: String, path: CgroupPath },
    /// `set_property MemoryHigh=1048576 /system.slice/x.service`: a limit of the unit whose cgroup it is.
    SetProperty { property: Property, limit: Limit, path: CgroupPath },
    /// `reset_property MemoryHigh=infinity /system.slice/x.service`: as before, and what remembered ours is taken away.
    ResetProperty { property: Property, limit: Limit, path: CgroupPath },
    /// `cgclassify -r cpu.max=50000 -g /kernelsight/p4242-1234 4242`: a process is put into a cgroup made for it, limited so.
    Confine { limits: Vec<(CgroupFile, String)>, process: ProcessId },
    /// `cgdelete -g memory:/kernelsight/p4242-1234 --to /x`: who lives there goes back, and the cgroup goes.
    Release { tree: Tree, process: ProcessId, to: Option<String> },
    /// `sync`.
    Sync,
    /// `truncate_file /var/log/app.log`: to nothing.
    Truncate { path: FilePath },
    /// `fsfreeze -u /srv`: a frozen filesystem takes writes again.
    Thaw { path: FilePath },
    /// `restart_unit nginx.service 0b1c…`: this run of it, by its invocation id.
    Restart { unit: UnitName, run: Invocation },
    /// `qdisc del dev eth0 root handle 8001: tbf`: what `tc` calls so, and only if handle and kind are still these.
    DeleteQdisc { interface: Interface, major: u16, kind: QdiscKind },
    /// `qdisc add dev eth0 root handle 8001: tbf options 2800…`: in the place of the default, as the kernel dumped it.
    AddQdisc { interface: Interface, qdisc: Qdisc },
    /// `ethtool -s eth0 speed 1000`: that speed, or no other one offered; never of `lo`.
    SetSpeed { interface: Interface, mbit: u32 },
    /// `ethtool -s eth0 autoneg on advertise 2f`: as it was told before.
    SetLink { interface: Interface, speed: LinkSpeed },
    /// `top -o rss -n 10`: the largest processes, or cgroups.
    Top { by: TopBy, count: u32 },
    /// `cat /proc/meminfo`: one of the files of [`PROC_FILES`].
    Cat { path: &'static str },
    /// `lsfd -p 4242`: the descriptors of a process, counted by kind.
    Lsfd { pid: u32 },
    /// `cgget -a /x`: the limits and events of a cgroup.
    Cgget { path: CgroupPath },
    /// `check_io_activity`, …: a table of what the kernel counts.
    Check { what: Check },
}

/// What an operator has to list by name before anything reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// A process that may be killed.
    Kill,
    /// A file that may be emptied.
    Truncate,
    /// A service that may be restarted.
    Restart,
}

impl Listing {
    /// What is never touched for want of standing there.
    pub(super) const fn never(self) -> &'static str {
        match self {
            Self::Kill => "a process that listed.toml does not list under [kill], by name or by unit",
            Self::Truncate => {
                "a file that listed.toml does not list under [truncate], by exact path; it may list none of the system's"
            }
            Self::Restart => {
                "a unit that listed.toml does not list under [restart], or with which systemd would restart one that it does not list"
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Stop,
    Continue,
    Terminate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopBy {
    Rss,
    Cpu,
    /// Of cgroups, not of processes.
    Io,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    IoActivity,
    NetworkStats,
    TcpStats,
    Swap,
    Sockets,
    Mounts,
}

/// What `cat` may show: numbers of the kernel, nothing of a process.
pub const PROC_FILES: [&str; 16] = [
    "/proc/meminfo",
    "/proc/vmstat",
    "/proc/loadavg",
    "/proc/stat",
    "/proc/uptime",
    "/proc/diskstats",
    "/proc/swaps",
    "/proc/buddyinfo",
    "/proc/pressure/cpu",
    "/proc/pressure/io",
    "/proc/pressure/memory",
    "/proc/net/dev",
    "/proc/net/snmp",
    "/proc/net/netstat",
    "/proc/net/sockstat",
    "/proc/sys/fs/file-nr",
];

/// Which way a command goes: an action adjusts; an undo puts back whatever was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    Forward,
    Back,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("`{line}` is no command of the executor")]
    Unknown { line: String },
    #[error("{what} {given} is out of range: {range}")]
    OutOfRange { what: &'static str, given: String, range: String },
}

impl Command {
    /// Reads an argument vector. What is read has the same vector again: no argument holds a space.
    pub fn parse(arguments: &[&str]) -> Result<Self, CommandError> {
        let command = line::read(arguments);
        command
            .filter(|command| command.arguments() == arguments)
            .ok_or_else(|| CommandError::Unknown { line: arguments.join(" ").escape_default().take(200).collect() })
    }

    /// Checks every number for the way it is meant to go.
    pub fn check(&self, way: Way) -> Result<(), CommandError> {
        let back = way == Way::Back;
        let within = |what, given: i64, (low, high): (i64, i64), range: &str| {
            if (low..=high).contains(&given) {
                Ok(())
            } else {
                Err(CommandError::OutOfRange { what, given: given.to_string(), range: range.to_owned() })
            }
        };
        if let Some(pid) = self.pid() {
            within("pid", pid.into(), (1, PID_MAX), "1 to 4194304")?;
        }
        match self {
            Self::Renice { nice, .. } if back => within("nice", (*nice).into(), (-20, 19), "-20 to 19"),
            Self::Renice { nice, .. } => within("nice", (*nice).into(), (1, 19), "1 to 19"),
            Self::Ionice { class, level, .. } => {
                let classes = if back { (0, 3) } else { (2, 3) };
                within("I/O class", (*class).into(), classes, "2 (best effort) or 3 (idle)")?;
                within("I/O priority", (*level).into(), (0, 7), "0 to 7")
            }
            Self::Chrt { scheduling, .. } if scheduling.is_realtime() => {
                let range = if back { (1, 99) } else { (0, 0) };
                within("real-time priority", scheduling.priority().into(), range, "none, and 1 to 99 back")
            }
            Self::Choom { adj, .. } if back => within("oom_score_adj", (*adj).into(), (-1000, 1000), "-1000 to 1000"),
            Self::Choom { adj, .. } => within("oom_score_adj", (*adj).into(), (-900, 1000), "-900 to 1000"),
            Self::Prlimit { soft, hard, .. } => {
                let limit = |given: u64| i64::try_from(given).unwrap_or(i64::MAX);
                let most = limit(*hard).min(FILES_MAX);
                within("open files", limit(*soft), (i64::from(!back), most), "1 to the hard limit, 1073741816 at most")
            }
            Self::End { wait_ms, .. } => within("wait", (*wait_ms).into(), (1000, 20_000), "1000 to 20000 ms"),
            Self::Cpulimit { percent, .. } => within("limit", (*percent).into(), (1, 99), "1 to 99 percent"),
            Self::Sysctl { key, values } => key.check(values, way),
            Self::Cgset { file, value, .. } => file.check(value, way),
            Self::SetProperty { property, limit, .. } => property.check(*limit, Way::Forward),
            Self::ResetProperty { property, limit, .. } => property.check(*limit, way),
            Self::Confine { limits, .. } => own::check_confine(limits),
            Self::Release { process, .. } => within("pid", process.pid.into(), (1, PID_MAX), "1 to 4194304"),
            Self::SetSpeed { mbit, .. } => within("speed", (*mbit).into(), (10, 800_000), "10 to 800000 Mbit/s"),
            Self::Top { count, .. } => within("count", (*count).into(), (1, 50), "1 to 50"),
            Self::Chrt { .. }
            | Self::Taskset { .. }
            | Self::Kill { .. }
            | Self::Sync
            | Self::Truncate { .. }
            | Self::Thaw { .. }
            | Self::Restart { .. }
            | Self::DeleteQdisc { .. }
            | Self::AddQdisc { .. }
            | Self::SetLink { .. }
            | Self::Cat { .. }
            | Self::Lsfd { .. }
            | Self::Cgget { .. }
            | Self::Check { .. } => Ok(()),
        }
    }

    /// The process that it acts on.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::Renice { pid, .. }
            | Self::Ionice { pid, .. }
            | Self::Taskset { pid, .. }
            | Self::Chrt { pid, .. }
            | Self::Choom { pid, .. }
            | Self::Prlimit { pid, .. }
            | Self::Kill { pid, .. }
            | Self::End { pid, .. }
            | Self::Cpulimit { pid, .. }
            | Self::Lsfd { pid } => Some(*pid),
            Self::Confine { process, .. } => Some(process.pid),
            Self::Sysctl { .. }
            | Self::Cgset { .. }
            | Self::SetProperty { .. }
            | Self::ResetProperty { .. }
            | Self::Release { .. }
            | Self::Sync
            | Self::Truncate { .. }
            | Self::Thaw { .. }
            | Self::Restart { .. }
            | Self::DeleteQdisc { .. }
            | Self::AddQdisc { .. }
            | Self::SetSpeed { .. }
            | Self::SetLink { .. }
            | Self::Top { .. }
            | Self::Cat { .. }
            | Self::Cgget { .. }
            | Self::Check { .. } => None,
        }
    }

    /// What it acts on.
    pub(super) fn target(&self) -> Target {
        match (self.pid(), self.cgroup(), self) {
            (Some(pid), ..) => Target::Process(pid),
            (None, Some(path), _) => Target::Cgroup(path.clone()),
            (None, None, Self::Release { process, .. }) => Target::Cgroup(CgroupPath::own(*process)),
            (None, None, Self::Truncate { path }) => Target::File(path.clone()),
            (None, None, Self::Thaw { path }) => Target::Mount(path.clone()),
            (None, None, Self::Restart { unit, .. }) => Target::Unit(unit.clone()),
            (None, None, _) => self.interface().map_or(Target::Node, |interface| Target::Interface(interface.clone())),
        }
    }

    /// The network interface that it acts on.
    #[must_use]
    pub fn interface(&self) -> Option<&Interface> {
        match self {
            Self::DeleteQdisc { interface, .. }
            | Self::AddQdisc { interface, .. }
            | Self::SetSpeed { interface, .. }
            | Self::SetLink { interface, .. } => Some(interface),
            _ => None,
        }
    }

    /// The cgroup that it acts on.
    #[must_use]
    pub fn cgroup(&self) -> Option<&CgroupPath> {
        match self {
            Self::Cgset { path, .. }
            | Self::SetProperty { path, .. }
            | Self::ResetProperty { path, .. }
            | Self::Cgget { path } => Some(path),
            _ => None,
        }
    }

    /// All that its executor is given.
    #[must_use]
    pub const fn power(&self) -> Power {
        match self {
            Self::Renice { .. } | Self::Ionice { .. } | Self::Taskset { .. } | Self::Chrt { .. } => Power::SysNice,
            Self::Choom { .. } => Power::ProcessFile,
            Self::Prlimit { .. } => Power::TargetsUser,
            Self::Kill { .. } | Self::End { .. } | Self::Cpulimit { .. } => Power::Kill,
            Self::Sysctl { .. } => Power::SysctlFile,
            Self::Cgset { .. } => Power::CgroupFile,
            Self::Confine { .. } | Self::Release { .. } => Power::OwnCgroup,
            Self::Sync => Power::Nothing,
            Self::Truncate { .. } => Power::ListedFile,
            Self::Thaw { .. } => Power::Thaw,
            Self::Restart { .. } | Self::SetProperty { .. } | Self::ResetProperty { .. } => Power::ServiceManager,
            Self::DeleteQdisc { .. } | Self::AddQdisc { .. } | Self::SetSpeed { .. } | Self::SetLink { .. } => {
                Power::NetAdmin
            }
            Self::Lsfd { .. } => Power::ReadDescriptors,
            Self::Cgget { .. } | Self::Top { by: TopBy::Io, .. } => Power::ReadCgroup,
            Self::Top { .. } | Self::Cat { .. } | Self::Check { .. } => Power::ReadProc,
        }
    }

    /// The list that its target has to stand on.
    #[must_use]
    pub const fn listing(&self) -> Option<Listing> {
        match self {
            Self::End { .. } => Some(Listing::Kill),
            Self::Truncate { .. } => Some(Listing::Truncate),
            Self::Restart { .. } => Some(Listing::Restart),
            _ => None,
        }
    }

    /// Whether it only looks.
    #[must_use]
    pub const fn only_looks(&self) -> bool {
        matches!(
            self,
            Self::Top { .. } | Self::Cat { .. } | Self::Lsfd { .. } | Self::Cgget { .. } | Self::Check { .. }
        )
    }

    /// The system call that it makes, where it writes no file.
    pub(super) const fn call(&self) -> &'static str {
        match self {
            Self::Renice { .. } => "setpriority(2)",
            Self::Ionice { .. } => "ioprio_set(2)",
            Self::Taskset { .. } => "sched_setaffinity(2)",
            Self::Chrt { .. } => "sched_setattr(2)",
            Self::Prlimit { .. } => "prlimit(2)",
            Self::Kill { .. } | Self::End { .. } | Self::Cpulimit { .. } => "pidfd_send_signal(2)",
            Self::Sync => "sync(2)",
            Self::Thaw { .. } => "ioctl(FITHAW)",
            Self::DeleteQdisc { .. } => "rtnetlink(RTM_DELQDISC)",
            Self::AddQdisc { .. } => "rtnetlink(RTM_NEWQDISC)",
            Self::SetSpeed { .. } | Self::SetLink { .. } => "ethtool(ETHTOOL_MSG_LINKMODES_SET)",
            Self::Restart { .. } => "RestartUnit of systemd",
            Self::SetProperty { .. } | Self::ResetProperty { .. } => "SetUnitProperties of systemd",
            Self::Choom { .. }
            | Self::Sysctl { .. }
            | Self::Cgset { .. }
            | Self::Confine { .. }
            | Self::Release { .. } => "write(2)",
            Self::Truncate { .. } => "ftruncate(2)",
            Self::Top { .. } | Self::Cat { .. } | Self::Lsfd { .. } | Self::Cgget { .. } | Self::Check { .. } => {
                "nothing"
            }
        }
    }

    /// The argument vector.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        self.to_string().split(' ').map(str::to_owned).collect()
    }
}
