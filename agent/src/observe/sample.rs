//! A sample: what all sources said at one tick. Counters are raw and ever growing; [`super::Window`] makes rates of them.
//!
//! A part whose source is off or failed is `None` or empty, never zero.

mod kernel;

pub use kernel::{
    BlockCounters, FaultCounters, KernelSample, LifecycleCounters, Log2Histogram, MemoryCounters, SyscallCounters,
    SyscallError, SyscallsOfProcess,
};
use serde::Serialize;

use super::ProcessId;
use crate::text::Text;

#[derive(Clone, Debug, Default, Serialize)]
pub struct Sample {
    /// `CLOCK_MONOTONIC`, ns.
    pub at_ns: u64,
    /// Unix time, ms.
    pub wall_ms: i64,
    pub node: NodeSample,
    /// Every process (thread group), ordered by pid.
    pub processes: Vec<ProcessSample>,
    /// Parents before children, the shallowest first, at most [`CGROUPS_PER_SAMPLE`].
    pub cgroups: Vec<CgroupSample>,
    /// Cgroups that are there and had no room in `cgroups`.
    pub cgroups_left_out: u64,
    pub kernel: KernelSample,
    /// As of the last pass over all descriptors, by pid; none where nobody goes through them.
    pub sockets: Option<Vec<SocketsOfProcess>>,
}

/// Most cgroups in a sample.
pub const CGROUPS_PER_SAMPLE: usize = 1024;

/// What is one number a node.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NodeSample {
    pub memory: Option<Memory>,
    pub vmstat: Option<Vmstat>,
    pub load: Option<Load>,
    pub cpu: Option<Cpu>,
    pub pressure: Option<NodePressure>,
    pub disks: Vec<Disk>,
    pub interfaces: Vec<Interface>,
    pub tcp: Option<Tcp>,
    pub sockets: Option<Sockets>,
    pub files: Option<Files>,
    pub limits: Option<KernelLimits>,
    /// The fullest first.
    pub filesystems: Vec<Filesystem>,
}

/// `/proc/meminfo`, bytes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Memory {
    pub total_bytes: u64,
    pub free_bytes: u64,
    pub available_bytes: u64,
    pub buffers_bytes: u64,
    pub cached_bytes: u64,
    pub anonymous_bytes: u64,
    pub slab_reclaimable_bytes: u64,
    pub dirty_bytes: u64,
    pub writeback_bytes: u64,
    pub swap_total_bytes: u64,
    pub swap_free_bytes: u64,
}

/// `/proc/vmstat`, counters since boot.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Vmstat {
    pub swap_in_pages: u64,
    pub swap_out_pages: u64,
    pub faults: u64,
    pub major_faults: u64,
    pub direct_scan_pages: u64,
    pub direct_steal_pages: u64,
    pub kswapd_scan_pages: u64,
    pub refault_anon_pages: u64,
    pub refault_file_pages: u64,
    pub oom_kills: u64,
    pub allocation_stalls: u64,
}

/// `/proc/loadavg`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Load {
    pub one: f64,
    pub five: f64,
    pub fifteen: f64,
    pub runnable: u32,
    pub tasks: u32,
}

/// `/proc/stat`, time of all CPUs since boot in ns, and counters.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cpu {
    pub online: u32,
    pub user_ns: u64,
    pub nice_ns: u64,
    pub system_ns: u64,
    pub idle_ns: u64,
    pub iowait_ns: u64,
    pub irq_ns: u64,
    pub steal_ns: u64,
    pub context_switches: u64,
    pub forks: u64,
    pub running: u32,
    pub blocked: u32,
}

/// Pressure stall information of one resource: `/proc/pressure/*` or `*.pressure` of a cgroup.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Psi {
    /// Share of time that some task stood, percent, over 10 s and 60 s.
    pub some_avg10_percent: f64,
    pub some_avg60_percent: f64,
    pub some_total_us: u64,
    /// Share of time that all tasks stood.
    pub full_avg10_percent: f64,
    pub full_avg60_percent: f64,
    pub full_total_us: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct NodePressure {
    pub cpu: Psi,
    pub memory: Psi,
    pub io: Psi,
}

