//! What this program may do: one file an action, and this list of all of them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    command::{Command, Listing},
    undo::{Setting, Undo},
};
use common::{
    ENDED_FOR_GOOD, cpu_quota, end, limit_dirty, limit_in, lived_in, lower_sysctl, number, oom_score_adj, populated,
    raise_sysctl, set_oom_score_adj, ten, thread_change, touch,
};
pub use power::Power;
pub use predicts::{Predicts, Raises};
pub use refusal::Refusal;
use room::Room;
pub use target::On;
pub(super) use target::{Found, Target};

mod check_io_activity;
mod check_network_stats;
mod check_tcp_stats;
mod clear_page_cache;
mod common;
mod compact_memory;
mod confine_process;
mod demote_realtime;
mod flush_buffers;
mod freeze_cgroup;
mod increase_conntrack_max;
mod increase_rmem_max;
mod increase_tcp_backlog;
mod increase_tcp_mem;
mod increase_wmem_max;
mod kill_process;
mod limit_cgroup_cpu;
mod limit_cgroup_io;
mod limit_cgroup_memory;
mod limit_cgroup_pids;
mod limit_dirty_background_bytes;
mod limit_dirty_bytes;
mod list_cgroup_limits;
mod list_descriptors;
mod list_mounts;
mod list_sockets;
mod list_top_cpu;
mod list_top_io;
mod list_top_memory;
mod lower_io_priority;
mod lower_oom_score_adj;
mod lower_process_priority;
mod monitor_swap;
mod pause_process;
mod power;
mod predicts;
mod raise_cgroup_cpu;
mod raise_cgroup_memory;
mod raise_cgroup_pids;
mod raise_min_free_kbytes;
mod raise_nofile_limit;
mod raise_oom_score_adj;
mod reclaim_cgroup;
mod reduce_fin_timeout;
mod reduce_swappiness;
mod refusal;
mod reset_qdisc;
mod restart_unit;
mod resume_process;
mod reuse_time_wait;
mod room;
mod set_cpu_affinity;
mod set_link_speed;
mod target;
mod terminate_process;
mod thaw_cgroup;
mod thaw_filesystem;
mod throttle_cpu;
mod truncate_file;
mod widen_port_range;

