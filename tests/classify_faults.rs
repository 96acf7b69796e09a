//! What faults do to a made-up machine each second, a row each, and the signal that each must make.
//! One table, long as it is: what the agent can notice is read in one place.

use kernelsight::observe::{
    Entity, Sample, Severity, SignalType,
    event::BlockOperation,
    sample::{BlockCounters, Listener, Log2Histogram, SocketsOfProcess, SyscallError, SyscallsOfProcess},
};

use crate::classify_machine::*;

/// What a fault does each second, and the signal that it must make.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) signal: SignalType,
    pub(crate) measure: &'static str,
    pub(crate) entity: fn() -> Entity,
    pub(crate) least: Severity,
    pub(crate) each_second: fn(&mut Sample),
}

fn node() -> Entity {
    Entity::Node
}

pub(crate) fn the_app() -> Entity {
    entity(100, "app")
}

fn disk() -> Entity {
    Entity::Device { name: "vda".into() }
}

fn link() -> Entity {
    Entity::Interface { name: "eth0".into() }
}

/// Numbers of system calls on this architecture.
fn number(name: &str) -> u32 {
    (0..1024).find(|number| kernelsight::observe::syscall_name::syscall_name(*number) == name).unwrap()
}

pub(crate) fn fails(sample: &mut Sample, call: &str, errno: u32, count: u64) {
    let errors = &mut syscalls(sample).errors;
    let syscall = number(call);
    match errors.iter_mut().find(|error| error.syscall == syscall && error.errno == errno) {
        Some(error) => error.count += count,
        None => errors.push(SyscallError { cgroup_id: 7, syscall, errno, device: None, count, pid: 100 }),
    }
}

pub(crate) fn block(sample: &mut Sample, operation: BlockOperation, slot: usize, count: u64, errors: u64) {
    let rows = sample.kernel.block.as_mut().unwrap();
    if !rows.iter().any(|row| row.operation == operation) {
        let latency = Log2Histogram::default();
        rows.push(BlockCounters { device: "vda".into(), operation, latency, bytes: 0, errors: 0, in_flight: 1 });
    }
    let row = rows.iter_mut().find(|row| row.operation == operation).unwrap();
    row.latency.slots[slot] += count;
    row.errors += errors;
}

pub(crate) fn call_latency(sample: &mut Sample, call: &str, slot: usize, count: u64) {
    let number = number(call);
    let latency = &mut syscalls(sample).latency;
    if !latency.iter().any(|(of, _)| *of == number) {
        latency.push((number, Log2Histogram::default()));
    }
    latency.iter_mut().find(|(of, _)| *of == number).unwrap().1.slots[slot] += count;
}

/// CPU time moves from idle to busy.
pub(crate) fn burn(sample: &mut Sample, share: f64) {
    let ns = (1.9e9 * share) as u64;
    cpu(sample).user_ns += ns;
    cpu(sample).idle_ns -= ns;
}

pub(crate) fn spinners(sample: &mut Sample) {
    burn(sample, 1.0);
    for pid in 201..204 {
        if !sample.processes.iter().any(|process| process.id.pid == pid) {
            sample.processes.push(process(pid, "spin", "/"));
        }
    }
    for spinner in sample.processes.iter_mut().filter(|process| process.id.pid > 200) {
        spinner.cpu_time_ns += 660_000_000;
        spinner.run_delay_ns = spinner.run_delay_ns.map(|ns| ns + 330_000_000);
    }
    psi(sample).cpu.some_total_us += 980_000;
    sample.node.load.as_mut().unwrap().runnable = 4;
    waits(sample, 22, 300); // 4 to 8 ms
}

