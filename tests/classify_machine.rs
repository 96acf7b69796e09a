//! A made-up machine for the classifiers: one sample a second, idle unless a test says otherwise.

use kernelsight::{
    observe::{
        Entity, Event, History, ProcessId, Reading, Sample, Severity, Signal, SignalType, Window,
        classify::{CLASSIFIERS, Change, Classification, Readings, Thresholds},
        sample::{
            CgroupCpu, CgroupMemory, CgroupPids, CgroupSample, Cpu, Disk, FaultCounters, Files, Filesystem, Interface,
            KernelLimits, KernelSample, LifecycleCounters, Load, Log2Histogram, Memory, MemoryCounters, NodePressure,
            NodeSample, ProcessSample, Psi, Sockets, SyscallCounters, Tcp, Vmstat,
        },
    },
    text::Text,
};

pub(crate) const GIB: u64 = 1 << 30;
pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const START_MS: i64 = 1_700_000_000_000;

pub(crate) struct Machine {
    pub(crate) window: Window,
    pub(crate) history: History,
    pub(crate) classification: Classification,
    /// The next sample, but for its time.
    pub(crate) next: Sample,
    pub(crate) changes: Vec<Change>,
}

impl Machine {
    /// Two CPUs, 8 GiB, a disk, an interface, pid 1 and a service in a cgroup with a limit of 2 GiB.
    pub(crate) fn new() -> Self {
        let cgroup = CgroupSample {
            path: "/app".into(),
            processes: 1,
            memory: Some(CgroupMemory {
                usage_bytes: 300 * MIB,
                limit_bytes: Some(2 * GIB),
                swap_room_bytes: Some(0),
                anonymous_bytes: 100 * MIB,
                file_bytes: 200 * MIB,
                ..CgroupMemory::default()
            }),
            cpu: Some(CgroupCpu { usage_ns: Some(0), ..CgroupCpu::default() }),
            pids: Some(CgroupPids { current: 10, maximum: Some(1000), refused: 0 }),
            memory_pressure: Some(Psi::default()),
            cpu_pressure: Some(Psi::default()),
            io_pressure: Some(Psi::default()),
            frozen: Some(false),
            ..CgroupSample::default()
        };
        let next = Sample {
            at_ns: 1_000_000_000,
            wall_ms: START_MS,
            node: NodeSample {
                memory: Some(Memory {
                    total_bytes: 8 * GIB,
                    free_bytes: 3 * GIB,
                    available_bytes: 6 * GIB,
                    cached_bytes: 3 * GIB,
                    anonymous_bytes: GIB,
                    swap_total_bytes: GIB,
                    swap_free_bytes: GIB,
                    ..Memory::default()
                }),
                vmstat: Some(Vmstat::default()),
                load: Some(Load { one: 0.1, runnable: 1, tasks: 120, ..Load::default() }),
                cpu: Some(Cpu { online: 2, running: 1, ..Cpu::default() }),
                pressure: Some(NodePressure::default()),
                disks: vec![Disk { name: "vda".into(), ..Disk::default() }],
                filesystems: vec![half_full()],
                interfaces: vec![Interface {
                    name: "eth0".into(),
                    up: true,
                    speed_mbit: Some(1000),
                    ..Interface::default()
                }],
                tcp: Some(Tcp { established: 20, ..Tcp::default() }),
                sockets: Some(Sockets { used: 100, ..Sockets::default() }),
                files: Some(Files { allocated: 2000, maximum: 1_000_000 }),
                limits: Some(KernelLimits {
                    pid_max: 32_768,
                    somaxconn: 4096,
                    local_port_low: 32_768,
                    local_port_high: 60_999,
                    tcp_mem_max_pages: Some(100_000),
                    tcp_max_orphans: Some(32_768),
                    swappiness: 60,
                }),
            },
            processes: vec![process(1, "systemd", "/"), process(100, "app", "/app")],
            cgroups: vec![cgroup],
            kernel: KernelSample {
                lost: vec![("sched_switch", 0)],
                syscalls: Some(SyscallCounters { sampled_one_in: 1024, ..SyscallCounters::default() }),
                run_queue: Some(Log2Histogram::default()),
                page_faults: Some(FaultCounters::default()),
                memory: Some(MemoryCounters::default()),
                block: Some(Vec::new()),
                lifecycle: Some(LifecycleCounters::default()),
            },
            ..Sample::default()
        };
        let classification = Classification::new(Thresholds::load(None).expect("the embedded thresholds"), 1);
        Self { window: Window::default(), history: History::default(), classification, next, changes: Vec::new() }
    }

    /// So many seconds, one sample each; `change` moves the counters of each.
    pub(crate) fn run(&mut self, seconds: usize, mut change: impl FnMut(&mut Sample)) -> &mut Self {
        self.run_with(seconds, |sample| {
            change(sample);
            Vec::new()
        })
    }

    /// The same with ring events.
    pub(crate) fn run_with(&mut self, seconds: usize, mut change: impl FnMut(&mut Sample) -> Vec<Event>) -> &mut Self {
        for _ in 0..seconds {
            self.next.at_ns += 1_000_000_000;
            self.next.wall_ms += 1000;
            hum(&mut self.next);
            let events = change(&mut self.next);
            self.next.processes.sort_by_key(|process| process.id.pid);
            self.window.push(self.next.clone(), events);
            let changes = self.classification.tick(&self.window, &mut self.history, &|_, _, _| None);
            self.changes.extend(changes);
        }
        self
    }