/// Every action, mildest kinds first.
pub static ACTIONS: [ActionType; 54] = [
    ActionType::of::<list_top_memory::ListTopMemory>(),
    ActionType::of::<list_top_cpu::ListTopCpu>(),
    ActionType::of::<list_top_io::ListTopIo>(),
    ActionType::of::<check_io_activity::CheckIoActivity>(),
    ActionType::of::<check_network_stats::CheckNetworkStats>(),
    ActionType::of::<check_tcp_stats::CheckTcpStats>(),
    ActionType::of::<monitor_swap::MonitorSwap>(),
    ActionType::of::<list_descriptors::ListDescriptors>(),
    ActionType::of::<list_sockets::ListSockets>(),
    ActionType::of::<list_mounts::ListMounts>(),
    ActionType::of::<list_cgroup_limits::ListCgroupLimits>(),
    ActionType::of::<lower_process_priority::LowerProcessPriority>(),
    ActionType::of::<lower_io_priority::LowerIoPriority>(),
    ActionType::of::<set_cpu_affinity::SetCpuAffinity>(),
    ActionType::of::<demote_realtime::DemoteRealtime>(),
    ActionType::of::<raise_nofile_limit::RaiseNofileLimit>(),
    ActionType::of::<raise_oom_score_adj::RaiseOomScoreAdj>(),
    ActionType::of::<lower_oom_score_adj::LowerOomScoreAdj>(),
    ActionType::of::<reduce_swappiness::ReduceSwappiness>(),
    ActionType::of::<increase_tcp_backlog::IncreaseTcpBacklog>(),
    ActionType::of::<reduce_fin_timeout::ReduceFinTimeout>(),
    ActionType::of::<raise_min_free_kbytes::RaiseMinFreeKbytes>(),
    ActionType::of::<limit_dirty_bytes::LimitDirtyBytes>(),
    ActionType::of::<limit_dirty_background_bytes::LimitDirtyBackgroundBytes>(),
    ActionType::of::<widen_port_range::WidenPortRange>(),
    ActionType::of::<reuse_time_wait::ReuseTimeWait>(),
    ActionType::of::<increase_conntrack_max::IncreaseConntrackMax>(),
    ActionType::of::<increase_tcp_mem::IncreaseTcpMem>(),
    ActionType::of::<increase_rmem_max::IncreaseRmemMax>(),
    ActionType::of::<increase_wmem_max::IncreaseWmemMax>(),
    ActionType::of::<flush_buffers::FlushBuffers>(),
    ActionType::of::<compact_memory::CompactMemory>(),
    ActionType::of::<clear_page_cache::ClearPageCache>(),
    ActionType::of::<reclaim_cgroup::ReclaimCgroup>(),
    ActionType::of::<resume_process::ResumeProcess>(),
    ActionType::of::<thaw_cgroup::ThawCgroup>(),
    ActionType::of::<thaw_filesystem::ThawFilesystem>(),
    ActionType::of::<reset_qdisc::ResetQdisc>(),
    ActionType::of::<set_link_speed::SetLinkSpeed>(),
    ActionType::of::<throttle_cpu::ThrottleCpu>(),
    ActionType::of::<confine_process::ConfineProcess>(),
    ActionType::of::<limit_cgroup_cpu::LimitCgroupCpu>(),
    ActionType::of::<limit_cgroup_memory::LimitCgroupMemory>(),
    ActionType::of::<limit_cgroup_pids::LimitCgroupPids>(),
    ActionType::of::<limit_cgroup_io::LimitCgroupIo>(),
    ActionType::of::<raise_cgroup_cpu::RaiseCgroupCpu>(),
    ActionType::of::<raise_cgroup_memory::RaiseCgroupMemory>(),
    ActionType::of::<raise_cgroup_pids::RaiseCgroupPids>(),
    ActionType::of::<pause_process::PauseProcess>(),
    ActionType::of::<freeze_cgroup::FreezeCgroup>(),
    ActionType::of::<truncate_file::TruncateFile>(),
    ActionType::of::<restart_unit::RestartUnit>(),
    ActionType::of::<terminate_process::TerminateProcess>(),
    ActionType::of::<kill_process::KillProcess>(),
];

/// The action of this exact name.
#[must_use]
pub fn find(name: &str) -> Option<&'static ActionType> {
    ACTIONS.iter().find(|action| action.name == name)
}

/// All that a tool, a model or a page must know of each action.
#[must_use]
pub fn catalogue() -> Vec<CatalogueEntry> {
    ACTIONS.iter().map(ActionType::entry).collect()
}

/// One action as it is told to others.
#[derive(Clone, Debug, Serialize)]
pub struct CatalogueEntry {
    pub name: &'static str,
    pub summary: &'static str,
    pub on: On,
    pub risk: Risk,
    pub power: Power,
    /// The files that it may write, or its system call; `nothing`.
    pub writes: &'static str,
    /// Whether it changes anything at all.
    pub has_effect: bool,
    /// What it is expected to do.
    pub predicts: String,
    /// Who pays for that, and how.
    pub cost: &'static str,
    /// What it never touches, approved or not.
    pub never: Vec<&'static str>,
    /// None: it is taken back exactly. Otherwise why it is not.
    pub irreversible_because: Option<&'static str>,
    /// Time until its effect shows, s.
    pub settle_s: u32,
    /// The change is taken back by itself after so long, s.
    pub lease_s: Option<u32>,
    /// JSON Schema of its parameters.
    pub parameters: Value,
}

/// What is known of an action before any parameter.
#[derive(Debug)]
pub struct ActionType {
    pub name: &'static str,
    pub summary: &'static str,
    pub on: On,
    pub risk: Risk,
    pub power: Power,
    pub writes: &'static str,
    pub predicts: Predicts,
    pub cost: &'static str,
    pub irreversible_because: Option<&'static str>,
    pub settle_s: u32,
    pub lease_s: Option<u32>,
    pub listing: Option<Listing>,
    /// Beside what is never a target.
    never: &'static [&'static str],
    read: Reader,
    schema: fn() -> Value,
}

