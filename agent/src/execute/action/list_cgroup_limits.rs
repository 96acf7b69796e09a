//! `list_cgroup_limits`: what a cgroup may use, uses, and how often it was held back.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Refusal, Risk, Step, Target};
use crate::execute::{command::Command, value::CgroupPath};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListCgroupLimits {
    cgroup: CgroupPath,
}

impl Action for ListCgroupLimits {
    const NAME: &'static str = "list_cgroup_limits";
    const SUMMARY: &'static str = "Shows the limits of a cgroup, what it uses, and its events, in every hierarchy";
    const ON: On = On::Cgroup;
    const RISK: Risk = Risk::None;
    const POWER: Power = Power::ReadCgroup;
    const SETTLE_S: u32 = 0;
}

impl Step for ListCgroupLimits {
    fn target(&self) -> Target {
        Target::Cgroup(self.cgroup.clone())
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        Ok(Plan::look(Command::Cgget { path: found.cgroup()?.clone() }))
    }
}
