//! `throttle_cpu`: a process gets at most a share of one CPU, because an executor stops and continues it in turn.
//!
//! Not by a cgroup of our own: on the unified hierarchy that would take the process out of its unit's cgroup, which the
//! service manager owns, and many nodes do not have the controller where it would be needed. Stopping and continuing
//! works on every kernel, moves nothing, and is taken back exactly by continuing. The executor continues the process
//! by itself when its order ends or the daemon is gone.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target};
use crate::execute::{
    command::Command,
    undo::Undo,
    value::{Bounded, Pid},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ThrottleCpu {
    /// The process, with all its threads.
    pid: Pid,
    /// CPU time that it may use, percent of one CPU.
    limit: Bounded<1, 99>,
}

impl Action for ThrottleCpu {
    const NAME: &'static str = "throttle_cpu";
    const SUMMARY: &'static str =
        "Limits the CPU time of a process to a share of one CPU by stopping and continuing it";
    const ON: On = On::Process;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::Kill;
    const WRITES: &'static str = "pidfd_send_signal(2)";
    const PREDICTS: Predicts = Predicts::Quota;
    const COST: &'static str = "it runs slower even when the CPU is free";
    const NEVER: &'static [&'static str] = &["one that somebody stopped"];
    const SETTLE_S: u32 = 10;
    const LEASE_S: Option<u32> = Some(1800);
}

impl Step for ThrottleCpu {
    fn target(&self) -> Target {
        Target::Process(self.pid.get() as u32)
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let process = found.process()?;
        if matches!(process.state, 'T' | 't') {
            return Err(Refusal::InThatState { pid: process.id.pid, state: "stopped already" });
        }
        let percent = self.limit.get() as u32;
        Ok(Plan {
            command: Command::Cpulimit { pid: process.id.pid, percent },
            file: None,
            undo: Undo::Throttle { process: process.id },
            change: format!("no limit -> {percent} % of one CPU"),
        })
    }
}
