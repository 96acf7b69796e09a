//! A node made of values: processes and cgroups that go on at their rates for some ticks, for tests of the rooms that
//! only think.

use kernelsight::{
    explain::{Explanation, Incident, IncidentChange, Known, explain},
    numbers,
    observe::{
        Entity, History, Numbers, ProcessId, Sample, Severity, Signal, SignalType, View, Window,
        classify::Thresholds,
        history::Point,
        sample::{
            CgroupCpu, CgroupMemory, CgroupSample, Cpu, Disk, KernelSample, LifecycleCounters, Load, Memory,
            NodePressure, NodeSample, ProcessSample, Psi,
        },
    },
    text::Text,
};

/// The agent's own pid in every scene.
pub(crate) const OWN_PID: u32 = 999;
/// The unit that the operator of scenes lists among those that may be restarted.
const LISTED: &str = "listed.service";
const START_MS: i64 = 1_700_000_000_000;
/// The node has been up for so long when the scene begins, s.
const UP_S: u64 = 10_000;

/// A process and what it does each second.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) comm: &'static str,
    pub(crate) cgroup: &'static str,
    pub(crate) age_s: f64,
    pub(crate) nice: i8,
    pub(crate) cpu: f64,
    pub(crate) delay: f64,
    pub(crate) rss_mib: f64,
    pub(crate) grows_mib: f64,
    pub(crate) swap_mib: u64,
    pub(crate) minor: u64,
    pub(crate) major: u64,
    pub(crate) sleeps: u64,
    /// So often it slept before.
    pub(crate) slept: u64,
    pub(crate) preempted: u64,
    pub(crate) written: u64,
    pub(crate) forks: u64,
    pub(crate) kernel_thread: bool,
}

/// An idle process of the root cgroup that has been there for ten minutes.
pub(crate) fn actor(pid: u32, comm: &'static str) -> Actor {
    Actor {
        pid,
        parent: 1,
        comm,
        cgroup: "/",
        age_s: 600.0,
        nice: 0,
        cpu: 0.0,
        delay: 0.0,
        rss_mib: 4.0,
        grows_mib: 0.0,
        swap_mib: 0,
        minor: 0,
        major: 0,
        sleeps: 1,
        slept: 0,
        preempted: 0,
        written: 0,
        forks: 0,
        kernel_thread: false,
    }
}

/// A cgroup: path, memory limit and use in MiB, of which cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub(crate) path: &'static str,
    pub(crate) limit_mib: Option<u64>,
    pub(crate) cache_mib: u64,
    /// Whether the cpu controller is there.
    pub(crate) cpu: bool,
    /// Whether a limit on I/O stands; none where there can be none.
    pub(crate) io_limited: Option<bool>,
}

pub(crate) fn group(path: &'static str) -> Group {
    Group { path, limit_mib: None, cache_mib: 0, cpu: true, io_limited: Some(false) }
}

#[derive(Debug, Default)]
pub(crate) struct Scene {
    pub(crate) window: Window,
    pub(crate) history: History,
    pub(crate) signals: Vec<Signal>,
    pub(crate) now_ms: i64,
}

impl Scene {
    /// Lets the actors act for 12 s on two CPUs and 8 GiB.
    pub(crate) fn of(actors: &[Actor], groups: &[Group]) -> Self {
        Self::lasting(12, actors, groups)
    }

    pub(crate) fn lasting(seconds: u64, actors: &[Actor], groups: &[Group]) -> Self {
        Self::changed(seconds, actors, groups, |_, _| {})
    }

    /// With each second's sample changed, once it is made.
    pub(crate) fn changed(seconds: u64, actors: &[Actor], groups: &[Group], change: impl Fn(&mut Sample, u64)) -> Self {
        let mut scene = Self::default();
        for second in 0..=seconds {
            let mut sample = sample(second, seconds, actors, groups);
            change(&mut sample, second);
            scene.now_ms = sample.wall_ms;
            scene.window.push(sample, Vec::new());
            if let Some(wait) = scene.window.others_wait_percent() {
                scene.keep(SignalType::LoadMismatch, "others_wait_percent", &Entity::Node, wait);
            }
        }
        scene
    }

