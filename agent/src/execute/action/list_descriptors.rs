//! `list_descriptors`: what the open descriptors of a process are, counted by kind.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Refusal, Risk, Step, Target};
use crate::execute::{command::Command, value::Pid};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListDescriptors {
    pid: Pid,
}

impl Action for ListDescriptors {
    const NAME: &'static str = "list_descriptors";
    const SUMMARY: &'static str = "Counts the open descriptors of a process by kind: files, sockets, pipes, and so on";
    const ON: On = On::Process;
    const RISK: Risk = Risk::None;
    const POWER: Power = Power::ReadDescriptors;
    const SETTLE_S: u32 = 0;
}

impl Step for ListDescriptors {
    fn target(&self) -> Target {
        Target::Process(self.pid.get() as u32)
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let process = found.process()?;
        if process.owner.is_none() {
            return Err(Refusal::ManyUsers { pid: process.id.pid });
        }
        Ok(Plan::look(Command::Lsfd { pid: process.id.pid }))
    }
}
