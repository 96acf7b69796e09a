//! What the ring carries: rare things, each as it happened.

use serde::{Deserialize, Serialize};

use super::{ProcessId, comm::Comm};
use crate::text::Text;

/// One record of the kernel, checked and decoded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// `CLOCK_MONOTONIC`, ns, when the kernel wrote it.
    pub at_ns: u64,
    /// The process on whose behalf it happened.
    pub process: ProcessId,
    pub comm: Comm,
    /// Id of the process's cgroup in the unified hierarchy.
    pub cgroup_id: u64,
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// The process's resident memory crossed another step upwards (leak watch).
    RssStep {
        rss_bytes: u64,
    },
    /// The kernel chose the process as its victim.
    OomKill {
        rss_bytes: u64,
        in_cgroup: bool,
    },
    /// The process stood in direct reclaim.
    ReclaimStall {
        duration_ns: u64,
        in_cgroup: bool,
    },
    /// A block request took far longer than its kind should.
    BlockOutlier {
        device: Text,
        operation: BlockOperation,
        latency_ns: u64,
        bytes: u64,
    },
    /// A block request failed.
    BlockError {
        device: Text,
        operation: BlockOperation,
        errno: i32,
    },
    /// A timed system call took far longer than it should.
    SyscallOutlier {
        syscall: u32,
        latency_ns: u64,
    },
    /// The process stood ready for long before it ran.
    RunQueueOutlier {
        latency_ns: u64,
    },
    Fork {
        child_pid: u32,
    },
    Exec,
    Exit {
        exit_code: i32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockOperation {
    Read,
    Write,
    Flush,
    Discard,
    Other,
}
