//! `list_top_io`: the cgroups that read and write the most, measured over one second.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Refusal, Risk, Step, Target};
use crate::execute::{
    command::{Command, TopBy},
    value::Bounded,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListTopIo {
    /// Cgroups to list.
    #[serde(default = "super::ten")]
    count: Bounded<1, 50>,
}

impl Action for ListTopIo {
    const NAME: &'static str = "list_top_io";
    const SUMMARY: &'static str = "Lists the cgroups that read and write the most, measured over one second";
    const ON: On = On::Node;
    const RISK: Risk = Risk::None;
    const POWER: Power = Power::ReadCgroup;
    const SETTLE_S: u32 = 0;
}

impl Step for ListTopIo {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        Ok(Plan::look(Command::Top { by: TopBy::Io, count: self.count.get() as u32 }))
    }
}
