//! Putting a setting back: the value that stood, by the command that writes it, unless somebody else changed it since.

use super::{
    Executor, JournalState,
    cgroup_file::CgroupFile,
    cgroup_tree::cgroup_number,
    command::Command,
    manager::{Limit, Property, unit_of},
    setting::{LINK_IS_DOWN, SettingError, value_to_write},
    sysctl::{Numbers, SysctlKey},
    undo::{ProcessSetting, Setting, TakenBack, UndoError, unreadable},
};

impl Executor {
    /// What was written to a file of its own is replaced by what stood there.
    pub(super) fn restore(&self, setting: &Setting, wrote: &str, before: &str) -> Result<TakenBack, UndoError> {
        let name = setting.name();
        let Some(now) = found(setting)? else { return Ok(gone(setting)) };
        let as_before = now == before;
        if as_before && !is_remembered(setting) {
            return Ok(TakenBack::void(&format!("{name} is {before} as before")));
        }
        // A freezer says so while it still waits for the last process; and a link that says nothing may be down because of
        // what was written.
        let on_its_way = wrote == "FROZEN" && now == "FREEZING" || now == LINK_IS_DOWN;
        if now != wrote && !as_before && !on_its_way {
            return Ok(changed_since(setting, &now, wrote, before));
        }
        if let Some(used) = would_kill(setting, before)? {
            return Err(UndoError::WouldKill { what: name, before: before.to_owned(), used });
        }
        self.write_back(setting, before, format!("{name} {now} -> {before}"))
    }

    /// What was written to `setting` is replaced by what stood in `other`, which the kernel heeded instead.
    pub(super) fn restore_twin(
        &self,
        setting: &Setting,
        wrote: &str,
        other: &Setting,
        before: &str,
    ) -> Result<TakenBack, UndoError> {
        let (Some(now), Some(held)) = (found(setting)?, found(other)?) else { return Ok(gone(setting)) };
        if held == before {
            return Ok(TakenBack::void(&format!("{} is {before} as before", other.name())));
        }
        if now != wrote {
            return Ok(changed_since(setting, &now, wrote, "0"));
        }
        self.write_back(other, before, format!("{} {now} -> {} {before}", setting.name(), other.name()))
    }

    /// Writes, and looks whether it took.
    fn write_back(&self, setting: &Setting, before: &str, note: String) -> Result<TakenBack, UndoError> {
        let command = command(setting, before)?;
        let process = setting.find_process()?;
        let is_a_file = !matches!(setting, Setting::Process { what, .. } if !what.is_a_file());
        let output = self.put_back(&command, process.as_ref(), is_a_file.then_some(setting))?;
        let after = settled(setting)?;
        if after != before {
            return Err(UndoError::DidNotTake { what: setting.name(), now: after, before: before.to_owned() });
        }
        Ok(TakenBack { state: JournalState::Undone, note, commands: vec![command.to_string()], output })
    }
}

fn command(setting: &Setting, before: &str) -> Result<Command, UndoError> {
    Ok(match setting {
        Setting::Sysctl { key } => Command::Sysctl {
            key: SysctlKey::from_name(key).ok_or_else(|| unreadable("sysctl of this agent", key))?,
            values: Numbers::from_file(before).ok_or_else(|| unreadable("number", before))?,
        },
        Setting::Unit { unit: path, .. } | Setting::File { path, .. } | Setting::Mount { path, .. } => {
            return Err(unreadable("setting", path));
        }
        Setting::Link { interface, .. } => Command::SetLink {
            interface: interface.parse().map_err(|_| unreadable("network interface", interface))?,
            speed: before.parse().map_err(|_| unreadable("speed of a link", before))?,
        },
        Setting::Qdisc { interface, .. } => Command::AddQdisc {
            interface: interface.parse().map_err(|_| unreadable("network interface", interface))?,
            qdisc: before.parse().map_err(|_| unreadable("queueing discipline", before))?,
        },
        Setting::Process { process, what: ProcessSetting::OomScoreAdj } => {
            Command::Choom { adj: before.parse().map_err(|_| unreadable("number", before))?, pid: process.pid }
        }
        Setting::Process { process, what: ProcessSetting::OpenFiles } => {
            let limits = before.split_once(':').and_then(|(soft, hard)| Some((soft.parse().ok()?, hard.parse().ok()?)));
            let (soft, hard) = limits.ok_or_else(|| unreadable("limit of open files", before))?;
            Command::Prlimit { soft, hard, pid: process.pid }
        }
        Setting::Property { path, property } => Command::ResetProperty {
            property: *property,
            limit: Limit::parse(before).ok_or_else(|| unreadable("limit of a unit", before))?,
            path: path.parse().map_err(|_| unreadable("path of a cgroup", path))?,
        },
        Setting::Cgroup { path, file, .. } => Command::Cgset {
            file: CgroupFile::from_name(file).ok_or_else(|| unreadable("file of a cgroup", file))?,
            value: value_to_write(setting, before),
            path: path.parse().map_err(|_| unreadable("path of a cgroup", path))?,
        },
    })
}

/// The memory in use, where the hard limit that stood is below it: v1 refuses that by itself, v2 ends processes.
fn would_kill(setting: &Setting, before: &str) -> Result<Option<u64>, UndoError> {
    let path = match setting {
        Setting::Cgroup { path, file, .. } if file == CgroupFile::MemoryMax.name() => path,
        Setting::Property { path, property: Property::MemoryMax } => path,
        _ => return Ok(None),
    };
    let Some(limit) = before.parse::<u64>().ok() else { return Ok(None) };
    let path = path.parse().map_err(|_| unreadable("path of a cgroup", path))?;
    let used = cgroup_number(&path, CgroupFile::MemoryMax, "memory.current", None)?;
    Ok((used > limit).then_some(used))
}

/// Whether systemd would still set what an action set, though it does not stand.
fn is_remembered(setting: &Setting) -> bool {
    let Setting::Property { path, property } = setting else { return false };
    path.parse().is_ok_and(|path| property.drop_in(unit_of(&path)).exists())
}

/// What stands there once a freezer has waited for the last process, or a link has come up.
fn settled(setting: &Setting) -> Result<String, SettingError> {
    let looks = if matches!(setting, Setting::Link { .. }) { 500 } else { 100 };
    for _ in 0..looks {
        let now = setting.read()?;
        if now != "FREEZING" && now != LINK_IS_DOWN {
            return Ok(now);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    setting.read()
}

/// What stands there; none when it is gone, or another has its name.
fn found(setting: &Setting) -> Result<Option<String>, UndoError> {
    match setting.read() {
        Ok(now) => Ok(Some(now)),
        Err(SettingError::Gone { .. } | SettingError::Another { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn gone(setting: &Setting) -> TakenBack {
    TakenBack::void(&format!("{} is gone", setting.name()))
}

fn changed_since(setting: &Setting, now: &str, wrote: &str, before: &str) -> TakenBack {
    let name = setting.name();
    let note = format!("{name} is {now}, neither {before} as before nor {wrote} as written: left alone");
    TakenBack::nothing(JournalState::LeftAlone, note)
}
