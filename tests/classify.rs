//! The classifiers on made-up machines: what ordinary work looks like, and what each fault does.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use kernelsight::observe::{
    Entity, Event, ProcessId, Sample, Severity, SignalType, Window,
    classify::{CLASSIFIERS, Change, ENTITIES_MAX},
    event::{BlockOperation, What},
    sample::{DeviceNumber, Filesystem},
};

use crate::{classify_faults::*, classify_machine::*};

fn sentence(machine: &Machine, signal: SignalType, measure: &str, expected: Expect) {
    expected.assert_eq(&format!("{}\n", machine.open(signal, measure).sentence));
}

#[test]
fn each_fault_makes_its_signal_of_the_right_entity() {
    let mut wrong = String::new();
    for fault in FAULTS {
        let mut machine = Machine::new();
        machine.run(20, |_| {});
        assert_eq!(machine.story(), "", "{}: it began before the fault", fault.name);
        machine.run(45, fault.each_second);
        let opened = machine.changes.iter().map(Change::signal);
        let found = opened
            .filter(|signal| signal.signal_type == fault.signal && signal.measure == fault.measure)
            .filter(|signal| signal.entity == (fault.entity)())
            .map(|signal| signal.peak_severity)
            .max();
        if found < Some(fault.least) {
            wrong += &format!("{}: {found:?}, expected {}; {}\n", fault.name, fault.least, machine.story());
        }
        machine.run(90, heal);
        let open = machine.classification.open();
        let left: Vec<&str> = open.iter().map(|signal| signal.sentence.as_str()).collect();
        if !left.is_empty() {
            wrong += &format!("{}: still open after it was over: {left:?}\n", fault.name);
        }
    }
    assert_eq!(wrong, "");
}

/// What is a level rather than a counter goes back to what an idle machine has.
fn heal(sample: &mut Sample) {
    let idle = Machine::new().next;
    sample.node.load = idle.node.load;
    sample.node.memory = idle.node.memory;
    sample.node.sockets = idle.node.sockets;
    sample.node.filesystems = idle.node.filesystems;
    (cpu(sample).blocked, cpu(sample).running) = (0, 1);
    (tcp(sample).close_wait, tcp(sample).syn_recv) = (0, 0);
    (app(sample).open_files, app(sample).open_files_limit, app(sample).swap_bytes) = (Some(20), Some(1024), 0);
    sample.sockets = None;
    sample.cgroups[0].pids.as_mut().unwrap().current = 10;
    let memory = app_memory(sample);
    (memory.usage_bytes, memory.anonymous_bytes, memory.file_bytes) = (300 * MIB, 100 * MIB, 200 * MIB);
}

#[test]
fn every_measure_of_every_classifier_has_a_fault_that_makes_it_a_signal() {
    let made: BTreeSet<&str> = FAULTS.iter().map(|fault| fault.measure).chain(ELSEWHERE).collect();
    let listed: BTreeSet<&str> =
        CLASSIFIERS.iter().flat_map(|classifier| classifier.measures).map(|measure| measure.name).collect();
    let missing: Vec<_> = listed.difference(&made).collect();
    assert!(missing.is_empty(), "add a row to FAULTS for each of {missing:?}");
}

#[test]
fn a_classifier_reads_only_measures_that_it_lists() {
    for fault in FAULTS {
        let mut machine = Machine::new();
        machine.run(12, fault.each_second);
        for (signal, reading) in machine.readings() {
            let listed = kernelsight::observe::classify::measure(signal, reading.measure);
            assert!(listed.is_some(), "{signal}.{}", reading.measure);
            assert!(reading.value.is_finite() && !reading.sentence.is_empty() && !reading.sentence.ends_with('.'));
        }
    }
}

#[test]
fn an_idle_machine_has_no_signal() {
    let mut machine = Machine::new();
    machine.run(300, |_| {});
    assert_eq!(machine.story(), "");
}

