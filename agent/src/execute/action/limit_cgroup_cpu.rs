//! `limit_cgroup_cpu`: a cgroup gets at most so much CPU time. It never raises a quota.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, Plan, Power, Refusal, Risk, Step, Target, populated};
use crate::execute::{
    command::{CgroupFile, Command},
    setting::cgroup_number,
    value::{Bounded, CgroupPath},
};

/// Shortest quota that the kernel takes.
const QUOTA_MIN_US: u64 = 1000;

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
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::CgroupFile;
    const SETTLE_S: u32 = 10;
    const LEASE_S: Option<u32> = Some(3600);
}

impl Step for LimitCgroupCpu {
    fn target(&self) -> Target {
        Target::Cgroup(self.cgroup.clone())
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let path = found.cgroup()?;
        let candidates = [CgroupFile::CpuMax, CgroupFile::CpuQuota];
        let (file, setting, before) = populated(path, &candidates, "cpu.max or cpu.cfs_quota_us")?;
        let unreadable = || Refusal::Unreadable { what: setting.name(), text: before.clone() };
        let (quota_now, period_us) = match file {
            CgroupFile::CpuMax => {
                let (quota, period) = before.split_once(' ').ok_or_else(unreadable)?;
                (quota, period.parse::<u64>().map_err(|_| unreadable())?)
            }
            _ => (before.as_str(), cgroup_number(path, file, "cpu.cfs_period_us", None)?),
        };
        let percent = self.percent.get();
        let quota_us = period_us.saturating_mul(percent.unsigned_abs()) / 100;
        if quota_us < QUOTA_MIN_US {
            return Err(Refusal::QuotaTooSmall { percent, period_us });
        }
        // "max" and -1 are no quota.
        if quota_now.parse::<u64>().is_ok_and(|now| now <= quota_us) {
            return Err(Refusal::AlreadyMilder { what: setting.name(), now: before, asked: quota_us.to_string() });
        }
        let command = Command::Cgset { file, value: quota_us.to_string(), path: path.clone() };
        let wrote = match file {
            CgroupFile::CpuMax => format!("{quota_us} {period_us}"),
            _ => quota_us.to_string(),
        };
        Ok(Plan::set(command, setting, before, wrote))
    }
}
