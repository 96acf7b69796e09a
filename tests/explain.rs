//! Baselines, trends, who is to blame, and which signals are one incident.

use kernelsight::{
    explain::{
        Correlator, Direction, Incident, IncidentChange, IncidentStatus, TooLittle,
        attribution::attribute,
        baseline::{BASELINE_NEEDS, baseline, deviation},
        trend::trend,
        unit::unit_of,
    },
    observe::{
        Entity, Severity, Signal, SignalType,
        sample::{DeviceNumber, Filesystem, SyscallCounters, SyscallError},
    },
    text::Text,
};

use crate::scene::{Actor, OWN_PID, Scene, actor, cgroup_entity, group, plain_signal};

#[test]
fn a_baseline_interpolates_between_ranks_as_numpy_does() {
    let of = baseline((1..=101).map(f64::from)).unwrap();
    assert_eq!((of.samples, of.p50, of.p75, of.p95, of.p99), (101, 51.0, 76.0, 96.0, 100.0));
    assert!((of.volatility - 29.300_17).abs() < 1e-4, "{}", of.volatility);
    assert_eq!(deviation(192.0, of).times_p95, Some(2.0));
}

#[test]
fn a_baseline_of_too_few_values_says_how_many_are_needed() {
    let values = [1.0, f64::NAN, 2.0];
    assert_eq!(baseline(values), Err(TooLittle { have: 2, need: BASELINE_NEEDS }));
}

#[test]
fn a_line_is_found_with_its_slope_and_fit() {
    let points = (0..30).map(|second| (f64::from(second), 35.2 + 1.18 * f64::from(second) / 60.0));
    let of = trend("used_percent", points).unwrap();
    assert_eq!((of.direction, of.points), (Direction::Rising, 30));
    assert!((of.slope_per_min - 1.18).abs() < 1e-6 && of.r_squared > 0.999, "{of:?}");
}

#[test]
fn noise_around_a_level_is_flat() {
    let points = (0..60).map(|second| (f64::from(second), 50.0 + f64::from((second * 7919) % 13)));
    assert_eq!(trend("used_percent", points).unwrap().direction, Direction::Flat);
    let constant = (0..60).map(|second| (f64::from(second), 50.0));
    assert_eq!(trend("used_percent", constant).unwrap().direction, Direction::Flat);
}

#[test]
fn too_few_points_are_no_trend() {
    let points = (0..9).map(|second| (f64::from(second), f64::from(second)));
    assert_eq!(trend("used_percent", points), Err(TooLittle { have: 9, need: 10 }));
    let of_a_moment = (0..20).map(|tick| (f64::from(tick) / 10.0, f64::from(tick)));
    assert!(trend("used_percent", of_a_moment).is_err());
}

#[test]
fn a_cgroup_path_tells_its_unit() {
    let unit = |path: &str| unit_of(&Text::from(path)).map(|unit| unit.to_string());
    assert_eq!(unit("/system.slice/x.service/worker").as_deref(), Some("x.service"));
    assert_eq!(unit("/user.slice/user-0.slice/session-2.scope").as_deref(), Some("session-2.scope"));
    assert_eq!(unit("/system.slice").as_deref(), Some("system.slice"));
    assert_eq!(unit("/kubepods/x"), None);
    assert_eq!(unit("/system.slice/a\\x2db.service").as_deref(), Some(r"a\\x2db.service"));
}

fn spinner(pid: u32, comm: &'static str, cgroup: &'static str) -> Actor {
    Actor { parent: 40, cpu: 65.0, delay: 30.0, age_s: 30.0, sleeps: 0, preempted: 100, cgroup, ..actor(pid, comm) }
}

fn waits(scene: &Scene) -> Signal {
    scene.signal(1, SignalType::LoadMismatch, "cpu_some_percent", Entity::Node, 80.0)
}

