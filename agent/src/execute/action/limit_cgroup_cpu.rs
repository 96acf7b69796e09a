//! `limit_cgroup_cpu`: a cgroup gets at most so much CPU time. It never raises a quota.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, cpu_quota};
use crate::execute::value::{Bounded, CgroupPath};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitCgroupCpu {
    cgroup: CgroupPath,
    /// CPU time that it may use, percent of one CPU; 200 is two CPUs.
    percent: Bounded<1, 102_400>,
}

impl Action for LimitCgroupCpu {
    const NAME: &'static str = "limit_cgroup_cpu";
    const SUMMARY: &'static str = "Lowers the CPU quota of a cgroup";
    const ON: On = On::Cgroup;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::CgroupFile;
    const WRITES: &'static str = "cpu.max (v2), cpu.cfs_quota_us (v1)";
    const PREDICTS: Predicts = Predicts::Quota;
    const COST: &'static str = "it runs slower even when the CPU is free";
    const SETTLE_S: u32 = 10;
    const LEASE_S: Option<u32> = Some(3600);
}

impl Step for LimitCgroupCpu {
    fn target(&self) -> Target {
        Target::Cgroup(self.cgroup.clone())
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let path = found.cgroup()?;
        let quota = cpu_quota(path)?;
        let quota_us = quota.of_percent(self.percent.get())?;
        // No quota is above every quota.
        if quota.now_us.is_some_and(|now| now <= quota_us) {
            let asked = quota_us.to_string();
            return Err(Refusal::AlreadyMilder { what: quota.setting.name(), now: quota.before, asked });
        }
        Ok(quota.plan(path, quota_us))
    }
}
