//! What several actions share.

use super::{Found, Plan, Refusal, Room};
use crate::execute::{
    cgroup_file::CgroupFile,
    cgroup_tree::{cgroup_number, members},
    command::{Command, THREADS_MAX},
    process::{Process, Thread},
    setting::is_no_limit,
    sysctl::{Numbers, SysctlKey},
    undo::{ProcessSetting, Setting, ThreadBefore, Undo},
    value::{Bounded, CgroupPath},
};

/// Why nobody takes back what ends a process.
pub(super) const ENDED_FOR_GOOD: &str =
    "a process that ended cannot be brought back; its service manager may start it anew";

/// So many are listed where nobody says how many.
pub(super) const fn ten() -> Bounded<1, 50> {
    Bounded::of(10)
}

/// A plan that ends a process which has not ended yet.
pub(super) fn end(found: &Found, command: impl FnOnce(u32) -> Command, change: String) -> Result<Plan, Refusal> {
    let process = found.process()?;
    if process.state == 'Z' {
        return Err(Refusal::InThatState { pid: process.id.pid, state: "a zombie: it has ended already" });
    }
    let undo = Undo::Nothing { why: ENDED_FOR_GOOD.to_owned() };
    Ok(Plan { command: command(process.id.pid), file: None, undo, change })
}

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
        if let Some(setting) = lived_in(path, *file)? {
            let before = setting.read()?;
            return Ok((*file, setting, before));
        }
    }
    Err(Refusal::NoHierarchy { path: path.to_string(), files })
}

/// The file, where its hierarchy has the cgroup with processes in it.
pub(super) fn lived_in(path: &CgroupPath, file: CgroupFile) -> Result<Option<Setting>, Refusal> {
    let Some(setting) = Setting::cgroup(path, file)? else { return Ok(None) };
    Ok((!members(path, file)?.is_empty()).then_some(setting))
}

/// What a limit of a cgroup is; none: no limit.
pub(super) fn limit_in(setting: &Setting, text: &str) -> Result<Option<u64>, Refusal> {
    if text == "max" || text == "-1" || is_no_limit(text) {
        return Ok(None);
    }
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(Refusal::Unreadable { what: setting.name(), text: text.to_owned() }),
    }
}

/// The CPU quota of a cgroup as it stands.
pub(super) struct CpuQuota {
    file: CgroupFile,
    pub(super) setting: Setting,
    pub(super) before: String,
    /// None: no quota.
    pub(super) now_us: Option<u64>,
    period_us: u64,
}

pub(super) fn cpu_quota(path: &CgroupPath) -> Result<CpuQuota, Refusal> {
    let candidates = [CgroupFile::CpuMax, CgroupFile::CpuQuota];
    let (file, setting, before) = populated(path, &candidates, "cpu.max or cpu.cfs_quota_us")?;
    let unreadable = || Refusal::Unreadable { what: setting.name(), text: before.clone() };
    let (now, period_us) = match file {
        CgroupFile::CpuMax => {
            let (quota, period) = before.split_once(' ').ok_or_else(unreadable)?;
            (quota, period.parse().map_err(|_| unreadable())?)
        }
        _ => (before.as_str(), cgroup_number(path, file, "cpu.cfs_period_us", None)?),
    };
    let now_us = limit_in(&setting, now)?;
    Ok(CpuQuota { file, setting, before, now_us, period_us })
}

impl CpuQuota {
    /// Shortest that the kernel takes, us.
    const MIN_US: u64 = 1000;

    /// The quota that is so much of one CPU, us.
    pub(super) fn of_percent(&self, percent: i64) -> Result<u64, Refusal> {
        let period_us = self.period_us;
        let quota_us = period_us.saturating_mul(percent.unsigned_abs()) / 100;
        if quota_us < Self::MIN_US { Err(Refusal::QuotaTooSmall { percent, period_us }) } else { Ok(quota_us) }
    }

    pub(super) fn plan(self, path: &CgroupPath, quota_us: u64) -> Plan {
        let command = Command::Cgset { file: self.file, value: quota_us.to_string(), path: path.clone() };
        let wrote = match self.file {
            CgroupFile::CpuMax => format!("{quota_us} {}", self.period_us),
            _ => quota_us.to_string(),
        };
        Plan::set(command, self.setting, self.before, wrote)
    }
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
