//! The side of who makes an executor: how it is started, and how long and how much it may speak.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd, RawFd},
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command as Spawn, Stdio},
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::pipe2,
};
use serde::{Deserialize, Serialize};

use super::{
    kernel::{Confinement, Unconfined},
    order::{ORDER_MAX, Order, OrderedProbe, OrderedProcess, THROTTLING},
    probe::{Confined, Probe},
    strip::{Station, Strip},
    sys,
};
use crate::execute::{action::Power, line, process::Process};

/// Most that an executor's output holds, bytes.
const OUTPUT_MAX: usize = 16 << 10;
/// Lowest number of the kept descriptor of the executable, above what the standard streams and the passed ones take.
const KEPT_FD_MIN: RawFd = 64;
/// An executor that was told to end has so long to do it.
const END_PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("the executable of the agent cannot be opened: {source}")]
    NoExecutable { source: io::Error },
    #[error("the executor needs {missing}, which this process does not have; run the agent as root, or with actors")]
    NoPrivilege { missing: String },
    #[error("the target has not one user and group throughout that the executor could have")]
    NoOneUser,
    #[error("no executor can be confined here, so nothing is done: {0}")]
    Unconfined(#[from] Unconfined),
    #[error("the executor could not be started: {source}")]
    Spawn { source: io::Error },
    #[error("the executor could not be spoken to: {source}")]
    Talk { source: io::Error },
    #[error(
        "the actor of {} does not answer: {source}; see `systemctl status kernelsight-act-{}.socket`",
        power.unit(),
        power.unit()
    )]
    NoActor { power: Power, source: io::Error },
    #[error("{error}; and it has not gone since, so it may do it yet")]
    StillThere { error: String },
    #[error("{0}")]
    KnownMissing(String),
    #[error("the actor of {} refuses: {reason}", power.unit())]
    ActorRefused { power: Power, reason: String },
    #[error("an executor of {} cannot do its work here: {said}", power.unit())]
    Unfit { power: Power, said: String },
    #[error("what the executor is to be handed cannot be made: {reason}")]
    NotHanded { reason: String },
    #[error("{} cannot be locked, so actors of an earlier daemon may still be at work: {source}", path.display())]
    NoLock { path: PathBuf, source: io::Error },
}

/// The agent's executable, held open so that what is spawned is what runs now, whatever lies at its path later.
#[derive(Debug)]
pub(in crate::execute) struct Launcher {
    executable: OwnedFd,
    timeout: Duration,
    station: Station,
    /// Found once, at start; each executor must be confined by all of it.
    confinement: Confinement,
}

/// What an executor is given.
#[derive(Debug, Default)]
pub(in crate::execute) struct Passed<'a> {
    pub(in crate::execute) process: Option<&'a Process>,
    /// In the order that the command has them.
    pub(in crate::execute) files: Vec<OwnedFd>,
    /// Of a network interface.
    pub(in crate::execute) index: Option<u32>,
}

/// How an executor ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct Finished {
    pub(in crate::execute) success: bool,
    pub(in crate::execute) timed_out: bool,
    pub(in crate::execute) output: String,
    pub(in crate::execute) duration_ms: u64,
}

/// An executor that goes on until it is told to end: its standard input is its order.
#[derive(Debug)]
pub(in crate::execute) struct Standing {
    running: Running,
}

#[derive(Debug)]
struct Running {
    /// None once it was waited for.
    child: Option<Child>,
    pidfd: OwnedFd,
    order: Option<ChildStdin>,
    output: File,
    started: Instant,
}

impl Launcher {
    /// Executors of this executable; one that takes longer than `timeout` is ended.
    pub(in crate::execute) fn new(
        executable: &Path,
        timeout: Duration,
        station: Station,
    ) -> Result<Self, SandboxError> {
        let refused = |source| SandboxError::NoExecutable { source };
        let file = File::open(executable).map_err(refused)?;
        // Far above the numbers that are used between fork and exec.
        let kept = fcntl(&file, FcntlArg::F_DUPFD_CLOEXEC(KEPT_FD_MIN)).map_err(|error| refused(error.into()))?;
        let executable = sys::own(kept).ok_or_else(|| refused(io::ErrorKind::NotFound.into()))?;
        Ok(Self { executable, timeout, station, confinement: Confinement::of_this_kernel() })
    }

    /// Whether an executor of this power could be started here.
    pub(in crate::execute) fn can(&self, power: Power, process: Option<&Process>) -> Result<(), SandboxError> {
        self.strip(power, process).map(drop)
    }

