//! Reads the maps: one system call a map, for what is counted per CPU and for the bounded hashes.

use std::{collections::HashMap, io};

use agent_ebpf::wire::{self, Emitter};
use aya::{
    Ebpf, Pod,
    maps::{Array, Map, MapData, MapError, PerCpuArray},
    util::nr_cpus,
};

use super::{KernelError, batch::BatchMap, settings::Settings, settings::timed_calls};
use crate::observe::{
    ring::{Devices, operation},
    sample::{
        BlockCounters, DeviceNumber, FaultCounters, KernelSample, LifecycleCounters, Log2Histogram, MemoryCounters,
        SyscallCounters, SyscallError, SyscallsOfProcess,
    },
};

/// Samples after which an entry that did not move leaves its map.
const STALE_SAMPLES: u32 = 60;
/// Entries of a map from which stale ones leave, and processes kept in user space.
const CROWDED: usize = 512;
const PROCESSES: usize = 1024;
/// Most entries of each of the bounded hashes.
const ENTRIES: usize = 1024;
/// Under what name events of block devices are lost that had no room in their tables.
const BLOCK_UNTOLD: &str = "block_io_slots";

/// Maps that have so many values for each CPU.
const BY_CPU: [(&str, u32); 7] = [
    ("SYSCALL_COUNTS", 1),
    ("SYSCALL_LATENCY", 1),
    ("SCHEDULER", 1),
    ("PAGE_FAULTS", 1),
    ("MEMORY", 1),
    ("RSS_SEEN", 1),
    ("BLOCK", wire::BLOCK_TABLES),
];

/// How many entries those maps need on this machine.
pub(super) fn entries_by_cpu() -> io::Result<impl Iterator<Item = (&'static str, u32)>> {
    let cpus = nr_cpus().map_err(|(_, source)| source)?;
    let cpus = u32::try_from(cpus).map_err(io::Error::other)?;
    Ok(BY_CPU.into_iter().map(move |(map, values)| (map, cpus * values)))
}

pub(super) struct Counters {
    dropped: PerCpuArray<MapData, wire::Dropped>,
    calls: ByCpu<wire::SyscallCounts>,
    latency: ByCpu<wire::SyscallLatency>,
    errors: Aged<wire::ErrorKey, wire::ErrorValue>,
    samples: BatchMap<wire::SampleKey, u64>,
    /// Samples so far, and how many readings ago the last came.
    by_process: HashMap<wire::SampleKey, (u64, u32)>,
    sampled_one_in: u32,
    /// As of the last reading: nothing moves while nobody watches.
    last_calls: Option<SyscallCounters>,
    scheduler: ByCpu<wire::SchedulerCounters>,
    forks: Aged<u32, u64>,
    faults: ByCpu<wire::FaultCounters>,
    memory: ByCpu<wire::MemoryCounters>,
    block: ByCpu<wire::BlockCounters>,
    /// Block events of pairs without room, at the last reading.
    block_untold: u64,
    devices: Devices,
}

impl Counters {
    pub(super) fn take(ebpf: &mut Ebpf, settings: &Settings) -> Result<Self, KernelError> {
        let mut take = |name: &'static str| ebpf.take_map(name).ok_or(KernelError::NoMap { map: name });
        Ok(Self {
            dropped: typed("DROPPED", take("DROPPED")?)?,
            calls: ByCpu::new("SYSCALL_COUNTS", take("SYSCALL_COUNTS")?)?,
            latency: ByCpu::new("SYSCALL_LATENCY", take("SYSCALL_LATENCY")?)?,
            errors: Aged::new(batch("SYSCALL_ERRORS", take("SYSCALL_ERRORS")?)?),
            samples: batch("SYSCALL_SAMPLES", take("SYSCALL_SAMPLES")?)?,
            by_process: HashMap::new(),
            sampled_one_in: settings.sampled_one_in(),
            last_calls: None,
            scheduler: ByCpu::new("SCHEDULER", take("SCHEDULER")?)?,
            forks: Aged::new(batch("FORKS", take("FORKS")?)?),
            faults: ByCpu::new("PAGE_FAULTS", take("PAGE_FAULTS")?)?,
            memory: ByCpu::new("MEMORY", take("MEMORY")?)?,
            block: ByCpu::new("BLOCK", take("BLOCK")?)?,
            block_untold: 0,
            devices: Devices::default(),
        })
    }

