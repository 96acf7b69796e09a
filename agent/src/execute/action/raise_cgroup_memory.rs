//! `raise_cgroup_memory`: a cgroup may have more memory. It never lowers a limit.
//!
//! On the unified hierarchy it raises the limit that binds: `memory.high`, unless `memory.max` is lower. The v1 hierarchy
//! has one limit. Taken back while more is in use, v1 refuses and so do we on v2, where the kernel would end processes;
//! then it is owed, and tried again.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Raises, Refusal, Risk, Room, Step, Target, limit_in, populated};
use crate::execute::{
    cgroup_file::CgroupFile,
    cgroup_tree::cgroup_number,
    command::Command,
    undo::Setting,
    value::{Bounded, CgroupPath},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RaiseCgroupMemory {
    cgroup: CgroupPath,
    /// Memory that it may use, bytes; rounded down to whole pages.
    bytes: Bounded<1_048_576, 1_125_899_906_842_624>,
}

impl Action for RaiseCgroupMemory {
    const NAME: &'static str = "raise_cgroup_memory";
    const SUMMARY: &'static str =
        "Raises the memory limit that binds a cgroup, if a tenth of the node's memory stays available";
    const ON: On = On::Cgroup;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::CgroupFile;
    const WRITES: &'static str = "memory.high, memory.max (v2), memory.limit_in_bytes (v1)";
    const PREDICTS: Predicts = Predicts::Raised(Raises::Memory);
    const COST: &'static str = "less is left for all others";
    const NEVER: &'static [&'static str] =
        &["the tenth of all memory that stays available", "a limit above one that would bind next"];
    const SETTLE_S: u32 = 10;
    const LEASE_S: Option<u32> = Some(3600);
}

impl Step for RaiseCgroupMemory {
    fn target(&self) -> Target {
        Target::Cgroup(self.cgroup.clone())
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let path = found.cgroup()?;
        let candidates = [CgroupFile::MemoryHigh, CgroupFile::MemoryLimit];
        let (mut file, mut setting, mut before) = populated(path, &candidates, "memory.high or memory.limit_in_bytes")?;
        let mut now = limit_in(&setting, &before)?;
        // The other limit, which would bind next.
        let mut other = match file {
            CgroupFile::MemoryLimit => {
                let name = "memory.memsw.limit_in_bytes";
                cgroup_number(path, file, name, None).ok().map(|bytes| (format!("{name} of {path}"), bytes))
            }
            _ => None,
        };
        if file == CgroupFile::MemoryHigh
            && let Some(hard) = Setting::cgroup(path, CgroupFile::MemoryMax)?
        {
            let text = hard.read()?;
            match (now, limit_in(&hard, &text)?) {
                (Some(high), Some(max)) if high <= max => other = Some((hard.name(), max)),
                (high, max @ Some(_)) => {
                    other = high.map(|high| (setting.name(), high));
                    (file, setting, before, now) = (CgroupFile::MemoryMax, hard, text, max);
                }
                (_, None) => {}
            }
        }
        let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096) as u64;
        let asked = self.bytes.get().unsigned_abs() / page * page;
        let wrote = asked.to_string();
        let Some(now) = now.filter(|now| *now < asked) else {
            return Err(Refusal::WrongWay { verb: "raise", what: setting.name(), now: before, asked: wrote });
        };
        if let Some((what, bound)) = other.filter(|(_, bound)| *bound < asked) {
            return Err(Refusal::BoundBy { asked, what, bound });
        }
        Room::now()?.for_more(asked - now)?;
        let command = Command::Cgset { file, value: wrote.clone(), path: path.clone() };
        Ok(Plan::set(command, setting, before, wrote))
    }
}