    fn strip(&self, power: Power, process: Option<&Process>) -> Result<Strip, SandboxError> {
        Strip::for_power(power, process, self.station, self.confinement.enforced()?)
    }

    /// Runs one command to its end.
    pub(in crate::execute) fn run(
        &self,
        arguments: &[String],
        power: Power,
        passed: Passed<'_>,
    ) -> Result<Finished, SandboxError> {
        let mut running = self.spawn(arguments, power, passed, None, true)?;
        running.order = None;
        running.finish(self.timeout)
    }

    /// Starts a command that stands until it is ended; `Err` in the answer is what it said instead of starting.
    pub(in crate::execute) fn stand(
        &self,
        arguments: &[String],
        power: Power,
        passed: Passed<'_>,
    ) -> Result<Result<Standing, Finished>, SandboxError> {
        let mut running = self.spawn(arguments, power, passed, None, false)?;
        let deadline = Instant::now() + self.timeout;
        let mut said = Vec::new();
        while !said.contains(&b'\n') && said.len() < OUTPUT_MAX {
            if !running.read(&mut said, deadline)? {
                break;
            }
        }
        if said == format!("{THROTTLING}\n").as_bytes() {
            return Ok(Ok(Standing { running }));
        }
        running.order = None;
        let mut finished = running.finish(END_PATIENCE)?;
        finished.output = format!("{}{}", String::from_utf8_lossy(&said), finished.output);
        Ok(Err(finished))
    }

    /// Starts an executor of this power that only looks whether it is confined.
    pub(in crate::execute) fn attest(&self, power: Power) -> Result<(), SandboxError> {
        let talk = |source| SandboxError::Talk { source };
        let this = Process::find(std::process::id()).map_err(|error| talk(io::Error::other(error)))?;
        let (arguments, _) = Probe::Status.command();
        let passed = Passed { process: Some(&this), ..Passed::default() };
        let mut running = self.spawn(&arguments, power, passed, Some(Probe::Status.into()), true)?;
        running.order = None;
        let finished = running.finish(self.timeout)?;
        if finished.success { Ok(()) } else { Err(SandboxError::Unfit { power, said: finished.output }) }
    }

    /// Tries something from inside the sandbox of this power, given what [`Probe::files`] made. For tests.
    pub(in crate::execute) fn probe(
        &self,
        power: Power,
        probe: Probe,
        files: Vec<OwnedFd>,
    ) -> Result<Confined, SandboxError> {
        let talk = |source| SandboxError::Talk { source };
        let (arguments, target) = probe.command();
        let process = target.map(Process::find).transpose().map_err(|error| talk(io::Error::other(error)))?;
        let passed = Passed { process: process.as_ref(), files, index: None };
        let mut running = self.spawn(&arguments, power, passed, Some(probe.into()), true)?;
        running.order = None;
        let finished = running.finish(self.timeout)?;
        Ok(Confined { succeeded: finished.success, timed_out: finished.timed_out, output: finished.output })
    }

    fn spawn(
        &self,
        arguments: &[String],
        power: Power,
        passed: Passed<'_>,
        probe: Option<OrderedProbe>,
        dies_with_its_maker: bool,
    ) -> Result<Running, SandboxError> {
        let strip = self.strip(power, passed.process)?;
        let talk = |source| SandboxError::Talk { source };
        let opened = match passed.process {
            Some(process) => Some((process, process.open_for_executor().map_err(talk)?)),
            None => None,
        };
        let descriptors = match (power, passed.process) {
            (Power::ReadDescriptors, Some(process)) => {
                let opened = match self.station {
                    Station::Daemon => process.open_descriptors(),
                    Station::Actor => process.as_owner(|| process.open_descriptors()),
                };
                Some(opened.map_err(talk)?)
            }
            _ => None,
        };
        let order = Order {
            granted: strip.granted(),
            process: opened.as_ref().map(|(process, (stat, task))| OrderedProcess {
                pid: process.id.pid,
                start_ticks: process.id.start_ticks,
                pidfd: process.pidfd().as_raw_fd(),
                stat: stat.as_raw_fd(),
                task: task.as_raw_fd(),
                descriptors: descriptors.as_ref().map(AsRawFd::as_raw_fd),
            }),
            files: passed.files.iter().map(AsRawFd::as_raw_fd).collect(),
            index: passed.index,
            probe,
        };
        let mut kept = order.files.clone();
        kept.extend(order.process.iter().flat_map(|process| [process.pidfd, process.stat, process.task]));
        kept.extend(order.process.iter().filter_map(|process| process.descriptors));
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).map_err(|error| talk(error.into()))?;
        let mut spawn = Spawn::new(format!("/proc/self/fd/{}", self.executable.as_raw_fd()));
        spawn
            .arg0("kernelsight")
            .arg("executor")
            .args(arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(writer.try_clone().map_err(talk)?)
            .stderr(writer);
        // SAFETY: the closure runs in the forked child, where only async-signal-safe calls are sound: it makes plain
        // system calls on values that were made before the fork, takes no lock and allocates nothing.
        unsafe {
            spawn.pre_exec(move || strip.apply(&kept, dies_with_its_maker));
        }
        let mut child = spawn.spawn().map_err(|source| SandboxError::Spawn { source })?;
        drop(spawn);
        let pidfd = sys::pidfd_open(child.id()).map_err(talk)?;
        let line = line::write(&order, ORDER_MAX).map_err(talk)?;
        let mut stdin = child.stdin.take();
        // A child that is dead already says why in its output.
        if let Some(stdin) = &mut stdin
            && let Err(error) = stdin.write_all(&line)
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            return Err(talk(error));
        }
        Ok(Running { child: Some(child), pidfd, order: stdin, output: File::from(reader), started: Instant::now() })
    }
}