type Reader = fn(Map<String, Value>) -> Result<Box<dyn Step>, serde_json::Error>;

impl ActionType {
    const fn of<A: Action>() -> Self {
        Self {
            name: A::NAME,
            summary: A::SUMMARY,
            on: A::ON,
            risk: A::RISK,
            power: A::POWER,
            writes: A::WRITES,
            predicts: A::PREDICTS,
            cost: A::COST,
            irreversible_because: A::IRREVERSIBLE_BECAUSE,
            settle_s: A::SETTLE_S,
            lease_s: A::LEASE_S,
            listing: A::LISTING,
            never: A::NEVER,
            read: |parameters| Ok(Box::new(serde_json::from_value::<A>(Value::Object(parameters))?)),
            schema: || schemars::schema_for!(A).to_value(),
        }
    }

    /// The step that these parameters ask for, refused if a key is unknown, missing, of another type or out of range.
    pub(super) fn read(&self, parameters: &Map<String, Value>) -> Result<Box<dyn Step>, serde_json::Error> {
        (self.read)(parameters.clone())
    }

    #[must_use]
    pub const fn has_effect(&self) -> bool {
        !matches!(self.risk, Risk::None)
    }

    /// What it never touches: by what it is for, by the list, and by itself.
    fn never(&self) -> Vec<&'static str> {
        let listed = self.listing.map(Listing::never);
        self.on.never().iter().copied().chain(listed).chain(self.never.iter().copied()).collect()
    }

    #[must_use]
    pub fn entry(&self) -> CatalogueEntry {
        CatalogueEntry {
            name: self.name,
            summary: self.summary,
            on: self.on,
            risk: self.risk,
            power: self.power,
            writes: self.writes,
            predicts: self.predicts.to_string(),
            cost: self.cost,
            never: self.never(),
            has_effect: self.has_effect(),
            irreversible_because: self.irreversible_because,
            settle_s: self.settle_s,
            lease_s: self.lease_s,
            parameters: (self.schema)(),
        }
    }
}

/// One action: its parameters are the fields, and what it is stands in the constants.
pub(super) trait Action: Step + DeserializeOwned + JsonSchema + 'static {
    const NAME: &'static str;
    const SUMMARY: &'static str;
    const ON: On;
    const RISK: Risk;
    /// All that its executor is given.
    const POWER: Power;
    /// The files that it may write, or its system call.
    const WRITES: &'static str = "nothing";
    const PREDICTS: Predicts = Predicts::Nothing;
    const COST: &'static str = "none";
    /// What it keeps from, beside what is never a target.
    const NEVER: &'static [&'static str] = &[];
    const IRREVERSIBLE_BECAUSE: Option<&'static str> = None;
    /// Time until its effect shows, s.
    const SETTLE_S: u32;
    const LEASE_S: Option<u32> = None;
    /// The list that its target has to stand on before anybody looks at it.
    const LISTING: Option<Listing> = None;
}

/// An action with its parameters.
pub(super) trait Step: fmt::Debug + Send + Sync {
    fn target(&self) -> Target;

    /// What would be done to what was found: the command, and its undo with the value that stands now. Refuses what
    /// would not be milder. Looks only.
    fn plan(&self, found: &Found) -> Result<Plan, Refusal>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// It only looks.
    None,
    Low,
    Medium,
    High,
}

/// What would be done, and how it is taken back.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) command: Command,
    /// The one file that the executor may write.
    pub(super) file: Option<Setting>,
    pub(super) undo: Undo,
    /// Before and after in words: "nice 0 -> 10".
    pub(super) change: String,
}

impl Plan {
    /// A look, which changes nothing.
    fn look(command: Command) -> Self {
        Self {
            command,
            file: None,
            undo: Undo::Nothing { why: "it only looks".to_owned() },
            change: "nothing".to_owned(),
        }
    }

    /// One file written.
    pub(super) fn set(command: Command, setting: Setting, before: String, wrote: String) -> Self {
        let change = format!("{} {before} -> {wrote}", setting.name());
        Self { command, file: Some(setting.clone()), undo: Undo::Setting { setting, wrote, before }, change }
    }
}
