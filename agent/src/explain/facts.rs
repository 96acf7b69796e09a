//! What is known in numbers: of the node, of a process, and of a cgroup with all that is in it.

use std::borrow::Cow;

use super::{BusiestDisk, MemoryLimit, NodeFacts};
use crate::observe::{
    Numbers, Window,
    classify::swap_room,
    entity::with_ancestors,
    sample::{Cpu, Disk, NodeSample},
    window::{CgroupTick, ProcessTick, Tick},
};

/// A disk is looked at over the last seconds, and is at work in one in which it was busy for so much of the time, 0 to
/// 1.
const DISK_OVER_S: f64 = 5.0;
const AT_WORK: f64 = 0.5;

/// What a decision must know of the node; a source that is off leaves none.
#[must_use]
pub(crate) fn node(window: &Window) -> NodeFacts {
    let Some(tick) = window.now() else { return NodeFacts::default() };
    let node = &tick.node;
    let memory = node.memory.as_ref();
    let pressure = node.pressure.as_ref();
    let busy = busy_percent(window);
    let online = node.cpu.as_ref().map_or(0, |cpu| cpu.online);
    let seen: f64 = tick.processes.iter().filter_map(|process| process.cpu_percent).sum();
    NodeFacts {
        online_cpus: online,
        memory_total_bytes: memory.map_or(0, |memory| memory.total_bytes),
        memory_available_bytes: memory.map_or(0, |memory| memory.available_bytes),
        swap_total_bytes: memory.map_or(0, |memory| memory.swap_total_bytes),
        swap_free_bytes: memory.map_or(0, |memory| memory.swap_free_bytes),
        swappiness: node.limits.as_ref().map(|limits| limits.swappiness),
        load_one: node.load.as_ref().map(|load| load.one),
        cpu_busy_percent: busy,
        cpu_unseen_percent: busy.filter(|_| online > 0).map(|busy| (busy - seen / f64::from(online)).max(0.0)),
        others_wait_percent: window.others_wait_percent(),
        cpu_pressure_percent: pressure.map(|pressure| pressure.cpu.some_avg10_percent),
        memory_pressure_percent: pressure.map(|pressure| pressure.memory.some_avg10_percent),
        io_pressure_percent: pressure.map(|pressure| pressure.io.some_avg10_percent),
        forks_per_s: forks_per_s(window, tick),
        busiest_disk: busiest_disk(window),
        execs_per_s: tick.kernel.lifecycle.as_ref().and_then(|counted| Some(counted.execs as f64 / tick.seconds?)),
    }
}

impl NodeFacts {
    /// The same by name, without what is not known.
    #[must_use]
    pub(crate) fn numbers(&self) -> Numbers {
        let mut known = Known::default();
        known.say("online_cpus", f64::from(self.online_cpus));
        known.say("memory_total_bytes", self.memory_total_bytes as f64);
        known.say("memory_available_bytes", self.memory_available_bytes as f64);
        known.say("swap_total_bytes", self.swap_total_bytes as f64);
        known.say("swap_free_bytes", self.swap_free_bytes as f64);
        known.maybe("swappiness", self.swappiness.map(|value| value as f64));
        known.maybe("load_one", self.load_one);
        known.maybe("cpu_busy_percent", self.cpu_busy_percent);
        known.maybe("cpu_unseen_percent", self.cpu_unseen_percent);
        known.maybe("others_wait_percent", self.others_wait_percent);
        known.maybe("cpu_pressure_percent", self.cpu_pressure_percent);
        known.maybe("memory_pressure_percent", self.memory_pressure_percent);
        known.maybe("io_pressure_percent", self.io_pressure_percent);
        known.maybe("forks_per_s", self.forks_per_s);
        known.maybe("execs_per_s", self.execs_per_s);
        if let Some(disk) = &self.busiest_disk {
            known.say("busiest_disk_busy_percent", disk.busy_percent);
            known.say("busiest_disk_queue_depth", disk.queue_depth);
            known.say("busiest_disk_ops_per_s", disk.ops_per_s());
            known.say("busiest_disk_bytes_per_s", disk.bytes_per_s());
        }
        known.0
    }
}

