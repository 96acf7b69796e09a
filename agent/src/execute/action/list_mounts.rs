//! `list_mounts`: how full the mounted filesystems are, in bytes and in inodes.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Refusal, Risk, Step, Target};
use crate::execute::command::{Check, Command};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListMounts {}

impl Action for ListMounts {
    const NAME: &'static str = "list_mounts";
    const SUMMARY: &'static str = "Lists the local filesystems with their size, inodes, and how much of both is used";
    const ON: On = On::Node;
    const RISK: Risk = Risk::None;
    const POWER: Power = Power::ReadProc;
    const SETTLE_S: u32 = 0;
}

impl Step for ListMounts {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        Ok(Plan::look(Command::Check { what: Check::Mounts }))
    }
}
