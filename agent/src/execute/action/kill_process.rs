//! `kill_process`: a process is asked to end, and killed when it does not. Only what an operator lists.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, Plan, Power, Refusal, Risk, Step, Target};
use crate::execute::{
    command::Command,
    undo::Undo,
    value::{Bounded, Pid},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KillProcess {
    pid: Pid,
    /// Time between the question and the kill, s.
    #[serde(default = "ten")]
    wait_s: Bounded<1, 20>,
}

fn ten() -> Bounded<1, 20> {
    Bounded::of(10)
}

impl Action for KillProcess {
    const NAME: &'static str = "kill_process";
    const SUMMARY: &'static str = "Asks a process to end (SIGTERM) and kills it (SIGKILL) when it lives after a while; only one that an operator lists";
    const RISK: Risk = Risk::High;
    const POWER: Power = Power::Kill;
    const WRITES: &'static str = "pidfd_send_signal(2)";
    const IRREVERSIBLE_BECAUSE: Option<&'static str> =
        Some("a process that ended cannot be brought back; its service manager may start it anew");
    const SETTLE_S: u32 = 10;
}

impl Step for KillProcess {
    fn target(&self) -> Target {
        Target::Process(self.pid.get() as u32)
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let process = found.process()?;
        if process.state == 'Z' {
            return Err(Refusal::InThatState { pid: process.id.pid, state: "a zombie: it has ended already" });
        }
        let wait_s = self.wait_s.get() as u32;
        Ok(Plan {
            command: Command::End { wait_ms: wait_s * 1000, pid: process.id.pid },
            file: None,
            undo: Undo::Nothing { why: Self::IRREVERSIBLE_BECAUSE.unwrap_or_default().to_owned() },
            change: format!("running -> asked to end, killed after {wait_s} s"),
        })
    }
}
