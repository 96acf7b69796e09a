//! `pause_process`: a process stands still and keeps what it has, until it is resumed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target};
use crate::execute::{
    command::{Command, Signal},
    undo::Undo,
    value::Pid,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PauseProcess {
    pid: Pid,
}

impl Action for PauseProcess {
    const NAME: &'static str = "pause_process";
    const SUMMARY: &'static str = "Stops a process (SIGSTOP); it keeps its memory and goes on when resumed";
    const ON: On = On::Process;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::Kill;
    const WRITES: &'static str = "pidfd_send_signal(2)";
    const PREDICTS: Predicts = Predicts::StandsStill;
    const COST: &'static str = "it stands still and answers nobody until it is let go on";
    const NEVER: &'static [&'static str] = &["one that somebody stopped"];
    const SETTLE_S: u32 = 5;
    const LEASE_S: Option<u32> = Some(300);
}

impl Step for PauseProcess {
    fn target(&self) -> Target {
        Target::Process(self.pid.get() as u32)
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let process = found.process()?;
        if matches!(process.state, 'T' | 't') {
            return Err(Refusal::InThatState { pid: process.id.pid, state: "stopped already" });
        }
        Ok(Plan {
            command: Command::Kill { signal: Signal::Stop, pid: process.id.pid },
            file: None,
            undo: Undo::Continue { process: process.id },
            change: "running -> stopped".to_owned(),
        })
    }
}
