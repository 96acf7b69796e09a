//! `lower_io_priority`: a process yields the disk to others. It never raises a priority.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, thread_change, touch};
use crate::execute::{
    command::Command,
    process::Thread,
    sandbox::sys,
    undo::Undo,
    value::{Bounded, Pid},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LowerIoPriority {
    /// The process; all its threads are lowered, those that are lower already excepted.
    pid: Pid,
    /// 2: best effort. 3: idle, served only when nobody else asks.
    #[serde(default = "best_effort")]
    io_class: Bounded<2, 3>,
    /// Within best effort, 7 is the lowest; idle has no levels.
    #[serde(default = "seven")]
    priority: Bounded<0, 7>,
}

const fn best_effort() -> Bounded<2, 3> {
    Bounded::of(2)
}

const fn seven() -> Bounded<0, 7> {
    Bounded::of(7)
}

impl Action for LowerIoPriority {
    const NAME: &'static str = "lower_io_priority";
    const SUMMARY: &'static str = "Lowers the I/O priority of all threads of a process";
    const ON: On = On::Process;
    const RISK: Risk = Risk::Low;
    const POWER: Power = Power::SysNice;
    const WRITES: &'static str = "ioprio_set(2)";
    const PREDICTS: Predicts = Predicts::Unreckoned(
        "others' I/O comes first, where the device's I/O scheduler heeds priorities (bfq, mq-deadline)",
    );
    const COST: &'static str = "its I/O waits while others do theirs";
    const SETTLE_S: u32 = 10;
}

impl Step for LowerIoPriority {
    fn target(&self) -> Target {
        Target::Process(self.pid.get() as u32)
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let process = found.process()?;
        let class = self.io_class.get() as u8;
        let level = if class == 3 { 0 } else { self.priority.get() as u8 };
        let threads = process.threads()?;
        let touched = touch(process, &threads, |thread| {
            let (class_now, level_now) = sys::io_priority(thread.tid).ok()?;
            (standing(class_now, level_now, thread) < standing(class, level, thread))
                .then(|| format!("{class_now}:{level_now}"))
        })?;
        let wrote = format!("{class}:{level}");
        if touched.before.is_empty() {
            let (class, level) = sys::io_priority(process.id.pid).unwrap_or_default();
            return Err(Refusal::AlreadyMilder {
                what: "I/O class and level".to_owned(),
                now: format!("{class}:{level}"),
                asked: wrote,
            });
        }
        Ok(Plan {
            command: Command::Ionice { class, level, threads: touched.named, pid: process.id.pid },
            file: None,
            change: thread_change("I/O class and level", &touched.before, &wrote),
            undo: Undo::IoPriority { process: process.id, wrote, before: touched.before },
        })
    }
}

/// Where a priority stands, first served first. No class means best effort at a level that follows nice, as the block
/// layer reckons it: (nice + 20) / 5.
fn standing(class: u8, level: u8, thread: &Thread) -> i32 {
    match class {
        1 => i32::from(level),
        2 => 8 + i32::from(level),
        3 => 16,
        _ => 8 + (thread.nice + 20) / 5,
    }
}
