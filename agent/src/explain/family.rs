//! Who belongs to whom: whether a cgroup holds one culprit and its own, or strangers too.

use std::collections::{HashMap, HashSet};

use super::unit;
use crate::observe::{
    entity::is_within,
    window::{ProcessTick, Tick},
};

/// A stranger that uses or awaits this much of a CPU, percent, would feel a quota on the cgroup.
const BUSY_PERCENT: f64 = 1.0;
/// So many strangers a member, and a few, are quiet helpers; more are somebody's house.
const HELPERS: usize = 4;

/// Who else lives in a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Strangers {
    pub(super) all: usize,
    /// Those that would feel a quota. None of them: the members alone want the CPU.
    pub(super) busy: usize,
}

/// Processes in the cgroup (or below it) that are not of the family of `members`: neither they, nor what they started,
/// nor what started them there, nor workers that the same parent made of the same program. An action on the cgroup
/// would hit these strangers. None when the cgroup gathers strangers by its nature, or is the root.
///
/// Names are compared with each other, never with a name known beforehand.
#[must_use]
pub(super) fn strangers(cgroup: &str, members: &[&ProcessTick], tick: &Tick) -> Option<Strangers> {
    if unit::gathers_strangers(cgroup) {
        return None;
    }
    let inside = |process: &&ProcessTick| is_within(process.sample.cgroup.as_str(), cgroup);
    let by_pid: HashMap<u32, &ProcessTick> =
        tick.processes.iter().map(|process| (process.sample.id.pid, process)).collect();
    let culprits: HashSet<u32> = members.iter().map(|member| member.sample.id.pid).collect();
    let ancestors: HashSet<u32> = members
        .iter()
        .flat_map(|member| line_of(member, &by_pid))
        .filter(|ancestor| inside(&&**ancestor))
        .map(|ancestor| ancestor.sample.id.pid)
        .collect();
    let is_family = |process: &ProcessTick| {
        let pid = process.sample.id.pid;
        culprits.contains(&pid)
            || ancestors.contains(&pid)
            || line_of(process, &by_pid).any(|ancestor| culprits.contains(&ancestor.sample.id.pid))
            || members.iter().any(|member| is_worker_beside(process, member))
    };
    let strangers: Vec<&ProcessTick> =
        tick.processes.iter().filter(inside).filter(|process| !is_family(process)).collect();
    let wants_cpu = |process: &&&ProcessTick| {
        process.cpu_percent.unwrap_or(0.0) + process.run_delay_percent.unwrap_or(0.0) >= BUSY_PERCENT
    };
    let is_house = strangers.len() > HELPERS * (members.len() + 1);
    let busy = if is_house { strangers.len() } else { strangers.iter().filter(wants_cpu).count() };
    Some(Strangers { all: strangers.len(), busy })
}

/// The same program with the same parent, or one left behind by a parent that is gone and younger than the member.
fn is_worker_beside(process: &ProcessTick, member: &ProcessTick) -> bool {
    let (process, member) = (&process.sample, &member.sample);
    process.comm == member.comm
        && (process.parent_pid == member.parent_pid || process.id.start_ticks >= member.id.start_ticks)
}

/// The ancestors of a process, parent first. Bounded, for a table read while it changes may hold a ring.
fn line_of<'a, 'map>(
    process: &ProcessTick,
    by_pid: &'map HashMap<u32, &'a ProcessTick>,
) -> impl Iterator<Item = &'a ProcessTick> + use<'a, 'map> {
    let parent_of = move |process: &ProcessTick| by_pid.get(&process.sample.parent_pid).copied();
    std::iter::successors(parent_of(process), move |process| {
        if process.sample.parent_pid == process.sample.id.pid { None } else { parent_of(process) }
    })
    .take(64)
}
