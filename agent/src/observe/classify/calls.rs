//! System calls by what was watched of them, and those that failed by the process that most of them came from.

use std::collections::HashMap;

use super::say;
use crate::observe::{
    Entity, Window,
    sample::{SyscallCounters, SyscallError},
    syscall_name::{errno_name, syscall_name},
    window::Tick,
};

/// The part of a tick in which calls must have been watched for what is told of slow ones, 0 to 1.
const THROUGHOUT: f64 = 0.9;

/// Failures of one process in one tick.
#[derive(Debug)]
pub(super) struct Failures {
    pub entity: Entity,
    /// Failures per second, each by its weight.
    pub weighed_per_s: f64,
    pub failures_per_s: f64,
    /// The call and error that most of them are.
    pub syscall: u32,
    pub errno: u32,
    pub open_files: Option<u64>,
    pub open_files_limit: Option<u64>,
}

impl Failures {
    /// `python3 (pid 8): openat fails with EMFILE 120 times a second`
    pub(super) fn sentence(&self) -> String {
        let (call, errno) = (syscall_name(self.syscall), errno_name(self.errno));
        format!("{}: {call} fails with {errno}, {} failures a second", self.entity, say::short(self.failures_per_s))
    }
}

/// Whether calls were watched all the time since the tick before: a moment shows none that lasts longer.
pub(super) fn watched_throughout(tick: &Tick, calls: &SyscallCounters) -> bool {
    tick.seconds.is_some_and(|seconds| calls.seconds() >= THROUGHOUT * seconds)
}

/// Failures since the tick before by process, weighed; none when the tracer is off, or was not attached. Those whose
/// process is gone count for the node.
pub(super) fn failures(window: &Window, weight: impl Fn(&SyscallError) -> f64) -> Option<Vec<Failures>> {
    let calls = window.now()?.kernel.syscalls.as_ref()?;
    let seconds = calls.seconds();
    let mut by_process: HashMap<Option<u32>, (Failures, f64)> = HashMap::new();
    for error in &calls.errors {
        let weighed = weight(error) * error.count as f64 / seconds;
        if weighed <= 0.0 {
            continue;
        }
        let process = window.process_by_pid(error.pid);
        let (row, most) = by_process.entry(process.map(|process| process.sample.id.pid)).or_insert_with(|| {
            let row = Failures {
                entity: process.map_or(Entity::Node, say::process),
                weighed_per_s: 0.0,
                failures_per_s: 0.0,
                syscall: error.syscall,
                errno: error.errno,
                open_files: process.and_then(|process| process.sample.open_files),
                open_files_limit: process.and_then(|process| process.sample.open_files_limit),
            };
            (row, 0.0)
        });
        row.weighed_per_s += weighed;
        row.failures_per_s += error.count as f64 / seconds;
        if weighed > *most {
            *most = weighed;
            (row.syscall, row.errno) = (error.syscall, error.errno);
        }
    }
    Some(by_process.into_values().map(|(row, _)| row).collect())
}
