//! The window: the last samples, and the rates between them.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

pub use super::tracks::Growth;
use super::{
    Entity, Event, ProcessId, Sample,
    changes::Changes,
    sample::{
        CgroupSample, KernelSample, Log2Histogram, NodeSample, ProcessSample, SocketsOfProcess, SyscallCounters,
        SyscallError,
    },
    tracks::Tracks,
};

/// Node samples kept for rates over longer times: two minutes at one a second.
const NODE_SAMPLES: usize = 120;
/// Of system calls that were watched for less, a rate says nothing: one call would be many a second.
const WATCHED_MIN_NS: u64 = 50_000_000;
/// What was counted of system calls longer ago tells nothing of now, ns.
const CALLS_RECENT_NS: u64 = 15_000_000_000;
/// The newest sample with the rates since the one before, and the shorter history that classifiers need.
#[derive(Debug, Default)]
pub struct Window {
    now: Option<Tick>,
    nodes: VecDeque<(u64, NodeSample)>,
    tracks: Tracks,
    last: Option<Sample>,
    changes: Changes,
    /// When system calls were last watched, `CLOCK_MONOTONIC`, ns, and what was counted.
    calls: Option<(u64, Arc<SyscallCounters>)>,
    /// The agent itself, which is none of those who suffer; 0: it is not known.
    pub(super) own_pid: u32,
}

/// One step of the window.
#[derive(Clone, Debug)]
pub struct Tick {
    /// `CLOCK_MONOTONIC`, ns.
    pub at_ns: u64,
    /// Unix time, ms.
    pub wall_ms: i64,
    /// Time since the tick before, s; none at the first.
    pub seconds: Option<f64>,
    pub node: NodeSample,
    pub processes: Vec<ProcessTick>,
    pub cgroups: Vec<CgroupTick>,
    /// What the programs counted since the tick before (not since load); of system calls nothing where they were hardly
    /// watched.
    pub kernel: KernelSample,
    /// System calls as of the last tick in which they were watched, if that is not long ago.
    pub recent_calls: Option<Arc<SyscallCounters>>,
    /// As of the last pass over all descriptors, by pid.
    pub sockets: Option<Vec<SocketsOfProcess>>,
    /// Ring events since the tick before, at most [`EVENTS_PER_TICK`]; the count of all is in `events_seen`.
    pub events: Vec<Event>,
    pub events_seen: u64,
    /// Records lost since the tick before, all probes.
    pub lost: u64,
}

/// Most ring events that a tick hands to classifiers.
pub const EVENTS_PER_TICK: usize = 4096;

/// A process and its rates; a rate is none in the first tick that sees it.
#[derive(Clone, Debug)]
pub struct ProcessTick {
    pub sample: ProcessSample,
    /// CPU time, percent of one CPU.
    pub cpu_percent: Option<f64>,
    /// Time its threads waited for a CPU, percent of one CPU.
    pub run_delay_percent: Option<f64>,
    pub minor_faults_per_s: Option<f64>,
    pub major_faults_per_s: Option<f64>,
    pub voluntary_switches_per_s: Option<f64>,
    pub involuntary_switches_per_s: Option<f64>,
    pub read_bytes_per_s: Option<f64>,
    pub written_bytes_per_s: Option<f64>,
    /// Both together, over the last seconds.
    pub io_bytes_per_s: Option<f64>,
    pub growth: Option<Growth>,
}

#[derive(Clone, Debug)]
pub struct CgroupTick {
    pub sample: CgroupSample,
    /// CPU time, percent of one CPU.
    pub cpu_percent: Option<f64>,
    /// Share of the periods that were throttled, percent.
    pub throttled_percent: Option<f64>,
    pub memory_growth_bytes_per_s: Option<f64>,
    pub limit_hits_per_s: Option<f64>,
    /// Since the tick before.
    pub oom_kills: u64,
    pub forks_refused_per_s: Option<f64>,
    /// Share of the time since the tick before that some task of it stood for want of memory, CPU or I/O, percent.
    pub memory_stall_percent: Option<f64>,
    pub cpu_stall_percent: Option<f64>,
    pub io_stall_percent: Option<f64>,
}

impl Window {
    /// Of the agent that has this pid.
    #[must_use]
    pub fn of_agent(own_pid: u32) -> Self {
        Self { own_pid, ..Self::default() }
    }

