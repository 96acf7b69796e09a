//! One cgroup, read: its pulse (memory and CPU time) every tick, everything when it is its turn.

use std::{path::Path, sync::Arc};

use super::{
    parse,
    tree::{CPU, CPU_ACCOUNTING, CgroupTree, FREEZER, MEMORY, Node, PIDS, UNIFIED},
};
use crate::observe::{
    sample::{CgroupCpu, CgroupMemory, CgroupPids, CgroupSample, Psi},
    scrape::{Document, KernelFile, ScrapeError, pressure},
};

#[derive(Debug)]
pub(super) struct Reader {
    pub(super) node: Arc<Node>,
    memory: Option<KernelFile>,
    cpu: Option<KernelFile>,
    pub(super) sample: CgroupSample,
    /// The tick of the last full reading; none before the first.
    pub(super) read_whole: Option<u64>,
    /// The pulse then: memory in use, bytes, and CPU time, ns.
    pulse_then: (Option<u64>, Option<u64>),
    /// At the last full reading it was near its limit, under pressure, or had hit a limit since the one before.
    pub(super) troubled: bool,
    /// Hits of limits at the last full reading: memory, kills, throttled periods, refused forks.
    hits: [u64; 4],
}

/// A cgroup is in trouble from this share of its memory limit and this pressure on.
const NEAR_LIMIT: f64 = 0.9;
const PRESSED_PERCENT: f64 = 5.0;
/// A cgroup moves when its memory or its CPU time changed by so much since the last full reading.
const MOVED_BYTES: u64 = 256 << 10;
const MOVED_CPU_NS: u64 = 5_000_000;

/// What a reading of the pulse found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pulse {
    Same,
    Moved,
    Gone,
}

impl Reader {
    /// A reader that keeps its pulse files open if it may.
    pub(super) fn new(node: Arc<Node>, tree: &CgroupTree, keep: bool) -> Self {
        let file = |hierarchy: usize, name: &str| {
            let path = tree.root(hierarchy).filter(|_| node.in_hierarchy[hierarchy])?.join(&node.below).join(name);
            Some(if keep { KernelFile::kept(path) } else { KernelFile::once(path) })
        };
        let memory = match tree.root(MEMORY) {
            Some(_) => file(MEMORY, "memory.usage_in_bytes"),
            None => file(UNIFIED, "memory.current"),
        };
        let cpu = match tree.root(CPU_ACCOUNTING) {
            Some(_) => file(CPU_ACCOUNTING, "cpuacct.usage"),
            None => None,
        };
        let cpu = cpu.or_else(|| file(UNIFIED, "cpu.stat"));
        let sample = CgroupSample { path: node.path.clone(), ids: node.ids, ..CgroupSample::default() };
        Self { node, memory, cpu, sample, read_whole: None, pulse_then: (None, None), troubled: false, hits: [0; 4] }
    }

    /// Reads memory in use and CPU time.
    pub(super) fn pulse(&mut self, tree: &CgroupTree, buffer: &mut Vec<u8>) -> Result<Pulse, ScrapeError> {
        let usage = read(self.memory.as_mut(), buffer, |document| document.number())?;
        let v1 = tree.root(CPU_ACCOUNTING).is_some() && self.node.in_hierarchy[CPU_ACCOUNTING];
        let cpu = read(self.cpu.as_mut(), buffer, |document| {
            if v1 {
                let usage_ns = Some(document.number()?);
                return Ok(CgroupCpu { usage_ns, ..CgroupCpu::default() });
            }
            parse::v2_cpu_stat(document)
        })?;
        if usage.is_none() && cpu.is_none() && !self.is_there(tree) {
            return Ok(Pulse::Gone);
        }
        let (then, now) = (self.pulse_then, (usage, cpu.as_ref().and_then(|cpu| cpu.usage_ns)));
        let moved = is_far(then.0, now.0, MOVED_BYTES) || is_far(then.1, now.1, MOVED_CPU_NS);
        match (&mut self.sample.memory, usage) {
            (Some(memory), Some(usage_bytes)) => memory.usage_bytes = usage_bytes,
            (slot, usage) => *slot = usage.map(|usage_bytes| CgroupMemory { usage_bytes, ..Default::default() }),
        }
        match (&mut self.sample.cpu, cpu) {
            (Some(old), Some(cpu)) => {
                old.usage_ns = cpu.usage_ns;
                if !v1 && tree.root(CPU).is_none() {
                    (old.periods, old.throttled_periods, old.throttled_ns) =
                        (cpu.periods, cpu.throttled_periods, cpu.throttled_ns);
                }
            }
            (slot, cpu) => *slot = cpu,
        }
        Ok(if moved { Pulse::Moved } else { Pulse::Same })
    }

    fn is_there(&self, tree: &CgroupTree) -> bool {
        (0..self.node.in_hierarchy.len()).any(|at| {
            self.node.in_hierarchy[at] && tree.root(at).is_some_and(|root| root.join(&self.node.below).is_dir())
        })
    }

