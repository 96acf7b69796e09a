//! A live process as the policy finds it, pinned so that its number cannot come to mean another.

use std::{
    fs::{self, File},
    io::{self, Read, Seek},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::PathBuf,
};

use nix::{
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::{Gid, Uid, setfsgid, setfsuid},
};

use super::{sandbox::sys, scheduling::Scheduling};
use crate::{observe::ProcessId, text::Text};

/// `PF_KTHREAD` of field 9 of `/proc/PID/stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;
/// Longest `/proc` file of a process that is read.
const PROC_FILE_MAX: u64 = 64 << 10;
/// Threads of one process that are looked at; more is refused.
pub(super) const PROCESS_THREADS_MAX: usize = 4096;

/// A process, held by a pidfd and by its own directory: both fail, and never lead to another, once it is gone.
#[derive(Debug)]
pub struct Process {
    pub id: ProcessId,
    pub comm: Text,
    pub parent: u32,
    pub uid: u32,
    /// User and group, where the real, the effective and the saved ones are the same; none otherwise.
    pub owner: Option<(u32, u32)>,
    /// As in field 3 of stat: `R`, `S`, `D`, `T`, `Z`, …
    pub state: char,
    pub kernel_thread: bool,
    /// Paths of its cgroups in all hierarchies, each once.
    pub cgroups: Vec<String>,
    pidfd: OwnedFd,
    directory: File,
}

/// One thread as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    pub tid: u32,
    pub start_ticks: u64,
    pub nice: i32,
    /// As in `Cpus_allowed_list`.
    pub cpus: String,
    /// `other`, `fifo:10`, `rr:10`, or the number of another policy.
    pub scheduling: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("there is no process {pid}")]
    Gone { pid: u32 },
    #[error("{pid} is a thread of process {leader}, not a process")]
    ThreadNotProcess { pid: u32, leader: u32 },
    #[error("process {pid} cannot be read: {source}")]
    Unreadable { pid: u32, source: io::Error },
    #[error("process {pid} has more than {PROCESS_THREADS_MAX} threads")]
    TooManyThreads { pid: u32 },
}

impl Process {
    /// Finds and pins the process that has this number now.
    pub fn find(pid: u32) -> Result<Self, ProcessError> {
        let failed = |source: io::Error| match source.raw_os_error() {
            Some(libc::ENOENT | libc::ESRCH) => ProcessError::Gone { pid },
            _ => ProcessError::Unreadable { pid, source },
        };
        let directory = fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
            .open(format!("/proc/{pid}"))
            .map_err(failed)?;
        let status = read_at(&directory, "status").map_err(failed)?;
        let leader = status_number(&status, "Tgid:").unwrap_or_default();
        if leader != pid {
            return Err(ProcessError::ThreadNotProcess { pid, leader });
        }
        let pidfd = sys::pidfd_open(pid).map_err(failed)?;
        // Read after the pidfd was opened: the directory still lives, so it has had the number all along and both
        // are one process.
        let stat = Stat::read(&directory).map_err(failed)?;
        let mut cgroups: Vec<String> = read_at(&directory, "cgroup")
            .map_err(failed)?
            .lines()
            .filter_map(|line| line.splitn(3, ':').nth(2).map(str::to_owned))
            .collect();
        cgroups.sort();
        cgroups.dedup();
        Ok(Self {
            id: ProcessId { pid, start_ticks: stat.start_ticks },
            comm: stat.comm,
            parent: stat.parent,
            uid: status_number(&status, "Uid:").unwrap_or_default(),
            owner: one_number(&status, "Uid:").zip(one_number(&status, "Gid:")),
            state: stat.state,
            kernel_thread: stat.flags & KERNEL_THREAD != 0,
            cgroups,
            pidfd,
            directory,
        })
    }

    pub(super) fn pidfd(&self) -> &OwnedFd {
        &self.pidfd
    }

    /// Opens `stat` and `task` for the executor, which cannot open anything itself.
    pub(super) fn open_for_executor(&self) -> io::Result<(File, File)> {
        let base = at(&self.directory);
        Ok((File::open(base.join("stat"))?, File::open(base.join("task"))?))
    }

    /// Opens the directory of its descriptors, whose links the executor reads.
    pub(super) fn open_descriptors(&self) -> io::Result<File> {
        self.open("fd", false)
    }

    /// Does this with the owner's rights on files, where it has one owner and the thread may have them. For an actor:
    /// a daemon would lose its core dumps by it.
    pub(super) fn as_owner<T>(&self, open: impl FnOnce() -> T) -> T {
        let Some((user, group)) = self.owner else { return open() };
        // Where they may not be had, opening fails.
        let was = (setfsgid(Gid::from_raw(group)), setfsuid(Uid::from_raw(user)));
        let opened = open();
        setfsuid(was.1);
        setfsgid(was.0);
        opened
    }