    pub(crate) fn keep(&mut self, signal_type: SignalType, measure: &'static str, entity: &Entity, value: f64) {
        self.history.keep(signal_type, measure, entity, Point { at_ms: self.now_ms, value });
    }

    pub(crate) fn view(&self) -> View<'_> {
        View { window: &self.window, history: &self.history, signals: &self.signals }
    }

    /// The entity of a process, by pid.
    pub(crate) fn process(&self, pid: u32) -> Entity {
        let sample = &self.window.process_by_pid(pid).unwrap().sample;
        Entity::Process { id: sample.id, comm: sample.comm.clone() }
    }

    /// A signal that began `ago_s` before now.
    pub(crate) fn signal(
        &self,
        id: i64,
        kind: SignalType,
        measure: &'static str,
        entity: Entity,
        value: f64,
    ) -> Signal {
        Signal {
            id,
            signal_type: kind,
            measure: measure.into(),
            sentence: format!("{measure} of {entity}"),
            entity,
            severity: Severity::Medium,
            peak_severity: Severity::Medium,
            pressure: 0.5,
            value,
            numbers: Numbers::default(),
            first_seen_ms: self.now_ms - 8_000,
            last_seen_ms: self.now_ms,
            count: 8,
            closed_ms: None,
            lost_events: 0,
        }
    }

    /// The one incident that these signals make, explained.
    pub(crate) fn explain(&self, signals: &[Signal]) -> (Incident, Explanation) {
        let mut correlator = kernelsight::explain::Correlator::new(OWN_PID);
        let changes = correlator.apply(signals, &self.view());
        let [IncidentChange::Opened(incident)] = &changes[..] else { panic!("not one incident: {changes:?}") };
        let thresholds = Thresholds::load(None).unwrap();
        let listed = [LISTED.to_owned()];
        let known = Known { own_pid: OWN_PID, baseline: None, thresholds: Some(&thresholds), restartable: &listed };
        (incident.clone(), explain(incident, &self.view(), known))
    }
}

/// A signal of which nothing matters but what is said.
pub(crate) fn plain_signal(
    id: i64,
    kind: SignalType,
    entity: Entity,
    severity: Severity,
    first_seen_ms: i64,
) -> Signal {
    Signal {
        id,
        signal_type: kind,
        measure: "measure_percent".into(),
        entity,
        severity,
        peak_severity: severity,
        pressure: 0.5,
        value: 50.0,
        numbers: numbers! {},
        sentence: "it is so".into(),
        first_seen_ms,
        last_seen_ms: first_seen_ms,
        count: 1,
        closed_ms: None,
        lost_events: 0,
    }
}

pub(crate) fn cgroup_entity(path: &str) -> Entity {
    Entity::Cgroup { path: Text::from(path) }
}

fn sample(second: u64, of: u64, actors: &[Actor], groups: &[Group]) -> Sample {
    let at_s = UP_S + second;
    let mut processes: Vec<ProcessSample> = actors.iter().map(|actor| process(actor, second, of)).collect();
    processes.sort_by_key(|process| process.id.pid);
    let busy: f64 = actors.iter().map(|actor| actor.cpu).sum::<f64>().min(200.0);
    let held_mib: f64 = actors.iter().map(|actor| rss_mib(actor, second)).sum();
    let forks: u64 = actors.iter().map(|actor| actor.forks).sum();
    Sample {
        at_ns: at_s * 1_000_000_000,
        wall_ms: START_MS + second as i64 * 1000,
        node: NodeSample {
            memory: Some(Memory {
                total_bytes: 8192 << 20,
                available_bytes: (8192 - 1024 - held_mib.min(7000.0) as u64) << 20,
                ..Memory::default()
            }),
            load: Some(Load { one: 1.0, ..Load::default() }),
            cpu: Some(Cpu {
                online: 2,
                user_ns: (busy * 1e7) as u64 * at_s,
                idle_ns: ((200.0 - busy) * 1e7) as u64 * at_s,
                context_switches: actors.iter().map(|actor| actor.sleeps + actor.preempted).sum::<u64>() * at_s,
                forks: forks * at_s,
                ..Cpu::default()
            }),
            pressure: Some(NodePressure {
                cpu: Psi { some_avg10_percent: 66.0, ..Psi::default() },
                ..NodePressure::default()
            }),
            disks: vec![disk(actors, second)],
            ..NodeSample::default()
        },
        processes,
        cgroups: groups.iter().map(|group| cgroup(group, actors, second)).collect(),
        kernel: KernelSample {
            lifecycle: Some(LifecycleCounters {
                forks: forks * at_s,
                forks_by_parent: actors.iter().filter(|a| a.forks > 0).map(|a| (a.pid, a.forks * at_s)).collect(),
                ..LifecycleCounters::default()
            }),
            ..KernelSample::default()
        },
        ..Sample::default()
    }
}

