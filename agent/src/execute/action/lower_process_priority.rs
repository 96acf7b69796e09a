//! `lower_process_priority`: a process yields the CPU to others. It never raises a priority.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, thread_change, touch};
use crate::execute::{
    command::Command,
    undo::Undo,
    value::{Bounded, Pid},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LowerProcessPriority {
    /// The process; all its threads are lowered, those that are lower already excepted.
    pid: Pid,
    /// Nice value to reach.
    #[serde(default = "ten")]
    priority: Bounded<1, 19>,
}

const fn ten() -> Bounded<1, 19> {
    Bounded::of(10)
}

impl Action for LowerProcessPriority {
    const NAME: &'static str = "lower_process_priority";
    const SUMMARY: &'static str = "Lowers the CPU priority (raises the nice value) of all threads of a process";
    const ON: On = On::Process;
    const RISK: Risk = Risk::Low;
    const POWER: Power = Power::SysNice;
    const WRITES: &'static str = "setpriority(2)";
    const PREDICTS: Predicts = Predicts::Weight;
    const COST: &'static str = "it runs slower while others want the CPU, as fast as before when not";
    const SETTLE_S: u32 = 10;
}

impl Step for LowerProcessPriority {
    fn target(&self) -> Target {
        Target::Process(self.pid.get() as u32)
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let process = found.process()?;
        let nice = self.priority.get() as i32;
        let threads = process.threads()?;
        let touched = touch(process, &threads, |thread| (thread.nice < nice).then(|| thread.nice.to_string()))?;
        if touched.before.is_empty() {
            let now = threads.iter().map(|thread| thread.nice).min().unwrap_or(nice);
            return Err(Refusal::AlreadyMilder {
                what: "nice".to_owned(),
                now: now.to_string(),
                asked: nice.to_string(),
            });
        }
        Ok(Plan {
            command: Command::Renice { nice, plus: false, threads: touched.named, pid: process.id.pid },
            file: None,
            change: thread_change("nice", &touched.before, &nice.to_string()),
            undo: Undo::Nice { process: process.id, wrote: nice.to_string(), before: touched.before },
        })
    }
}