    /// Takes the next sample and the ring events since the one before. Counters that went backwards (a device or a
    /// cgroup made anew) count as no change.
    pub fn push(&mut self, sample: Sample, mut events: Vec<Event>) {
        let seconds = self
            .last
            .as_ref()
            .map(|last| sample.at_ns.saturating_sub(last.at_ns) as f64 / 1e9)
            .filter(|seconds| *seconds > 0.0);
        let before: HashMap<ProcessId, &ProcessSample> =
            self.last.iter().flat_map(|last| &last.processes).map(|process| (process.id, process)).collect();
        self.tracks.take(sample.at_ns, &sample.processes, &before, seconds);
        let cgroups_before: HashMap<&str, &CgroupSample> =
            self.last.iter().flat_map(|last| &last.cgroups).map(|cgroup| (cgroup.path.as_str(), cgroup)).collect();
        if let Some(last) = &self.last {
            self.changes.take(last, &sample, &cgroups_before);
        }
        let processes = sample
            .processes
            .iter()
            .map(|process| self.process_tick(process, before.get(&process.id).copied(), seconds))
            .collect();
        let cgroups = sample
            .cgroups
            .iter()
            .map(|cgroup| cgroup_tick(cgroup, cgroups_before.get(cgroup.path.as_str()).copied(), seconds))
            .collect();
        let mut kernel = match &self.last {
            Some(last) => sample.kernel.since(&last.kernel),
            None => KernelSample::default(),
        };
        kernel.syscalls = kernel.syscalls.filter(|calls| calls.watched_ns >= WATCHED_MIN_NS);
        match &kernel.syscalls {
            Some(calls) => self.calls = Some((sample.at_ns, Arc::new(calls.clone()))),
            None => self.calls = self.calls.take().filter(|(at, _)| sample.at_ns.saturating_sub(*at) < CALLS_RECENT_NS),
        }
        let events_seen = events.len() as u64;
        events.truncate(EVENTS_PER_TICK);
        if self.nodes.len() == NODE_SAMPLES {
            self.nodes.pop_front();
        }
        self.nodes.push_back((sample.at_ns, sample.node.clone()));
        self.now = Some(Tick {
            at_ns: sample.at_ns,
            wall_ms: sample.wall_ms,
            seconds,
            node: sample.node.clone(),
            processes,
            cgroups,
            lost: kernel.lost.iter().map(|(_, lost)| lost).sum(),
            kernel,
            recent_calls: self.calls.as_ref().map(|(_, calls)| Arc::clone(calls)),
            sockets: sample.sockets.clone(),
            events,
            events_seen,
        });
        self.last = Some(sample);
    }

    /// The newest tick; none before the first sample.
    #[must_use]
    pub fn now(&self) -> Option<&Tick> {
        self.now.as_ref()
    }

    /// What changed within the last hour.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Growth per second of a node-wide counter since the tick before; none where the source is off.
    pub fn rate(&self, counter: impl Fn(&NodeSample) -> Option<u64>) -> Option<f64> {
        let mut newest = self.nodes.iter().rev();
        let (now, before) = (newest.next()?, newest.next()?);
        rate_between(now, before, counter)
    }

    /// The same over the last `seconds` (or as far back as the window goes).
    pub fn rate_over(&self, seconds: f64, counter: impl Fn(&NodeSample) -> Option<u64>) -> Option<f64> {
        let now = self.nodes.back()?;
        let from = now.0.saturating_sub((seconds * 1e9) as u64);
        let before = self.nodes.iter().find(|(at, _)| *at >= from && *at < now.0)?;
        rate_between(now, before, counter)
    }

    /// Each two samples of the node that follow each other within the last `seconds`, with the time between them, s.
    pub fn steps(&self, seconds: f64) -> impl Iterator<Item = (&NodeSample, &NodeSample, f64)> {
        let from = self.nodes.back().map_or(0, |(at, _)| at.saturating_sub((seconds * 1e9) as u64));
        let pairs = self.nodes.iter().zip(self.nodes.iter().skip(1)).filter(move |((at, _), _)| *at >= from);
        pairs.filter_map(|((before_at, before), (now_at, now))| {
            let seconds = now_at.saturating_sub(*before_at) as f64 / 1e9;
            (seconds > 0.0).then_some((before, now, seconds))
        })
    }

    /// The process of that identity in the newest tick.
    #[must_use]
    pub fn process(&self, id: ProcessId) -> Option<&ProcessTick> {
        let tick = self.now.as_ref()?;
        let at = tick.processes.binary_search_by_key(&id.pid, |process| process.sample.id.pid).ok()?;
        Some(&tick.processes[at]).filter(|process| process.sample.id == id)
    }

    /// The process that has this pid in the newest tick.
    #[must_use]
    pub fn process_by_pid(&self, pid: u32) -> Option<&ProcessTick> {
        let tick = self.now.as_ref()?;
        let at = tick.processes.binary_search_by_key(&pid, |process| process.sample.id.pid).ok()?;
        Some(&tick.processes[at])
    }