/// A writer in a cgroup of its own, for whose disk the app waits.
pub(crate) fn writer_beside_app(sample: &mut Sample) {
    if !sample.processes.iter().any(|process| process.id.pid == 400) {
        sample.processes.push(process(400, "writer", "/writer"));
    }
    for writer in sample.processes.iter_mut().filter(|process| process.id.pid == 400) {
        writer.written_bytes = writer.written_bytes.map(|bytes| bytes + 20 * MIB);
    }
    sample.cgroups[0].io_pressure.as_mut().unwrap().some_total_us += 700_000;
}

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        name: "cpu_hog",
        signal: SignalType::LoadMismatch,
        measure: "cpu_some_percent",
        entity: node,
        least: Severity::Medium,
        each_second: spinners,
    },
    Fault {
        name: "a service that cannot get a CPU",
        signal: SignalType::LoadMismatch,
        measure: "others_wait_percent",
        entity: node,
        least: Severity::Medium,
        each_second: |sample| {
            let service = app(sample);
            service.cpu_time_ns += 200_000_000;
            service.run_delay_ns = service.run_delay_ns.map(|delay| delay + 400_000_000);
            service.voluntary_switches = service.voluntary_switches.map(|switches| switches + 100);
        },
    },
    Fault {
        name: "a starved machine",
        signal: SignalType::LoadMismatch,
        measure: "run_queue_p99_ns",
        entity: node,
        least: Severity::High,
        each_second: |sample| waits(sample, 29, 300),
    },
    Fault {
        name: "too many runnable",
        signal: SignalType::LoadMismatch,
        measure: "runnable_per_cpu",
        entity: node,
        least: Severity::High,
        each_second: |sample| sample.node.load.as_mut().unwrap().runnable = 50,
    },
    Fault {
        name: "a mount that hangs",
        signal: SignalType::LoadMismatch,
        measure: "blocked_per_idle_cpu",
        entity: node,
        least: Severity::High,
        each_second: |sample| cpu(sample).blocked = 80,
    },
    Fault {
        name: "a greedy hypervisor",
        signal: SignalType::LoadMismatch,
        measure: "steal_percent",
        entity: node,
        least: Severity::Medium,
        each_second: |sample| {
            cpu(sample).idle_ns -= 800_000_000;
            cpu(sample).steal_ns += 800_000_000;
        },
    },
    Fault {
        name: "a cgroup that queues",
        signal: SignalType::LoadMismatch,
        measure: "cgroup_cpu_some_percent",
        entity: of_app,
        least: Severity::Medium,
        each_second: |sample| sample.cgroups[0].cpu_pressure.as_mut().unwrap().some_total_us += 950_000,
    },
    Fault {
        name: "fork_storm",
        signal: SignalType::Scheduler,
        measure: "process_forks_per_s",
        entity: the_app,
        least: Severity::Medium,
        each_second: fork_storm,
    },
    Fault {
        name: "fork_storm on the node",
        signal: SignalType::Scheduler,
        measure: "forks_per_s",
        entity: node,
        least: Severity::Medium,
        each_second: fork_storm,
    },
    Fault {
        name: "switch_storm",
        signal: SignalType::Scheduler,
        measure: "process_switches_per_s",
        entity: the_app,
        least: Severity::Medium,
        each_second: |sample| {
            app(sample).voluntary_switches = app(sample).voluntary_switches.map(|switches| switches + 90_000);
        },
    },
    Fault {
        name: "switch_storm on the node",
        signal: SignalType::Scheduler,
        measure: "switches_per_cpu_per_s",
        entity: node,
        least: Severity::Medium,
        each_second: |sample| cpu(sample).context_switches += 300_000,
    },
    Fault {
        name: "cfs_throttle",
        signal: SignalType::Scheduler,
        measure: "cgroup_throttled_percent",
        entity: of_app,
        least: Severity::Medium,
        each_second: |sample| {
            let cpu = sample.cgroups[0].cpu.as_mut().unwrap();
            cpu.quota_percent = Some(20.0);
            cpu.usage_ns = cpu.usage_ns.map(|ns| ns + 200_000_000);
            cpu.periods += 10;
            cpu.throttled_periods += 9;
        },
    },
    Fault {
        name: "fd_exhaustion",
        signal: SignalType::Syscall,
        measure: "emfile_per_s",
        entity: the_app,
        least: Severity::High,
        each_second: |sample| {
            fails(sample, "openat", 24, 450);
            (app(sample).open_files, app(sample).open_files_limit) = (Some(64), Some(64));
        },
    },
    Fault {
        name: "files nearly all used",
        signal: SignalType::Syscall,
        measure: "process_open_files_percent",
        entity: the_app,
        least: Severity::Medium,
        each_second: |sample| app(sample).open_files = Some(1000),
    },
    Fault {
        name: "the node's files are used up",
        signal: SignalType::Syscall,
        measure: "enfile_per_s",
        entity: the_app,
        least: Severity::High,
        each_second: |sample| fails(sample, "openat", 23, 20),
    },
    Fault {
        name: "disk_full",
        signal: SignalType::Syscall,
        measure: "enospc_per_s",
        entity: the_app,
        least: Severity::High,
        each_second: |sample| fails(sample, "write", 28, 100),
    },
    Fault {
        name: "a filesystem that fills",
        signal: SignalType::Syscall,
        measure: "filesystem_used_percent",
        entity: || Entity::Mount { path: "/data".into() },
        least: Severity::Medium,
        each_second: |sample| fill(sample, 98 * MIB, 900),
    },
    Fault {
        name: "eio_reads",
        signal: SignalType::Syscall,
        measure: "eio_per_s",
        entity: the_app,
        least: Severity::Medium,
        each_second: |sample| fails(sample, "read", 5, 10),
    },
    Fault {
        name: "pids_limit by its errno",
        signal: SignalType::Syscall,
        measure: "fork_eagain_per_s",
        entity: the_app,
        least: Severity::Medium,
        each_second: |sample| fails(sample, "clone", 11, 10),
    },
    Fault {
        name: "pids_limit by its counter",
        signal: SignalType::Syscall,
        measure: "cgroup_forks_refused_per_s",
        entity: of_app,
        least: Severity::Medium,
        each_second: |sample| sample.cgroups[0].pids.as_mut().unwrap().refused += 10,
    },
    Fault {
        name: "tasks nearly all used",
        signal: SignalType::Syscall,
        measure: "cgroup_pids_percent",
        entity: of_app,
        least: Severity::Medium,
        each_second: |sample| sample.cgroups[0].pids.as_mut().unwrap().current = 990,
    },
    Fault {
        name: "no memory for calls",
        signal: SignalType::Syscall,
        measure: "enomem_per_s",
        entity: the_app,
        least: Severity::High,
        each_second: |sample| fails(sample, "mmap", 12, 200),
    },
    Fault {
        name: "unusual errors",
        signal: SignalType::Syscall,
        measure: "other_errors_weighed_per_s",
        entity: the_app,
        least: Severity::Low,
        each_second: |sample| fails(sample, "read", 9, 3000),
    },
    Fault {
        name: "syscall_storm",
        signal: SignalType::Syscall,
        measure: "process_calls_per_s",
        entity: the_app,
        least: Severity::Medium,
        each_second: |sample| {
            let syscall = number("getppid");
            let rows = &mut syscalls(sample).by_process;
            match rows.first_mut() {
                Some(row) => row.calls += 4_000_000,
                None => rows.push(SyscallsOfProcess { pid: 100, syscall, calls: 4_000_000 }),
            }
        },
    },
    Fault {
        name: "slow calls",
        signal: SignalType::Syscall,
        measure: "call_p99_ns",
        entity: node,
        least: Severity::Medium,
        each_second: |sample| call_latency(sample, "pread64", 31, 50),
    },
    Fault {
        name: "minor_fault_churn",
        signal: SignalType::PageFault,
        measure: "process_minor_churn_per_s",
        entity: the_app,
        least: Severity::Medium,
        each_second: |sample| app(sample).minor_faults += 150_000,
    },
    Fault {
        name: "faults everywhere",
        signal: SignalType::PageFault,
        measure: "faults_per_cpu_per_s",
        entity: node,
        least: Severity::Low,
        each_second: |sample| vmstat(sample).faults += 600_000,
    },
    Fault {
        name: "major_fault_storm",
        signal: SignalType::PageFault,
        measure: "process_major_faults_per_s",
        entity: the_app,
        least: Severity::High,
        each_second: |sample| app(sample).major_faults += 8000,
    },
    Fault {
        name: "major_fault_storm on the node",
        signal: SignalType::PageFault,
        measure: "major_faults_per_s",
        entity: node,
        least: Severity::Medium,
        each_second: |sample| vmstat(sample).major_faults += 8000,
    },
    Fault {
        name: "swap_thrash",
        signal: SignalType::SwapThrashing,
        measure: "thrash_percent",
        entity: node,
        least: Severity::High,
        each_second: thrash,
    },
    Fault {
        name: "swap_thrash by its traffic",
        signal: SignalType::SwapThrashing,
        measure: "round_trip_pages_per_s",
        entity: node,
        least: Severity::High,
        each_second: thrash,
    },
    Fault {
        name: "swap_thrash in a cgroup",
        signal: SignalType::SwapThrashing,
        measure: "cgroup_thrash_percent",
        entity: of_app,
        least: Severity::High,
        each_second: thrash,
    },
    Fault {
        name: "a node out of memory",
        signal: SignalType::MemoryPressure,
        measure: "node_some_percent",
        entity: node,
        least: Severity::High,
        each_second: full_node,
    },
    Fault {
        name: "a node that stands still",
        signal: SignalType::MemoryPressure,
        measure: "node_full_percent",
        entity: node,
        least: Severity::High,
        each_second: full_node,
    },
    Fault {
        name: "a node with nothing left",
        signal: SignalType::MemoryPressure,
        measure: "node_used_under_reclaim_percent",
        entity: node,
        least: Severity::High,
        each_second: full_node,
    },
    Fault {
        name: "a node in direct reclaim",
        signal: SignalType::MemoryPressure,
        measure: "node_direct_reclaim_percent",
        entity: node,
        least: Severity::High,
        each_second: full_node,
    },
    Fault {
        name: "an OOM kill of the node",
        signal: SignalType::MemoryPressure,
        measure: "node_oom_kills",
        entity: node,
        least: Severity::High,
        each_second: |sample| vmstat(sample).oom_kills += 1,
    },
    Fault {
        name: "memcg_oom",
        signal: SignalType::MemoryPressure,
        measure: "cgroup_oom_kills",
        entity: of_app,
        least: Severity::High,
        each_second: |sample| {
            vmstat(sample).oom_kills += 1;
            app_memory(sample).oom_kills += 1;
        },
    },
    Fault {
        name: "a cgroup that cannot reclaim",
        signal: SignalType::MemoryPressure,
        measure: "cgroup_some_percent",
        entity: of_app,
        least: Severity::High,
        each_second: full_cgroup,
    },
    Fault {
        name: "a cgroup at its limit",
        signal: SignalType::MemoryPressure,
        measure: "cgroup_anonymous_percent",
        entity: of_app,
        least: Severity::High,
        each_second: full_cgroup,
    },
    Fault {
        name: "device_saturation",
        signal: SignalType::BlockDeviceSaturation,
        measure: "read_p99_ns",
        entity: disk,
        least: Severity::High,
        each_second: |sample| block(sample, BlockOperation::Read, 31, 100, 0),
    },
    Fault {
        name: "slow writes",
        signal: SignalType::BlockDeviceSaturation,
        measure: "write_p99_ns",
        entity: disk,
        least: Severity::Medium,
        each_second: |sample| block(sample, BlockOperation::Write, 30, 100, 0),
    },
    Fault {
        name: "a device that fails",
        signal: SignalType::BlockDeviceSaturation,
        measure: "errors_per_s",
        entity: disk,
        least: Severity::Medium,
        each_second: |sample| block(sample, BlockOperation::Read, 20, 100, 1),
    },
    Fault {
        name: "a long queue",
        signal: SignalType::BlockDeviceSaturation,
        measure: "queue_depth",
        entity: disk,
        least: Severity::Medium,
        each_second: |sample| sample.node.disks[0].queue_time_ms += 32_000,
    },
    Fault {
        name: "a busy device",
        signal: SignalType::BlockDeviceSaturation,
        measure: "utilisation_percent",
        entity: disk,
        least: Severity::Low,
        each_second: |sample| sample.node.disks[0].busy_ms += 1000,
    },
    Fault {
        name: "waiting for I/O",
        signal: SignalType::IoCongestion,
        measure: "io_some_percent",
        entity: node,
        least: Severity::Medium,
        each_second: |sample| psi(sample).io.some_total_us += 950_000,
    },
    Fault {
        name: "all waiting for I/O",
        signal: SignalType::IoCongestion,
        measure: "io_full_percent",
        entity: node,
        least: Severity::Medium,
        each_second: |sample| psi(sample).io.full_total_us += 900_000,
    },
    Fault {
        name: "a cgroup waiting for I/O",
        signal: SignalType::IoCongestion,
        measure: "cgroup_io_some_percent",
        entity: of_app,
        least: Severity::Medium,
        each_second: |sample| sample.cgroups[0].io_pressure.as_mut().unwrap().some_total_us += 900_000,
    },
    Fault {
        name: "a service that waits for the disk that another keeps busy",
        signal: SignalType::IoCongestion,
        measure: "others_io_wait_percent",
        entity: node,
        least: Severity::Medium,
        each_second: writer_beside_app,
    },
    Fault {
        name: "dirty_flood",
        signal: SignalType::IoCongestion,
        measure: "dirty_percent",
        entity: node,
        least: Severity::Medium,
        each_second: |sample| {
            memory(sample).dirty_bytes = GIB;
            memory(sample).writeback_bytes = 200 * MIB;
        },
    },
    Fault {
        name: "everybody blocked",
        signal: SignalType::IoCongestion,
        measure: "blocked_tasks",
        entity: node,
        least: Severity::High,
        each_second: |sample| cpu(sample).blocked = 80,
    },
    Fault {
        name: "fsync_storm by its latency",
        signal: SignalType::IoCongestion,
        measure: "sync_p99_ns",
        entity: node,
        least: Severity::High,
        each_second: |sample| call_latency(sample, "fsync", 31, 20),
    },
    Fault {
        name: "fsync_storm by its rate",
        signal: SignalType::IoCongestion,
        measure: "syncs_per_s",
        entity: node,
        least: Severity::Low,
        each_second: |sample| {
            let fsync = number("fsync");
            let calls = &mut syscalls(sample).calls;
            match calls.first_mut() {
                Some((_, count)) => *count += 3000,
                None => calls.push((fsync, 3000)),
            }
        },
    },
    Fault {
        name: "packet loss",
        signal: SignalType::NetworkDegradation,
        measure: "retransmit_percent",
        entity: node,
        least: Severity::High,
        each_second: |sample| {
            tcp(sample).sent_segments += 1000;
            tcp(sample).retransmitted_segments += 150;
        },
    },
    Fault {
        name: "a bad cable",
        signal: SignalType::NetworkDegradation,
        measure: "interface_errors_per_s",
        entity: link,
        least: Severity::High,
        each_second: |sample| sample.node.interfaces[0].received_errors += 150,
    },
    Fault {
        name: "a full receive ring",
        signal: SignalType::NetworkDegradation,
        measure: "interface_dropped_percent",
        entity: link,
        least: Severity::High,
        each_second: |sample| {
            sample.node.interfaces[0].received_packets += 10_000;
            sample.node.interfaces[0].received_dropped += 1000;
        },
    },
    Fault {
        name: "a full link",
        signal: SignalType::NetworkDegradation,
        measure: "interface_utilisation_percent",
        entity: link,
        least: Severity::Low,
        each_second: |sample| sample.node.interfaces[0].sent_bytes += 124_000_000,
    },
    Fault {
        name: "port_exhaustion",
        signal: SignalType::TcpExhaustion,
        measure: "no_address_per_s",
        entity: the_app,
        least: Severity::High,
        each_second: |sample| fails(sample, "connect", 99, 100),
    },
    Fault {
        name: "listen_overflow",
        signal: SignalType::TcpExhaustion,
        measure: "listen_overflows_per_s",
        entity: node,
        least: Severity::Medium,
        each_second: |sample| {
            tcp(sample).listen_overflows += 10;
            tcp(sample).listen_drops += 10;
        },
    },
    Fault {
        name: "close_wait_leak",
        signal: SignalType::TcpExhaustion,
        measure: "close_wait_sockets",
        entity: node,
        least: Severity::Medium,
        each_second: |sample| tcp(sample).close_wait = 500,
    },
    Fault {
        name: "close_wait_leak of a process",
        signal: SignalType::TcpExhaustion,
        measure: "process_close_wait_sockets",
        entity: the_app,
        least: Severity::Medium,
        each_second: |sample| app_sockets(sample, 500, None),
    },
    Fault {
        name: "a listener that accepts too slowly",
        signal: SignalType::TcpExhaustion,
        measure: "listener_drops_per_s",
        entity: the_app,
        least: Severity::Medium,
        each_second: |sample| app_sockets(sample, 0, Some(10.0)),
    },
    Fault {
        name: "time_wait_flood",
        signal: SignalType::TcpExhaustion,
        measure: "time_wait_percent",
        entity: node,
        least: Severity::Low,
        each_second: |sample| sample.node.sockets.as_mut().unwrap().tcp_time_wait = 20_000,
    },
    Fault {
        name: "half-open connections",
        signal: SignalType::TcpExhaustion,
        measure: "half_open_sockets",
        entity: node,
        least: Severity::High,
        each_second: |sample| tcp(sample).syn_recv = 5000,
    },
    Fault {
        name: "orphans",
        signal: SignalType::TcpExhaustion,
        measure: "orphans_percent",
        entity: node,
        least: Severity::High,
        each_second: |sample| sample.node.sockets.as_mut().unwrap().tcp_orphan = 31_000,
    },
    Fault {
        name: "socket memory",
        signal: SignalType::TcpExhaustion,
        measure: "tcp_memory_percent",
        entity: node,
        least: Severity::High,
        each_second: |sample| sample.node.sockets.as_mut().unwrap().tcp_memory_pages = 95_000,
    },
];