/// One whole block device of `/proc/diskstats`, counters since boot.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Disk {
    pub name: Text,
    pub major: u32,
    pub minor: u32,
    pub reads: u64,
    pub read_bytes: u64,
    pub read_time_ms: u64,
    pub writes: u64,
    pub written_bytes: u64,
    pub write_time_ms: u64,
    pub in_flight: u64,
    pub busy_ms: u64,
    pub queue_time_ms: u64,
}

/// One network interface, counters since it came up.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Interface {
    pub name: Text,
    pub up: bool,
    /// Link speed where the driver tells, Mbit/s.
    pub speed_mbit: Option<u32>,
    pub received_bytes: u64,
    pub received_packets: u64,
    pub received_errors: u64,
    pub received_dropped: u64,
    pub sent_bytes: u64,
    pub sent_packets: u64,
    pub sent_errors: u64,
    pub sent_dropped: u64,
}

/// `/proc/net/snmp` and `/proc/net/netstat`: TCP counters since boot; and the number of sockets in each state.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tcp {
    pub sent_segments: u64,
    pub retransmitted_segments: u64,
    pub received_errors: u64,
    pub active_opens: u64,
    pub attempt_fails: u64,
    pub resets_sent: u64,
    pub listen_overflows: u64,
    pub listen_drops: u64,
    pub established: u64,
    pub syn_sent: u64,
    pub syn_recv: u64,
    pub fin_wait: u64,
    pub time_wait: u64,
    pub close_wait: u64,
    pub listen: u64,
    /// Not every socket was counted: the counts by state are too low.
    pub states_partial: bool,
}

/// `/proc/net/sockstat`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sockets {
    pub used: u64,
    pub tcp_in_use: u64,
    pub tcp_orphan: u64,
    pub tcp_time_wait: u64,
    pub tcp_memory_pages: u64,
    pub udp_in_use: u64,
}

/// `/proc/sys/fs/file-nr`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Files {
    pub allocated: u64,
    pub maximum: u64,
}

/// A local filesystem that may be written, as `df` tells it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Filesystem {
    /// Where it is mounted.
    pub path: Text,
    pub kind: Text,
    pub total_bytes: u64,
    pub used_bytes: u64,
    /// For who is not root.
    pub available_bytes: u64,
    /// Inodes that there may be, and how many of them are left; 0 where they are made as they are needed.
    pub files: u64,
    pub files_free: u64,
    /// What files in it are on: its own device, and those of overlays that put there what is written to them.
    pub devices: Vec<DeviceNumber>,
}

/// A device, or what a filesystem has in place of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct DeviceNumber {
    pub major: u32,
    pub minor: u32,
}

impl DeviceNumber {
    /// From the number that the kernel has inside (`dev_t`): twelve bits, and twenty. None for 0, which is none.
    #[must_use]
    pub fn inside(number: u32) -> Option<Self> {
        (number != 0).then_some(Self { major: number >> 20, minor: number & 0xf_ffff })
    }
}

impl Filesystem {
    /// From here on it counts as full, whatever is kept for root.
    pub const FULL_PERCENT: f64 = 99.0;

    #[must_use]
    pub fn is_full(&self) -> bool {
        self.used_percent() >= Self::FULL_PERCENT
    }

    /// What is used of what may be, of bytes or of inodes, whichever is more; 0 to 100.
    #[must_use]
    pub fn used_percent(&self) -> f64 {
        self.used_bytes_percent().max(self.used_files_percent())
    }

    /// As `df` reckons it: what is kept for root is no part of the whole.
    #[must_use]
    pub fn used_bytes_percent(&self) -> f64 {
        percent(self.used_bytes, self.used_bytes.saturating_add(self.available_bytes))
    }

