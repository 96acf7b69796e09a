//! `monitor_swap`: swap in use, and pages swapped in and out in a second.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Refusal, Risk, Step, Target};
use crate::execute::command::{Check, Command};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MonitorSwap {}

impl Action for MonitorSwap {
    const NAME: &'static str = "monitor_swap";
    const SUMMARY: &'static str = "Shows swap in use, pages swapped in and out in a second, and swappiness";
    const ON: On = On::Node;
    const RISK: Risk = Risk::None;
    const POWER: Power = Power::ReadProc;
    const SETTLE_S: u32 = 0;
}

impl Step for MonitorSwap {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        Ok(Plan::look(Command::Check { what: Check::Swap }))
    }
}
