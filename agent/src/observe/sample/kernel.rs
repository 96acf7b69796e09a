//! What the eBPF programs counted, as a sample holds it.

use serde::{Deserialize, Serialize};

use super::DeviceNumber;
use crate::{observe::event::BlockOperation, text::Text};

/// What the eBPF programs counted since they were loaded, all CPUs summed; histograms are by log2 of ns.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KernelSample {
    /// Records lost for want of room in a ring, by probe, since load.
    pub lost: Vec<(&'static str, u64)>,
    /// Counters by probe's tracer; a tracer whose programs are off is none.
    pub syscalls: Option<SyscallCounters>,
    pub run_queue: Option<Log2Histogram>,
    pub page_faults: Option<FaultCounters>,
    pub memory: Option<MemoryCounters>,
    pub block: Option<Vec<BlockCounters>>,
    pub lifecycle: Option<LifecycleCounters>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct SyscallCounters {
    /// For how long system calls were watched, ns: what all else here is of.
    pub watched_ns: u64,
    /// (system call number, calls) where calls > 0.
    pub calls: Vec<(u32, u64)>,
    /// Errors at exit; bounded, what had no room is in `errors_untold`.
    pub errors: Vec<SyscallError>,
    pub errors_untold: u64,
    /// (system call number, latency) of the timed ones.
    pub latency: Vec<(u32, Log2Histogram)>,
    /// Calls by process and number, from one call in `sampled_one_in`; the busiest only.
    pub by_process: Vec<SyscallsOfProcess>,
    pub sampled_one_in: u32,
}

impl SyscallCounters {
    /// For how long system calls were watched, s.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.watched_ns as f64 / 1e9
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct SyscallError {
    pub cgroup_id: u64,
    pub syscall: u32,
    /// Positive, as in errno(3).
    pub errno: u32,
    /// The filesystem that had no room, where that is told.
    pub device: Option<DeviceNumber>,
    pub count: u64,
    /// The process that most of them came from (a majority vote in the kernel), and whether it still stands for most.
    pub pid: u32,
}

impl SyscallError {
    /// `ENOSPC` and `EDQUOT`, the same on every architecture that the agent runs on.
    #[must_use]
    pub const fn is_for_want_of_space(&self) -> bool {
        matches!(self.errno, 28 | 122)
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct SyscallsOfProcess {
    pub pid: u32,
    pub syscall: u32,
    /// Estimated calls: samples times the rate.
    pub calls: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct FaultCounters {
    pub user: u64,
    pub kernel: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct MemoryCounters {
    pub page_cache_added: u64,
    pub page_cache_removed: u64,
    pub reclaim_stalls: u64,
    pub reclaim_stall_ns: u64,
    pub oom_kills: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct BlockCounters {
    pub device: Text,
    pub operation: BlockOperation,
    pub latency: Log2Histogram,
    pub bytes: u64,
    pub errors: u64,
    pub in_flight: i64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct LifecycleCounters {
    pub forks: u64,
    pub execs: u64,
    pub exits: u64,
    /// (pid of the parent, processes forked); bounded, what had no room is in `forks_untold`.
    pub forks_by_parent: Vec<(u32, u64)>,
    pub forks_untold: u64,
}

/// Counts by floor(log2(ns)): slot 0 holds 0 and 1 ns, slot n holds 2^n to 2^(n+1)-1 ns, slot 31 also all above (2.1 s).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log2Histogram {
    pub slots: [u64; 32],
}

impl Log2Histogram {
    #[must_use]
    pub fn count(&self) -> u64 {
        self.slots.iter().sum()
    }

    /// What was counted after `earlier`, slot by slot; a slot that shrank (the map was made anew) counts as zero.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut slots = self.slots;
        for (slot, before) in slots.iter_mut().zip(earlier.slots) {
            *slot = slot.saturating_sub(before);
        }
        Self { slots }
    }

    /// The value, ns, below which `share` (0 to 1) of the counts lie, linear within a slot; none when empty.
    #[must_use]
    pub fn quantile_ns(&self, share: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = share.clamp(0.0, 1.0) * count as f64;
        let mut below = 0.0;
        for (slot, in_slot) in self.slots.iter().enumerate() {
            let in_slot = *in_slot as f64;
            if in_slot > 0.0 && below + in_slot >= rank {
                let low = if slot == 0 { 0.0 } else { (1u64 << slot) as f64 };
                let high = (1u64 << (slot + 1)) as f64;
                return Some(low + (high - low) * ((rank - below) / in_slot).clamp(0.0, 1.0));
            }
            below += in_slot;
        }
        None
    }
}