    /// A file of its own directory, such as `oom_score_adj`: of this very process, or none.
    pub(super) fn open(&self, name: &str, write: bool) -> io::Result<File> {
        fs::OpenOptions::new().read(!write).write(write).open(at(&self.directory).join(name))
    }

    /// What such a file holds.
    pub(super) fn read(&self, name: &str) -> io::Result<String> {
        read_at(&self.directory, name)
    }

    /// Whether it has ended; a zombie has.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        has_ended(&self.pidfd)
    }

    /// Whether it stands stopped now.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        Stat::read(&self.directory).is_ok_and(|stat| matches!(stat.state, 'T' | 't'))
    }

    /// All threads as they stand, ordered by tid. A thread that ends meanwhile is left out.
    pub fn threads(&self) -> Result<Vec<Thread>, ProcessError> {
        let pid = self.id.pid;
        let unreadable = |source| ProcessError::Unreadable { pid, source };
        let tasks = at(&self.directory).join("task");
        let mut threads = Vec::new();
        for entry in fs::read_dir(&tasks).map_err(unreadable)? {
            if threads.len() == PROCESS_THREADS_MAX {
                return Err(ProcessError::TooManyThreads { pid });
            }
            let name = entry.map_err(unreadable)?.file_name();
            let Some(tid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            let Ok(directory) = File::open(tasks.join(&name)) else { continue };
            let (Ok(stat), Ok(status)) = (Stat::read(&directory), read_at(&directory, "status")) else { continue };
            let cpus = status_line(&status, "Cpus_allowed_list:").unwrap_or_default().to_owned();
            let scheduling = Scheduling::of(stat.policy, stat.realtime_priority)
                .map_or_else(|| format!("policy {}", stat.policy), |scheduling| scheduling.to_string());
            threads.push(Thread { tid, start_ticks: stat.start_ticks, nice: stat.nice, cpus, scheduling });
        }
        if threads.is_empty() {
            return Err(ProcessError::Gone { pid });
        }
        threads.sort_by_key(|thread| thread.tid);
        Ok(threads)
    }
}

/// Whether the process that the descriptor stands for has ended: its pidfd is readable then.
pub(super) fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut waiting = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    poll(&mut waiting, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// What `/proc/PID/stat` says.
#[derive(Debug)]
pub(super) struct Stat {
    pub(super) comm: Text,
    pub(super) state: char,
    pub(super) parent: u32,
    pub(super) flags: u64,
    /// User and system time of all threads, 1/100 s.
    pub(super) cpu_ticks: u64,
    pub(super) nice: i32,
    pub(super) start_ticks: u64,
    pub(super) rss_pages: u64,
    /// 1 to 99 under a real-time policy, 0 under another.
    pub(super) realtime_priority: u8,
    /// As in `linux/sched.h`.
    pub(super) policy: u32,
}

impl Stat {
    fn read(directory: &File) -> io::Result<Self> {
        Self::read_open(&mut File::open(at(directory).join("stat"))?)
    }

    /// Reads it anew through a descriptor that is already open.
    pub(super) fn read_open(file: &mut File) -> io::Result<Self> {
        file.rewind()?;
        let mut bytes = Vec::new();
        file.take(PROC_FILE_MAX).read_to_end(&mut bytes)?;
        Self::parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "stat is not as proc(5) says"))
    }

    /// The name may hold anything, parentheses and spaces too; the last `)` ends it.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let open = bytes.iter().position(|byte| *byte == b'(')?;
        let close = bytes.iter().rposition(|byte| *byte == b')')?;
        let fields: Vec<&str> = std::str::from_utf8(bytes.get(close + 1..)?).ok()?.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            comm: Text::from_bytes(bytes.get(open + 1..close)?),
            state: fields.first()?.chars().next()?,
            parent: field(4)? as u32,
            flags: field(9)?,
            cpu_ticks: field(14)? + field(15)?,
            nice: fields.get(19 - 3)?.parse().ok()?,
            start_ticks: field(22)?,
            rss_pages: field(24)?,
            realtime_priority: field(40)?.try_into().ok()?,
            policy: field(41)?.try_into().ok()?,
        })
    }
}

/// A path that leads through the open directory and nothing else.
fn at(directory: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()))
}

fn read_at(directory: &File, name: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(at(directory).join(name))?.take(PROC_FILE_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn status_line<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn status_number(status: &str, name: &str) -> Option<u32> {
    status_line(status, name)?.split_ascii_whitespace().next()?.parse().ok()
}

/// The number that the first three of a line's numbers all are.
fn one_number(status: &str, name: &str) -> Option<u32> {
    let mut numbers = status_line(status, name)?.split_ascii_whitespace().take(3);
    let first = numbers.next()?;
    numbers.all(|number| number == first).then(|| first.parse().ok()).flatten()
}