    pub(crate) fn react(&mut self, event: &Event) -> Option<Change> {
        let now_ms = self.next.wall_ms;
        self.classification.react(event, &self.window, &mut self.history, now_ms, &|_, _, _| None)
    }

    /// What all classifiers read off the newest tick, nothing watched.
    pub(crate) fn readings(&self) -> Vec<(SignalType, Reading)> {
        let mut all = Vec::new();
        for classifier in &CLASSIFIERS {
            let mut readings = Readings::new(classifier.signal, &[]);
            (classifier.read)(&self.window, &mut readings);
            all.extend(readings.into_iter().map(|reading| (classifier.signal, reading)));
        }
        all
    }

    pub(crate) fn reading(&self, signal: SignalType, measure: &str) -> Reading {
        let found = self.readings().into_iter().find(|(kind, one)| *kind == signal && one.measure == measure);
        found.unwrap_or_else(|| panic!("no reading of {signal}.{measure}")).1
    }

    /// The open signal of that measure.
    pub(crate) fn open(&self, signal: SignalType, measure: &str) -> Signal {
        let open = self.classification.open();
        let found = open.iter().find(|one| one.signal_type == signal && one.measure == measure);
        found.cloned().unwrap_or_else(|| panic!("no signal of {signal}.{measure} among {}", list(&open)))
    }

    /// The worst that any signal has been.
    pub(crate) fn worst(&self) -> Severity {
        self.changes.iter().map(|change| change.signal().peak_severity).max().unwrap_or(Severity::None)
    }

    /// All that opened, for messages.
    pub(crate) fn story(&self) -> String {
        list(self.changes.iter().map(Change::signal))
    }
}

fn list<'a>(signals: impl IntoIterator<Item = &'a Signal>) -> String {
    let line = |one: &Signal| format!("{} {}.{}: {}\n", one.severity, one.signal_type, one.measure, one.sentence);
    signals.into_iter().map(line).collect()
}

/// What an idle second adds.
fn hum(sample: &mut Sample) {
    syscalls(sample).watched_ns += 1_000_000_000;
    let cpu = cpu(sample);
    cpu.user_ns += 20_000_000;
    cpu.system_ns += 20_000_000;
    cpu.idle_ns += 1_960_000_000;
    cpu.context_switches += 800;
    cpu.forks += 2;
    vmstat(sample).faults += 1500;
    waits(sample, 14, 800); // 16 to 33 us
    let interface = &mut sample.node.interfaces[0];
    interface.received_packets += 50;
    interface.sent_packets += 50;
    tcp(sample).sent_segments += 40;
    app(sample).voluntary_switches = app(sample).voluntary_switches.map(|switches| switches + 30);
}

pub(crate) fn process(pid: u32, comm: &str, cgroup: &str) -> ProcessSample {
    ProcessSample {
        id: ProcessId { pid, start_ticks: u64::from(pid) * 10 },
        parent_pid: 1,
        comm: Text::from(comm),
        cgroup: cgroup.into(),
        kernel_thread: false,
        threads: 4,
        nice: 0,
        rss_bytes: 40 * MIB,
        swap_bytes: 0,
        cpu_time_ns: 0,
        run_delay_ns: Some(0),
        minor_faults: 0,
        major_faults: 0,
        voluntary_switches: Some(0),
        involuntary_switches: Some(0),
        read_bytes: Some(0),
        written_bytes: Some(0),
        open_files: Some(20),
        open_files_limit: Some(1024),
        network: None,
    }
}

pub(crate) fn entity(pid: u32, comm: &str) -> Entity {
    Entity::Process { id: ProcessId { pid, start_ticks: u64::from(pid) * 10 }, comm: comm.into() }
}

pub(crate) fn of_app() -> Entity {
    Entity::Cgroup { path: "/app".into() }
}

/// Adds waits for a CPU of 2^slot ns.
pub(crate) fn waits(sample: &mut Sample, slot: usize, count: u64) {
    sample.kernel.run_queue.as_mut().unwrap().slots[slot] += count;
}

pub(crate) fn app(sample: &mut Sample) -> &mut ProcessSample {
    sample.processes.iter_mut().find(|process| process.id.pid == 100).unwrap()
}

pub(crate) fn cpu(sample: &mut Sample) -> &mut Cpu {
    sample.node.cpu.as_mut().unwrap()
}

pub(crate) fn vmstat(sample: &mut Sample) -> &mut Vmstat {
    sample.node.vmstat.as_mut().unwrap()
}

pub(crate) fn memory(sample: &mut Sample) -> &mut Memory {
    sample.node.memory.as_mut().unwrap()
}

pub(crate) fn tcp(sample: &mut Sample) -> &mut Tcp {
    sample.node.tcp.as_mut().unwrap()
}

pub(crate) fn psi(sample: &mut Sample) -> &mut NodePressure {
    sample.node.pressure.as_mut().unwrap()
}

pub(crate) fn app_memory(sample: &mut Sample) -> &mut CgroupMemory {
    sample.cgroups[0].memory.as_mut().unwrap()
}

pub(crate) fn syscalls(sample: &mut Sample) -> &mut SyscallCounters {
    sample.kernel.syscalls.as_mut().unwrap()
}

/// The data of the service: half of 100 MiB is used.
pub(crate) fn half_full() -> Filesystem {
    Filesystem {
        path: "/data".into(),
        kind: "ext4".into(),
        total_bytes: 100 * MIB,
        used_bytes: 50 * MIB,
        available_bytes: 50 * MIB,
        files: 1000,
        files_free: 900,
        devices: vec![],
    }
}
