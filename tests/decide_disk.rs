//! What the rules say where a filesystem is full, and where a disk is asked for more than it can do.

use kernelsight::{
    decide::{Case, Decision},
    numbers,
    observe::{Entity, Signal, SignalType},
};

use crate::{
    decide::{case, check, decide},
    scene::{Actor, Group, Scene, actor, group},
};

#[test]
fn a_full_filesystem_is_told_with_who_writes_to_it_and_nothing_is_thrown_away() {
    let scene = Scene::of(&[Actor { cgroup: "/x", ..actor(50, "writer") }], &[group("/x")]);
    let failing = Signal {
        numbers: numbers! { failures_per_s: 100.0, errno: 28.0 },
        sentence: "writer (pid 50): write fails with ENOSPC, 100 failures a second".to_owned(),
        ..scene.signal(1, SignalType::Syscall, "enospc_per_s", scene.process(50), 100.0)
    };
    let mount = Entity::Mount { path: "/data".into() };
    let full = Signal {
        numbers: numbers! { used_percent: 100.0, available_bytes: 0.0, errno: 28.0 },
        ..scene.signal(2, SignalType::Syscall, "filesystem_used_percent", mount, 100.0)
    };
    check(
        &case(&scene, &[failing.clone(), full.clone()]),
        "advice for disk_full: writer (pid 50): write fails with ENOSPC, 100 failures a second. Free space on mount /data",
    );
    check(&case(&scene, &[failing]), "advice for disk_full: ");
    check(&case(&scene, &[full]), "advice for disk_full: ");
}

/// A writer that has the disk to itself, nearly; the others wait for it so much of their time, if that is known.
fn flood(group: Group, others_wait: Option<f64>) -> Case {
    let writer = Actor { cgroup: "/x", written: 10 << 20, ..actor(50, "writer") };
    let victim = Actor { cgroup: "/y", written: 64 << 10, ..actor(60, "victim") };
    let mut scene = Scene::of(&[writer, victim], &[group, crate::scene::group("/y")]);
    for _ in 0..5 {
        if let Some(wait) = others_wait {
            scene.keep(SignalType::IoCongestion, "others_io_wait_percent", &Entity::Node, wait);
        }
    }
    let disk = Entity::Device { name: "vda".into() };
    case(&scene, &[scene.signal(1, SignalType::BlockDeviceSaturation, "queue_depth", disk, 30.0)])
}

#[test]
fn who_keeps_a_disk_busy_gets_half_of_it_where_others_wait() {
    let case = flood(group("/x"), Some(80.0));
    check(&case, "limit_cgroup_io(\"/x\", \"253:0\", \"write_bps\", ");
    let Decision::Act { actions, prediction, .. } = decide(&case).decision else { panic!() };
    let rate = actions.first().number("rate").unwrap() / f64::from(10 << 20);
    assert!((0.45..0.55).contains(&rate), "{rate}");
    assert_eq!((prediction.measure.as_str(), prediction.entity), ("others_io_wait_percent", Entity::Node));
    assert!((4.0..16.0).contains(&prediction.after), "{}", prediction.after);
}

/// What the rules limit where the busiest disk does that: reads a second and their size, the same of writes, and how
/// busy it is.
fn limited(reads: (f64, f64), writes: (f64, f64), busy_percent: f64) -> Option<(String, f64)> {
    let mut case = flood(group("/x"), Some(80.0));
    let disk = case.explanation.node.busiest_disk.as_mut().unwrap();
    (disk.reads_per_s, disk.read_bytes_per_s) = (reads.0, reads.0 * reads.1);
    (disk.writes_per_s, disk.written_bytes_per_s) = (writes.0, writes.0 * writes.1);
    disk.busy_percent = busy_percent;
    // The culprit has all of it.
    case.explanation.suspects[0].share = 1.0;
    let Decision::Act { actions, .. } = decide(&case).decision else { return None };
    let action = actions.first();
    Some((action.params["what"].as_str().unwrap().to_owned(), action.number("rate").unwrap()))
}

#[test]
fn what_the_disk_does_most_is_limited_by_its_number_or_by_its_bytes() {
    const NONE: (f64, f64) = (0.0, 0.0);
    let told = |what: &str, rate: f64| Some((what.to_owned(), rate));
    assert_eq!(limited(NONE, (200.0, 4096.0), 100.0), told("write_iops", 100.0));
    assert_eq!(limited((300.0, 4096.0), (100.0, 4096.0), 100.0), told("read_iops", 100.0));
    assert_eq!(limited((100.0, 1_048_576.0), NONE, 100.0), told("read_bps", 52_428_800.0));
    // A tenth is left to it, and what the action takes at least.
    assert_eq!(limited((100.0, 4096.0), (99.0, 4096.0), 100.0), told("read_iops", 10.0));
    assert_eq!(limited(NONE, (12.0, 4096.0), 100.0), told("write_iops", 10.0));
    // Nothing comes of a limit where the disk rests for half of the time: something else is waited for.
    assert_eq!(limited(NONE, (200.0, 4096.0), 50.0), None);
}

#[test]
fn a_disk_for_which_nobody_waits_may_be_busy() {
    const ADVICE: &str = "advice for device_saturation: device vda is saturated: limit the I/O of writer (pid 50), or restart or end \
         writer (pid 50). Nothing is done: ";
    check(&flood(group("/x"), Some(2.0)), &format!("{ADVICE}others_io_wait_percent of node is 2.0 %, which is calm."));
    check(&flood(group("/x"), None), &format!("{ADVICE}nobody else is known to wait for the disk."));
}

#[test]
fn what_cannot_be_limited_or_is_already_is_told_to_a_person() {
    for io_limited in [None, Some(true)] {
        check(&flood(Group { io_limited, ..group("/x") }, Some(80.0)), "advice for device_saturation: device vda is");
    }
}
