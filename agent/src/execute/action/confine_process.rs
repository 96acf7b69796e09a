//! `confine_process`: one process, and whatever it begins from then on, gets a cgroup of its own with limits.
//!
//! For a process whose cgroup is nobody's: no systemd unit's and no container's. There it shares the cgroup with others
//! who must not be limited with it. Its children that live already stay where they are. Memory that it holds already
//! stays charged to the cgroup that it leaves, in v1 and v2, so the limit is of what it takes from then on; it is no
//! lower than what it holds all the same, because all of that may be given back and taken again.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Room, Step, Target};
use crate::execute::{
    cgroup_file::CgroupFile,
    command::Command,
    own_cgroup::{NotOwn, homes, limiting, named},
    process::{Process, ProcessError},
    undo::Undo,
    value::{Bounded, CgroupPath, Pid},
};

/// A hundredth of the period of a new cgroup, us: v1 and v2 give it 100 ms.
const PERCENT_US: i64 = 1000;
const MIB: u64 = 1 << 20;
/// What a process may take beyond what it holds, percent of that, and bytes at least.
const MORE_PERCENT: u64 = 10;
const MORE_MIN: u64 = 8 * MIB;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfineProcess {
    pid: Pid,
    /// CPU time that it may use, percent of one CPU; 200 is two CPUs.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Bounded<1, 102_400>")]
    cpu_percent: Option<Bounded<1, 102_400>>,
    /// Memory that it may take, MiB. Not what it holds already: that stays charged to the cgroup that it leaves.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Bounded<16, 1_073_741_824>")]
    memory_mb: Option<Bounded<16, 1_073_741_824>>,
}

/// What stands there is a number: null is none.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Action for ConfineProcess {
    const NAME: &'static str = "confine_process";
    const SUMMARY: &'static str =
        "Moves a process that no unit and no container owns to a cgroup of the agent's own, with limits";
    const ON: On = On::Process;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::OwnCgroup;
    const WRITES: &'static str =
        "cpu.max, memory.high (v2), cpu.cfs_quota_us, memory.limit_in_bytes (v1), cgroup.procs";
    const PREDICTS: Predicts = Predicts::OwnCgroup;
    const COST: &'static str =
        "it runs slower even when the CPU is free; past its memory it is slowed (v2) or ended (v1) by the kernel";
    const NEVER: &'static [&'static str] = &[
        "a process that a unit or a container owns",
        "its children that live already",
        "a limit below the memory that it holds and a tenth more",
    ];
    const SETTLE_S: u32 = 10;
    const LEASE_S: Option<u32> = Some(3600);
}

impl Step for ConfineProcess {
    fn target(&self) -> Target {
        Target::Process(self.pid.get() as u32)
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let process = found.process()?;
        if process.state == 'Z' {
            return Err(Refusal::InThatState { pid: process.id.pid, state: "a zombie: it has ended already" });
        }
        let mut limits = Vec::new();
        if let Some(percent) = self.cpu_percent {
            limits.push((limiting("cpu", CgroupFile::CpuQuota, CgroupFile::CpuMax)?, cpu_us(percent.get())?));
        }
        if let Some(mib) = self.memory_mb {
            let file = limiting("memory", CgroupFile::MemoryLimit, CgroupFile::MemoryHigh)?;
            limits.push((file, memory_bytes(process, mib.get().unsigned_abs() * MIB)?));
        }
        if limits.is_empty() {
            return Err(NotOwn::NoLimit.into());
        }
        let homes = homes(process, &limits)?;
        let written: Vec<String> = limits.iter().map(|(file, value)| format!("{} {value}", file.name())).collect();
        let own = CgroupPath::own(process.id);
        Ok(Plan {
            command: Command::Confine { limits, process: process.id },
            file: None,
            change: format!("{} -> {own} with {}", named(&homes), written.join(", ")),
            undo: Undo::OwnCgroup { process: process.id, homes },
        })
    }
}

/// The quota of a new cgroup.
fn cpu_us(percent: i64) -> Result<String, Refusal> {
    let online = nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN).ok().flatten().unwrap_or(1);
    if percent > online * 100 {
        let (asked, bound) = (percent.unsigned_abs(), online.unsigned_abs() * 100);
        return Err(Refusal::BoundBy { asked, what: "the CPU time of this node in percent".to_owned(), bound });
    }
    Ok((percent * PERCENT_US).to_string())
}

/// The limit, if the process can live with it and could come to it.
fn memory_bytes(process: &Process, asked: u64) -> Result<String, Refusal> {
    let pid = process.id.pid;
    let status = process.read("status").map_err(|source| ProcessError::Unreadable { pid, source })?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    let held = bytes("VmRSS").unwrap_or(0) + bytes("VmSwap").unwrap_or(0);
    let least = held + (held / 100 * MORE_PERCENT).max(MORE_MIN);
    if asked < least {
        let what = format!("process {pid}, which holds {held} bytes and needs some more,");
        return Err(Refusal::BelowUse { what, asked, used: least });
    }
    let all = Room::now()?.total_bytes;
    if asked > all {
        return Err(Refusal::BoundBy { asked, what: "the memory of this node".to_owned(), bound: all });
    }
    Ok(asked.to_string())
}
