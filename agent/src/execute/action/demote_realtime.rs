//! `demote_realtime`: the threads of a process that run before all others are scheduled like all others.
//!
//! Each keeps its nice value, and gets back its policy and priority. Deadline threads are left alone: what they were
//! promised was reckoned against the others, and cannot be given back as simply.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, thread_change, touch};
use crate::execute::{command::Command, scheduling::Scheduling, undo::Undo, value::Pid};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DemoteRealtime {
    /// The process; its threads under FIFO and round robin are demoted.
    pid: Pid,
}

impl Action for DemoteRealtime {
    const NAME: &'static str = "demote_realtime";
    const SUMMARY: &'static str = "Schedules the real-time threads (FIFO, round robin) of a process like all others";
    const ON: On = On::Process;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::SysNice;
    const WRITES: &'static str = "sched_setattr(2)";
    const PREDICTS: Predicts = Predicts::Unreckoned(
        "others wait for its real-time threads no longer, whose share falls to that of any thread",
    );
    const COST: &'static str = "it waits for its turn like all others";
    const NEVER: &'static [&'static str] = &["its threads that are scheduled like all others already"];
    const SETTLE_S: u32 = 10;
    const LEASE_S: Option<u32> = Some(3600);
}

impl Step for DemoteRealtime {
    fn target(&self) -> Target {
        Target::Process(self.pid.get() as u32)
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let process = found.process()?;
        let threads = process.threads()?;
        let wrote = Scheduling::Other.to_string();
        let touched = touch(process, &threads, |thread| {
            let scheduling = thread.scheduling.parse::<Scheduling>().ok()?;
            scheduling.is_realtime().then(|| thread.scheduling.clone())
        })?;
        if touched.before.is_empty() {
            let now = threads.first().map_or_else(String::new, |thread| thread.scheduling.clone());
            return Err(Refusal::AlreadyMilder { what: "scheduling".to_owned(), now, asked: wrote });
        }
        Ok(Plan {
            command: Command::Chrt { scheduling: Scheduling::Other, threads: touched.named, pid: process.id.pid },
            file: None,
            change: thread_change("scheduling", &touched.before, &wrote),
            undo: Undo::Scheduling { process: process.id, wrote, before: touched.before },
        })
    }
}
