//! `set_cpu_affinity`: a process runs on some CPUs only.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, thread_change, touch};
use crate::execute::{
    command::Command,
    undo::Undo,
    value::{CpuList, Pid},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetCpuAffinity {
    /// The process; all its threads are moved.
    pid: Pid,
    /// The CPUs that it may run on, as in 0-3,5; those that are not online are left out.
    cpus: CpuList,
}

impl Action for SetCpuAffinity {
    const NAME: &'static str = "set_cpu_affinity";
    const SUMMARY: &'static str = "Lets all threads of a process run on some CPUs only";
    const ON: On = On::Process;
    const RISK: Risk = Risk::Low;
    const POWER: Power = Power::SysNice;
    const WRITES: &'static str = "sched_setaffinity(2)";
    const PREDICTS: Predicts =
        Predicts::Unreckoned("on fewer CPUs it waits for itself, does as much, and leaves the others to others");
    const COST: &'static str = "it has fewer CPUs";
    const NEVER: &'static [&'static str] = &["a CPU that is offline"];
    const SETTLE_S: u32 = 10;
}

impl Step for SetCpuAffinity {
    fn target(&self) -> Target {
        Target::Process(self.pid.get() as u32)
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let process = found.process()?;
        let online = online()?;
        let cpus = self
            .cpus
            .within(&online)
            .ok_or_else(|| Refusal::NoSuchCpu { asked: self.cpus.to_string(), online: online.to_string() })?;
        let threads = process.threads()?;
        let touched = touch(process, &threads, |thread| Some(thread.cpus.clone()))?;
        let wrote = cpus.to_string();
        Ok(Plan {
            command: Command::Taskset { cpus, threads: touched.named, pid: process.id.pid },
            file: None,
            change: thread_change("CPUs", &touched.before, &wrote),
            undo: Undo::Affinity { process: process.id, wrote, before: touched.before },
        })
    }
}

fn online() -> Result<CpuList, Refusal> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    text.trim().parse().map_err(|_| Refusal::Unreadable { what: "the list of online CPUs".to_owned(), text })
}
