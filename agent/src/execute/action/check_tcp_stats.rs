//! `check_tcp_stats`: TCP sockets by state, and retransmissions, resets and overflows in a second.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Refusal, Risk, Step, Target};
use crate::execute::command::{Check, Command};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckTcpStats {}

impl Action for CheckTcpStats {
    const NAME: &'static str = "check_tcp_stats";
    const SUMMARY: &'static str =
        "Shows TCP sockets by state, and retransmissions, resets and listen overflows in a second";
    const ON: On = On::Node;
    const RISK: Risk = Risk::None;
    const POWER: Power = Power::ReadProc;
    const SETTLE_S: u32 = 0;
}

impl Step for CheckTcpStats {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        Ok(Plan::look(Command::Check { what: Check::TcpStats }))
    }
}
