//! `list_top_cpu`: the processes that use the most CPU, measured over one second.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Refusal, Risk, Step, Target};
use crate::execute::{
    command::{Command, TopBy},
    value::Bounded,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListTopCpu {
    /// Processes to list.
    #[serde(default = "super::ten")]
    count: Bounded<1, 50>,
}

impl Action for ListTopCpu {
    const NAME: &'static str = "list_top_cpu";
    const SUMMARY: &'static str = "Lists the processes that use the most CPU, measured over one second";
    const ON: On = On::Node;
    const RISK: Risk = Risk::None;
    const POWER: Power = Power::ReadProc;
    const SETTLE_S: u32 = 0;
}

impl Step for ListTopCpu {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        Ok(Plan::look(Command::Top { by: TopBy::Cpu, count: self.count.get() as u32 }))
    }
}
