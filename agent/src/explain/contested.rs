//! What is contested: how a signal says what is short, and who takes how much of it.

use super::{attribution::is_in, facts, steps::Steps};
use crate::observe::{
    Entity, Signal, SignalType, Window,
    syscall_name::syscall_name,
    window::{ProcessTick, Tick},
};

/// A growth counts as such from so many bytes/s, when so many of its steps did not shrink.
const GROWTH_FROM: f64 = 256.0 * 1024.0;
const GROWTH_RISING: f64 = 0.7;

/// What is contested, as a suspect's `of` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contested {
    Cpu,
    Memory,
    MemoryGrowth,
    Swap,
    Forks,
    Switches,
    MinorFaults,
    MajorFaults,
    Io,
    Syscalls,
    SyscallErrors,
    OpenFiles,
    /// Sockets that the peer closed and the process did not.
    CloseWait,
    /// Connections that a process's listeners turn away.
    TurnedAway,
    /// Connections that a process makes.
    Connects,
    /// Nothing that is counted by process.
    Nothing,
}

impl Contested {
    /// What the signal's entities compete for. Memory that somebody eats at speed is told from memory that is held.
    #[must_use]
    pub fn of(signal: &Signal, tick: &Tick) -> Self {
        let measure = signal.measure.as_ref();
        let says = |words: &[&str]| words.iter().any(|word| measure.contains(word));
        match signal.signal_type {
            SignalType::MemoryPressure if says(&["growth", "seconds_to_limit"]) => Self::MemoryGrowth,
            SignalType::MemoryPressure => {
                let concerns = |process: &ProcessTick| match &signal.entity {
                    Entity::Cgroup { path } => is_in(process, path),
                    _ => true,
                };
                let eats = |process: &ProcessTick| {
                    concerns(process) && grows_at(process).is_some_and(|rate| rate >= GROWTH_FROM)
                };
                if tick.processes.iter().any(eats) { Self::MemoryGrowth } else { Self::Memory }
            }
            SignalType::SwapThrashing => Self::Swap,
            SignalType::LoadMismatch if says(&["blocked"]) => Self::Io,
            SignalType::LoadMismatch if says(&["steal"]) => Self::Nothing,
            SignalType::LoadMismatch => Self::Cpu,
            SignalType::Scheduler if says(&["forks"]) => Self::Forks,
            SignalType::Scheduler if says(&["switches"]) => Self::Switches,
            SignalType::Scheduler => Self::Cpu,
            SignalType::PageFault if says(&["major"]) => Self::MajorFaults,
            SignalType::PageFault => Self::MinorFaults,
            SignalType::Syscall if says(&["open_files"]) => Self::OpenFiles,
            SignalType::Syscall if says(&["process_calls"]) => Self::Syscalls,
            SignalType::Syscall if says(&["fork", "pids"]) => Self::Forks,
            SignalType::Syscall if says(&["call_p99"]) => Self::Nothing,
            SignalType::Syscall => Self::SyscallErrors,
            SignalType::IoCongestion | SignalType::BlockDeviceSaturation => Self::Io,
            SignalType::TcpExhaustion if says(&["close_wait"]) => Self::CloseWait,
            SignalType::TcpExhaustion if says(&["listen"]) => Self::TurnedAway,
            SignalType::TcpExhaustion if says(&["no_address"]) => Self::SyscallErrors,
            SignalType::TcpExhaustion if says(&["time_wait"]) => Self::Connects,
            SignalType::NetworkDegradation | SignalType::TcpExhaustion => Self::Nothing,
        }
    }

