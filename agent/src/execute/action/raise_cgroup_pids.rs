//! `raise_cgroup_pids`: a cgroup may have more tasks. It never lowers a limit.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Raises, Refusal, Risk, Step, Target, limit_in, populated};
use crate::execute::{
    cgroup_file::CgroupFile,
    command::Command,
    value::{Bounded, CgroupPath},
};

/// Part of the tasks that the node can have which is kept free, percent.
const KEPT_PERCENT: u64 = 10;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RaiseCgroupPids {
    cgroup: CgroupPath,
    /// Tasks (threads) that it may have.
    tasks: Bounded<1, 4_194_304>,
}

impl Action for RaiseCgroupPids {
    const NAME: &'static str = "raise_cgroup_pids";
    const SUMMARY: &'static str = "Raises pids.max of a cgroup, if the node can have so many tasks more";
    const ON: On = On::Cgroup;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::CgroupFile;
    const WRITES: &'static str = "pids.max";
    const PREDICTS: Predicts = Predicts::Raised(Raises::Tasks);
    const COST: &'static str = "less is left for all others";
    const NEVER: &'static [&'static str] = &["the tenth of all tasks that the node keeps"];
    const SETTLE_S: u32 = 10;
    const LEASE_S: Option<u32> = Some(3600);
}

impl Step for RaiseCgroupPids {
    fn target(&self) -> Target {
        Target::Cgroup(self.cgroup.clone())
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let path = found.cgroup()?;
        let (file, setting, before) = populated(path, &[CgroupFile::PidsMax], "pids.max")?;
        let asked = self.tasks.get().unsigned_abs();
        let Some(now) = limit_in(&setting, &before)?.filter(|now| *now < asked) else {
            let asked = asked.to_string();
            return Err(Refusal::WrongWay { verb: "raise", what: setting.name(), now: before, asked });
        };
        room(asked - now)?;
        let command = Command::Cgset { file, value: asked.to_string(), path: path.clone() };
        Ok(Plan::set(command, setting, before, asked.to_string()))
    }
}

/// Refuses what could take nearly all tasks that the node can have.
fn room(more: u64) -> Result<(), Refusal> {
    let number = |path: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.trim().parse::<u64>().map_err(|_| Refusal::Unreadable { what: path.to_owned(), text })
    };
    let most = number("/proc/sys/kernel/pid_max")?.min(number("/proc/sys/kernel/threads-max")?);
    // "0.10 0.20 0.30 2/345 6789": of 345 tasks, 2 run.
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let tasks = text.split_ascii_whitespace().nth(3).and_then(|word| word.split_once('/')?.1.parse::<u64>().ok());
    let tasks = tasks.ok_or_else(|| Refusal::Unreadable { what: "/proc/loadavg".to_owned(), text })?;
    let kept = most * KEPT_PERCENT / 100;
    if tasks + more <= most - kept {
        return Ok(());
    }
    let room = format!("it has {tasks} and can have {most}, of which {kept} are kept");
    Err(Refusal::NoRoom { asked: format!("{more} tasks more"), room })
}