    /// Inode of a network namespace, if it is surely another than the agent's own, of which `/proc/sys/net` and `/proc/net`
    /// tell.
    #[must_use]
    pub fn apart(&self, network: u32) -> Option<u32> {
        let own = self.process_by_pid(self.own_pid)?.sample.network?;
        Some(network).filter(|network| *network != own)
    }

    /// The cgroup of that path in the newest tick.
    #[must_use]
    pub fn cgroup(&self, path: &str) -> Option<&CgroupTick> {
        self.now.as_ref()?.cgroups.iter().find(|cgroup| cgroup.sample.path.as_str() == path)
    }

    /// Whether the process or cgroup is there now; anything else is taken to be.
    #[must_use]
    pub fn has(&self, entity: &Entity) -> bool {
        match entity {
            Entity::Process { id, .. } => self.process(*id).is_some(),
            Entity::Cgroup { path } => self.cgroup(path.as_str()).is_some(),
            _ => true,
        }
    }

    /// Resident memory of a tracked process: (`CLOCK_MONOTONIC` ns, bytes), oldest first.
    pub fn rss_track(&self, id: ProcessId) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.tracks.rss(id)
    }

    fn process_tick(
        &self,
        process: &ProcessSample,
        before: Option<&ProcessSample>,
        seconds: Option<f64>,
    ) -> ProcessTick {
        let per_s = |counter: &dyn Fn(&ProcessSample) -> Option<u64>| -> Option<f64> {
            Some(counter(process)?.saturating_sub(counter(before?)?) as f64 / seconds?)
        };
        ProcessTick {
            cpu_percent: per_s(&|p| Some(p.cpu_time_ns)).map(|ns| ns / 1e7),
            run_delay_percent: per_s(&|p| p.run_delay_ns).map(|ns| ns / 1e7),
            minor_faults_per_s: per_s(&|p| Some(p.minor_faults)),
            major_faults_per_s: per_s(&|p| Some(p.major_faults)),
            voluntary_switches_per_s: per_s(&|p| p.voluntary_switches),
            involuntary_switches_per_s: per_s(&|p| p.involuntary_switches),
            read_bytes_per_s: per_s(&|p| p.read_bytes),
            written_bytes_per_s: per_s(&|p| p.written_bytes),
            io_bytes_per_s: self.tracks.io(process),
            growth: self.tracks.growth(process.id),
            sample: process.clone(),
        }
    }
}

fn rate_between(
    now: &(u64, NodeSample),
    before: &(u64, NodeSample),
    counter: impl Fn(&NodeSample) -> Option<u64>,
) -> Option<f64> {
    let seconds = now.0.saturating_sub(before.0) as f64 / 1e9;
    let change = counter(&now.1)?.saturating_sub(counter(&before.1)?);
    (seconds > 0.0).then(|| change as f64 / seconds)
}

fn cgroup_tick(cgroup: &CgroupSample, before: Option<&CgroupSample>, seconds: Option<f64>) -> CgroupTick {
    let change = |counter: &dyn Fn(&CgroupSample) -> Option<u64>| -> Option<f64> {
        Some(counter(cgroup)?.saturating_sub(counter(before?)?) as f64)
    };
    let per_s = |counter: &dyn Fn(&CgroupSample) -> Option<u64>| Some(change(counter)? / seconds?);
    let periods = change(&|c| Some(c.cpu.as_ref()?.periods));
    let throttled = change(&|c| Some(c.cpu.as_ref()?.throttled_periods));
    CgroupTick {
        cpu_percent: per_s(&|c| c.cpu.as_ref()?.usage_ns).map(|ns| ns / 1e7),
        throttled_percent: match (throttled, periods) {
            (Some(throttled), Some(periods)) if periods > 0.0 => Some(100.0 * throttled / periods),
            _ => None,
        },
        memory_growth_bytes_per_s: (|| {
            let (now, then) = (cgroup.memory.as_ref()?.usage_bytes, before?.memory.as_ref()?.usage_bytes);
            Some((now as f64 - then as f64) / seconds?)
        })(),
        limit_hits_per_s: per_s(&|c| Some(c.memory.as_ref()?.limit_hits)),
        oom_kills: change(&|c| Some(c.memory.as_ref()?.oom_kills)).unwrap_or(0.0) as u64,
        forks_refused_per_s: per_s(&|c| Some(c.pids.as_ref()?.refused)),
        memory_stall_percent: per_s(&|c| Some(c.memory_pressure?.some_total_us)).map(stall_percent),
        cpu_stall_percent: per_s(&|c| Some(c.cpu_pressure?.some_total_us)).map(stall_percent),
        io_stall_percent: per_s(&|c| Some(c.io_pressure?.some_total_us)).map(stall_percent),
        sample: cgroup.clone(),
    }
}