#[test]
fn spinners_in_a_cgroup_of_their_own_are_one_suspect() {
    let hogs = [spinner(41, "a", "/x"), spinner(42, "b", "/x"), spinner(43, "c", "/x")];
    let scene = Scene::of(&hogs, &[group("/x")]);
    let suspects = attribute(&waits(&scene), &scene.window, OWN_PID).suspects;
    assert_eq!(suspects[0].entity, cgroup_entity("/x"));
    assert_eq!((suspects[0].number("members"), suspects.len()), (Some(3.0), 1));
    assert!(suspects[0].share > 0.95, "{}", suspects[0].share);
}

#[test]
fn spinners_beside_somebody_who_wants_the_cpu_are_suspects_each() {
    let victim = Actor { cpu: 5.0, delay: 10.0, cgroup: "/x", ..actor(60, "victim") };
    let scene = Scene::of(&[spinner(41, "a", "/x"), spinner(42, "a", "/x"), victim], &[group("/x")]);
    let suspects = attribute(&waits(&scene), &scene.window, OWN_PID).suspects;
    assert_eq!(suspects[0].entity, scene.process(41));
    assert_eq!(suspects[0].own_cgroup(), None);
    assert_eq!(suspects[0].cgroup_it_keeps_busy(), None);
}

#[test]
fn nobody_owns_the_root_or_a_login_session() {
    for path in ["/", "/user.slice/user-0.slice/session-2.scope", "/system.slice"] {
        let scene = Scene::of(&[spinner(41, "a", path), spinner(42, "a", path)], &[group(path)]);
        let suspects = attribute(&waits(&scene), &scene.window, OWN_PID).suspects;
        assert_eq!((suspects[0].entity.clone(), suspects[0].own_cgroup()), (scene.process(41), None), "{path}");
    }
}

#[test]
fn the_agent_and_kernel_threads_are_never_suspects() {
    let own = Actor { cpu: 100.0, ..actor(OWN_PID, "kernelsight") };
    let executor = Actor { parent: OWN_PID, cpu: 100.0, ..actor(1001, "executor") };
    let thread = Actor { cpu: 100.0, kernel_thread: true, ..actor(20, "kswapd0") };
    let scene = Scene::of(&[own, executor, thread, Actor { cpu: 20.0, ..actor(50, "b") }], &[]);
    let named: Vec<Entity> =
        attribute(&waits(&scene), &scene.window, OWN_PID).suspects.into_iter().map(|one| one.entity).collect();
    assert_eq!(named, [scene.process(50)]);
}

#[test]
fn the_parent_is_blamed_for_forks_and_not_its_children() {
    let parent = Actor { parent: 1, forks: 1000, cgroup: "/x", ..actor(50, "sh") };
    let child = Actor { parent: 50, cpu: 90.0, age_s: 14.0, cgroup: "/x", ..actor(51, "sh") };
    let scene = Scene::of(&[parent, child], &[group("/x")]);
    let signal = scene.signal(1, SignalType::Scheduler, "forks_per_s", Entity::Node, 1000.0);
    let suspects = attribute(&signal, &scene.window, OWN_PID).suspects;
    assert_eq!((suspects[0].entity.clone(), suspects.len()), (scene.process(50), 1));
    assert_eq!((suspects[0].number("forks_per_s"), suspects[0].own_cgroup().is_some()), (Some(1000.0), true));
}

#[test]
fn who_eats_memory_is_blamed_before_who_holds_it() {
    let holder = Actor { rss_mib: 3000.0, ..actor(50, "database") };
    let eater = Actor { rss_mib: 100.0, grows_mib: 20.0, cgroup: "/x", ..actor(51, "leak") };
    let scene = Scene::of(&[holder, eater], &[group("/x")]);
    let signal = scene.signal(1, SignalType::MemoryPressure, "node_some_percent", Entity::Node, 20.0);
    let suspects = attribute(&signal, &scene.window, OWN_PID).suspects;
    assert_eq!((suspects[0].entity.clone(), suspects[0].of.as_str()), (scene.process(51), "memory growth"));
}

fn opened(changes: &[IncidentChange]) -> Vec<&Incident> {
    changes
        .iter()
        .map(|change| if let IncidentChange::Opened(incident) = change { incident } else { panic!("{change:?}") })
        .collect()
}