#[test]
fn two_hundred_idle_services_are_nothing() {
    let mut machine = Machine::new();
    for pid in 1000..1200 {
        machine.next.processes.push(process(pid, "idle", "/idle"));
    }
    machine.run(60, |sample| {
        fails(sample, "futex", 110, 2000);
        fails(sample, "read", 11, 500);
        call_latency(sample, "epoll_wait", 31, 100);
        for service in sample.processes.iter_mut().filter(|process| process.id.pid >= 1000) {
            service.voluntary_switches = service.voluntary_switches.map(|switches| switches + 10);
        }
    });
    assert_eq!(machine.story(), "");
}

#[test]
fn a_compile_is_at_most_medium() {
    let mut machine = Machine::new();
    machine.next.processes.push(process(300, "rustc", "/app"));
    let mut second = 0;
    machine.run(20, |_| {});
    machine.run(120, |sample| {
        second += 1;
        burn(sample, 1.0);
        psi(sample).cpu.some_total_us += 900_000;
        psi(sample).io.some_total_us += 50_000;
        sample.node.load.as_mut().unwrap().runnable = 5;
        waits(sample, 23, 500); // 8 to 17 ms
        cpu(sample).context_switches += 4000;
        cpu(sample).forks += 200;
        sample.kernel.lifecycle.as_mut().unwrap().forks += 200;
        vmstat(sample).faults += 80_000;
        fails(sample, "openat", 2, 8000);
        let rustc = sample.processes.iter_mut().find(|process| process.id.pid == 300).unwrap();
        // Takes 500 MiB in ten seconds, and gives them back, as one crate after the other is compiled.
        rustc.rss_bytes = 60 * MIB + (second % 12).min(10) * 50 * MIB;
        rustc.minor_faults += 25_000;
        rustc.cpu_time_ns += 1_900_000_000;
        app_memory(sample).anonymous_bytes = 100 * MIB + (second % 12).min(10) * 50 * MIB;
    });
    assert!(machine.worst() <= Severity::Medium, "{}", machine.story());
}

#[test]
fn a_backup_is_at_most_medium() {
    let mut machine = Machine::new();
    machine.next.processes.push(process(300, "tar", "/app"));
    machine.run(20, |_| {});
    machine.run(120, |sample| {
        burn(sample, 0.4);
        psi(sample).io.some_total_us += 990_000;
        psi(sample).io.full_total_us += 950_000;
        psi(sample).memory.some_total_us += 50_000;
        // The page cache fills and is reclaimed; nothing that anybody holds.
        memory(sample).free_bytes = 100 * MIB;
        memory(sample).cached_bytes = 6 * GIB;
        memory(sample).dirty_bytes = 900 * MIB;
        memory(sample).writeback_bytes = 300 * MIB;
        vmstat(sample).kswapd_scan_pages += 60_000;
        vmstat(sample).refault_file_pages += 50_000;
        app_memory(sample).usage_bytes = 2 * GIB - MIB;
        app_memory(sample).file_bytes = 2 * GIB - 100 * MIB;
        app_memory(sample).limit_hits += 1000;
        sample.cgroups[0].memory_pressure.as_mut().unwrap().some_total_us += 400_000;
        sample.cgroups[0].io_pressure.as_mut().unwrap().some_total_us += 950_000;
        sample.kernel.memory.as_mut().unwrap().reclaim_stall_ns += 300_000_000;
        cpu(sample).blocked = 5;
        sample.node.disks[0].busy_ms += 1000;
        sample.node.disks[0].queue_time_ms += 100_000;
        block(sample, BlockOperation::Read, 26, 200, 0); // 67 to 134 ms
        block(sample, BlockOperation::Write, 30, 200, 0); // 1 to 2 s
        call_latency(sample, "pread64", 28, 200);
        sample.node.interfaces[0].sent_bytes += 120_000_000;
    });
    assert!(machine.worst() <= Severity::Medium, "{}", machine.story());
    let memory = machine.changes.iter().filter(|change| change.signal().signal_type == SignalType::MemoryPressure);
    assert_eq!(memory.count(), 0, "page cache is no alarm: {}", machine.story());
}