/// Measures that the table above cannot make in one second after another alike; each has its own test.
pub(crate) const ELSEWHERE: [&str; 3] =
    ["process_growth_bytes_per_s", "process_seconds_to_limit", "run_queue_outliers_per_s"];

fn fork_storm(sample: &mut Sample) {
    cpu(sample).forks += 1000;
    let lifecycle = sample.kernel.lifecycle.as_mut().unwrap();
    lifecycle.forks += 1000;
    match lifecycle.forks_by_parent.first_mut() {
        Some((_, forks)) => *forks += 1000,
        None => lifecycle.forks_by_parent.push((100, 1000)),
    }
}

fn thrash(sample: &mut Sample) {
    let vmstat = vmstat(sample);
    vmstat.swap_in_pages += 30_000;
    vmstat.swap_out_pages += 31_000;
    vmstat.refault_anon_pages += 29_000;
    psi(sample).memory.some_total_us += 700_000;
    app(sample).swap_bytes = GIB;
    app(sample).major_faults += 4000;
    sample.cgroups[0].memory_pressure.as_mut().unwrap().some_total_us += 800_000;
}

fn full_node(sample: &mut Sample) {
    memory(sample).available_bytes = 200 * MIB;
    memory(sample).anonymous_bytes = 7 * GIB;
    psi(sample).memory.some_total_us += 600_000;
    psi(sample).memory.full_total_us += 300_000;
    vmstat(sample).kswapd_scan_pages += 50_000;
    sample.kernel.memory.as_mut().unwrap().reclaim_stalls += 5000;
    sample.kernel.memory.as_mut().unwrap().reclaim_stall_ns += 1_500_000_000;
}

