//! What the daemon tells its executor on standard input, beside the argument vector: who the target is, under which
//! numbers the descriptors are, and what the executor must find itself to be.

use std::os::fd::RawFd;

use serde::{Deserialize, Serialize};

/// Longest order, bytes.
pub const ORDER_MAX: usize = 4096;
/// What a throttling executor says once the first check is passed.
pub(super) const THROTTLING: &str = "throttling";

/// One line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    pub(super) granted: Granted,
    pub(super) process: Option<OrderedProcess>,
    /// The files that may be written, or read, in the order that the command has them.
    pub(super) files: Vec<RawFd>,
    /// The number of the network interface that is acted on, where it is one.
    pub(super) index: Option<u32>,
    /// Try this from inside, and nothing else.
    pub(super) probe: Option<OrderedProbe>,
}

/// What an executor is left with, no more and no less.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Granted {
    /// ABI of Landlock, all of whose rights are denied but those that the command needs.
    pub(super) landlock: u32,
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) groups: Vec<u32>,
    /// One bit a capability, as in `/proc/PID/status`.
    pub(super) capabilities: u64,
    /// The set that bounds them: empty, but where its maker had not the power to empty it.
    pub(super) bounding: u64,
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

/// What to try.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OrderedProbe {
    Status,
    Under {
        abi: u32,
    },
    Hang,
    Flood,
    /// One of [`super::attack::ATTACKS`] by its name, against a process that is not the target.
    Attack {
        name: String,
        stranger: u32,
    },
}
