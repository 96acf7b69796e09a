//! `terminate_process`: a process is asked to end. The last resort; it is never forced.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, ENDED_FOR_GOOD, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, end};
use crate::execute::{
    command::{Command, Signal},
    value::Pid,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TerminateProcess {
    pid: Pid,
}

impl Action for TerminateProcess {
    const NAME: &'static str = "terminate_process";
    const SUMMARY: &'static str = "Asks a process to end (SIGTERM); the last resort";
    const ON: On = On::Process;
    const RISK: Risk = Risk::High;
    const POWER: Power = Power::Kill;
    const WRITES: &'static str = "pidfd_send_signal(2)";
    const IRREVERSIBLE_BECAUSE: Option<&'static str> = Some(ENDED_FOR_GOOD);
    const PREDICTS: Predicts = Predicts::Ends;
    const COST: &'static str = "it ends, and what it had not saved is lost";
    const SETTLE_S: u32 = 10;
}

impl Step for TerminateProcess {
    fn target(&self) -> Target {
        Target::Process(self.pid.get() as u32)
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let command = |pid| Command::Kill { signal: Signal::Terminate, pid };
        end(found, command, "running -> asked to end".to_owned())
    }
}
