//! What the rules say where a filesystem is full.

use kernelsight::{
    numbers,
    observe::{Entity, Signal, SignalType},
};

use crate::{
    decide::{case, check},
    scene::{Actor, Scene, actor, group},
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