    /// `is_on` says whether the program of that name runs, `watched_ns` for how long system calls were watched.
    pub(super) fn sample(
        &mut self,
        is_on: impl Fn(&'static str) -> bool,
        watched_ns: u64,
    ) -> Result<KernelSample, KernelError> {
        let block = is_on("block_rq_complete").then(|| self.block(is_on("block_rq_issue"))).transpose()?;
        let lost = self.dropped.get(&0, 0).map_err(|source| KernelError::Map { map: "DROPPED", source })?;
        let lost_of = |emitter: Emitter| lost.iter().map(|cpu| cpu[emitter as usize]).sum();
        let mut told: Vec<_> = Emitter::ALL.into_iter().map(|(emitter, name)| (name, lost_of(emitter))).collect();
        told.push((BLOCK_UNTOLD, self.block_untold));
        Ok(KernelSample {
            lost: told,
            syscalls: is_on("sys_exit").then(|| self.syscalls(is_on("sys_enter"), watched_ns)).transpose()?,
            run_queue: is_on("sched_switch").then(|| self.run_queue()).transpose()?,
            page_faults: (is_on("page_fault_user") && is_on("page_fault_kernel"))
                .then(|| self.page_faults())
                .transpose()?,
            memory: (is_on("page_cache_add") && is_on("direct_reclaim_end")).then(|| self.memory()).transpose()?,
            block,
            lifecycle: is_on("sched_process_fork").then(|| self.lifecycle()).transpose()?,
        })
    }

    fn syscalls(&mut self, timed: bool, watched_ns: u64) -> Result<SyscallCounters, KernelError> {
        if let Some(last) = self.last_calls.as_ref().filter(|last| last.watched_ns == watched_ns) {
            return Ok(last.clone());
        }
        let cpus = self.calls.read()?;
        let calls = (0..wire::SYSCALLS)
            .map(|number| (number as u32, cpus.iter().map(|cpu| cpu.calls[number]).sum::<u64>()))
            .filter(|(_, calls)| *calls > 0)
            .collect();
        let mut latency = Vec::new();
        if timed {
            let cpus = self.latency.read()?;
            for (slot, number) in timed_calls() {
                let histogram = histogram(cpus.iter().map(|cpu| &cpu.slots[slot]));
                if histogram.count() > 0 {
                    latency.push((number, histogram));
                }
            }
        }
        let map = |source| KernelError::Map { map: "SYSCALL_ERRORS", source };
        let errors = self.errors.read(|value| value.count).map_err(map)?;
        let counted = SyscallCounters {
            watched_ns,
            calls,
            errors: errors
                .into_iter()
                .map(|(key, value)| SyscallError {
                    cgroup_id: key.cgroup_id,
                    syscall: key.syscall,
                    errno: key.errno,
                    device: DeviceNumber::inside(key.device),
                    count: value.count,
                    pid: value.tgid,
                })
                .collect(),
            errors_untold: cpus.iter().map(|cpu| cpu.errors_untold).sum(),
            latency,
            by_process: self.by_process()?,
            sampled_one_in: self.sampled_one_in,
        };
        self.last_calls = Some(counted.clone());
        Ok(counted)
    }

    /// Takes the samples out of their map, so that it holds what is new only.
    fn by_process(&mut self) -> Result<Vec<SyscallsOfProcess>, KernelError> {
        let map = |source| KernelError::Map { map: "SYSCALL_SAMPLES", source };
        for (_, silent) in self.by_process.values_mut() {
            *silent += 1;
        }
        for (key, count) in self.samples.take().map_err(map)? {
            let known = self.by_process.entry(key).or_default();
            *known = (known.0 + count, 0);
        }
        self.by_process.retain(|_, (_, silent)| *silent < STALE_SAMPLES);
        let mut rows: Vec<_> = self.by_process.iter().map(|(key, (count, silent))| (*key, *count, *silent)).collect();
        if rows.len() > PROCESSES {
            rows.sort_unstable_by_key(|(_, count, silent)| (*silent, std::cmp::Reverse(*count)));
            for (key, ..) in rows.drain(PROCESSES..) {
                self.by_process.remove(&key);
            }
        }
        let row = |(key, count, _): (wire::SampleKey, u64, u32)| SyscallsOfProcess {
            pid: key.tgid,
            syscall: key.syscall,
            calls: count * u64::from(self.sampled_one_in),
        };
        Ok(rows.into_iter().map(row).collect())
    }

    fn run_queue(&self) -> Result<Log2Histogram, KernelError> {
        Ok(histogram(self.scheduler.read()?.iter().map(|cpu| &cpu.run_queue)))
    }

    fn lifecycle(&mut self) -> Result<LifecycleCounters, KernelError> {
        let cpus = self.scheduler.read()?;
        let sum = |of: fn(&wire::SchedulerCounters) -> u64| cpus.iter().map(of).sum();
        let map = |source| KernelError::Map { map: "FORKS", source };
        Ok(LifecycleCounters {
            forks: sum(|cpu| cpu.forks),
            execs: sum(|cpu| cpu.execs),
            exits: sum(|cpu| cpu.exits),
            forks_by_parent: self.forks.read(|forks| *forks).map_err(map)?,
            forks_untold: sum(|cpu| cpu.forks_untold),
        })
    }

    fn page_faults(&self) -> Result<FaultCounters, KernelError> {
        let cpus = self.faults.read()?;
        Ok(FaultCounters {
            user: cpus.iter().map(|cpu| cpu.user).sum(),
            kernel: cpus.iter().map(|cpu| cpu.kernel).sum(),
        })
    }

    fn memory(&self) -> Result<MemoryCounters, KernelError> {
        let cpus = self.memory.read()?;
        let sum = |of: fn(&wire::MemoryCounters) -> u64| cpus.iter().map(of).sum();
        Ok(MemoryCounters {
            page_cache_added: sum(|cpu| cpu.page_cache_added),
            page_cache_removed: sum(|cpu| cpu.page_cache_removed),
            reclaim_stalls: sum(|cpu| cpu.reclaim_stalls),
            reclaim_stall_ns: sum(|cpu| cpu.reclaim_stall_ns),
            oom_kills: sum(|cpu| cpu.oom_kills),
        })
    }

    /// CPUs keep a pair in slots of their own choice, so pairs are joined by what they are.
    fn block(&mut self, issues: bool) -> Result<Vec<BlockCounters>, KernelError> {
        let tables = self.block.read()?;
        self.block_untold = tables.iter().map(|table| table.untold).sum();
        let mut pairs: Vec<(wire::Device, u32, BlockCounters)> = Vec::new();
        let slots = tables.iter().flat_map(|table| &table.slots).filter(|slot| slot.operation > 0);
        for slot in slots {
            let number = slot.operation - 1;
            let at = match pairs.iter().position(|(device, of, _)| *device == slot.device && *of == number) {
                Some(at) => at,
                None => {
                    let row = BlockCounters {
                        device: self.devices.name(slot.device),
                        operation: operation(number),
                        latency: Log2Histogram::default(),
                        bytes: 0,
                        errors: 0,
                        in_flight: 0,
                    };
                    pairs.push((slot.device, number, row));
                    pairs.len() - 1
                }
            };
            let row = &mut pairs[at].2;
            add(&mut row.latency, &slot.latency);
            row.bytes += slot.bytes;
            row.errors += slot.errors;
            row.in_flight += slot.issued as i64 - slot.completed as i64;
        }
        pairs.sort_unstable_by_key(|(device, number, _)| (*device, *number));
        let row = |(_, _, mut row): (_, _, BlockCounters)| {
            // What was in flight at load completes without an issue.
            row.in_flight = if issues { row.in_flight.max(0) } else { 0 };
            row
        };
        Ok(pairs.into_iter().map(row).collect())
    }
}

/// A bounded hash whose counts are exact: an entry leaves only when it stood still for [`STALE_SAMPLES`] readings and
/// the map is crowded, and then it is left out of the same reading, so that its next count starts anew for all.
struct Aged<K: Pod, V: Pod> {
    map: BatchMap<K, V>,
    /// Last count of each entry, and for how many readings it stood still.
    seen: HashMap<K, (u64, u32)>,
}

impl<K: Pod + Eq + std::hash::Hash, V: Pod> Aged<K, V> {
    fn new(map: BatchMap<K, V>) -> Self {
        Self { map, seen: HashMap::new() }
    }

