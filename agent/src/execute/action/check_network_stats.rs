//! `check_network_stats`: what each interface carries in a second, with errors and drops.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Refusal, Risk, Step, Target};
use crate::execute::command::{Check, Command};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckNetworkStats {}

impl Action for CheckNetworkStats {
    const NAME: &'static str = "check_network_stats";
    const SUMMARY: &'static str = "Shows what each network interface carries in a second, with errors and drops";
    const ON: On = On::Node;
    const RISK: Risk = Risk::None;
    const POWER: Power = Power::ReadProc;
    const SETTLE_S: u32 = 0;
}

impl Step for CheckNetworkStats {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        Ok(Plan::look(Command::Check { what: Check::NetworkStats }))
    }
}
