//! The executor's side: it reads its order, shuts the door behind itself, and does the one thing.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    process::ExitCode,
    time::{Duration, Instant},
};

use nix::{
    dir::Dir,
    libc,
    sched::{CpuSet, sched_setaffinity},
    sys::{
        prctl,
        statfs::{FsType, fstatfs},
    },
    unistd::Pid,
};

use super::{
    confine::{Role, confine},
    duty, holdings, inform, links, members,
    order::{ORDER_MAX, Order},
    probe, sys,
    top_io::top_io,
};
use crate::{
    execute::{
        cgroup_file::CgroupFile,
        command::{Check, Command, Signal, TopBy, Way},
        line,
        manager::{Manager, ManagerError},
        netlink::{self, ethtool::Change},
        process::{Stat, has_ended},
        qdisc::Qdisc,
    },
    text::Text,
};

/// Looks at a process that was signalled, and the time between two.
const LOOKS: u32 = 200;
const LOOK: Duration = Duration::from_millis(10);
/// A process that was killed has so long to leave the kernel.
const KILLED_WITHIN: Duration = Duration::from_secs(5);
/// Passes over the threads of a process until no new one is found.
const PASSES_MAX: usize = 16;

/// The hidden role of the executable: `kernelsight executor COMMAND…`. It takes its order from standard input, and
/// whatever it may do was decided by whoever spawned it.
#[must_use]
pub fn executor_main() -> ExitCode {
    // Nobody may look into it or trace it.
    let hidden = prctl::set_dumpable(false).and_then(|()| prctl::set_name(c"ks-executor"));
    let done = hidden.map_err(|error| format!("the executor could not hide: {error}")).and_then(|()| obey());
    match done {
        Ok(said) => {
            // Whoever asked may have gone.
            let _ = writeln!(io::stdout(), "{said}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            let _ = writeln!(io::stderr(), "{reason}");
            ExitCode::FAILURE
        }
    }
}

/// The target as the executor holds it: nothing here is opened by a number.
pub(super) struct Held {
    pub(super) pid: u32,
    start_ticks: u64,
    pub(super) pidfd: OwnedFd,
    pub(super) stat: File,
    task: OwnedFd,
    descriptors: Option<OwnedFd>,
}

fn obey() -> Result<String, String> {
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let command = Command::parse(&words).map_err(|error| error.to_string())?;
    command.check(Way::Forward).or_else(|_| command.check(Way::Back)).map_err(|error| error.to_string())?;
    let no_order =
        |why: &str| format!("the executor is the agent's own, and nobody else calls it: {}", Text::from(why));
    let order: Order = line::read(&mut io::stdin().lock(), ORDER_MAX)
        .map_err(|error| no_order(&error.to_string()))?
        .ok_or_else(|| no_order("no order came"))?;
    let taken = |fd| sys::passed(fd).ok_or_else(|| format!("descriptor {fd} was not passed"));
    let mut held = match &order.process {
        Some(process) => Some(Held {
            pid: process.pid,
            start_ticks: process.start_ticks,
            pidfd: taken(process.pidfd)?,
            stat: File::from(taken(process.stat)?),
            task: taken(process.task)?,
            descriptors: process.descriptors.map(taken).transpose()?,
        }),
        None => None,
    };
    let files: Vec<OwnedFd> = order.files.iter().copied().map(taken).collect::<Result<_, _>>()?;
    let role = role(&command, held.as_ref(), order.files.first().copied())?;
    if let Some(probe) = &order.probe {
        return probe::from_inside(probe, role, &order);
    }
    confine(role, &order.granted)?;
    if let Some(pid) = command.pid() {
        let held = held.as_mut().filter(|held| held.pid == pid).ok_or("the target was not passed")?;
        held.check()?;
        act_on_process(&command, held, files)
    } else {
        act_on_node(&command, files, order.index)
    }
}

fn role(command: &Command, held: Option<&Held>, file: Option<RawFd>) -> Result<Role, String> {
    let pidfd = || held.map(|held| held.pidfd.as_raw_fd()).ok_or("the target was not passed");
    Ok(match command {
        Command::Renice { nice, .. } => Role::Nice { nice: *nice },
        Command::Ionice { class, level, .. } => Role::IoPriority { class: *class, level: *level },
        Command::Taskset { .. } => Role::Affinity,
        Command::Chrt { scheduling, .. } => Role::Scheduler { policy: scheduling.policy() },
        Command::Prlimit { pid, .. } => Role::Limit { pid: *pid },
        Command::Kill { signal, .. } => Role::Signal { pidfd: pidfd()?, signal: number(*signal) },
        Command::End { .. } => Role::End { pidfd: pidfd()? },
        Command::Cpulimit { .. } => Role::Throttle { pidfd: pidfd()? },
        Command::Choom { .. }
        | Command::Sysctl { .. }
        | Command::Cgset { .. }
        | Command::Confine { .. }
        | Command::Release { .. }
        // What goes to a netlink socket is written.
        | Command::DeleteQdisc { .. }
        | Command::AddQdisc { .. }
        | Command::SetSpeed { .. }
        | Command::SetLink { .. } => Role::Write,
        Command::Restart { .. } | Command::SetProperty { .. } => Role::Write,
        Command::ResetProperty { .. } => Role::Reset,
        Command::Sync => Role::Sync,
        Command::Truncate { .. } => Role::Truncate { file: file.ok_or("no descriptor was passed")? },
        Command::Thaw { .. } => Role::Thaw { mount: file.ok_or("no descriptor was passed")? },
        Command::Lsfd { .. } => Role::Descriptors,
        Command::Cgget { .. } | Command::Top { by: TopBy::Io, .. } => Role::ReadCgroup,
        Command::Check { what: Check::Mounts } => Role::Mounts,
        Command::Top { .. } | Command::Cat { .. } | Command::Check { .. } => Role::ReadProc,
    })
}

const fn number(signal: Signal) -> libc::c_int {
    match signal {
        Signal::Stop => libc::SIGSTOP,
        Signal::Continue => libc::SIGCONT,
        Signal::Terminate => libc::SIGTERM,
    }
}

fn act_on_process(command: &Command, held: &mut Held, files: Vec<OwnedFd>) -> Result<String, String> {
    let touched = match command {
        Command::Renice { nice, threads, .. } => on_threads(held, threads, |tid| sys::set_nice(tid, *nice))?,
        Command::Ionice { class, level, threads, .. } => {
            on_threads(held, threads, |tid| sys::set_io_priority(tid, *class, *level))?
        }
        Command::Taskset { cpus, threads, .. } => {
            let mut set = CpuSet::new();
            for cpu in cpus.cpus() {
                set.set(cpu.into()).map_err(|error| format!("CPU {cpu}: {error}"))?;
            }
            on_threads(held, threads, |tid| Ok(sched_setaffinity(Pid::from_raw(tid as i32), &set)?))?
        }
        Command::Chrt { scheduling, threads, .. } => {
            on_threads(held, threads, |tid| sys::set_scheduler(tid, scheduling.policy(), scheduling.priority().into()))?
        }
        Command::Lsfd { .. } => {
            let listed = held.descriptors.take().ok_or("the descriptors were not passed")?;
            let told = holdings::descriptors(listed).map_err(|error| format!("process {}: {error}", held.pid))?;
            held.check()?;
            return Ok(told);
        }
        Command::Choom { adj, .. } => return write_setting(only(files)?, &adj.to_string(), "oom_score_adj"),
        Command::Confine { limits, .. } => return members::confine(held, limits, files),
        Command::Prlimit { soft, hard, .. } => {
            let failed = |error: io::Error| format!("the limit of open files of process {}: {error}", held.pid);
            let (_, hard_now) = sys::open_files(held.pid).map_err(failed)?;
            // Lowered, it could not be raised again.
            if hard_now != *hard {
                return Err(format!("the hard limit of process {} is {hard_now} by now", held.pid));
            }
            sys::set_open_files(held.pid, *soft, *hard).map_err(failed)?;
            held.check()?;
            return Ok(format!("process {} may open {soft} files", held.pid));
        }
        Command::Kill { signal, .. } => {
            sys::pidfd_send_signal(held.pidfd.as_fd(), number(*signal))
                .map_err(|error| format!("process {} could not be signalled: {error}", held.pid))?;
            return Ok(held.settle(*signal));
        }
        Command::End { wait_ms, .. } => return held.end(Duration::from_millis((*wait_ms).into())),
        Command::Cpulimit { percent, .. } => return duty::throttle(held, *percent),
        _ => return Err("the command acts on no process".to_owned()),
    };
    // A thread id may have gone to somebody else only if the process lost it; then the process is asked again.
    held.check()?;
    Ok(format!("{touched} threads of process {}", held.pid))
}

fn act_on_node(command: &Command, files: Vec<OwnedFd>, index: Option<u32>) -> Result<String, String> {
    let said = |error: ManagerError| error.to_string();
    match command {
        Command::Sysctl { key, values } => write_setting(only(files)?, &values.to_file(), key.name()),
        Command::Cgset { file: name, value, .. } => write_setting(only(files)?, &name.to_kernel(value), name.name()),
        Command::Release { to, .. } => members::release(command, to.as_deref(), files),
        Command::Sync => {
            nix::unistd::sync();
            Ok("dirty pages are on disk".to_owned())
        }
        Command::Truncate { path } => {
            nix::unistd::ftruncate(only(files)?, 0).map_err(|error| format!("{path}: {error}"))?;
            Ok(format!("{path} is empty"))
        }
        Command::Thaw { path } => match sys::thaw(only(files)?.as_fd()) {
            Ok(()) => Ok(format!("{path} takes writes again")),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Err(format!("{path} is not frozen")),
            Err(error) => Err(format!("{path}: {error}")),
        },
        Command::Restart { unit, run } => Manager::passed(only(files)?).restart(unit, *run).map_err(said),
        Command::SetProperty { property, limit, path } => {
            Manager::passed(only(files)?).set(path, *property, *limit, Way::Forward).map_err(said)
        }
        Command::ResetProperty { property, limit, path } => {
            Manager::passed(only(files)?).set(path, *property, *limit, Way::Back).map_err(said)
        }
        Command::DeleteQdisc { interface, major, kind } => {
            links::change(only(files)?, index, interface, |socket, index| {
                netlink::qdisc::delete(socket, index, *major, kind.name())
            })?;
            Ok(format!("{interface} has the kernel's default discipline"))
        }
        Command::AddQdisc { interface, qdisc: Qdisc { major, kind, options } } => {
            links::change(only(files)?, index, interface, |socket, index| {
                netlink::qdisc::add(socket, index, *major, kind.name(), options)
            })?;
            Ok(format!("{interface} has its {} {major:x}: again", kind.name()))
        }
        Command::SetSpeed { interface, mbit } => {
            let change = Change { speed: Some(*mbit), ..Change::default() };
            links::tell(only(files)?, index, interface, change)?;
            Ok(format!("{interface} is told {mbit} Mbit/s"))
        }
        Command::SetLink { interface, speed } => {
            links::tell(only(files)?, index, interface, speed.change())?;
            Ok(format!("{interface} is told {speed}"))
        }
        Command::Top { by, count } => match by {
            TopBy::Rss => inform::top_memory(*count),
            TopBy::Cpu => inform::top_cpu(*count),
            TopBy::Io => top_io(*count),
        }
        .map_err(|error| error.to_string()),
        Command::Cat { path } => inform::cat(path).map_err(|error| error.to_string()),
        Command::Cgget { path } => holdings::limits(path).map_err(|error| error.to_string()),
        Command::Check { what } => inform::check(*what).map_err(|error| error.to_string()),
        _ => Err("the command acts on a process".to_owned()),
    }
}

/// The one file of a command that has one.
fn only(files: Vec<OwnedFd>) -> Result<OwnedFd, String> {
    files.into_iter().next().ok_or_else(|| "no descriptor was passed".to_owned())
}

/// Writes the one value to the one descriptor, in one write.
pub(super) fn write_setting(file: OwnedFd, value: &str, name: &str) -> Result<String, String> {
    const KERNEL: [FsType; 3] =
        [FsType(libc::PROC_SUPER_MAGIC), FsType(libc::CGROUP_SUPER_MAGIC), FsType(libc::CGROUP2_SUPER_MAGIC)];
    let kind = fstatfs(&file).map_err(|error| format!("{name}: {error}"))?.filesystem_type();
    if !KERNEL.contains(&kind) {
        return Err(format!("{name} is not a file of the kernel"));
    }
    let written = nix::unistd::write(&file, value.as_bytes());
    // What could be reclaimed was, and it was less.
    if written == Err(nix::Error::EAGAIN) && name == CgroupFile::MemoryReclaim.name() {
        return Ok(format!("{name}: less than {value} bytes could be had"));
    }
    let written = written.map_err(|error| format!("{name} = {value}: {error}"))?;
    if written == value.len() { Ok(format!("{name} = {value}")) } else { Err(format!("{name} took half of {value}")) }
}

/// Sets every thread, or those that are named and still the process's, until a pass finds no new one: a thread that is
/// made meanwhile inherits from its maker, who may have been set or not.
fn on_threads(held: &Held, named: &[u32], set: impl Fn(u32) -> io::Result<()>) -> Result<usize, String> {
    let unreadable = |error: nix::Error| format!("the threads of process {} cannot be listed: {error}", held.pid);
    let again = held.task.try_clone().map_err(|error| error.to_string())?;
    let mut tasks = Dir::from_fd(again).map_err(unreadable)?;
    let mut done = BTreeSet::new();
    for _ in 0..PASSES_MAX {
        let mut news = Vec::new();
        for entry in tasks.iter() {
            let entry = entry.map_err(unreadable)?;
            let tid = entry.file_name().to_str().ok().and_then(|name| name.parse::<u32>().ok());
            news.extend(tid.filter(|tid| !done.contains(tid) && (named.is_empty() || named.contains(tid))));
        }
        if news.is_empty() {
            return if done.is_empty() { Err("none of its threads is left".to_owned()) } else { Ok(done.len()) };
        }
        for tid in news {
            match set(tid) {
                Ok(()) => {}
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                Err(error) => return Err(format!("thread {tid} of process {}: {error}", held.pid)),
            }
            done.insert(tid);
        }
    }
    Err(format!("process {} makes threads faster than they can be set", held.pid))
}

impl Held {
    /// Asks it to end, waits, and kills it when it lives on.
    fn end(&self, wait: Duration) -> Result<String, String> {
        let send = |signal| match sys::pidfd_send_signal(self.pidfd.as_fd(), signal) {
            // It ended this very moment.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            sent => sent.map_err(|error| format!("process {} could not be signalled: {error}", self.pid)),
        };
        send(libc::SIGTERM)?;
        if self.ends_within(wait) {
            return Ok(format!("process {} ended when it was asked to", self.pid));
        }
        send(libc::SIGKILL)?;
        let waited_s = wait.as_secs();
        if self.ends_within(KILLED_WITHIN) {
            Ok(format!("process {} lived {waited_s} s after it was asked to end, and was killed", self.pid))
        } else {
            Ok(format!("process {} was killed, and is still in the kernel", self.pid))
        }
    }

    fn ends_within(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while !has_ended(&self.pidfd) {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }

    /// Waits until the signal shows: the process acts on it when it is next scheduled, or leaves the kernel.
    fn settle(&mut self, signal: Signal) -> String {
        for _ in 0..LOOKS {
            let state = Stat::read_open(&mut self.stat).map(|stat| stat.state);
            match (signal, state) {
                (Signal::Stop, Ok('T' | 't')) => return format!("process {} stands", self.pid),
                (Signal::Continue, Ok(state)) if !matches!(state, 'T' | 't') => {
                    return format!("process {} runs", self.pid);
                }
                (Signal::Terminate, _) => break,
                _ => std::thread::sleep(LOOK),
            }
        }
        format!("process {} was signalled", self.pid)
    }

    /// Whether it is still the process that was judged, alive.
    pub(super) fn check(&mut self) -> Result<(), String> {
        let stat = Stat::read_open(&mut self.stat);
        match stat {
            Ok(stat) if stat.start_ticks == self.start_ticks && !matches!(stat.state, 'Z' | 'X') => {}
            Ok(stat) if stat.start_ticks == self.start_ticks => return Err(format!("process {} has ended", self.pid)),
            Ok(_) => return Err(format!("pid {} is not the process that was judged", self.pid)),
            Err(_) => return Err(format!("process {} has ended", self.pid)),
        }
        if has_ended(&self.pidfd) { Err(format!("process {} has ended", self.pid)) } else { Ok(()) }
    }
}
