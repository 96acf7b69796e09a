//! Undo: the exact previous value, and what somebody else changed since is left alone.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Executor, Intent, JournalState,
    command::{Command, Signal, THREADS_MAX},
    manager::{Invocation, Property},
    own_cgroup::{Home, named},
    process::{Process, ProcessError, Thread},
    sandbox::sys,
    setting::SettingError,
    value::CgroupPath,
};
use crate::observe::ProcessId;

/// What takes an action back: captured before the deed, never assumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Undo {
    /// Nothing is taken back, and why.
    Nothing { why: String },
    /// Nice values of the process's threads.
    Nice { process: ProcessId, wrote: String, before: Vec<ThreadBefore> },
    /// I/O priorities of the process's threads, as `class:level`.
    IoPriority { process: ProcessId, wrote: String, before: Vec<ThreadBefore> },
    /// Scheduling of the process's threads, as in `fifo:10`.
    Scheduling { process: ProcessId, wrote: String, before: Vec<ThreadBefore> },
    /// Allowed CPUs of the process's threads, as in `0-3,5`.
    Affinity { process: ProcessId, wrote: String, before: Vec<ThreadBefore> },
    /// The process ran and was stopped: it is continued.
    Continue { process: ProcessId },
    /// The process was stopped and was continued: it is stopped again.
    Stop { process: ProcessId },
    /// The process is throttled by an executor that stops and continues it: that ends, and the process runs.
    Throttle { process: ProcessId },
    /// A file of the kernel held `before`; the action writes `wrote`.
    Setting { setting: Setting, wrote: String, before: String },
    /// Of two files the kernel heeds the one that was written last, and lets the other read 0: `other` held `before`, the
    /// action writes `wrote` to `setting`. Written back to `other`, it is `setting` that reads 0 again.
    Twin { setting: Setting, wrote: String, other: Setting, before: String },
    /// The process is put into a cgroup made for it: it and whoever was born there go back to its homes, one a hierarchy.
    OwnCgroup { process: ProcessId, homes: Vec<Home> },
}

impl Undo {
    /// What has to stand still when the deed is done, or the undo would put back something else.
    pub(super) fn stands(&self) -> Option<(&Setting, &str)> {
        match self {
            Self::Setting { setting, before, .. } | Self::Twin { other: setting, before, .. } => {
                Some((setting, before))
            }
            _ => None,
        }
    }

    /// The commands that take it back and that no line of the deed itself shows to be allowed.
    pub(super) fn ways_back(&self) -> Vec<Command> {
        let Self::OwnCgroup { process, homes } = self else { return Vec::new() };
        let back = |home: &Home| Command::Release { tree: home.tree, process: *process, to: Some(home.path.clone()) };
        homes.iter().map(back).collect()
    }
}

/// What would be put back, for eyes.
impl fmt::Display for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = |f: &mut fmt::Formatter<'_>, what: &str, wrote: &str, before: &[ThreadBefore]| {
            let mut values: Vec<&str> = before.iter().map(|thread| thread.value.as_str()).collect();
            let threads = values.len();
            values.sort_unstable();
            values.dedup();
            write!(f, "{what} {wrote} -> {} of {threads} threads", values.join(", "))
        };
        match self {
            Self::Nothing { why } => write!(f, "none: {why}"),
            Self::Nice { wrote, before, .. } => threads(f, "nice", wrote, before),
            Self::IoPriority { wrote, before, .. } => threads(f, "I/O class and level", wrote, before),
            Self::Scheduling { wrote, before, .. } => threads(f, "scheduling", wrote, before),
            Self::Affinity { wrote, before, .. } => threads(f, "CPUs", wrote, before),
            Self::Continue { .. } => f.write_str("stopped -> running"),
            Self::Stop { .. } => f.write_str("running -> stopped"),
            Self::Throttle { .. } => f.write_str("the throttling ends, and the process runs"),
            Self::Setting { setting, wrote, before } => write!(f, "{} {wrote} -> {before}", setting.name()),
            Self::Twin { setting, wrote, other, before } => {
                write!(f, "{} {wrote} -> {} {before}", setting.name(), other.name())
            }
            Self::OwnCgroup { process, homes } => write!(f, "{} -> {}", CgroupPath::own(*process), named(homes)),
        }
    }
}

