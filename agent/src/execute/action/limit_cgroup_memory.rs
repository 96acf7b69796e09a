//! `limit_cgroup_memory`: a cgroup may grow no further than this. It never raises a limit.
//!
//! On the unified hierarchy it is `memory.high`, beyond which processes are slowed and reclaimed from, never ended. The
//! v1 hierarchy has only the hard limit, so there a limit below the memory that cannot be dropped is refused.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, populated};
use crate::execute::{
    cgroup_file::CgroupFile,
    cgroup_tree::cgroup_number,
    command::Command,
    value::{Bounded, CgroupPath},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitCgroupMemory {
    cgroup: CgroupPath,
    /// Memory that it may use, bytes; rounded down to whole pages.
    bytes: Bounded<1_048_576, 1_125_899_906_842_624>,
}

impl Action for LimitCgroupMemory {
    const NAME: &'static str = "limit_cgroup_memory";
    const SUMMARY: &'static str = "Lowers the memory limit of a cgroup: memory.high, or the hard limit on cgroup v1";
    const ON: On = On::Cgroup;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::CgroupFile;
    const WRITES: &'static str = "memory.high (v2), memory.limit_in_bytes (v1)";
    const PREDICTS: Predicts = Predicts::MemoryLimit;
    const COST: &'static str = "its cache is reclaimed; if it asks for more anonymous memory, the kernel slows it (v2) or ends one of its processes (v1)";
    const NEVER: &'static [&'static str] =
        &["a limit below the memory that cannot be dropped, where it is a hard one (v1)"];
    const SETTLE_S: u32 = 10;
    const LEASE_S: Option<u32> = Some(3600);
}

impl Step for LimitCgroupMemory {
    fn target(&self) -> Target {
        Target::Cgroup(self.cgroup.clone())
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let path = found.cgroup()?;
        let candidates = [CgroupFile::MemoryHigh, CgroupFile::MemoryLimit];
        let (file, setting, before) = populated(path, &candidates, "memory.high or memory.limit_in_bytes")?;
        let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096) as u64;
        let asked = self.bytes.get() as u64 / page * page;
        // "max", and a v1 limit that fits no u64, are above everything.
        if before.parse::<u64>().is_ok_and(|now| now <= asked) {
            return Err(Refusal::AlreadyMilder { what: setting.name(), now: before, asked: asked.to_string() });
        }
        if file == CgroupFile::MemoryLimit {
            let used = cgroup_number(path, file, "memory.stat", Some("total_rss"))?;
            if asked < used {
                return Err(Refusal::WouldKill { asked_bytes: asked, used_bytes: used });
            }
        }
        let wrote = asked.to_string();
        let command = Command::Cgset { file, value: wrote.clone(), path: path.clone() };
        Ok(Plan::set(command, setting, before, wrote))
    }
}
