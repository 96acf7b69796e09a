//! What several actions share.

use super::{Plan, Refusal, Room};
use crate::execute::{
    command::{CgroupFile, Command, THREADS_MAX},
    process::{Process, Thread},
    setting::members,
    sysctl::{Numbers, SysctlKey},
    undo::{ProcessSetting, Setting, ThreadBefore, Undo},
    value::CgroupPath,
};

/// The threads to touch, none named when it is all of them, with what they have now.
pub(super) struct Touched {
    pub(super) named: Vec<u32>,
    pub(super) before: Vec<ThreadBefore>,
}

/// The threads for which `value` says what they have now; none at all is a refusal of the caller's.
pub(super) fn touch(
    process: &Process,
    threads: &[Thread],
    value: impl Fn(&Thread) -> Option<String>,
) -> Result<Touched, Refusal> {
    let before: Vec<ThreadBefore> = threads
        .iter()
        .filter_map(|thread| {
            Some(ThreadBefore { tid: thread.tid, start_ticks: thread.start_ticks, value: value(thread)? })
        })
        .collect();
    let named = if before.len() == threads.len() { Vec::new() } else { before.iter().map(|one| one.tid).collect() };
    if named.len() > THREADS_MAX {
        return Err(Refusal::ThreadsDiffer { pid: process.id.pid, threads: named.len() });
    }
    Ok(Touched { named, before })
}

/// Before and after of threads in words: one value, or how many differ.
pub(super) fn thread_change(what: &str, before: &[ThreadBefore], after: &str) -> String {
    let first = before.first().map_or("", |thread| thread.value.as_str());
    let differing = before.iter().filter(|thread| thread.value != first).count();
    match (before.len(), differing) {
        (1, _) => format!("{what} {first} -> {after}"),
        (threads, 0) => format!("{what} {first} -> {after} of {threads} threads"),
        (threads, differing) => format!("{what} {first} ({differing} differ) -> {after} of {threads} threads"),
    }
}

/// The `oom_score_adj` of a process, and what it holds.
pub(super) fn oom_score_adj(process: &Process) -> Result<(Setting, i32), Refusal> {
    let setting = Setting::process(process, ProcessSetting::OomScoreAdj);
    let text = setting.read()?;
    match text.parse() {
        Ok(now) => Ok((setting, now)),
        Err(_) => Err(Refusal::Unreadable { what: setting.name(), text }),
    }
}

pub(super) fn set_oom_score_adj(process: &Process, setting: Setting, now: i32, asked: i32) -> Plan {
    let command = Command::Choom { adj: asked, pid: process.id.pid };
    Plan::set(command, setting, now.to_string(), asked.to_string())
}

/// The first of these files whose hierarchy has the cgroup with processes in it, with what it holds.
pub(super) fn populated(
    path: &CgroupPath,
    candidates: &[CgroupFile],
    files: &'static str,
) -> Result<(CgroupFile, Setting, String), Refusal> {
    for file in candidates {
        if let Some(setting) = Setting::cgroup(path, *file)?
            && !members(path, *file)?.is_empty()
        {
            let before = setting.read()?;
            return Ok((*file, setting, before));
        }
    }
    Err(Refusal::NoHierarchy { path: path.to_string(), files })
}

/// A plan that raises a sysctl of one number, and refuses what would not.
pub(super) fn raise_sysctl(key: SysctlKey, asked: u64) -> Result<Plan, Refusal> {
    let setting = Setting::sysctl(key);
    let now = number(&setting)?;
    if asked <= now { Err(wrong_way("raise", &setting, now, asked)) } else { Ok(set_sysctl(key, setting, now, asked)) }
}

/// A plan that lowers a sysctl of one number, and refuses what would not.
pub(super) fn lower_sysctl(key: SysctlKey, asked: u64) -> Result<Plan, Refusal> {
    let setting = Setting::sysctl(key);
    let now = number(&setting)?;
    if asked >= now { Err(wrong_way("lower", &setting, now, asked)) } else { Ok(set_sysctl(key, setting, now, asked)) }
}

/// A plan that lowers a limit of dirty memory. The kernel heeds bytes or a percentage of the memory that may be dirtied,
/// whichever was written last, and lets the other read 0; so what is put back is the one that held. The memory that may
/// be dirtied is about what is available.
pub(super) fn limit_dirty(bytes: SysctlKey, ratio: SysctlKey, asked: u64) -> Result<Plan, Refusal> {
    let (setting, other) = (Setting::sysctl(bytes), Setting::sysctl(ratio));
    if number(&setting)? > 0 {
        return lower_sysctl(bytes, asked);
    }
    let percent = number(&other)?;
    let stands = Room::now()?.available_bytes / 100 * percent;
    if asked >= stands {
        return Err(Refusal::WrongWay {
            verb: "lower",
            what: other.name(),
            now: format!("{percent} %, about {stands} bytes"),
            asked: format!("{asked} bytes"),
        });
    }
    Ok(Plan {
        command: Command::Sysctl { key: bytes, values: asked.into() },
        file: Some(setting.clone()),
        change: format!("{} {percent} -> {} {asked}", other.name(), setting.name()),
        undo: Undo::Twin { setting, wrote: asked.to_string(), other, before: percent.to_string() },
    })
}

/// What a setting of one number holds.
pub(super) fn number(setting: &Setting) -> Result<u64, Refusal> {
    let text = setting.read()?;
    match Numbers::from_file(&text).as_ref().map(Numbers::get) {
        Some([number]) => Ok(*number),
        _ => Err(Refusal::Unreadable { what: setting.name(), text }),
    }
}

fn set_sysctl(key: SysctlKey, setting: Setting, now: u64, asked: u64) -> Plan {
    Plan::set(Command::Sysctl { key, values: asked.into() }, setting, now.to_string(), asked.to_string())
}

fn wrong_way(verb: &'static str, setting: &Setting, now: u64, asked: u64) -> Refusal {
    Refusal::WrongWay { verb, what: setting.name(), now: now.to_string(), asked: asked.to_string() }
}