/// What one thread had before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThreadBefore {
    pub tid: u32,
    /// Start time in clock ticks since boot.
    pub start_ticks: u64,
    pub value: String,
}

/// A file of the kernel that holds one setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "setting", rename_all = "snake_case")]
pub enum Setting {
    /// Such as `vm.swappiness`.
    Sysctl { key: String },
    /// A file as it was found: device and inode tell it from a later one of the same path.
    File { path: String, device: u64, inode: u64 },
    /// What is mounted at a place.
    Mount { path: String, device: u64 },
    /// A run of a unit, which systemd answers for.
    Unit { unit: String, run: Invocation },
    /// A limit that systemd keeps of the unit whose cgroup this is.
    Property { path: String, property: Property },
    /// The root queueing discipline of an interface. The number tells an interface from a later one of the same name.
    Qdisc { interface: String, index: u32 },
    /// How fast an interface is told to be.
    Link { interface: String, index: u32 },
    /// Of one process.
    Process { process: ProcessId, what: ProcessSetting },
    /// A file of a cgroup, such as `memory.high`. The inode tells a cgroup from a later one of the same path.
    Cgroup {
        path: String,
        file: String,
        inode: u64,
        /// Of a file that has a line a device: which one, and what of it, as in `8:0` or `8:0 rbps`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line: Option<String>,
    },
}

/// What a process has one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProcessSetting {
    /// `/proc/PID/oom_score_adj`.
    OomScoreAdj,
    /// Limit of open files, as `soft:hard`.
    OpenFiles,
}

impl ProcessSetting {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OomScoreAdj => "oom_score_adj",
            Self::OpenFiles => "limit of open files",
        }
    }

    /// Whether it is set by writing a file.
    pub(super) const fn is_a_file(self) -> bool {
        matches!(self, Self::OomScoreAdj)
    }
}

/// How taking back went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TakenBack {
    /// [`JournalState::Undone`], [`JournalState::LeftAlone`] or [`JournalState::Void`].
    pub(super) state: JournalState,
    pub(super) note: String,
    pub(super) commands: Vec<String>,
    pub(super) output: String,
}

impl TakenBack {
    pub(super) fn void(note: &str) -> Self {
        Self::nothing(JournalState::Void, note.to_owned())
    }

