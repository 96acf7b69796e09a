//! `thaw_cgroup`: everything in a cgroup that stands frozen goes on.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, populated};
use crate::execute::{cgroup_file::CgroupFile, cgroup_tree::cgroup_number, command::Command, value::CgroupPath};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ThawCgroup {
    cgroup: CgroupPath,
}

impl Action for ThawCgroup {
    const NAME: &'static str = "thaw_cgroup";
    const SUMMARY: &'static str = "Thaws a frozen cgroup; somebody may have frozen it on purpose";
    const ON: On = On::Cgroup;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::CgroupFile;
    const WRITES: &'static str = "cgroup.freeze (v2), freezer.state (v1)";
    const PREDICTS: Predicts = Predicts::Unreckoned("all of it runs again");
    const COST: &'static str = "it goes on, whoever froze it";
    const NEVER: &'static [&'static str] = &["one that is frozen by the cgroup above it"];
    const SETTLE_S: u32 = 10;
}

impl Step for ThawCgroup {
    fn target(&self) -> Target {
        Target::Cgroup(self.cgroup.clone())
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let path = found.cgroup()?;
        let candidates = [CgroupFile::CgroupFreeze, CgroupFile::FreezerState];
        // A process is in a cgroup of each hierarchy: the one that is frozen is the one that is meant.
        for file in candidates {
            let Ok((file, setting, before)) = populated(path, &[file], "") else { continue };
            let is_v1 = file == CgroupFile::FreezerState;
            let (frozen, thawed) = if is_v1 { ("FROZEN", "THAWED") } else { ("1", "0") };
            if before != frozen {
                continue;
            }
            // Frozen by the cgroup above it, it cannot be thawed by itself.
            if is_v1 && cgroup_number(path, file, "freezer.self_freezing", None)? == 0 {
                continue;
            }
            let command = Command::Cgset { file, value: thawed.to_owned(), path: path.clone() };
            return Ok(Plan::set(command, setting, before, thawed.to_owned()));
        }
        populated(path, &candidates, "cgroup.freeze or freezer.state")?;
        Err(Refusal::AlreadyMilder {
            what: format!("cgroup {path}"),
            now: "not frozen by itself".to_owned(),
            asked: "thawed".to_owned(),
        })
    }
}