#[test]
fn a_process_and_the_symptom_of_the_node_are_one_incident_whose_cause_is_the_process() {
    let scene = Scene::of(&[spinner(41, "a", "/")], &[]);
    let node = Signal { first_seen_ms: scene.now_ms - 7_000, ..waits(&scene) };
    let hog = scene.signal(2, SignalType::Scheduler, "process_switches_per_s", scene.process(41), 50_000.0);
    let changes = Correlator::new(OWN_PID).apply(&[node, hog.clone()], &scene.view());
    let incidents = opened(&changes);
    assert_eq!((incidents.len(), incidents[0].primary.id, incidents[0].symptoms.len()), (1, hog.id, 1));
    assert_eq!(incidents[0].fingerprint, "scheduler/process_switches_per_s/process:a");
    assert_eq!(incidents[0].opened_ms, hog.first_seen_ms);
}

#[test]
fn a_cause_does_not_start_after_its_symptom() {
    let scene = Scene::of(&[spinner(41, "a", "/")], &[]);
    let node = waits(&scene);
    let late = |ms: i64| Signal {
        first_seen_ms: node.first_seen_ms + ms,
        ..scene.signal(2, SignalType::Scheduler, "process_switches_per_s", scene.process(41), 50_000.0)
    };
    let primary = |signals: &[Signal]| {
        let changes = Correlator::new(OWN_PID).apply(signals, &scene.view());
        opened(&changes).iter().map(|incident| incident.primary.id).collect::<Vec<_>>()
    };
    assert_eq!(primary(&[node.clone(), late(2_000)]), [2], "two seconds are jitter");
    assert_eq!(primary(&[node.clone(), late(2_001)]), [1]);
}

#[test]
fn swap_that_works_is_the_cause_of_the_faults_that_it_makes() {
    let scene = Scene::of(&[Actor { major: 3000, cgroup: "/x", ..actor(41, "a") }], &[group("/x")]);
    let group = cgroup_entity("/x");
    let signals = [
        scene.signal(1, SignalType::MemoryPressure, "cgroup_anonymous_percent", group.clone(), 99.0),
        scene.signal(2, SignalType::PageFault, "process_major_faults_per_s", scene.process(41), 3000.0),
        scene.signal(3, SignalType::SwapThrashing, "cgroup_thrash_percent", group, 60.0),
    ];
    let mut correlator = Correlator::new(OWN_PID);
    let changes = correlator.apply(&signals, &scene.view());
    let incidents = opened(&changes);
    assert_eq!((incidents.len(), incidents[0].primary.id, incidents[0].symptoms.len()), (1, 3, 2));
}

#[test]
fn signals_of_different_resources_or_strangers_are_incidents_of_their_own() {
    let scene = Scene::of(&[spinner(41, "a", "/x"), actor(50, "b")], &[group("/x")]);
    let cpu = waits(&scene);
    let network = scene.signal(2, SignalType::NetworkDegradation, "retransmit_percent", Entity::Node, 9.0);
    let files = scene.signal(3, SignalType::Syscall, "emfile_per_s", scene.process(50), 100.0);
    let changes = Correlator::new(OWN_PID).apply(&[cpu, network, files], &scene.view());
    assert_eq!(opened(&changes).len(), 3);
}

/// A disk that filled long ago is on many nodes: what else goes wrong there is told all the same.
#[test]
fn a_full_filesystem_takes_in_only_what_fails_for_want_of_room() {
    let scene = Scene::of(&[actor(50, "b"), actor(60, "c")], &[]);
    let mount = |value| {
        scene.signal(1, SignalType::Syscall, "filesystem_used_percent", Entity::Mount { path: "/data".into() }, value)
    };
    let incidents = |before: Signal, measure: &'static str| {
        let mut correlator = Correlator::new(OWN_PID);
        correlator.apply(&[before], &scene.view());
        correlator.apply(&[scene.signal(2, SignalType::Syscall, measure, scene.process(50), 100.0)], &scene.view());
        correlator.open().len()
    };
    for other in ["emfile_per_s", "eio_per_s", "fork_eagain_per_s", "enomem_per_s", "other_errors_weighed_per_s"] {
        assert_eq!(incidents(mount(100.0), other), 2, "{other}");
    }
    assert_eq!(incidents(mount(100.0), "enospc_per_s"), 1);
    assert_eq!(incidents(mount(97.5), "enospc_per_s"), 2, "it has room yet");
    let slow = scene.signal(1, SignalType::Syscall, "call_p99_ns", Entity::Node, 1e8);
    assert_eq!(incidents(slow, "emfile_per_s"), 2);
}

