//! `reclaim_cgroup`: the kernel takes back so much memory of a cgroup that it can do without.
//!
//! On the unified hierarchy only: what v1 has, `memory.force_empty`, takes back all that there is.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, lived_in};
use crate::execute::{
    cgroup_file::CgroupFile,
    command::Command,
    undo::Undo,
    value::{Bounded, CgroupPath},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReclaimCgroup {
    cgroup: CgroupPath,
    /// Memory to take back, bytes.
    bytes: Bounded<1_048_576, 1_073_741_824>,
}

impl Action for ReclaimCgroup {
    const NAME: &'static str = "reclaim_cgroup";
    const SUMMARY: &'static str =
        "Reclaims memory of a cgroup: cache first, then what can be swapped; nothing is ended";
    const ON: On = On::Cgroup;
    const RISK: Risk = Risk::Low;
    const POWER: Power = Power::CgroupFile;
    const WRITES: &'static str = "memory.reclaim (v2)";
    const IRREVERSIBLE_BECAUSE: Option<&'static str> =
        Some("what was taken back is read from disk again when it is needed; nothing is lost but time");
    const PREDICTS: Predicts = Predicts::Unreckoned("it holds so much less, as far as its cache and swap allow");
    const COST: &'static str = "it reads again what it needs again";
    const SETTLE_S: u32 = 10;
}

impl Step for ReclaimCgroup {
    fn target(&self) -> Target {
        Target::Cgroup(self.cgroup.clone())
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let path = found.cgroup()?;
        let file = CgroupFile::MemoryReclaim;
        let setting = lived_in(path, file)?.ok_or_else(|| Refusal::NoHierarchy {
            path: path.to_string(),
            files: "memory.reclaim; memory.force_empty of v1 would take back too much",
        })?;
        let bytes = self.bytes.get();
        Ok(Plan {
            command: Command::Cgset { file, value: bytes.to_string(), path: path.clone() },
            file: Some(setting),
            undo: Undo::Nothing { why: Self::IRREVERSIBLE_BECAUSE.unwrap_or_default().to_owned() },
            change: format!("{bytes} bytes of {path} -> reclaimed"),
        })
    }
}
