//! What the daemon tells its executor on standard input, beside the argument vector: who the target is, and under which
//! numbers the descriptors are.

use std::os::fd::RawFd;

use serde::{Deserialize, Serialize};

/// Longest order, bytes.
pub(super) const ORDER_MAX: u64 = 4096;
/// What a throttling executor says once the first check is passed.
pub(super) const THROTTLING: &str = "throttling";

/// One line of JSON.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    pub(super) process: Option<OrderedProcess>,
    /// The one file that may be written.
    pub(super) file: Option<RawFd>,
    /// Try this from inside, and nothing else.
    pub(super) probe: Option<String>,
}

/// The target: its identity, and the descriptors that stand for it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderedProcess {
    pub(super) pid: u32,
    pub(super) start_ticks: u64,
    pub(super) pidfd: RawFd,
    /// `/proc/PID/stat`.
    pub(super) stat: RawFd,
    /// `/proc/PID/task`.
    pub(super) task: RawFd,
    /// `/proc/PID/fd`, for who lists them.
    pub(super) descriptors: Option<RawFd>,
}