    #[must_use]
    pub fn used_files_percent(&self) -> f64 {
        percent(self.files.saturating_sub(self.files_free), self.files)
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

/// Settings of the kernel that bound what the node can do, as they stand.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KernelLimits {
    pub pid_max: u64,
    pub somaxconn: u64,
    pub local_port_low: u16,
    pub local_port_high: u16,
    /// These two are told in the node's own network namespace alone.
    pub tcp_mem_max_pages: Option<u64>,
    pub tcp_max_orphans: Option<u64>,
    pub swappiness: u64,
}

/// One process (all its threads, dead ones included). Counters since it started.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessSample {
    pub id: ProcessId,
    pub parent_pid: u32,
    pub comm: Text,
    /// Path below the hierarchy's mount of the cgroup that holds it: the unified one, or with v1 the memory
    /// controller's; `/` when in none.
    pub cgroup: Text,
    pub kernel_thread: bool,
    pub threads: u32,
    pub nice: i8,
    pub rss_bytes: u64,
    pub swap_bytes: u64,
    pub cpu_time_ns: u64,
    /// Time its threads stood ready and waited for a CPU.
    pub run_delay_ns: Option<u64>,
    pub minor_faults: u64,
    pub major_faults: u64,
    pub voluntary_switches: Option<u64>,
    pub involuntary_switches: Option<u64>,
    pub read_bytes: Option<u64>,
    pub written_bytes: Option<u64>,
    pub open_files: Option<u64>,
    pub open_files_limit: Option<u64>,
    /// Inode of its network namespace.
    pub network: Option<u32>,
}

/// A cgroup by the ids that the kernel gives it, which are the inode numbers of its directories; 0 where it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct CgroupIds {
    /// In the unified (v2) hierarchy.
    pub unified: u64,
    /// In the hierarchy of the v1 memory controller.
    pub memory: u64,
}

/// One cgroup: on v2 one directory, on v1 the directories of the same path in every controller's hierarchy.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CgroupSample {
    pub path: Text,
    pub ids: CgroupIds,
    /// Processes in it, not in its children.
    pub processes: u32,
    pub memory: Option<CgroupMemory>,
    pub cpu: Option<CgroupCpu>,
    pub pids: Option<CgroupPids>,
    /// v2 only: whether a limit on its I/O stands; none where there can be none.
    pub io_limited: Option<bool>,
    pub memory_pressure: Option<Psi>,
    pub cpu_pressure: Option<Psi>,
    pub io_pressure: Option<Psi>,
    pub frozen: Option<bool>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct CgroupMemory {
    pub usage_bytes: u64,
    /// None: no limit.
    pub limit_bytes: Option<u64>,
    /// v2 `memory.high`; none where there is none.
    pub high_bytes: Option<u64>,
    /// What it may still put out to swap; none where nothing but the node's swap bounds that.
    pub swap_room_bytes: Option<u64>,
    pub anonymous_bytes: u64,
    pub file_bytes: u64,
    /// Times that the limit was hit, since the cgroup was made.
    pub limit_hits: u64,
    pub oom_kills: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct CgroupCpu {
    pub usage_ns: Option<u64>,
    /// Whether a quota can be set: the controller is there. Usage may be told without it.
    pub takes_quota: bool,
    /// Quota in percent of one CPU; none: no quota.
    pub quota_percent: Option<f64>,
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_ns: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct CgroupPids {
    pub current: u64,
    pub maximum: Option<u64>,
    /// Forks refused because of the maximum, since the cgroup was made.
    pub refused: u64,
}

/// The TCP sockets that one process holds open in one network namespace. Who shares a descriptor counts it too.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SocketsOfProcess {
    pub pid: u32,
    /// Inode of the namespace.
    pub network: u32,
    pub established: u32,
    /// The peer has closed, and the process has not.
    pub close_wait: u32,
    /// In any other state.
    pub others: u32,
    pub listeners: Vec<Listener>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Listener {
    pub port: u16,
    /// Connections that wait to be accepted, and how many may wait.
    pub waiting: u32,
    pub backlog: u32,
    /// Turned away since the pass before; none at the first.
    pub dropped_per_s: Option<f64>,
}