/// A stall of so many us in a second, as a percentage of the second.
fn stall_percent(us_per_s: f64) -> f64 {
    (us_per_s / 1e4).min(100.0)
}

impl KernelSample {
    /// What was counted after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut change = self.clone();
        for (probe, lost) in &mut change.lost {
            *lost = lost.saturating_sub(earlier.lost.iter().find(|(name, _)| name == probe).map_or(0, |(_, n)| *n));
        }
        if let (Some(now), Some(then)) = (&mut change.syscalls, &earlier.syscalls) {
            now.watched_ns = now.watched_ns.saturating_sub(then.watched_ns);
            let calls: HashMap<u32, u64> = then.calls.iter().copied().collect();
            for (syscall, count) in &mut now.calls {
                *count = count.saturating_sub(calls.get(syscall).copied().unwrap_or(0));
            }
            let key = |error: &SyscallError| (error.cgroup_id, error.syscall, error.errno, error.device);
            let errors: HashMap<_, u64> = then.errors.iter().map(|error| (key(error), error.count)).collect();
            for error in &mut now.errors {
                let before = errors.get(&key(error)).copied().unwrap_or(0);
                error.count = error.count.saturating_sub(before);
            }
            let latency: HashMap<u32, &Log2Histogram> = then.latency.iter().map(|(nr, h)| (*nr, h)).collect();
            for (syscall, histogram) in &mut now.latency {
                if let Some(before) = latency.get(syscall) {
                    *histogram = histogram.since(before);
                }
            }
            let by_process: HashMap<(u32, u32), u64> =
                then.by_process.iter().map(|row| ((row.pid, row.syscall), row.calls)).collect();
            for row in &mut now.by_process {
                row.calls = row.calls.saturating_sub(by_process.get(&(row.pid, row.syscall)).copied().unwrap_or(0));
            }
            now.calls.retain(|(_, count)| *count > 0);
            now.errors.retain(|error| error.count > 0);
            now.by_process.retain(|row| row.calls > 0);
            now.errors_untold = now.errors_untold.saturating_sub(then.errors_untold);
        }
        if let (Some(now), Some(then)) = (&mut change.run_queue, &earlier.run_queue) {
            *now = now.since(then);
        }
        if let (Some(now), Some(then)) = (&mut change.page_faults, &earlier.page_faults) {
            now.user = now.user.saturating_sub(then.user);
            now.kernel = now.kernel.saturating_sub(then.kernel);
        }
        if let (Some(now), Some(then)) = (&mut change.memory, &earlier.memory) {
            now.page_cache_added = now.page_cache_added.saturating_sub(then.page_cache_added);
            now.page_cache_removed = now.page_cache_removed.saturating_sub(then.page_cache_removed);
            now.reclaim_stalls = now.reclaim_stalls.saturating_sub(then.reclaim_stalls);
            now.reclaim_stall_ns = now.reclaim_stall_ns.saturating_sub(then.reclaim_stall_ns);
            now.oom_kills = now.oom_kills.saturating_sub(then.oom_kills);
        }
        if let (Some(now), Some(then)) = (&mut change.block, &earlier.block) {
            for row in now.iter_mut() {
                let same = |other: &&super::sample::BlockCounters| {
                    other.device == row.device && other.operation == row.operation
                };
                if let Some(before) = then.iter().find(same) {
                    row.latency = row.latency.since(&before.latency);
                    row.bytes = row.bytes.saturating_sub(before.bytes);
                    row.errors = row.errors.saturating_sub(before.errors);
                }
            }
        }
        if let (Some(now), Some(then)) = (&mut change.lifecycle, &earlier.lifecycle) {
            now.forks = now.forks.saturating_sub(then.forks);
            now.execs = now.execs.saturating_sub(then.execs);
            now.exits = now.exits.saturating_sub(then.exits);
            now.forks_untold = now.forks_untold.saturating_sub(then.forks_untold);
            let parents: HashMap<u32, u64> = then.forks_by_parent.iter().copied().collect();
            for (parent, forks) in &mut now.forks_by_parent {
                *forks = forks.saturating_sub(parents.get(parent).copied().unwrap_or(0));
            }
            now.forks_by_parent.retain(|(_, forks)| *forks > 0);
        }
        change
    }
}
