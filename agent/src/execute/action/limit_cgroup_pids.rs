//! `limit_cgroup_pids`: a cgroup may have no more tasks than this. It never raises a limit.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, limit_in, populated};
use crate::execute::{
    cgroup_file::CgroupFile,
    cgroup_tree::cgroup_number,
    command::Command,
    value::{Bounded, CgroupPath},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitCgroupPids {
    cgroup: CgroupPath,
    /// Tasks (threads) that it may have; at least those that it has.
    tasks: Bounded<1, 4_194_304>,
}

impl Action for LimitCgroupPids {
    const NAME: &'static str = "limit_cgroup_pids";
    const SUMMARY: &'static str = "Lowers pids.max of a cgroup: it cannot fork beyond that, and nothing of it is ended";
    const ON: On = On::Cgroup;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::CgroupFile;
    const WRITES: &'static str = "pids.max";
    const PREDICTS: Predicts = Predicts::Unreckoned("it forks no further");
    const COST: &'static str = "what it forks beyond that fails";
    const NEVER: &'static [&'static str] = &["a limit below the tasks that it has"];
    const SETTLE_S: u32 = 10;
    const LEASE_S: Option<u32> = Some(3600);
}

impl Step for LimitCgroupPids {
    fn target(&self) -> Target {
        Target::Cgroup(self.cgroup.clone())
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let path = found.cgroup()?;
        let (file, setting, before) = populated(path, &[CgroupFile::PidsMax], "pids.max")?;
        let asked = self.tasks.get().unsigned_abs();
        if limit_in(&setting, &before)?.is_some_and(|now| now <= asked) {
            return Err(Refusal::AlreadyMilder { what: setting.name(), now: before, asked: asked.to_string() });
        }
        let tasks = cgroup_number(path, file, "pids.current", None)?;
        if asked < tasks {
            return Err(Refusal::BelowUse { what: setting.name(), asked, used: tasks });
        }
        let command = Command::Cgset { file, value: asked.to_string(), path: path.clone() };
        Ok(Plan::set(command, setting, before, asked.to_string()))
    }
}
