//! `kill_process`: a process is asked to end, and killed when it does not. Only what an operator lists.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, ENDED_FOR_GOOD, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, end};
use crate::execute::{
    command::{Command, Listing},
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
    const ON: On = On::Process;
    const RISK: Risk = Risk::High;
    const POWER: Power = Power::Kill;
    const WRITES: &'static str = "pidfd_send_signal(2)";
    const IRREVERSIBLE_BECAUSE: Option<&'static str> = Some(ENDED_FOR_GOOD);
    const LISTING: Option<Listing> = Some(Listing::Kill);
    const PREDICTS: Predicts = Predicts::Ends;
    const COST: &'static str = "it ends, and what it had not saved is lost";
    const SETTLE_S: u32 = 10;
}

impl Step for KillProcess {
    fn target(&self) -> Target {
        Target::Process(self.pid.get() as u32)
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let wait_s = self.wait_s.get() as u32;
        let command = |pid| Command::End { wait_ms: wait_s * 1000, pid };
        end(found, command, format!("running -> asked to end, killed after {wait_s} s"))
    }
}
