//! Who takes what is contested: processes, or the cgroup that several of them have to themselves, worst first.
//!
//! Kernel threads and the agent's own processes are never suspects.

use std::collections::BTreeMap;

use super::{Member, Suspect, facts, family, figures::figure, steps::Steps, unit::unit_of};
use crate::{
    observe::{
        Entity, Numbers, Signal, SignalType, Window,
        classify::ceiling,
        entity::is_within,
        syscall_name::syscall_name,
        window::{ProcessTick, Tick},
    },
    text::Text,
};

/// Suspects named for one incident.
const SUSPECTS: usize = 8;
/// Members named for one suspect.
const MEMBERS: usize = 16;
/// Who takes less than this part of what the worst takes is no suspect.
const WORTH_NAMING: f64 = 0.1;
/// A member of a group takes at least this part of what its worst takes; the others only live there.
const MEMBER: f64 = 0.1;
/// A growth counts as such from so many bytes/s, when so many of its steps did not shrink.
const GROWTH_FROM: f64 = 256.0 * 1024.0;
const GROWTH_RISING: f64 = 0.7;

/// The suspects of one signal, and what could not be told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attribution {
    pub suspects: Vec<Suspect>,
    pub unknown: Vec<String>,
}

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

/// Names who takes what the signal is about. A process that the signal itself names comes first.
#[must_use]
pub fn attribute(signal: &Signal, window: &Window, own_pid: u32) -> Attribution {
    let Some(tick) = window.now() else {
        return Attribution { suspects: vec![], unknown: vec!["there is no sample yet".to_owned()] };
    };
    let contested = Contested::of(signal, tick);
    let within = contested_within(signal, contested, window);
    let concerns = |process: &ProcessTick| within.as_ref().is_none_or(|within| is_in(process, within));
    let mut claims: Vec<Claim> = tick
        .processes
        .iter()
        .filter(|process| may_be_blamed(process, own_pid) && concerns(process))
        .filter_map(|process| Some(Claim { process, amount: contested.amount(process, tick, signal)? }))
        .filter(|claim| claim.amount > 0.0)
        .collect();
    claims.sort_by(|a, b| b.amount.total_cmp(&a.amount).then(a.process.sample.id.cmp(&b.process.sample.id)));
    let seen: f64 = claims.iter().map(|claim| claim.amount).sum();
    let total = contested.total(window, tick, signal).unwrap_or(0.0).max(seen);
    let mut suspects = group(&claims, total, contested, window, tick);
    put_named_first(&mut suspects, signal, window, tick, contested, total, own_pid);
    suspects.truncate(SUSPECTS);
    let mut unknown = Vec::new();
    if suspects.is_empty() {
        unknown.push(contested.why_nobody(tick).to_owned());
    }
    Attribution { suspects, unknown }
}

struct Claim<'a> {
    process: &'a ProcessTick,
    amount: f64,
}

fn may_be_blamed(process: &ProcessTick, own_pid: u32) -> bool {
    let sample = &process.sample;
    !sample.kernel_thread && sample.id.pid != own_pid && sample.parent_pid != own_pid
}

/// The cgroup in which what is contested is: of a signal of a cgroup itself, unless it waits for what is everybody's, and
/// of a growth that runs into a limit the cgroup that has it, whoever else grows elsewhere. None: it is everybody's, for
/// who suffers need not be who causes.
fn contested_within(signal: &Signal, contested: Contested, window: &Window) -> Option<Text> {
    match &signal.entity {
        Entity::Cgroup { path } => Some(path.clone()).filter(|_| !waits_for_others(path, contested, window)),
        Entity::Process { id, .. } if contested == Contested::MemoryGrowth => {
            ceiling(window, window.process(*id)?.sample.cgroup.as_str())?.cgroup
        }
        _ => None,
    }
}

/// Whether a cgroup waits for the CPUs or the disks of the node, and not for a limit of its own.
fn waits_for_others(path: &Text, contested: Contested, window: &Window) -> bool {
    let cgroup = window.cgroup(path.as_str());
    match contested {
        Contested::Io => cgroup.is_none_or(|cgroup| cgroup.sample.io_limited != Some(true)),
        Contested::Cpu => cgroup.is_none_or(|cgroup| cgroup.throttled_percent.is_none_or(|percent| percent <= 0.0)),
        _ => false,
    }
}

fn is_in(process: &ProcessTick, cgroup: &Text) -> bool {
    is_within(process.sample.cgroup.as_str(), cgroup.as_str())
}

