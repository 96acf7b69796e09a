//! `raise_nofile_limit`: a process may open more files. It never lowers the limit.
//!
//! The soft limit goes up to the hard one, which stays: raising that one needs CAP_SYS_RESOURCE, and lowering it again
//! would bind the process for good. The executor takes the target's own user and group, whom the kernel lets set the
//! limits of what is theirs. A program that watches its files with select(2) cannot use more than 1024.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Raises, Refusal, Risk, Step, Target};
use crate::execute::{
    command::Command,
    undo::{ProcessSetting, Setting, Undo},
    value::{Bounded, Pid},
};

/// Part of the node's open files that is kept free, percent.
const KEPT_PERCENT: u64 = 10;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RaiseNofileLimit {
    pid: Pid,
    /// Open files that it may have; at most its hard limit.
    files: Bounded<64, 1_048_576>,
}

impl Action for RaiseNofileLimit {
    const NAME: &'static str = "raise_nofile_limit";
    const SUMMARY: &'static str = "Raises the soft limit of open files of a process, up to its hard limit";
    const ON: On = On::Process;
    const RISK: Risk = Risk::Low;
    const POWER: Power = Power::TargetsUser;
    const WRITES: &'static str = "prlimit(2)";
    const PREDICTS: Predicts = Predicts::Raised(Raises::OpenFiles);
    const COST: &'static str = "one that leaks them goes on to leak";
    const NEVER: &'static [&'static str] = &["its hard limit", "the tenth of all open files that the node keeps"];
    const SETTLE_S: u32 = 10;
}

impl Step for RaiseNofileLimit {
    fn target(&self) -> Target {
        Target::Process(self.pid.get() as u32)
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let process = found.process()?;
        let pid = process.id.pid;
        let setting = Setting::process(process, ProcessSetting::OpenFiles);
        let before = setting.read()?;
        let limits = before.split_once(':').and_then(|(soft, hard)| Some((soft.parse().ok()?, hard.parse().ok()?)));
        let Some((soft, hard)) = limits else {
            return Err(Refusal::Unreadable { what: setting.name(), text: before });
        };
        let asked = self.files.get().unsigned_abs();
        if asked <= soft {
            let asked = asked.to_string();
            return Err(Refusal::WrongWay { verb: "raise", what: setting.name(), now: before, asked });
        }
        if asked > hard {
            return Err(Refusal::HardLimit { pid, hard, asked });
        }
        if process.owner.is_none() {
            return Err(Refusal::ManyUsers { pid });
        }
        room(asked - soft)?;
        let wrote = format!("{asked}:{hard}");
        Ok(Plan {
            command: Command::Prlimit { soft: asked, hard, pid },
            file: None,
            change: format!("{} {before} -> {wrote}", setting.name()),
            undo: Undo::Setting { setting, wrote, before },
        })
    }
}

/// Refuses what could open nearly all files that the node can have open.
fn room(more: u64) -> Result<(), Refusal> {
    let text = std::fs::read_to_string("/proc/sys/fs/file-nr").unwrap_or_default();
    let numbers: Vec<u64> = text.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [open, _, most] = numbers[..] else {
        return Err(Refusal::Unreadable { what: "fs.file-nr".to_owned(), text });
    };
    let kept = most / 100 * KEPT_PERCENT;
    if open.saturating_add(more) <= most - kept {
        return Ok(());
    }
    let room = format!("{open} of {most} are open, and {kept} are kept");
    Err(Refusal::NoRoom { asked: format!("{more} open files more"), room })
}
