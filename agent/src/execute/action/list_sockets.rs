//! `list_sockets`: sockets of every family by their state and their user.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Refusal, Risk, Step, Target};
use crate::execute::command::{Check, Command};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListSockets {}

impl Action for ListSockets {
    const NAME: &'static str = "list_sockets";
    const SUMMARY: &'static str =
        "Counts the sockets of each family by their state and their user, and the memory that they hold";
    const ON: On = On::Node;
    const RISK: Risk = Risk::None;
    const POWER: Power = Power::ReadProc;
    const SETTLE_S: u32 = 0;
}

impl Step for ListSockets {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        Ok(Plan::look(Command::Check { what: Check::Sockets }))
    }
}