/// The node's disk, which writes what the actors do, 64 KiB at once, and can do no more than 10 MiB a second.
fn disk(actors: &[Actor], second: u64) -> Disk {
    let written: u64 = actors.iter().map(|actor| actor.written).sum();
    let busy = (written as f64 / f64::from(10 << 20)).min(1.0);
    Disk {
        name: "vda".into(),
        major: 253,
        writes: (written >> 16) * second,
        written_bytes: written * second,
        busy_ms: (busy * 1e3) as u64 * second,
        queue_time_ms: (busy * 3e4) as u64 * second,
        ..Disk::default()
    }
}

fn process(actor: &Actor, second: u64, of: u64) -> ProcessSample {
    let lived_s = actor.age_s - (of - second) as f64;
    let so_far = |per_s: f64| (per_s * lived_s.max(0.0)).round() as u64;
    let start_ticks = ((UP_S + of) as f64 * 100.0 - actor.age_s * 100.0) as u64;
    ProcessSample {
        id: ProcessId { pid: actor.pid, start_ticks },
        parent_pid: actor.parent,
        comm: actor.comm.into(),
        cgroup: actor.cgroup.into(),
        kernel_thread: actor.kernel_thread,
        threads: 1,
        nice: actor.nice,
        rss_bytes: (rss_mib(actor, second) * 1_048_576.0) as u64,
        swap_bytes: actor.swap_mib << 20,
        cpu_time_ns: so_far(actor.cpu * 1e7),
        run_delay_ns: Some(so_far(actor.delay * 1e7)),
        minor_faults: so_far(actor.minor as f64),
        major_faults: so_far(actor.major as f64),
        voluntary_switches: Some(actor.slept + so_far(actor.sleeps as f64)),
        involuntary_switches: Some(so_far(actor.preempted as f64)),
        read_bytes: Some(0),
        written_bytes: Some(so_far(actor.written as f64)),
        open_files: None,
        open_files_limit: None,
        network: None,
    }
}

fn rss_mib(actor: &Actor, second: u64) -> f64 {
    actor.rss_mib + actor.grows_mib * second as f64
}

fn cgroup(group: &Group, actors: &[Actor], second: u64) -> CgroupSample {
    let inside = || actors.iter().filter(|actor| actor.cgroup == group.path);
    let held: f64 = inside().map(|actor| rss_mib(actor, second)).sum();
    let bytes = |mib: f64| (mib * 1_048_576.0) as u64;
    CgroupSample {
        path: group.path.into(),
        processes: inside().count() as u32,
        memory: Some(CgroupMemory {
            usage_bytes: bytes(held + group.cache_mib as f64),
            limit_bytes: group.limit_mib.map(|mib| mib << 20),
            anonymous_bytes: bytes(held),
            file_bytes: group.cache_mib << 20,
            ..CgroupMemory::default()
        }),
        cpu: group.cpu.then(|| CgroupCpu {
            takes_quota: true,
            usage_ns: Some(inside().map(|actor| (actor.cpu * 1e7) as u64).sum::<u64>() * (UP_S + second)),
            ..CgroupCpu::default()
        }),
        io_limited: group.io_limited,
        frozen: Some(false),
        ..CgroupSample::default()
    }
}