/// All that is known of one process.
#[must_use]
pub(crate) fn process(process: &ProcessTick, tick: &Tick) -> Numbers {
    let sample = &process.sample;
    let age_s = age_s(process, tick);
    let over_life = |count: f64| (age_s > 0.0).then(|| count / age_s);
    let mut known = Known::default();
    known.maybe("cpu_percent", process.cpu_percent);
    known.maybe("life_cpu_percent", over_life(sample.cpu_time_ns as f64 / 1e7));
    let wanted = sample.run_delay_ns.map(|delay| delay + sample.cpu_time_ns);
    known.maybe("life_wanted_percent", wanted.and_then(|ns| over_life(ns as f64 / 1e7)));
    known.maybe("run_delay_percent", process.run_delay_percent);
    known.say("nice", f64::from(sample.nice));
    known.say("threads", f64::from(sample.threads));
    known.say("age_s", age_s);
    known.say("children", tick.processes.iter().filter(|p| p.sample.parent_pid == sample.id.pid).count() as f64);
    known.say("rss_bytes", sample.rss_bytes as f64);
    known.say("swap_bytes", sample.swap_bytes as f64);
    known.maybe("growth_bytes_per_s", process.growth.map(|growth| growth.bytes_per_s));
    known.maybe("rising_share", process.growth.map(|growth| growth.rising_share));
    known.maybe("minor_faults_per_s", process.minor_faults_per_s);
    known.maybe("life_minor_faults_per_s", over_life(sample.minor_faults as f64));
    known.maybe("major_faults_per_s", process.major_faults_per_s);
    known.maybe("voluntary_switches_per_s", process.voluntary_switches_per_s);
    known.maybe("life_voluntary_switches_per_s", sample.voluntary_switches.and_then(|count| over_life(count as f64)));
    known.maybe("involuntary_switches_per_s", process.involuntary_switches_per_s);
    known.maybe("read_bytes_per_s", process.read_bytes_per_s);
    known.maybe("written_bytes_per_s", process.written_bytes_per_s);
    known.maybe("io_bytes_per_s", process.io_bytes_per_s);
    known.maybe("open_files", sample.open_files.map(|files| files as f64));
    known.maybe("open_files_limit", sample.open_files_limit.map(|limit| limit as f64));
    known.maybe("forks_per_s", forks_of(sample.id.pid, tick));
    known.0
}

/// What several processes of one cgroup take together: sums, except where only the least or the most says something.
#[must_use]
pub(super) fn together(members: &[&ProcessTick], tick: &Tick) -> Numbers {
    let each: Vec<Numbers> = members.iter().map(|member| process(member, tick)).collect();
    let mut known = Known::default();
    known.say("members", members.len() as f64);
    for (name, _) in each.iter().flat_map(|numbers| &numbers.0) {
        if known.0.get(name).is_some() {
            continue;
        }
        let values = each.iter().filter_map(|numbers| numbers.get(name));
        known.say(
            name.clone(),
            match name.as_ref() {
                "nice" | "age_s" | "rising_share" | "open_files_limit" => values.fold(f64::INFINITY, f64::min),
                _ => values.sum(),
            },
        );
    }
    known.0
}

/// Adds what the cgroup says of itself.
pub(crate) fn of_cgroup(numbers: &mut Numbers, cgroup: &CgroupTick) {
    let mut known = Known(std::mem::take(numbers));
    let sample = &cgroup.sample;
    known.say("cgroup_processes", f64::from(sample.processes));
    known.maybe("cgroup_cpu_percent", cgroup.cpu_percent);
    known.maybe("cgroup_takes_quota", sample.cpu.as_ref().map(|cpu| f64::from(cpu.takes_quota)));
    known.maybe("cgroup_quota_percent", sample.cpu.as_ref().and_then(|cpu| cpu.quota_percent));
    known.maybe("cgroup_throttled_percent", cgroup.throttled_percent);
    known.maybe("cgroup_usage_bytes", sample.memory.as_ref().map(|memory| memory.usage_bytes as f64));
    known.maybe("cgroup_anonymous_bytes", sample.memory.as_ref().map(|memory| memory.anonymous_bytes as f64));
    known.maybe("cgroup_file_bytes", sample.memory.as_ref().map(|memory| memory.file_bytes as f64));
    let limit = sample.memory.as_ref().and_then(|memory| memory.limit_bytes);
    known.maybe("cgroup_limit_bytes", limit.map(|limit| limit as f64));
    known.maybe("cgroup_growth_bytes_per_s", cgroup.memory_growth_bytes_per_s);
    known.maybe("cgroup_oom_kills", sample.memory.as_ref().map(|memory| memory.oom_kills as f64));
    known.maybe("cgroup_pids", sample.pids.as_ref().map(|pids| pids.current as f64));
    known.maybe("cgroup_pids_limit", sample.pids.as_ref().and_then(|pids| pids.maximum).map(|max| max as f64));
    known.maybe("cgroup_io_limited", sample.io_limited.map(f64::from));
    known.maybe("cgroup_io_stall_percent", cgroup.io_stall_percent);
    known.maybe("cgroup_frozen", sample.frozen.map(f64::from));
    *numbers = known.0;
}

