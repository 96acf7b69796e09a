//! `io_congestion`: tasks wait for I/O, dirty pages come near the point where writers are held, syncs take long.
//!
//! A backup keeps a disk busy and waits for it; that alone is at most medium. Many blocked tasks or slow syncs are more.

use std::collections::HashMap;

use super::{Classifier, Measure, Readings, calls::watched_throughout, say};
use crate::{
    numbers,
    observe::{
        Entity, Numbers, SignalType, Window,
        entity::is_within,
        sample::{Log2Histogram, SyscallCounters},
        syscall_name::syscall_name,
        window::{CgroupTick, ProcessTick, Tick},
    },
    text::Text,
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    signal: SignalType::IoCongestion,
    measures: &[IO_SOME, IO_FULL, CGROUP_SOME, OTHERS_WAIT, DIRTY, BLOCKED, SYNC_P99, SYNCS],
    read,
    react: None,
};

const IO_SOME: Measure = Measure::rising("io_some_percent", "time that some task waited for I/O").wants_calls();
const IO_FULL: Measure = Measure::rising("io_full_percent", "time that all tasks waited for I/O").wants_calls();
const CGROUP_SOME: Measure =
    Measure::rising("cgroup_io_some_percent", "time that some task of a cgroup waited for I/O").wants_calls();
const OTHERS_WAIT: Measure =
    Measure::rising("others_io_wait_percent", "time that a cgroup which does little I/O waited for I/O").wants_calls();
const DIRTY: Measure =
    Measure::rising("dirty_percent", "dirty and written-back pages, of the memory that may be dirty");
const BLOCKED: Measure = Measure::rising("blocked_tasks", "tasks in uninterruptible sleep").wants_calls();
const SYNC_P99: Measure =
    Measure::rising("sync_p99_ns", "time that one in a hundred file syncs took longer than").of_calls().wants_calls();
const SYNCS: Measure = Measure::rising("syncs_per_s", "file syncs").of_calls();

/// Stalls are told over this long, s.
const OVER_S: f64 = 5.0;
/// The calls that wait until one file's data is on the device.
const SYNC_CALLS: [&str; 3] = ["fsync", "fdatasync", "msync"];
/// A cgroup of which one within waits so much of its time has no wait of its own, 0 to 1.
const WITHIN: f64 = 0.9;
/// Who does less than this part of the most does little, 0 to 1.
const LITTLE: f64 = 0.5;
/// Syncs in one tick below which a percentile says nothing.
const SYNCS_MIN: u64 = 5;

fn read(window: &Window, readings: &mut Readings<'_>) {
    let Some(tick) = window.now() else { return };
    let memory = tick.node.memory.as_ref();
    let blocked = tick.node.cpu.as_ref().map(|cpu| f64::from(cpu.blocked));
    let with_context = |mut first: Numbers| {
        first.0.extend(memory.map(|memory| ("dirty_bytes".into(), memory.dirty_bytes as f64)));
        first.0.extend(memory.map(|memory| ("writeback_bytes".into(), memory.writeback_bytes as f64)));
        if first.get("blocked_tasks").is_none() {
            first.0.extend(blocked.map(|blocked| ("blocked_tasks".into(), blocked)));
        }
        first
    };

    let some = window.rate_over(OVER_S, |node| Some(node.pressure?.io.some_total_us)).map(|us| (us / 1e4).min(100.0));
    readings.node(IO_SOME, some, |percent| {
        let sentence = format!("some task waited for I/O {} % of the time{}", say::short(percent), busiest(window));
        (sentence, with_context(numbers! { stall_percent: percent }))
    });
    let full = window.rate_over(OVER_S, |node| Some(node.pressure?.io.full_total_us)).map(|us| (us / 1e4).min(100.0));
    readings.node(IO_FULL, full, |percent| {
        let sentence = format!("all tasks waited for I/O {} % of the time{}", say::short(percent), busiest(window));
        (sentence, with_context(numbers! { stall_percent: percent }))
    });
    let dirty = memory
        .filter(|memory| memory.available_bytes > 0)
        .map(|memory| 100.0 * (memory.dirty_bytes + memory.writeback_bytes) as f64 / memory.available_bytes as f64);
    readings.node(DIRTY, dirty, |percent| {
        let of = memory.map_or(0.0, |memory| (memory.dirty_bytes + memory.writeback_bytes) as f64);
        let sentence = format!(
            "{} wait to be written, {} % of what may be dirty{}",
            say::bytes(of),
            say::short(percent),
            busiest(window)
        );
        (sentence, with_context(numbers! { dirty_percent: percent }))
    });
    readings.node(BLOCKED, blocked, |tasks| {
        let sentence = format!("{} tasks are in uninterruptible sleep (D){}", say::short(tasks), busiest(window));
        (sentence, with_context(numbers! { blocked_tasks: tasks }))
    });

    if !tick.cgroups.is_empty() {
        readings.worst(
            CGROUP_SOME,
            waiting(tick),
            |cgroup| Entity::Cgroup { path: cgroup.sample.path.clone() },
            |percent, cgroup| {
                let sentence = format!(
                    "cgroup {}: some task waited for I/O {} % of the time",
                    cgroup.sample.path,
                    say::short(percent)
                );
                (sentence, numbers! { stall_percent: percent })
            },
        );
    }

    let others = others_wait(window, tick);
    readings.node(OTHERS_WAIT, others.as_ref().map(|others| others.wait_percent), |percent| {
        let who = others.as_ref().and_then(|others| others.worst.as_ref());
        let who = who.map_or_else(|| "nobody".to_owned(), |path| format!("cgroup {path}"));
        let sentence = format!(
            "{who} does little I/O, and some task of it waited for I/O {} % of the time{}",
            say::short(percent),
            busiest(window)
        );
        (sentence, with_context(numbers! { stall_percent: percent }))
    });

    let Some(syscalls) = &tick.kernel.syscalls else { return };
    let is_sync = |number: u32| SYNC_CALLS.contains(&syscall_name(number).as_str());
    let rate = syscalls.calls.iter().filter(|(number, _)| is_sync(*number)).map(|(_, calls)| calls).sum::<u64>();
    let latency = sync_latency(syscalls, is_sync);
    let p99 = latency.quantile_ns(0.99).filter(|_| latency.count() >= SYNCS_MIN).unwrap_or(0.0);
    readings.node(SYNC_P99, Some(p99).filter(|_| watched_throughout(tick, syscalls)), |ns| {
        let sentence = format!("one file sync in a hundred took more than {}{}", say::latency(ns), busiest(window));
        (sentence, with_context(numbers! { sync_p99_ns: ns, syncs: latency.count() as f64 }))
    });
    readings.node(SYNCS, Some(rate as f64 / syscalls.seconds()), |per_s| {
        let p99 = say::latency(p99);
        let sentence = format!("{} file syncs a second, p99 {p99}{}", say::short(per_s), busiest(window));
        (sentence, with_context(numbers! { syncs_per_s: per_s }))
    });
}