    /// Reads everything else.
    pub(super) fn read_whole(&mut self, tree: &CgroupTree, tick: u64, buffer: &mut Vec<u8>) -> Result<(), ScrapeError> {
        let mut files = Files { tree, node: &self.node, buffer };
        if let Some(memory) = &mut self.sample.memory {
            let complete =
                if tree.root(MEMORY).is_some() { files.v1_memory(memory)? } else { files.v2_memory(memory)? };
            if !complete {
                self.sample.memory = None;
            }
        }
        if tree.root(CPU).is_some() {
            files.v1_cpu(&mut self.sample.cpu)?;
        } else if let Some(cpu) = &mut self.sample.cpu {
            let quota_percent = files.get(UNIFIED, "cpu.max", parse::v2_quota_percent)?;
            (cpu.takes_quota, cpu.quota_percent) = (quota_percent.is_some(), quota_percent.flatten());
        }
        self.sample.pids = files.pids()?;
        // A line for each device that has a limit.
        self.sample.io_limited = files.get(UNIFIED, "io.max", |document| Ok(document.lines().count() > 0))?;
        self.sample.memory_pressure = files.psi("memory.pressure")?;
        self.sample.cpu_pressure = files.psi("cpu.pressure")?;
        self.sample.io_pressure = files.psi("io.pressure")?;
        self.sample.frozen = files.frozen()?;
        self.judge();
        self.read_whole = Some(tick);
        let CgroupSample { memory, cpu, .. } = &self.sample;
        self.pulse_then = (memory.as_ref().map(|memory| memory.usage_bytes), cpu.as_ref().and_then(|cpu| cpu.usage_ns));
        Ok(())
    }

    fn judge(&mut self) {
        let CgroupSample { memory, cpu, pids, memory_pressure, cpu_pressure, io_pressure, .. } = &self.sample;
        let hits = [
            memory.as_ref().map_or(0, |memory| memory.limit_hits),
            memory.as_ref().map_or(0, |memory| memory.oom_kills),
            cpu.as_ref().map_or(0, |cpu| cpu.throttled_periods),
            pids.as_ref().map_or(0, |pids| pids.refused),
        ];
        let near_limit = memory.as_ref().is_some_and(|memory| {
            let limit = memory.high_bytes.into_iter().chain(memory.limit_bytes).min();
            limit.is_some_and(|limit| memory.usage_bytes as f64 >= limit as f64 * NEAR_LIMIT)
        });
        let pressed = [memory_pressure, cpu_pressure, io_pressure]
            .into_iter()
            .flatten()
            .any(|psi| psi.some_avg10_percent >= PRESSED_PERCENT);
        let hit = self.read_whole.is_some() && hits != self.hits;
        (self.troubled, self.hits) = (near_limit || pressed || hit, hits);
    }

    /// Processes by `cgroup.procs`, for a cgroup that the process table does not name.
    pub(super) fn count_processes(&self, tree: &CgroupTree, buffer: &mut Vec<u8>) -> Result<u32, ScrapeError> {
        let mut files = Files { tree, node: &self.node, buffer };
        let mut most = 0;
        for hierarchy in 0..self.node.in_hierarchy.len() {
            let count = files.get(hierarchy, "cgroup.procs", |document| Ok(document.lines().count()))?;
            most = most.max(count.unwrap_or(0));
        }
        Ok(u32::try_from(most).unwrap_or(u32::MAX))
    }
}

/// Whether a figure moved by `far` or came or went.
fn is_far(then: Option<u64>, now: Option<u64>, far: u64) -> bool {
    match (then, now) {
        (Some(then), Some(now)) => then.abs_diff(now) >= far,
        (then, now) => then.is_some() != now.is_some(),
    }
}

/// The files of one cgroup, by hierarchy and name.
struct Files<'a> {
    tree: &'a CgroupTree,
    node: &'a Node,
    buffer: &'a mut Vec<u8>,
}