/// The limit with the least room left, of the cgroup or an ancestor.
#[must_use]
pub(crate) fn tightest_limit(path: &str, window: &Window) -> Option<MemoryLimit> {
    with_ancestors(path)
        .filter_map(|path| {
            let cgroup = window.cgroup(path)?;
            let memory = cgroup.sample.memory.as_ref()?;
            let limit_bytes = memory.limit_bytes?;
            Some(MemoryLimit {
                cgroup: cgroup.sample.path.clone(),
                limit_bytes,
                usage_bytes: memory.usage_bytes,
                swap_room_bytes: swap_room(window, path),
            })
        })
        .min_by_key(MemoryLimit::room_bytes)
}

/// Time since the process started, s. The start is counted from boot, the tick's clock stands still in suspend: a node
/// that slept shows its processes younger than they are.
#[must_use]
pub(super) fn age_s(process: &ProcessTick, tick: &Tick) -> f64 {
    (tick.at_ns as f64 / 1e9 - process.sample.id.start_ticks as f64 / 100.0).max(0.0)
}

/// Processes forked by that pid, per s.
#[must_use]
pub(super) fn forks_of(pid: u32, tick: &Tick) -> Option<f64> {
    let lifecycle = tick.kernel.lifecycle.as_ref()?;
    let forks = lifecycle.forks_by_parent.iter().find(|(parent, _)| *parent == pid).map_or(0, |(_, forks)| *forks);
    Some(forks as f64 / tick.seconds?)
}

fn forks_per_s(window: &Window, tick: &Tick) -> Option<f64> {
    let counted = tick.kernel.lifecycle.as_ref().and_then(|lifecycle| Some(lifecycle.forks as f64 / tick.seconds?));
    counted.or_else(|| window.rate(|node| Some(node.cpu.as_ref()?.forks)))
}

/// The disk that most requests waited for over the last seconds, and what it did in those of them in which it was busy:
/// writeback comes in waves, and between two of them a disk looks idle.
fn busiest_disk(window: &Window) -> Option<BusiestDisk> {
    let disks = window.now()?.node.disks.iter().filter_map(|disk| disk_at_work(window, disk));
    disks.max_by(|a, b| a.queue_depth.total_cmp(&b.queue_depth))
}

fn disk_at_work(window: &Window, disk: &Disk) -> Option<BusiestDisk> {
    let of = |node: &NodeSample| node.disks.iter().find(|one| one.name == disk.name).cloned();
    let steps: Vec<(Disk, Disk, f64)> =
        window.steps(DISK_OVER_S).filter_map(|(before, now, seconds)| Some((of(before)?, of(now)?, seconds))).collect();
    let busy = |(before, now, seconds): &&(Disk, Disk, f64)| {
        now.busy_ms.saturating_sub(before.busy_ms) as f64 >= AT_WORK * seconds * 1e3
    };
    let mut at_work: Vec<&(Disk, Disk, f64)> = steps.iter().filter(busy).collect();
    if at_work.is_empty() {
        at_work = steps.iter().collect();
    }
    let seconds: f64 = at_work.iter().map(|(_, _, seconds)| seconds).sum();
    let rate = |counter: fn(&Disk) -> u64| {
        let grown = at_work.iter().map(|(before, now, _)| counter(now).saturating_sub(counter(before)));
        grown.sum::<u64>() as f64 / seconds
    };
    (seconds > 0.0).then(|| BusiestDisk {
        name: disk.name.clone(),
        major: disk.major,
        minor: disk.minor,
        busy_percent: (rate(|disk| disk.busy_ms) / 10.0).min(100.0),
        queue_depth: rate(|disk| disk.queue_time_ms) / 1e3,
        reads_per_s: rate(|disk| disk.reads),
        read_bytes_per_s: rate(|disk| disk.read_bytes),
        writes_per_s: rate(|disk| disk.writes),
        written_bytes_per_s: rate(|disk| disk.written_bytes),
    })
}

/// Time not idle (waiting for a disk is idle), percent of all CPUs.
fn busy_percent(window: &Window) -> Option<f64> {
    let online = window.now()?.node.cpu.as_ref()?.online;
    let busy = |cpu: &Cpu| cpu.user_ns + cpu.nice_ns + cpu.system_ns + cpu.irq_ns + cpu.steal_ns;
    let ns_per_s = window.rate(|node| node.cpu.as_ref().map(busy))?;
    (online > 0).then(|| (ns_per_s / 1e7 / f64::from(online)).min(100.0))
}

/// Numbers in the making.
#[derive(Default)]
struct Known(Numbers);

impl Known {
    fn say(&mut self, name: impl Into<Cow<'static, str>>, value: f64) {
        self.0.0.push((name.into(), value));
    }

    fn maybe(&mut self, name: &'static str, value: Option<f64>) {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.say(name, value);
        }
    }
}