/// The cgroups whose tasks wait for I/O, but for those that only hold one which does, and those that wait for a limit
/// of their own.
fn waiting(tick: &Tick) -> impl Iterator<Item = (f64, &CgroupTick)> {
    let waits = |cgroup: &CgroupTick| cgroup.io_stall_percent.unwrap_or(0.0);
    let waits_within = move |cgroup: &CgroupTick, percent: f64| {
        let path = cgroup.sample.path.as_str();
        tick.cgroups.iter().any(|below| {
            waits(below) >= WITHIN * percent
                && below.sample.path.as_str() != path
                && is_within(below.sample.path.as_str(), path)
        })
    };
    let below_root = tick.cgroups.iter().filter(|cgroup| cgroup.sample.path.as_str() != "/");
    below_root.filter_map(move |cgroup| {
        let percent = cgroup.io_stall_percent?;
        (!is_limited(cgroup) && !waits_within(cgroup, percent)).then_some((percent, cgroup))
    })
}

fn is_limited(cgroup: &CgroupTick) -> bool {
    cgroup.sample.io_limited == Some(true)
}

/// Who waits for I/O that others do.
struct OthersWait {
    wait_percent: f64,
    /// Path of the cgroup; none: nobody waits.
    worst: Option<Text>,
}

/// The longest wait among cgroups that do less than half of the I/O of the one that does most: a cgroup that reads and
/// writes much waits for what it does itself, and one that is limited for its limit. Nobody suffers for the agent's
/// sake. None where no pressure is told.
fn others_wait(window: &Window, tick: &Tick) -> Option<OthersWait> {
    let own = window.process_by_pid(window.own_pid).map(|agent| agent.sample.cgroup.as_str());
    let mut done: HashMap<&str, f64> = HashMap::new();
    for process in &tick.processes {
        *done.entry(process.sample.cgroup.as_str()).or_default() += process.io_bytes_per_s.unwrap_or(0.0);
    }
    let most = done.values().copied().fold(0.0, f64::max);
    let mut told = tick.cgroups.iter().filter(|cgroup| cgroup.io_stall_percent.is_some()).peekable();
    told.peek()?;
    let does_little = |cgroup: &&CgroupTick| {
        let path = cgroup.sample.path.as_str();
        let little = done.get(path).is_some_and(|done| *done < LITTLE * most);
        little && !is_limited(cgroup) && path != "/" && Some(path) != own
    };
    let waits = |cgroup: &CgroupTick| cgroup.io_stall_percent.unwrap_or(0.0);
    let worst = told.filter(does_little).max_by(|a, b| waits(a).total_cmp(&waits(b)));
    Some(OthersWait { wait_percent: worst.map_or(0.0, waits), worst: worst.map(|cgroup| cgroup.sample.path.clone()) })
}

/// The latencies of all syncs of the tick together.
fn sync_latency(syscalls: &SyscallCounters, is_sync: impl Fn(u32) -> bool) -> Log2Histogram {
    let mut all = Log2Histogram::default();
    for (_, one) in syscalls.latency.iter().filter(|(number, _)| is_sync(*number)) {
        for (sum, count) in all.slots.iter_mut().zip(one.slots) {
            *sum += count;
        }
    }
    all
}

/// `; most I/O: dd (pid 12) 180 MiB/s`; nothing when nobody did any.
fn busiest(window: &Window) -> String {
    let Some(tick) = window.now() else { return String::new() };
    let rate = |one: &ProcessTick| one.io_bytes_per_s.unwrap_or(0.0);
    let most = tick.processes.iter().max_by(|a, b| rate(a).total_cmp(&rate(b)));
    match most.map(|one| (rate(one), one)) {
        Some((rate, one)) if rate > 0.0 => format!("; most I/O: {} {}/s", say::process(one), say::bytes(rate)),
        _ => String::new(),
    }
}