    fn read(&mut self, count: impl Fn(&V) -> u64) -> Result<Vec<(K, V)>, MapError> {
        let mut entries = self.map.read()?;
        let crowded = entries.len() > CROWDED;
        let mut left = Vec::new();
        entries.retain(|(key, value)| {
            let now = count(value);
            let seen = self.seen.entry(*key).or_default();
            *seen = if seen.0 == now { (now, seen.1 + 1) } else { (now, 0) };
            let leaves = crowded && seen.1 >= STALE_SAMPLES;
            if leaves {
                left.push(*key);
            }
            !leaves
        });
        for key in left {
            self.seen.remove(&key);
            self.map.remove(&key)?;
        }
        Ok(entries)
    }
}

fn batch<K: Pod, V: Pod>(map: &'static str, data: Map) -> Result<BatchMap<K, V>, KernelError> {
    BatchMap::new(data, ENTRIES).map_err(|source| KernelError::Map { map, source })
}

fn typed<T: TryFrom<Map, Error = MapError>>(map: &'static str, data: Map) -> Result<T, KernelError> {
    T::try_from(data).map_err(|source| KernelError::Map { map, source })
}

/// A map that has a value, or several, for each CPU.
struct ByCpu<V: Pod> {
    name: &'static str,
    map: Array<MapData, V>,
}

impl<V: Pod> ByCpu<V> {
    fn new(name: &'static str, data: Map) -> Result<Self, KernelError> {
        Ok(Self { name, map: typed(name, data)? })
    }

    fn read(&self) -> Result<Vec<V>, KernelError> {
        let values = (0..self.map.len()).map(|index| self.map.get(&index, 0)).collect::<Result<_, _>>();
        values.map_err(|source| KernelError::Map { map: self.name, source })
    }
}

fn histogram<'a>(cpus: impl Iterator<Item = &'a wire::Histogram>) -> Log2Histogram {
    let mut sum = Log2Histogram::default();
    cpus.for_each(|cpu| add(&mut sum, cpu));
    sum
}

fn add(sum: &mut Log2Histogram, slots: &wire::Histogram) {
    for (sum, slot) in sum.slots.iter_mut().zip(slots) {
        *sum += slot;
    }
}