    /// Whether the signal is of those that wait for a CPU.
    #[must_use]
    pub const fn is_about_cpu(signal: &Signal) -> bool {
        matches!(signal.signal_type, SignalType::LoadMismatch | SignalType::Scheduler)
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::MemoryGrowth => "memory growth",
            Self::Swap => "swap traffic",
            Self::Forks => "forks",
            Self::Switches => "context switches",
            Self::MinorFaults => "minor faults",
            Self::MajorFaults => "major faults",
            Self::Io => "block I/O",
            Self::Syscalls => "system calls",
            Self::SyscallErrors => "system call errors",
            Self::OpenFiles => "open files",
            Self::CloseWait => "sockets in CLOSE_WAIT",
            Self::TurnedAway => "connections turned away",
            Self::Connects => "connects",
            Self::Nothing => "what is short",
        }
    }

    /// A measure name whose unit fits the amounts.
    pub(super) const fn measure(self) -> &'static str {
        match self {
            Self::Cpu => "cpu_percent",
            Self::Memory => "rss_bytes",
            Self::MemoryGrowth => "growth_bytes_per_s",
            Self::Io => "io_bytes_per_s",
            Self::OpenFiles | Self::CloseWait | Self::Nothing => "count",
            _ => "events_per_s",
        }
    }

    pub(super) fn amount(self, process: &ProcessTick, tick: &Tick, signal: &Signal) -> Option<f64> {
        let pid = process.sample.id.pid;
        let calls = tick.recent_calls.as_ref();
        let per_s = |count: u64| Some(count as f64 / calls?.seconds());
        match self {
            Self::Cpu => process.cpu_percent,
            Self::Memory => Some((process.sample.rss_bytes + process.sample.swap_bytes) as f64),
            Self::MemoryGrowth => {
                let steps = Steps::of(signal, tick).filter(|steps| steps.process == process.sample.id);
                steps.map(|steps| steps.bytes_per_s).or_else(|| grows_at(process))
            }
            Self::Swap => process.major_faults_per_s.filter(|rate| *rate > 0.0 && process.sample.swap_bytes > 0),
            Self::Forks => facts::forks_of(pid, tick),
            Self::Switches => Some(process.voluntary_switches_per_s? + process.involuntary_switches_per_s?),
            Self::MinorFaults => process.minor_faults_per_s,
            Self::MajorFaults => process.major_faults_per_s,
            Self::Io => process.io_bytes_per_s,
            Self::Syscalls => {
                let rows = &calls?.by_process;
                per_s(rows.iter().filter(|row| row.pid == pid).map(|row| row.calls).sum())
            }
            Self::SyscallErrors => {
                if matches!(&signal.entity, Entity::Mount { path } if tick.fails_elsewhere(pid, path)) {
                    return None;
                }
                let rows = &calls?.errors;
                let same =
                    |name: &str, value: u32| signal.numbers.get(name).is_none_or(|number| number == f64::from(value));
                let of_it = rows
                    .iter()
                    .filter(|row| row.pid == pid && same("errno", row.errno) && same("syscall", row.syscall));
                per_s(of_it.map(|row| row.count).sum())
            }
            Self::Connects => {
                let rows = &calls?.by_process;
                let connects = rows.iter().filter(|row| row.pid == pid && syscall_name(row.syscall) == "connect");
                per_s(connects.map(|row| row.calls).sum())
            }
            Self::CloseWait => {
                let of_it = tick.sockets.as_ref()?.iter().filter(|of| of.pid == pid);
                Some(of_it.map(|of| f64::from(of.close_wait)).sum())
            }
            Self::TurnedAway => {
                let of_it = tick.sockets.as_ref()?.iter().filter(|of| of.pid == pid);
                Some(of_it.flat_map(|of| &of.listeners).filter_map(|listener| listener.dropped_per_s).sum())
            }
            Self::OpenFiles => process.sample.open_files.map(|files| files as f64),
            Self::Nothing => None,
        }
    }

    /// What all take together, where the node or the cgroup says more than the sum over processes that are seen.
    pub(super) fn total(self, window: &Window, tick: &Tick, signal: &Signal) -> Option<f64> {
        let of_node = matches!(signal.entity, Entity::Node);
        match self {
            Self::Cpu if of_node => {
                let node = facts::node(window);
                Some(node.cpu_busy_percent? * f64::from(node.online_cpus))
            }
            Self::Forks => Some(tick.kernel.lifecycle.as_ref()?.forks as f64 / tick.seconds?),
            Self::Switches if of_node => window.rate(|node| Some(node.cpu.as_ref()?.context_switches)),
            Self::Memory if of_node => {
                let memory = tick.node.memory.as_ref()?;
                Some(memory.total_bytes.saturating_sub(memory.available_bytes) as f64)
            }
            _ => None,
        }
    }

    pub(super) fn why_nobody(self, tick: &Tick) -> &'static str {
        match self {
            Self::Forks if tick.kernel.lifecycle.is_none() => "forks are not counted by parent: the probe is off",
            Self::Syscalls | Self::SyscallErrors if tick.recent_calls.is_none() => {
                "system calls are not counted by process: the probe is off, or none was watched of late"
            }
            Self::Nothing => "what is short here is not counted by process",
            _ if tick.seconds.is_none() => "there is only one sample yet, and so no rate",
            _ => "no process that is seen takes a part of it worth naming",
        }
    }
}

/// Growth of the resident memory, bytes/s, when it is steady enough to be called so.
fn grows_at(process: &ProcessTick) -> Option<f64> {
    process
        .growth
        .filter(|growth| growth.rising_share >= GROWTH_RISING && growth.bytes_per_s > 0.0)
        .map(|g| g.bytes_per_s)
}
