//! What makes one incident of what is told of a disk, and what is known of the disk itself.

use kernelsight::{
    explain::{Correlator, IncidentChange},
    observe::{
        Entity, Sample, Signal, SignalType, Window,
        sample::{Disk, NodeSample},
    },
};

use crate::scene::{Actor, Group, OWN_PID, Scene, actor, cgroup_entity, group};

fn incidents(scene: &Scene, signals: &[Signal]) -> Vec<(i64, usize)> {
    let changes = Correlator::new(OWN_PID).apply(signals, &scene.view());
    let opened = changes.iter().map(|change| match change {
        IncidentChange::Opened(incident) => (incident.primary.id, incident.symptoms.len()),
        other => panic!("{other:?}"),
    });
    opened.collect()
}

fn reader() -> Scene {
    Scene::of(&[Actor { major: 3000, written: 10 << 20, cgroup: "/x", ..actor(41, "a") }], &[group("/x")])
}

#[test]
fn a_cgroup_that_waits_for_a_disk_is_a_symptom_of_the_disk() {
    let scene = reader();
    let disk = Entity::Device { name: "vda".into() };
    let waits = scene.signal(1, SignalType::IoCongestion, "cgroup_io_some_percent", cgroup_entity("/x"), 99.0);
    let queue = scene.signal(2, SignalType::BlockDeviceSaturation, "queue_depth", disk, 30.0);
    assert_eq!(incidents(&scene, &[waits, queue]), [(2, 1)]);
}

#[test]
fn pages_that_are_read_in_are_the_cause_of_what_waits_for_the_disk_though_they_are_told_later() {
    let scene = reader();
    let waits = scene.signal(1, SignalType::IoCongestion, "io_some_percent", Entity::Node, 90.0);
    let faults = |later_ms: i64| Signal {
        first_seen_ms: waits.first_seen_ms + later_ms,
        ..scene.signal(2, SignalType::PageFault, "process_major_faults_per_s", scene.process(41), 3000.0)
    };
    assert_eq!(incidents(&scene, &[waits.clone(), faults(5_000)]), [(2, 1)]);
    assert_eq!(incidents(&scene, &[waits.clone(), faults(20_000)]), [(1, 1)]);
}

#[test]
fn a_cgroup_may_wait_for_a_cpu_and_for_a_disk_for_two_reasons() {
    let scene = reader();
    let cpu = scene.signal(1, SignalType::LoadMismatch, "cgroup_cpu_some_percent", cgroup_entity("/x"), 90.0);
    let disk = scene.signal(2, SignalType::IoCongestion, "cgroup_io_some_percent", cgroup_entity("/x"), 90.0);
    assert_eq!(incidents(&scene, &[cpu, disk]), [(1, 0), (2, 0)]);
}

#[test]
fn a_disk_is_told_as_it_is_while_a_wave_is_written_and_not_between_two() {
    let mut scene = reader();
    scene.window = Window::default();
    let mut disk = Disk { name: "vda".into(), ..Disk::default() };
    for second in 1..=10_u64 {
        if second % 4 == 0 {
            (disk.busy_ms, disk.writes, disk.written_bytes) =
                (disk.busy_ms + 1000, disk.writes + 100, disk.written_bytes + (20 << 20));
        }
        scene.window.push(
            Sample {
                at_ns: second * 1_000_000_000,
                node: NodeSample { disks: vec![disk.clone()], ..NodeSample::default() },
                ..Sample::default()
            },
            Vec::new(),
        );
    }
    let (_, explanation) =
        scene.explain(&[scene.signal(1, SignalType::IoCongestion, "io_some_percent", Entity::Node, 90.0)]);
    let told = explanation.node.busiest_disk.expect("there is one");
    assert_eq!((told.busy_percent, told.writes_per_s, told.written_bytes_per_s), (100.0, 100.0, f64::from(20 << 20)));
}

#[test]
fn a_cgroup_that_waits_for_the_disk_is_not_to_blame_for_it() {
    let writer = Actor { written: 8 << 20, cgroup: "/x", ..actor(41, "writer") };
    let victim = Actor { written: 64 << 10, cgroup: "/y", ..actor(42, "victim") };
    let groups = |io_limited| [group("/x"), Group { io_limited, ..group("/y") }];
    let first = |measure: &'static str, kind, io_limited| {
        let scene = Scene::of(&[writer.clone(), victim.clone()], &groups(io_limited));
        let (_, explanation) = scene.explain(&[scene.signal(1, kind, measure, cgroup_entity("/y"), 95.0)]);
        let suspect = explanation.suspects.first().cloned();
        suspect.map(|suspect| (suspect.entity.to_string(), suspect.share > 0.9))
    };
    let io = |limited| first("cgroup_io_some_percent", SignalType::IoCongestion, limited);
    assert_eq!(io(Some(false)), Some(("writer (pid 41)".to_owned(), true)));
    assert_eq!(io(None), Some(("writer (pid 41)".to_owned(), true)));
    // It waits for its own limit, and that is its own affair.
    assert_eq!(io(Some(true)), Some(("victim (pid 42)".to_owned(), true)));
}
