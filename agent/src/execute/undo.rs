//! Undo: the exact previous value, and what somebody else changed since is left alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::observe::ProcessId;

/// What takes an action back: captured before the deed, never assumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Undo {
    /// Nothing is taken back, and why.
    Nothing { why: String },
    /// Nice values of the process's threads.
    Nice { process: ProcessId, wrote: String, before: Vec<ThreadBefore> },
    /// I/O priorities of the process's threads, as `class:level`.
    IoPriority { process: ProcessId, wrote: String, before: Vec<ThreadBefore> },
    /// Allowed CPUs of the process's threads, as in `0-3,5`.
    Affinity { process: ProcessId, wrote: String, before: Vec<ThreadBefore> },
    /// The process ran and was stopped: it is continued.
    Continue { process: ProcessId },
    /// The process was stopped and was continued: it is stopped again.
    Stop { process: ProcessId },
    /// The process is throttled by an executor that stops and continues it: that ends, and the process runs.
    Throttle { process: ProcessId },
    /// A file of the kernel held `before`; the action writes `wrote`.
    Setting { setting: Setting, wrote: String, before: String },
}

/// What one thread had before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThreadBefore {
    pub tid: u32,
    /// Start time in clock ticks since boot.
    pub start_ticks: u64,
    pub value: String,
}

/// A file of the kernel that holds one setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "setting", rename_all = "snake_case")]
pub enum Setting {
    /// Such as `vm.swappiness`.
    Sysctl { key: String },
    /// A file of a cgroup, such as `memory.high`. The inode tells a cgroup from a later one of the same path.
    Cgroup { path: String, file: String, inode: u64 },
}
