//! `check_io_activity`: what each block device does in a second, and who waits for it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Refusal, Risk, Step, Target};
use crate::execute::command::{Check, Command};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckIoActivity {}

impl Action for CheckIoActivity {
    const NAME: &'static str = "check_io_activity";
    const SUMMARY: &'static str =
        "Shows what each block device does in a second, I/O pressure, and the processes that wait for I/O";
    const ON: On = On::Node;
    const RISK: Risk = Risk::None;
    const POWER: Power = Power::ReadProc;
    const SETTLE_S: u32 = 0;
}

impl Step for CheckIoActivity {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        Ok(Plan::look(Command::Check { what: Check::IoActivity }))
    }
}