impl Standing {
    /// Whether it has ended by itself.
    pub(in crate::execute) fn has_ended(&self) -> bool {
        crate::execute::process::has_ended(&self.running.pidfd)
    }

    /// Tells it to end, waits for it, and ends it if it does not.
    pub(in crate::execute) fn end(mut self) -> Result<Finished, SandboxError> {
        self.running.order = None;
        self.running.finish(END_PATIENCE)
    }
}

impl Running {
    /// Reads until the executor is silent for good, waits for its end, and ends it when the time is over.
    fn finish(mut self, patience: Duration) -> Result<Finished, SandboxError> {
        let deadline = Instant::now() + patience;
        let mut output = Vec::new();
        while self.read(&mut output, deadline)? {}
        let timed_out = !self.ends_before(deadline)?;
        if timed_out {
            // It may have ended this very moment; then there is nobody to kill.
            let _ = sys::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL);
            if !self.ends_before(Instant::now() + END_PATIENCE)? {
                // It is in the kernel, which lets it go when it is ready; somebody has to be there then.
                if let Some(mut child) = self.child.take() {
                    std::thread::spawn(move || child.wait());
                }
                return Ok(Finished {
                    success: false,
                    timed_out,
                    output: "the executor was killed and is still in the kernel".to_owned(),
                    duration_ms: milliseconds(self.started),
                });
            }
        }
        let mut child =
            self.child.take().ok_or_else(|| SandboxError::Talk { source: io::ErrorKind::NotFound.into() })?;
        let status = child.wait().map_err(|source| SandboxError::Talk { source })?;
        let mut output = String::from_utf8_lossy(&output).into_owned();
        match status.signal() {
            Some(libc::SIGSYS) => output.push_str("the executor made a system call that it may not make and was ended"),
            Some(signal) if !timed_out => output.push_str(&format!("the executor was ended by signal {signal}")),
            _ => {}
        }
        if status.core_dumped() {
            output.push_str(" and left a core");
        }
        Ok(Finished { success: status.success(), timed_out, output, duration_ms: milliseconds(self.started) })
    }

    /// Reads once; false at the end of the output or of the time. What is beyond the bound is read and dropped.
    fn read(&mut self, output: &mut Vec<u8>, deadline: Instant) -> Result<bool, SandboxError> {
        let talk = |source| SandboxError::Talk { source };
        if !readable(self.output.as_fd(), deadline).map_err(talk)? {
            return Ok(false);
        }
        let mut buffer = [0; 4096];
        let read = self.output.read(&mut buffer).map_err(talk)?;
        let room = OUTPUT_MAX - output.len();
        output.extend_from_slice(&buffer[..read.min(room)]);
        Ok(read > 0)
    }

    fn ends_before(&self, deadline: Instant) -> Result<bool, SandboxError> {
        readable(self.pidfd.as_fd(), deadline).map_err(|source| SandboxError::Talk { source })
    }
}

impl Drop for Running {
    /// No executor outlives an error on the way, but for one that throttles: that one ends by itself when its order
    /// does, and lets its target go.
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take()
            && self.order.is_none()
        {
            let _ = sys::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL);
            std::thread::spawn(move || child.wait());
        }
    }
}

fn readable(fd: std::os::fd::BorrowedFd<'_>, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut waiting = [PollFd::new(fd, PollFlags::POLLIN)];
        match poll(&mut waiting, timeout) {
            Ok(ready) => return Ok(ready > 0),
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn milliseconds(since: Instant) -> u64 {
    since.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
}