fn full_cgroup(sample: &mut Sample) {
    *app_memory(sample) = kernelsight::observe::sample::CgroupMemory {
        usage_bytes: 2 * GIB - MIB,
        limit_bytes: Some(2 * GIB),
        anonymous_bytes: 2 * GIB - 20 * MIB,
        file_bytes: 10 * MIB,
        limit_hits: app_memory(sample).limit_hits + 100,
        swap_room_bytes: Some(0),
        ..Default::default()
    };
    sample.cgroups[0].memory_pressure.as_mut().unwrap().some_total_us += 800_000;
}

/// The service's sockets, and what its listener at port 80 turns away a second.
pub(crate) fn app_sockets(sample: &mut Sample, close_wait: u32, dropped_per_s: Option<f64>) {
    let listener = Listener { port: 80, waiting: 2, backlog: 1, dropped_per_s };
    let of_app =
        SocketsOfProcess { pid: 100, network: 9, close_wait, listeners: vec![listener], ..SocketsOfProcess::default() };
    sample.sockets = Some(vec![of_app]);
}

/// So much of the data's filesystem is used, and so many of its inodes are left.
pub(crate) fn fill(sample: &mut Sample, used_bytes: u64, files_free: u64) {
    let filesystem = &mut sample.node.filesystems[0];
    (filesystem.used_bytes, filesystem.files_free) = (used_bytes, files_free);
    filesystem.available_bytes = filesystem.total_bytes - used_bytes;
}
