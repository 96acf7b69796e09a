//! Processes and cgroups as the last tick saw them, for the tools that show them.

use serde::{Deserialize, Serialize};

use crate::{
    explain::{facts, unit::unit_of},
    observe::{
        Numbers, ProcessId, Signal,
        window::{CgroupTick, ProcessTick, Tick},
    },
    text::Text,
};

/// A process with all that is known of it in numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeenProcess {
    #[serde(flatten)]
    pub id: ProcessId,
    pub name: Text,
    pub parent_pid: u32,
    pub kernel_thread: bool,
    pub cgroup: Text,
    /// The systemd unit that owns the cgroup.
    pub unit: Option<Text>,
    pub numbers: Numbers,
}

impl SeenProcess {
    pub(crate) fn of(process: &ProcessTick, tick: &Tick) -> Self {
        let sample = &process.sample;
        Self {
            id: sample.id,
            name: sample.comm.clone(),
            parent_pid: sample.parent_pid,
            kernel_thread: sample.kernel_thread,
            cgroup: sample.cgroup.clone(),
            unit: unit_of(&sample.cgroup),
            numbers: facts::process(process, tick),
        }
    }
}

/// A cgroup with all that is known of it in numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeenCgroup {
    pub path: Text,
    pub unit: Option<Text>,
    pub numbers: Numbers,
}

impl SeenCgroup {
    pub(crate) fn of(cgroup: &CgroupTick) -> Self {
        let mut numbers = Numbers::default();
        facts::of_cgroup(&mut numbers, cgroup);
        Self { path: cgroup.sample.path.clone(), unit: unit_of(&cgroup.sample.path), numbers }
    }
}

/// What is abnormal about an entity, in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeenSignal {
    pub signal: i64,
    pub severity: crate::observe::Severity,
    pub sentence: String,
    /// Unix time, ms.
    pub first_seen_ms: i64,
}

impl SeenSignal {
    pub(super) fn of(signal: &Signal) -> Self {
        Self {
            signal: signal.id,
            severity: signal.severity,
            sentence: signal.sentence.clone(),
            first_seen_ms: signal.first_seen_ms,
        }
    }
}
