//! `raise_cgroup_cpu`: a cgroup gets more CPU time. It never lowers a quota.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Raises, Refusal, Risk, Step, Target, cpu_quota};
use crate::execute::value::{Bounded, CgroupPath};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RaiseCgroupCpu {
    cgroup: CgroupPath,
    /// CPU time that it may use, percent of one CPU; at most all that are online.
    percent: Bounded<1, 102_400>,
}

impl Action for RaiseCgroupCpu {
    const NAME: &'static str = "raise_cgroup_cpu";
    const SUMMARY: &'static str = "Raises the CPU quota of a cgroup";
    const ON: On = On::Cgroup;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::CgroupFile;
    const WRITES: &'static str = "cpu.max (v2), cpu.cfs_quota_us (v1)";
    const PREDICTS: Predicts = Predicts::Raised(Raises::CpuQuota);
    const COST: &'static str = "less is left for all others";
    const NEVER: &'static [&'static str] = &["more CPU time than the node has"];
    const SETTLE_S: u32 = 10;
    const LEASE_S: Option<u32> = Some(3600);
}

impl Step for RaiseCgroupCpu {
    fn target(&self) -> Target {
        Target::Cgroup(self.cgroup.clone())
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let path = found.cgroup()?;
        let quota = cpu_quota(path)?;
        let percent = self.percent.get();
        let quota_us = quota.of_percent(percent)?;
        if quota.now_us.is_none_or(|now| now >= quota_us) {
            let asked = quota_us.to_string();
            return Err(Refusal::WrongWay { verb: "raise", what: quota.setting.name(), now: quota.before, asked });
        }
        let online = nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN).ok().flatten().unwrap_or(1);
        if percent > online * 100 {
            let asked = format!("{percent} % of a CPU");
            return Err(Refusal::NoRoom { asked, room: format!("{online} CPUs are online") });
        }
        Ok(quota.plan(path, quota_us))
    }
}
