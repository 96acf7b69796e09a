//! `resume_process`: a process that stands stopped goes on.

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
pub(super) struct ResumeProcess {
    pid: Pid,
}

impl Action for ResumeProcess {
    const NAME: &'static str = "resume_process";
    const SUMMARY: &'static str = "Continues a stopped process (SIGCONT); one that runs does not notice";
    const ON: On = On::Process;
    const RISK: Risk = Risk::Low;
    const POWER: Power = Power::Kill;
    const WRITES: &'static str = "pidfd_send_signal(2)";
    const PREDICTS: Predicts = Predicts::Unreckoned("it runs again");
    const COST: &'static str = "it goes on, whoever stopped it";
    const SETTLE_S: u32 = 5;
}

impl Step for ResumeProcess {
    fn target(&self) -> Target {
        Target::Process(self.pid.get() as u32)
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let process = found.process()?;
        let stopped = matches!(process.state, 'T' | 't');
        Ok(Plan {
            command: Command::Kill { signal: Signal::Continue, pid: process.id.pid },
            file: None,
            undo: if stopped {
                Undo::Stop { process: process.id }
            } else {
                Undo::Nothing { why: "it was not stopped".to_owned() }
            },
            change: if stopped { "stopped -> running" } else { "running -> running" }.to_owned(),
        })
    }
}