#[test]
fn a_slow_leak_is_told_before_any_pressure() {
    let mut machine = Machine::new();
    machine.run(5, |_| {});
    machine.run(40, |sample| app(sample).rss_bytes += MIB);
    let signal = machine.open(SignalType::MemoryPressure, "process_growth_bytes_per_s");
    assert_eq!((signal.severity, &signal.entity), (Severity::Medium, &the_app()));
    sentence(
        &machine,
        SignalType::MemoryPressure,
        "process_growth_bytes_per_s",
        expect![[r#"
        app (pid 100) grows by 1 MiB/s, 80 MiB resident; the 2 GiB limit of cgroup /app is 32.5 min away at this rate
    "#]],
    );
    assert!(machine.worst() < Severity::High, "{}", machine.story());
    machine.run(30, |_| {});
    assert_eq!(machine.classification.open(), [], "what grows no more is no leak");
}

#[test]
fn a_service_that_starts_or_swings_is_no_leak() {
    let mut machine = Machine::new();
    let mut second = 0;
    machine.run(120, |sample| {
        second += 1;
        app(sample).rss_bytes = 40 * MIB + 2 * MIB * u64::min(second, 15) + (second * 7919 % 13) * MIB / 4;
    });
    assert_eq!(machine.story(), "");
}

#[test]
fn a_hog_is_told_with_the_time_that_is_left() {
    let mut machine = Machine::new();
    machine.run(5, |_| {});
    machine.run(9, |sample| {
        app(sample).rss_bytes += 200 * MIB;
        app_memory(sample).anonymous_bytes += 200 * MIB;
        app_memory(sample).usage_bytes += 200 * MIB;
    });
    let signal = machine.open(SignalType::MemoryPressure, "process_seconds_to_limit");
    assert_eq!((signal.severity, &signal.entity), (Severity::Critical, &the_app()));
    sentence(
        &machine,
        SignalType::MemoryPressure,
        "process_seconds_to_limit",
        expect![[r#"
        app (pid 100) reaches the 2 GiB limit of cgroup /app in 0.82 s: 1.8 GiB resident, growing by 180 MiB/s, 148 MiB left
    "#]],
    );
    machine.run(20, |_| {});
    assert!(machine.history.points(SignalType::MemoryPressure, "process_seconds_to_limit", &the_app()).count() > 10);
    let left = machine.classification.open();
    assert!(
        left.iter().all(|signal| signal.measure != "process_seconds_to_limit"),
        "a frozen hog is no danger: {left:?}"
    );
}

#[test]
fn the_tightest_limit_above_a_process_is_the_one_that_counts() {
    let mut machine = Machine::new();
    let mut parent = machine.next.cgroups[0].clone();
    parent.path = "/parent".into();
    parent.memory.as_mut().unwrap().limit_bytes = Some(GIB);
    let mut child = machine.next.cgroups[0].clone();
    child.path = "/parent/child".into();
    child.memory.as_mut().unwrap().limit_bytes = None;
    machine.next.cgroups.extend([parent, child]);
    app(&mut machine.next).cgroup = "/parent/child".into();
    machine.run(2, |_| {});
    let ceiling = kernelsight::observe::classify::ceiling(&machine.window, "/parent/child").unwrap();
    assert_eq!(ceiling.cgroup, Some("/parent".into()));
    assert_eq!(ceiling.room_bytes, GIB - 100 * MIB, "its cache can be had back");
    let ceiling = kernelsight::observe::classify::ceiling(&machine.window, "/elsewhere").unwrap();
    assert_eq!((ceiling.cgroup, ceiling.room_bytes), (None, 6 * GIB));
}

#[test]
fn what_may_go_to_swap_does_not_end_at_the_limit() {
    let sentence_beside = |swap_room_bytes| {
        let mut machine = Machine::new();
        machine.run(20, |sample| {
            let memory = app_memory(sample);
            (memory.anonymous_bytes, memory.usage_bytes) = (2 * GIB - MIB, 2 * GIB - MIB);
            memory.swap_room_bytes = swap_room_bytes;
        });
        let room = kernelsight::observe::classify::ceiling(&machine.window, "/app").unwrap().room_bytes;
        let open = machine.classification.open();
        let said = open.iter().find(|signal| signal.measure == "cgroup_anonymous_percent");
        (room, said.map(|signal| signal.sentence.clone()))
    };
    // It may have none, or half of the node's, or all that the node has left.
    let (room, said) = sentence_beside(Some(0));
    assert_eq!(room, MIB);
    expect![
        "cgroup /app: anonymous memory is 100.0 % of the limit; it holds 2 GiB of 2 GiB, 2 GiB anonymous, 200 MiB cache"
    ]
    .assert_eq(&said.unwrap_or_default());
    assert_eq!(sentence_beside(Some(GIB / 2)), (MIB + GIB / 2, None));
    assert_eq!(sentence_beside(None), (MIB + GIB, None));
}

fn step(machine: &Machine, after_ms: u64, rss_bytes: u64) -> Event {
    Event {
        at_ns: machine.next.at_ns + after_ms * 1_000_000,
        process: ProcessId { pid: 100, start_ticks: 1000 },
        comm: "app".into(),
        cgroup_id: 7,
        what: What::RssStep { rss_bytes },
    }
}

#[test]
fn a_leak_that_crosses_its_line_is_a_signal_without_waiting_for_the_tick() {
    let mut machine = Machine::new();
    machine.run(2, |_| {});
    let mut changes = Vec::new();
    for (after_ms, rss) in [(100, 1100 * MIB), (420, 1164 * MIB), (740, 1228 * MIB)] {
        let event = step(&machine, after_ms, rss);
        changes.extend(machine.react(&event));
    }
    assert_eq!(changes.len(), 1, "two steps are not enough");
    let Change::Opened(signal) = &changes[0] else { panic!("{changes:?}") };
    assert_eq!((signal.severity, &signal.entity), (Severity::Critical, &the_app()));
    // What an explanation believes until a tick has looked.
    let steps = ["steps", "steps_span_s", "steps_r_squared"].map(|name| signal.numbers.get(name).unwrap());
    assert_eq!(steps, [3.0, 0.64, 1.0]);
    expect![[r#"
        app (pid 100) reaches the 2 GiB limit of cgroup /app in 3.8 s: 1.2 GiB resident, growing by 200 MiB/s, 760 MiB left
    "#]].assert_eq(&format!("{}\n", signal.sentence));
    assert_eq!(machine.history.points(signal.signal_type, &signal.measure, &signal.entity).count(), 1);
}

#[test]
fn a_compiler_that_takes_memory_fast_and_far_from_its_limit_is_no_reflex() {
    let mut machine = Machine::new();
    machine.run(2, |_| {});
    for n in 0..10 {
        let event = step(&machine, n * 100, (128 + 64 * n) * MIB);
        assert_eq!(machine.react(&event), None);
    }
}

#[test]
fn memory_that_comes_and_goes_is_no_reflex() {
    let mut machine = Machine::new();
    machine.run(2, |_| {});
    for n in 0..30 {
        let event = step(&machine, n * 100, (1200 + 64 * (n % 2)) * MIB);
        assert_eq!(machine.react(&event), None);
    }
}

#[test]
fn an_oom_kill_names_the_limit_and_not_the_node() {
    let mut machine = Machine::new();
    machine.run(2, |_| {});
    let mut event = step(&machine, 10, 0);
    event.what = What::OomKill { rss_bytes: 2040 * MIB, in_cgroup: true };
    let change = machine.react(&event).unwrap();
    let signal = change.signal();
    assert_eq!((&signal.entity, signal.severity), (&of_app(), Severity::High));
    expect![[r#"
        the kernel killed app (pid 100), 1.99 GiB resident: the 2 GiB limit of cgroup /app was reached, not the node's
    "#]]
    .assert_eq(&format!("{}\n", signal.sentence));
    event.what = What::OomKill { rss_bytes: 2040 * MIB, in_cgroup: false };
    assert_eq!(machine.react(&event).unwrap().signal().entity, Entity::Node);
}

#[test]
fn long_waits_to_run_are_counted_from_the_ring() {
    let mut machine = Machine::new();
    machine.run_with(10, |sample| {
        let outlier = Event {
            at_ns: sample.at_ns,
            process: ProcessId { pid: 100, start_ticks: 1000 },
            comm: "app".into(),
            cgroup_id: 7,
            what: What::RunQueueOutlier { latency_ns: 60_000_000 },
        };
        vec![outlier; 20]
    });
    let signal = machine.open(SignalType::Scheduler, "run_queue_outliers_per_s");
    assert_eq!((signal.severity, signal.value), (Severity::Low, 20.0));
}

#[test]
fn a_name_changes_nothing_but_the_name() {
    let run = |comm: &str| {
        let mut machine = Machine::new();
        machine.run(30, |sample| {
            spinners(sample);
            for spinner in sample.processes.iter_mut().filter(|process| process.id.pid > 200) {
                spinner.comm = comm.into();
            }
        });
        let signals: Vec<_> = machine.classification.open();
        signals.into_iter().map(|one| (one.signal_type, one.measure, one.severity, one.value, one.sentence)).collect()
    };
    let plain: Vec<_> = run("spin");
    let hostile: Vec<_> = run("\"}],\n$(reboot)");
    assert!(!plain.is_empty());
    let shown = r#""}],\x0a$(reboot)"#;
    let renamed = plain.into_iter().map(|mut one| {
        one.4 = one.4.replace("spin (", &format!("{shown} ("));
        one
    });
    assert_eq!(hostile, renamed.collect::<Vec<_>>());
}

#[test]
fn a_measure_keeps_its_worst_entities_and_those_that_are_watched() {
    let mut machine = Machine::new();
    for pid in 1000..1100 {
        machine.next.processes.push(process(pid, "busy", "/app"));
    }
    machine.run(3, |sample| {
        for process in sample.processes.iter_mut().filter(|process| process.id.pid >= 1000) {
            process.minor_faults += u64::from(process.id.pid);
        }
    });
    let churn: Vec<f64> = machine
        .readings()
        .into_iter()
        .filter(|(_, reading)| reading.measure == "process_minor_churn_per_s")
        .map(|(_, reading)| reading.value)
        .collect();
    assert_eq!(churn.len(), ENTITIES_MAX);
    assert_eq!(churn[0], 1099.0);
    let mut most = Vec::new();
    for classifier in &CLASSIFIERS {
        let watched = [(classifier.signal, "process_minor_churn_per_s", entity(1000, "busy"))];
        let mut readings = kernelsight::observe::classify::Readings::new(classifier.signal, &watched);
        (classifier.read)(&machine.window, &mut readings);
        most.extend(readings.into_iter().filter(|reading| reading.measure == "process_minor_churn_per_s"));
    }
    assert_eq!(most.len(), ENTITIES_MAX + 1);
    assert!(most.iter().any(|reading| reading.entity == entity(1000, "busy") && reading.value == 1000.0));
}

#[test]
fn calm_values_are_kept_too() {
    let mut machine = Machine::new();
    machine.run(10, |_| {});
    let points = machine.history.points(SignalType::LoadMismatch, "cpu_some_percent", &Entity::Node).count();
    assert_eq!(points, 9, "a rate needs two samples");
}

#[test]
fn a_machine_whose_sources_are_off_reads_nothing_and_breaks_nothing() {
    let mut machine = Machine::new();
    for _ in 0..5 {
        let sample = Sample { at_ns: machine.next.at_ns, wall_ms: machine.next.wall_ms, ..Sample::default() };
        machine.next.at_ns += 1_000_000_000;
        machine.window.push(sample, Vec::new());
        assert_eq!(machine.readings().len(), 0);
    }
}

#[test]
fn what_a_person_reads_has_its_numbers() {
    let of = |name: &str| {
        let fault = FAULTS.iter().find(|fault| fault.name == name).unwrap();
        let mut machine = Machine::new();
        machine.run(40, fault.each_second);
        format!("{name}: {}\n", machine.reading(fault.signal, fault.measure).sentence)
    };
    let names = [
        "cpu_hog",
        "fork_storm",
        "switch_storm",
        "minor_fault_churn",
        "fd_exhaustion",
        "memcg_oom",
        "cfs_throttle",
        "swap_thrash",
        "device_saturation",
        "dirty_flood",
        "syscall_storm",
        "port_exhaustion",
        "listen_overflow",
        "packet loss",
        "a node out of memory",
        "a cgroup that cannot reclaim",
    ];
    expect![[r#"
        cpu_hog: some task waited for a CPU 98 % of the time; 4 tasks want the 2 CPUs; run-queue p99 8.23 ms; most CPU: spin (pid 201) 66 %, spin (pid 202) 66 %, spin (pid 203) 66 %
        fork_storm: app (pid 100) makes 1,000 processes a second
        switch_storm: app (pid 100) switches 90,030 times a second, 90,030 of them to wait
        minor_fault_churn: app (pid 100) has 150,000 minor faults a second and does not grow (40 MiB resident): it takes memory and gives it back
        fd_exhaustion: app (pid 100): openat fails with EMFILE, 450 failures a second; 64 of 64 descriptors are open
        memcg_oom: cgroup /app: the kernel killed 1 of its processes: the 2 GiB limit of cgroup /app was reached, not the node's
        cfs_throttle: cgroup /app: its quota of 20 % of one CPU stopped it in 90 % of its periods; it uses 20 %
        swap_thrash: 30,000 pages/s come back from swap, 31,000 pages/s leave, 29,000 pages/s had only just left; most major faults: app (pid 100) 4,000/s; some task waited for memory 70 % of the time
        device_saturation: device vda: the p99 of 100 reads was 4.27 s
        dirty_flood: 1.2 GiB wait to be written, 19.9 % of what may be dirty
        syscall_storm: app (pid 100) makes 4,000,000 system calls a second, 4,000,000 of them getppid
        port_exhaustion: app (pid 100): connect fails with EADDRNOTAVAIL, 100 failures a second; 28,232 local ports in the range; 0 sockets in TIME_WAIT
        listen_overflow: 10 connections a second were turned away by a full backlog: a listener accepts too slowly
        packet loss: 14.4 % of TCP segments had to be sent again: 150 of 1,040 a second
        a node out of memory: some task waited for memory 60 % of the time; 200 MiB of 8 GiB (2.44 %) are available
        a cgroup that cannot reclaim: cgroup /app: some task waited for memory 80 % of the time; it holds 2 GiB of 2 GiB, 1.98 GiB anonymous, 10 MiB cache
    "#]].assert_eq(&names.map(of).concat());
}

#[test]
fn a_write_that_finds_no_room_is_told_with_the_filesystem_that_has_none() {
    let told = |used_bytes: u64, files_free: u64| {
        let mut machine = Machine::new();
        machine.run(10, |sample| {
            fill(sample, used_bytes, files_free);
            fails(sample, "write", 28, 100);
        });
        machine.reading(SignalType::Syscall, "enospc_per_s").sentence
    };
    let failing = "app (pid 100): write fails with ENOSPC, 100 failures a second";
    assert_eq!(told(100 * MIB, 900), format!("{failing}; mount /data (ext4) has 0 B of 100 MiB left"));
    assert_eq!(told(50 * MIB, 0), format!("{failing}; mount /data (ext4) has 0 of 1,000 inodes left"));
    // It is another filesystem's: that is not known, and not said.
    assert_eq!(told(50 * MIB, 900), failing);
}

#[test]
fn of_two_full_filesystems_the_one_is_told_that_the_call_found_without_room() {
    let told = |device: Option<DeviceNumber>| {
        let mut machine = Machine::new();
        machine.run(10, |sample| {
            fill(sample, 100 * MIB, 900);
            sample.node.filesystems[0].devices = vec![DeviceNumber { major: 8, minor: 1 }];
            let old = Filesystem { path: "/old".into(), devices: vec![], ..sample.node.filesystems[0].clone() };
            sample.node.filesystems.truncate(1);
            sample.node.filesystems.push(old);
            fails(sample, "write", 28, 100);
            sample.kernel.syscalls.as_mut().unwrap().errors.iter_mut().for_each(|error| error.device = device);
        });
        machine.reading(SignalType::Syscall, "enospc_per_s").sentence
    };
    let failing =
        "app (pid 100): write fails with ENOSPC, 100 failures a second; mount /data (ext4) has 0 B of 100 MiB left";
    assert_eq!(told(Some(DeviceNumber { major: 8, minor: 1 })), failing);
    assert_eq!(told(None), format!("{failing}; mount /old (ext4) has 0 B of 100 MiB left"));
}

#[test]
fn who_waits_for_his_own_quota_waits_for_no_cpu() {
    let throttled = FAULTS.iter().find(|fault| fault.name == "cfs_throttle").unwrap();
    let kinds = |quota: bool| {
        let mut machine = Machine::new();
        machine.run(30, |sample| {
            (throttled.each_second)(sample);
            if !quota {
                sample.cgroups[0].cpu.as_mut().unwrap().quota_percent = None;
            }
            let service = app(sample);
            service.cpu_time_ns += 200_000_000;
            service.run_delay_ns = service.run_delay_ns.map(|delay| delay + 700_000_000);
            service.voluntary_switches = service.voluntary_switches.map(|switches| switches + 100);
            psi(sample).cpu.some_total_us += 700_000;
            waits(sample, 28, 300);
        });
        machine.classification.open().iter().map(|signal| signal.signal_type).collect::<BTreeSet<_>>()
    };
    assert_eq!(kinds(true), BTreeSet::from([SignalType::Scheduler]));
    assert_eq!(kinds(false), BTreeSet::from([SignalType::LoadMismatch]));
}

#[test]
fn the_agent_is_none_of_those_who_wait() {
    let waits_of = |own_pid: u32| {
        let mut machine = Machine::new();
        machine.window = Window::of_agent(own_pid);
        machine.run(3, |sample| {
            let service = app(sample);
            service.cpu_time_ns += 200_000_000;
            service.run_delay_ns = service.run_delay_ns.map(|delay| delay + 200_000_000);
        });
        machine.window.others_wait_percent().unwrap()
    };
    assert!(waits_of(0) > 40.0);
    assert_eq!(waits_of(100), 0.0);
}

#[test]
fn who_is_stopped_now_and_then_is_heard_in_the_other_periods() {
    let waits_of = |throttled_periods: u64| {
        let mut machine = Machine::new();
        machine.run(3, |sample| {
            let cpu = sample.cgroups[0].cpu.as_mut().unwrap();
            cpu.quota_percent = Some(50.0);
            cpu.periods += 10;
            cpu.throttled_periods += throttled_periods;
            let service = app(sample);
            service.cpu_time_ns += 200_000_000;
            service.run_delay_ns = service.run_delay_ns.map(|delay| delay + 200_000_000);
        });
        (machine.window.others_wait_percent().unwrap() > 40.0, machine.window.quota_wait_share())
    };
    assert_eq!(waits_of(0), (true, 0.0));
    let (heard, share) = waits_of(2);
    assert!(heard && (0.2..0.6).contains(&share), "{share}");
    let (heard, share) = waits_of(10);
    assert!(!heard && share > 0.9, "{share}");
}

#[test]
fn on_a_busy_node_a_quota_hides_nobodys_wait() {
    let p99_of = |busy: f64| {
        let mut machine = Machine::new();
        machine.run(8, |sample| {
            let cpu = sample.cgroups[0].cpu.as_mut().unwrap();
            (cpu.quota_percent, cpu.periods, cpu.throttled_periods) =
                (Some(20.0), cpu.periods + 10, cpu.throttled_periods + 10);
            let service = app(sample);
            service.run_delay_ns = service.run_delay_ns.map(|delay| delay + 800_000_000);
            burn(sample, busy);
            waits(sample, 28, 300);
        });
        machine.reading(SignalType::LoadMismatch, "run_queue_p99_ns").value
    };
    assert_eq!(p99_of(0.1), 0.0);
    assert!(p99_of(0.9) > 100e6);
}