/// One suspect for members that share a cgroup of their own, else one for each process.
fn group(claims: &[Claim], total: f64, contested: Contested, window: &Window, tick: &Tick) -> Vec<Suspect> {
    let Some(worst) = claims.first().map(|claim| claim.amount) else { return vec![] };
    let mut by_cgroup: BTreeMap<&str, Vec<&Claim>> = BTreeMap::new();
    for claim in claims.iter().filter(|claim| claim.amount >= worst * WORTH_NAMING) {
        by_cgroup.entry(claim.process.sample.cgroup.as_str()).or_default().push(claim);
    }
    let mut suspects: Vec<(f64, Suspect)> = Vec::new();
    for (cgroup, mut claims) in by_cgroup {
        let most = claims.iter().map(|claim| claim.amount).fold(0.0, f64::max);
        let heavy: Vec<&ProcessTick> =
            claims.iter().filter(|claim| claim.amount >= most * MEMBER).map(|claim| claim.process).collect();
        let apart = family::strangers(cgroup, &heavy, tick).is_some_and(|strangers| match contested {
            Contested::Cpu | Contested::Switches | Contested::MinorFaults | Contested::Syscalls => strangers.busy == 0,
            _ => strangers.all == 0,
        });
        if heavy.len() > 1 && apart {
            let amount = claims.iter().map(|claim| claim.amount).sum();
            suspects.push((amount, of_group(cgroup, &heavy, amount, total, contested, window, tick)));
            claims.clear();
        }
        suspects.extend(
            claims
                .iter()
                .map(|claim| (claim.amount, of_process(claim.process, claim.amount, total, contested, window, tick))),
        );
    }
    suspects.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    suspects.into_iter().map(|(_, suspect)| suspect).collect()
}

fn put_named_first(
    suspects: &mut Vec<Suspect>,
    signal: &Signal,
    window: &Window,
    tick: &Tick,
    contested: Contested,
    total: f64,
    own_pid: u32,
) {
    let Some(named) = signal.entity.process().and_then(|id| window.process(id)) else { return };
    if !may_be_blamed(named, own_pid) {
        return;
    }
    let place = suspects.iter().position(|suspect| match &suspect.entity {
        Entity::Cgroup { path } => path == &named.sample.cgroup,
        entity => *entity == signal.entity,
    });
    let suspect = match place {
        Some(place) => suspects.remove(place),
        None => {
            let amount = contested.amount(named, tick, signal).unwrap_or(0.0);
            of_process(named, amount, total, contested, window, tick)
        }
    };
    suspects.insert(0, suspect);
}

fn of_process(
    process: &ProcessTick,
    amount: f64,
    total: f64,
    contested: Contested,
    window: &Window,
    tick: &Tick,
) -> Suspect {
    let entity = Entity::Process { id: process.sample.id, comm: process.sample.comm.clone() };
    suspect(entity, &[process], facts::process(process, tick), amount, total, contested, window, tick)
}

fn of_group(
    cgroup: &str,
    members: &[&ProcessTick],
    amount: f64,
    total: f64,
    contested: Contested,
    window: &Window,
    tick: &Tick,
) -> Suspect {
    let path = members.first().map_or_else(|| cgroup.into(), |member| member.sample.cgroup.clone());
    suspect(Entity::Cgroup { path }, members, facts::together(members, tick), amount, total, contested, window, tick)
}

#[expect(clippy::too_many_arguments, reason = "the two kinds of suspect differ in the first three only")]
fn suspect(
    entity: Entity,
    members: &[&ProcessTick],
    mut numbers: Numbers,
    amount: f64,
    total: f64,
    contested: Contested,
    window: &Window,
    tick: &Tick,
) -> Suspect {
    let cgroup = members.first().map(|member| member.sample.cgroup.clone());
    let path = cgroup.as_ref().map_or("/", |cgroup| cgroup.as_str());
    if let Some(cgroup) = window.cgroup(path) {
        facts::of_cgroup(&mut numbers, cgroup);
    }
    if let Some(strangers) = family::strangers(path, members, tick) {
        numbers.0.push(("cgroup_strangers".into(), strangers.all as f64));
        numbers.0.push(("cgroup_busy_strangers".into(), strangers.busy as f64));
    }
    let share = if total > 0.0 { (amount / total).clamp(0.0, 1.0) } else { 0.0 };
    let who = match &entity {
        Entity::Cgroup { .. } => format!("{entity} with {} processes", members.len()),
        _ => entity.to_string(),
    };
    Suspect {
        why: format!(
            "{who} has {:.0} % of the {}: {}",
            share * 100.0,
            contested.name(),
            figure(contested.measure(), amount)
        ),
        unit: cgroup.as_ref().and_then(unit_of),
        may_restart: false,
        limit: facts::tightest_limit(path, window),
        members: members
            .iter()
            .take(MEMBERS)
            .map(|member| Member { id: member.sample.id, nice: member.sample.nice })
            .collect(),
        of: contested.name().to_owned(),
        entity,
        cgroup,
        share,
        numbers,
    }
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
    const fn measure(self) -> &'static str {
        match self {
            Self::Cpu => "cpu_percent",
            Self::Memory => "rss_bytes",
            Self::MemoryGrowth => "growth_bytes_per_s",
            Self::Io => "io_bytes_per_s",
            Self::OpenFiles | Self::CloseWait | Self::Nothing => "count",
            _ => "events_per_s",
        }
    }

    fn amount(self, process: &ProcessTick, tick: &Tick, signal: &Signal) -> Option<f64> {
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
    fn total(self, window: &Window, tick: &Tick, signal: &Signal) -> Option<f64> {
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

    fn why_nobody(self, tick: &Tick) -> &'static str {
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