impl Files<'_> {
    /// None where the hierarchy, the cgroup in it, or the file is not there (the root lacks many).
    fn get<T>(
        &mut self,
        hierarchy: usize,
        name: &str,
        read_as: impl FnOnce(Document<'_>) -> Result<T, ScrapeError>,
    ) -> Result<Option<T>, ScrapeError> {
        let root: Option<&Path> = self.tree.root(hierarchy).filter(|_| self.node.in_hierarchy[hierarchy]);
        let Some(root) = root else { return Ok(None) };
        let mut file = KernelFile::once(root.join(&self.node.below).join(name));
        read(Some(&mut file), self.buffer, read_as)
    }

    /// Whether all was there: a limit that could not be read is not the same as none.
    fn v1_memory(&mut self, memory: &mut CgroupMemory) -> Result<bool, ScrapeError> {
        let limit = self.get(MEMORY, "memory.limit_in_bytes", parse::v1_limit)?;
        let stat = self.get(MEMORY, "memory.stat", parse::v1_memory_stat)?;
        let hits = self.get(MEMORY, "memory.failcnt", |document| document.number())?;
        let control = self.get(MEMORY, "memory.oom_control", |document| document.keyed_all(["oom_kill"]))?;
        let (Some(limit), Some((anonymous, file)), Some(hits), Some([kills])) = (limit, stat, hits, control) else {
            return Ok(false);
        };
        (memory.limit_bytes, memory.high_bytes) = (limit, None);
        let of_both = self.get(MEMORY, "memory.memsw.limit_in_bytes", parse::v1_limit)?.flatten();
        memory.swap_room_bytes = self.left_of(of_both, MEMORY, "memory.memsw.usage_in_bytes")?;
        (memory.anonymous_bytes, memory.file_bytes) = (anonymous, file);
        (memory.limit_hits, memory.oom_kills) = (hits, kills);
        Ok(true)
    }

    fn v2_memory(&mut self, memory: &mut CgroupMemory) -> Result<bool, ScrapeError> {
        let limit = self.get(UNIFIED, "memory.max", |document| document.number_or_max())?;
        let high = self.get(UNIFIED, "memory.high", |document| document.number_or_max())?;
        let stat = self.get(UNIFIED, "memory.stat", parse::v2_memory_stat)?;
        let events = self.get(UNIFIED, "memory.events", parse::v2_memory_events)?;
        let (Some(limit), Some(high), Some((anonymous, file)), Some((hits, kills))) = (limit, high, stat, events)
        else {
            return Ok(false);
        };
        (memory.limit_bytes, memory.high_bytes) = (limit, high);
        let of_swap = self.get(UNIFIED, "memory.swap.max", |document| document.number_or_max())?.flatten();
        memory.swap_room_bytes = self.left_of(of_swap, UNIFIED, "memory.swap.current")?;
        (memory.anonymous_bytes, memory.file_bytes) = (anonymous, file);
        (memory.limit_hits, memory.oom_kills) = (hits, kills);
        Ok(true)
    }

    /// What a limit leaves, where there is one.
    fn left_of(&mut self, limit: Option<u64>, hierarchy: usize, used: &str) -> Result<Option<u64>, ScrapeError> {
        let Some(limit) = limit else { return Ok(None) };
        let used = self.get(hierarchy, used, |document| document.number())?;
        Ok(used.map(|used| limit.saturating_sub(used)))
    }

    fn v1_cpu(&mut self, cpu: &mut Option<CgroupCpu>) -> Result<(), ScrapeError> {
        let quota = self.get(CPU, "cpu.cfs_quota_us", |document| document.line()?.fields().number::<i64>())?;
        let period = self.get(CPU, "cpu.cfs_period_us", |document| document.number())?;
        let stat = self.get(CPU, "cpu.stat", parse::v1_cpu_stat)?;
        let (Some(quota), Some(period), Some([periods, throttled_periods, throttled_ns])) = (quota, period, stat)
        else {
            return Ok(());
        };
        let cpu = cpu.get_or_insert_default();
        (cpu.takes_quota, cpu.quota_percent) = (true, parse::v1_quota_percent(quota, period));
        (cpu.periods, cpu.throttled_periods, cpu.throttled_ns) = (periods, throttled_periods, throttled_ns);
        Ok(())
    }

    fn pids(&mut self) -> Result<Option<CgroupPids>, ScrapeError> {
        let at = if self.tree.root(PIDS).is_some() { PIDS } else { UNIFIED };
        let current = self.get(at, "pids.current", |document| document.number())?;
        let maximum = self.get(at, "pids.max", |document| document.number_or_max())?;
        let refused = self.get(at, "pids.events", |document| document.keyed_all(["max"]))?;
        let (Some(current), Some(maximum), Some([refused])) = (current, maximum, refused) else { return Ok(None) };
        Ok(Some(CgroupPids { current, maximum, refused }))
    }

    fn psi(&mut self, name: &str) -> Result<Option<Psi>, ScrapeError> {
        self.get(UNIFIED, name, pressure::parse)
    }

    /// Frozen in either hierarchy.
    fn frozen(&mut self) -> Result<Option<bool>, ScrapeError> {
        let v2 = self.get(UNIFIED, "cgroup.events", |document| document.keyed(["frozen"]))?.and_then(|[frozen]| frozen);
        let v1 = self.get(FREEZER, "freezer.state", |document| Ok(document.line()?.text == b"FROZEN"))?;
        Ok(match (v1, v2.map(|frozen| frozen != 0)) {
            (Some(v1), Some(v2)) => Some(v1 || v2),
            (v1, v2) => v1.or(v2),
        })
    }
}

/// None where there is no such file, or none that we may read: off on this machine, or gone this moment.
fn read<T>(
    file: Option<&mut KernelFile>,
    buffer: &mut Vec<u8>,
    read_as: impl FnOnce(Document<'_>) -> Result<T, ScrapeError>,
) -> Result<Option<T>, ScrapeError> {
    let Some(file) = file else { return Ok(None) };
    match file.read(buffer) {
        Ok(document) => read_as(document).map(Some),
        Err(error) if error.is_off() || error.is_gone() => Ok(None),
        Err(error) => Err(error),
    }
}