/// Two filesystems are full, and one process fails, for want of room on that device if it is told.
fn without_room(device: Option<DeviceNumber>) -> Scene {
    let full = |path: &'static str, minor| Filesystem {
        path: path.into(),
        total_bytes: 100,
        used_bytes: 100,
        devices: vec![DeviceNumber { major: 8, minor }],
        ..Filesystem::default()
    };
    Scene::changed(12, &[actor(50, "b")], &[], |sample, second| {
        sample.node.filesystems = vec![full("/data", 2), full("/old", 1)];
        let error = SyscallError { cgroup_id: 7, syscall: 1, errno: 28, device, count: 100 * second, pid: 50 };
        let watched_ns = second * 1_000_000_000;
        sample.kernel.syscalls =
            Some(SyscallCounters { watched_ns, errors: vec![error], ..SyscallCounters::default() });
    })
}

fn full_mount(scene: &Scene, id: i64, path: &'static str) -> Signal {
    scene.signal(id, SignalType::Syscall, "filesystem_used_percent", Entity::Mount { path: path.into() }, 100.0)
}

/// The ids of the signals of that process's incident: 1 is that of `/old`, 2 of `/data`, 3 of the process.
fn incident_without_room(device: Option<DeviceNumber>) -> Vec<i64> {
    let scene = without_room(device);
    let mount = |id, path| full_mount(&scene, id, path);
    let failing = scene.signal(3, SignalType::Syscall, "enospc_per_s", scene.process(50), 100.0);
    let mut correlator = Correlator::new(OWN_PID);
    for signal in [mount(1, "/old"), mount(2, "/data"), failing] {
        correlator.apply(&[signal], &scene.view());
    }
    assert_eq!(correlator.open().len(), 2);
    let its = correlator.open().iter().find(|incident| incident.signals().any(|one| one.id == 3)).unwrap();
    let mut ids: Vec<i64> = its.signals().map(|one| one.id).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn who_finds_no_room_in_one_filesystem_is_not_the_matter_of_another() {
    let device = |minor| Some(DeviceNumber { major: 8, minor });
    assert_eq!(incident_without_room(device(1)), [1, 3]);
    assert_eq!(incident_without_room(device(2)), [2, 3]);
    assert_eq!(incident_without_room(device(9)).len(), 2, "it is on none that is known");
    assert_eq!(incident_without_room(None).len(), 2, "it is not told");
}

#[test]
fn who_finds_no_room_elsewhere_is_not_to_blame_for_a_full_filesystem() {
    let blamed = |device, path| {
        let scene = without_room(device);
        let suspects = attribute(&full_mount(&scene, 1, path), &scene.window, OWN_PID).suspects;
        suspects.into_iter().map(|one| one.entity).collect::<Vec<_>>() == [scene.process(50)]
    };
    let data = Some(DeviceNumber { major: 8, minor: 2 });
    assert!(blamed(data, "/data"));
    assert!(!blamed(data, "/old"));
    assert!(blamed(None, "/old"), "it is not told");
}

#[test]
fn calls_of_one_household_that_fail_for_several_reasons_are_one_incident() {
    let member = |pid| Actor { cgroup: "/x", ..actor(pid, "worker") };
    let scene = Scene::of(&[member(50), member(51)], &[group("/x")]);
    let files = scene.signal(1, SignalType::Syscall, "emfile_per_s", scene.process(50), 100.0);
    let errors = scene.signal(2, SignalType::Syscall, "other_errors_weighed_per_s", scene.process(51), 100.0);
    let mut correlator = Correlator::new(OWN_PID);
    correlator.apply(&[files, errors], &scene.view());
    assert_eq!(correlator.open().len(), 1);
}

#[test]
fn a_low_signal_opens_nothing_and_joins_what_it_belongs_to() {
    let mut scene = Scene::of(&[spinner(41, "a", "/")], &[]);
    let low = Signal { severity: Severity::Low, peak_severity: Severity::Low, ..waits(&scene) };
    scene.signals = vec![low.clone()];
    let mut correlator = Correlator::new(OWN_PID);
    assert_eq!(correlator.apply(std::slice::from_ref(&low), &scene.view()), []);
    let hog = scene.signal(2, SignalType::Scheduler, "process_switches_per_s", scene.process(41), 50_000.0);
    let changes = correlator.apply(&[hog], &scene.view());
    let incidents = opened(&changes);
    assert_eq!((incidents[0].primary.id, incidents[0].symptoms[0].id), (2, 1));
}

#[test]
fn an_incident_closes_with_the_last_of_its_signals() {
    let scene = Scene::of(&[spinner(41, "a", "/")], &[]);
    let node = waits(&scene);
    let hog = scene.signal(2, SignalType::Scheduler, "process_switches_per_s", scene.process(41), 50_000.0);
    let closed = |signal: &Signal| Signal { closed_ms: Some(scene.now_ms), severity: Severity::None, ..signal.clone() };
    let mut correlator = Correlator::new(OWN_PID);
    correlator.apply(&[node.clone(), hog.clone()], &scene.view());
    let changes = correlator.apply(&[closed(&hog)], &scene.view());
    assert!(matches!(&changes[..], [IncidentChange::Refreshed(_)]), "{changes:?}");
    let changes = correlator.apply(&[closed(&node)], &scene.view());
    let [IncidentChange::Closed(incident)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((incident.status, incident.closed_ms), (IncidentStatus::Subsided, Some(scene.now_ms)));
    assert!(correlator.open().is_empty());
    assert_eq!(correlator.apply(&[closed(&node)], &scene.view()), [], "what is closed opens nothing");
}

#[test]
fn open_incidents_are_bounded_and_what_finds_no_room_is_counted() {
    let scene = Scene::default();
    let ports: Vec<Signal> = (0..200)
        .map(|id| plain_signal(id, SignalType::TcpExhaustion, Entity::Port { port: id as u16 }, Severity::High, 0))
        .collect();
    let mut correlator = Correlator::new(OWN_PID);
    correlator.apply(&ports, &scene.view());
    assert_eq!((correlator.open().len(), correlator.overflowed()), (128, 72));
}

#[test]
fn an_explanation_says_who_since_when_and_what_is_not_known() {
    let leak = Actor { rss_mib: 100.0, grows_mib: 1.0, cgroup: "/system.slice/x.service", ..actor(51, "leak") };
    let groups = [kernelsight_group("/system.slice/x.service", 2048)];
    let scene = Scene::lasting(40, &[leak], &groups);
    let growth =
        scene.signal(1, SignalType::MemoryPressure, "process_growth_bytes_per_s", scene.process(51), 1_048_576.0);
    let (incident, explanation) = scene.explain(&[growth]);
    let culprit = explanation.culprit().unwrap();
    assert_eq!(culprit.unit.as_ref().unwrap().as_str(), "x.service");
    assert_eq!(culprit.limit.as_ref().unwrap().limit_bytes, 2048 << 20);
    let line = explanation.growth.as_ref().unwrap();
    assert!((line.slope_per_min / 1_048_576.0 - 60.0).abs() < 0.01 && line.direction == Direction::Rising, "{line:?}");
    assert_eq!((explanation.since_ms, explanation.medium_at), (incident.opened_ms, Some(786_432.0)));
    assert_eq!(
        explanation.unknown,
        [
            "what is usual for process_growth_bytes_per_s is not known yet: 0 samples, 300 are needed",
            "the trend is not known: 0 values, 10 are needed"
        ]
    );
}

fn kernelsight_group(path: &'static str, limit_mib: u64) -> crate::scene::Group {
    crate::scene::Group { limit_mib: Some(limit_mib), ..group(path) }
}
