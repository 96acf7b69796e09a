//! `freeze_cgroup`: everything in a cgroup stands still and keeps what it has, until it is thawed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, populated};
use crate::execute::{cgroup_file::CgroupFile, command::Command, value::CgroupPath};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FreezeCgroup {
    cgroup: CgroupPath,
}

impl Action for FreezeCgroup {
    const NAME: &'static str = "freeze_cgroup";
    const SUMMARY: &'static str = "Freezes all processes of a cgroup; they keep their memory and go on when thawed";
    const ON: On = On::Cgroup;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::CgroupFile;
    const WRITES: &'static str = "cgroup.freeze (v2), freezer.state (v1)";
    const PREDICTS: Predicts = Predicts::StandsStill;
    const COST: &'static str = "it stands still and answers nobody until it is let go on";
    const NEVER: &'static [&'static str] = &["one that somebody froze"];
    const SETTLE_S: u32 = 5;
    const LEASE_S: Option<u32> = Some(300);
}

impl Step for FreezeCgroup {
    fn target(&self) -> Target {
        Target::Cgroup(self.cgroup.clone())
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let path = found.cgroup()?;
        let candidates = [CgroupFile::CgroupFreeze, CgroupFile::FreezerState];
        let (file, setting, before) = populated(path, &candidates, "cgroup.freeze or freezer.state")?;
        let (frozen, thawed) = if file == CgroupFile::FreezerState { ("FROZEN", "THAWED") } else { ("1", "0") };
        if before != thawed {
            return Err(Refusal::AlreadyMilder { what: setting.name(), now: before, asked: frozen.to_owned() });
        }
        let command = Command::Cgset { file, value: frozen.to_owned(), path: path.clone() };
        Ok(Plan::set(command, setting, before, frozen.to_owned()))
    }
}