    pub(super) fn nothing(state: JournalState, note: String) -> Self {
        Self { state, note, commands: Vec::new(), output: String::new() }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    #[error("`{line}` may not run: {reason}")]
    Refused { line: String, reason: String },
    #[error("`{line}` failed: {output}")]
    Failed { line: String, output: String },
    #[error("{what} is {now} after the undo and not {before} as before")]
    DidNotTake { what: String, now: String, before: String },
    #[error("the journal holds `{value}`, which is no {what}")]
    Unreadable { what: &'static str, value: String },
    #[error("{what} cannot be {before} again: {used} are in use, and the kernel would end processes of it")]
    WouldKill { what: String, before: String, used: u64 },
    #[error(transparent)]
    Process(ProcessError),
    #[error(transparent)]
    Setting(#[from] SettingError),
}

impl Executor {
    /// Puts back what stood before, where what was written still stands.
    pub(super) fn take_back(&self, id: i64, intent: &Intent) -> Result<TakenBack, UndoError> {
        match &intent.undo {
            Undo::Nothing { why } => Ok(TakenBack::void(&format!("it is not taken back: {why}"))),
            Undo::Setting { setting, wrote, before } => self.restore(setting, wrote, before),
            Undo::Twin { setting, wrote, other, before } => self.restore_twin(setting, wrote, other, before),
            Undo::OwnCgroup { process, homes } => self.release(*process, homes),
            Undo::Continue { process } => self.signal_back(*process, Signal::Continue),
            Undo::Stop { process } => self.signal_back(*process, Signal::Stop),
            Undo::Throttle { process } => {
                let said = self.end_throttle(id);
                let mut taken = self.signal_back(*process, Signal::Continue)?;
                if find(*process)?.is_some() {
                    taken.state = JournalState::Undone;
                    taken.note = "the throttling ended, and the process runs".to_owned();
                }
                taken.output = [said.unwrap_or_default(), taken.output].concat();
                Ok(taken)
            }
            Undo::Nice { process, wrote, before } => {
                let command = |value: &str, threads, pid| {
                    let nice = value.parse().map_err(|_| unreadable("nice value", value))?;
                    Ok(Command::Renice { nice, plus: false, threads, pid })
                };
                let now = |thread: &Thread| Some(thread.nice.to_string());
                self.restore_threads("nice", *process, intent, (wrote, before), now, command)
            }
            Undo::IoPriority { process, wrote, before } => {
                let command = |value: &str, threads, pid| {
                    let pair = value
                        .split_once(':')
                        .and_then(|(class, level)| Some((class.parse().ok()?, level.parse().ok()?)));
                    let (class, level) = pair.ok_or_else(|| unreadable("I/O priority", value))?;
                    Ok(Command::Ionice { class, level, threads, pid })
                };
                let now = |thread: &Thread| {
                    sys::io_priority(thread.tid).ok().map(|(class, level)| format!("{class}:{level}"))
                };
                self.restore_threads("I/O class and level", *process, intent, (wrote, before), now, command)
            }
            Undo::Scheduling { process, wrote, before } => {
                let command = |value: &str, threads, pid| {
                    let scheduling = value.parse().map_err(|_| unreadable("scheduling", value))?;
                    Ok(Command::Chrt { scheduling, threads, pid })
                };
                let now = |thread: &Thread| Some(thread.scheduling.clone());
                self.restore_threads("scheduling", *process, intent, (wrote, before), now, command)
            }
            Undo::Affinity { process, wrote, before } => {
                let command = |value: &str, threads, pid| {
                    let cpus = value.parse().map_err(|_| unreadable("list of CPUs", value))?;
                    Ok(Command::Taskset { cpus, threads, pid })
                };
                let now = |thread: &Thread| Some(thread.cpus.clone());
                self.restore_threads("CPUs", *process, intent, (wrote, before), now, command)
            }
        }
    }

    fn signal_back(&self, id: ProcessId, signal: Signal) -> Result<TakenBack, UndoError> {
        let Some(process) = find(id)? else { return Ok(TakenBack::void("the process is gone")) };
        let (wanted, other) = match signal {
            Signal::Stop => (true, "runs"),
            _ => (false, "is stopped"),
        };
        let as_before = process.is_stopped() == wanted;
        if as_before && wanted {
            return Ok(TakenBack::void("the process is stopped as before"));
        }
        // One that seems to run is continued all the same: a stop that was sent just before a crash may still be on its
        // way, and whoever runs does not notice.
        let command = Command::Kill { signal, pid: id.pid };
        let output = self.put_back(&command, Some(&process), None)?;
        // The signal is sent; the process acts on it when it is next scheduled.
        for _ in 0..100 {
            if process.is_stopped() == wanted || process.has_ended() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        if process.is_stopped() != wanted && !process.has_ended() {
            let before = if wanted { "stopped" } else { "running" };
            return Err(UndoError::DidNotTake {
                what: format!("process {}", id.pid),
                now: other.to_owned(),
                before: before.to_owned(),
            });
        }
        let note = match (wanted, as_before) {
            (true, _) => "running -> stopped",
            (false, true) => "the process runs as before",
            (false, false) => "stopped -> running",
        };
        Ok(TakenBack {
            state: if as_before { JournalState::Void } else { JournalState::Undone },
            note: note.to_owned(),
            commands: vec![command.to_string()],
            output,
        })
    }

    /// Puts the previous value back on each thread that still has what was written. Threads that were made since have
    /// inherited it; they get what the first thread had.
    fn restore_threads(
        &self,
        what: &str,
        id: ProcessId,
        intent: &Intent,
        (wrote, before): (&str, &[ThreadBefore]),
        now: impl Fn(&Thread) -> Option<String>,
        command: impl Fn(&str, Vec<u32>, u32) -> Result<Command, UndoError>,
    ) -> Result<TakenBack, UndoError> {
        let Some(process) = find(id)? else { return Ok(TakenBack::void("the process is gone")) };
        let some_were_named = intent.command.contains(" -t ");
        let first = before.first().map_or(wrote, |thread| thread.value.as_str());
        let threads = process.threads().map_err(UndoError::Process)?;
        let mut sorted = Sorted::default();
        for thread in &threads {
            let Some(value) = now(thread) else { continue };
            let known = before.iter().find(|one| one.tid == thread.tid && one.start_ticks == thread.start_ticks);
            match known {
                Some(known) if value == known.value => {}
                Some(known) if value == wrote => sorted.ours.entry(known.value.clone()).or_default().push(thread.tid),
                None if !some_were_named && value == wrote && value != first => {
                    sorted.ours.entry(first.to_owned()).or_default().push(thread.tid);
                }
                Some(_) => sorted.others += 1,
                None => {}
            }
        }
        if sorted.ours.is_empty() {
            return Ok(match sorted.others {
                0 => TakenBack::void(&format!("{what} is {first} as before")),
                others => TakenBack::nothing(
                    JournalState::LeftAlone,
                    format!("{what} of {others} threads is neither as before nor {wrote} as written: left alone"),
                ),
            });
        }
        let whole = sorted.ours.len() == 1 && sorted.ours.values().all(|tids| tids.len() == threads.len());
        let mut taken = TakenBack::nothing(JournalState::Undone, format!("{what} {wrote} -> {first}"));
        for (value, tids) in &sorted.ours {
            let chunks = if whole { vec![Vec::new()] } else { tids.chunks(THREADS_MAX).map(<[u32]>::to_vec).collect() };
            for named in chunks {
                let command = command(value, named, id.pid)?;
                taken.output.push_str(&self.put_back(&command, Some(&process), None)?);
                taken.commands.push(command.to_string());
            }
        }
        if sorted.others > 0 {
            taken.note.push_str(&format!("; {} threads that somebody else changed were left alone", sorted.others));
        }
        let after = match process.threads() {
            Ok(threads) => threads,
            Err(ProcessError::Gone { .. }) => return Ok(taken),
            Err(error) => return Err(UndoError::Process(error)),
        };
        // The kernel may take less than it was given: of CPUs those that are online.
        let short = after.iter().find_map(|thread| {
            let (before, _) = sorted.ours.iter().find(|(_, tids)| tids.contains(&thread.tid))?;
            let now = now(thread)?;
            (now != *before).then(|| (now, before.clone()))
        });
        match short {
            None => Ok(taken),
            Some((now, before)) => Err(UndoError::DidNotTake { what: what.to_owned(), now, before }),
        }
    }
}

/// Threads by what is owed to them.
#[derive(Default)]
struct Sorted {
    /// Still as written, by the value that each had before.
    ours: BTreeMap<String, Vec<u32>>,
    /// Changed by somebody else.
    others: usize,
}

/// The very process, alive; none when it ended or its number went to another.
pub(super) fn find(id: ProcessId) -> Result<Option<Process>, UndoError> {
    match Process::find(id.pid) {
        Ok(process) if process.id == id && process.state != 'Z' => Ok(Some(process)),
        Ok(_) | Err(ProcessError::Gone { .. } | ProcessError::ThreadNotProcess { .. }) => Ok(None),
        Err(error) => Err(UndoError::Process(error)),
    }
}

pub(super) fn unreadable(what: &'static str, value: &str) -> UndoError {
    UndoError::Unreadable { what, value: value.escape_default().take(80).collect() }
}
