//! The limits of cgroups: tightened so that its processes can live, widened while the node has room, and put back.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
};

use kernelsight::execute::OutcomeStatus;
use serde_json::{Value, json};

use crate::execute_support::{Bench, Cgroup, Target, is_root, until};

fn denied(bench: &Bench, name: &str, params: Value) -> String {
    let denial = bench.judge(name, params).unwrap_err().denial();
    assert_eq!(denial.rule, "milder", "{}", denial.reason);
    denial.reason
}

#[test]
fn the_tasks_of_a_cgroup_are_limited_raised_and_put_back() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "pids.max") else { return };
    let ask = |tasks: u64| json!({ "cgroup": cgroup.path(), "tasks": tasks });
    let path = cgroup.path().as_str().unwrap().to_owned();
    assert_eq!(cgroup.read("pids.max"), "max");
    let said = denied(&bench, "raise_cgroup_pids", ask(100));
    assert_eq!(said, format!("it would not raise: pids.max of {path} is max, and 100 was asked for"));
    let tasks: u64 = cgroup.read("pids.current").parse().unwrap();
    let said = denied(&bench, "limit_cgroup_pids", ask(tasks - 1));
    assert_eq!(said, format!("{} is below the {tasks} that pids.max of {path} has to hold", tasks - 1));
    let limited = bench.act("limit_cgroup_pids", ask(50));
    assert_eq!(cgroup.read("pids.max"), "50");
    assert!(denied(&bench, "limit_cgroup_pids", ask(50)).starts_with("already there or milder: "));
    let raised = bench.act("raise_cgroup_pids", ask(60));
    assert_eq!(cgroup.read("pids.max"), "60");
    assert!(denied(&bench, "raise_cgroup_pids", ask(4_194_304)).starts_with("the node has no room for "));
    bench.undo(&raised).unwrap();
    assert_eq!(cgroup.read("pids.max"), "50");
    bench.undo(&limited).unwrap();
    assert_eq!(cgroup.read("pids.max"), "max");
}

#[test]
fn the_memory_of_a_cgroup_is_raised_while_the_node_has_room_and_put_back() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "memory.limit_in_bytes") else { return };
    let ask = |bytes: u64| json!({ "cgroup": cgroup.path(), "bytes": bytes });
    let said = denied(&bench, "raise_cgroup_memory", ask(1 << 30));
    assert!(said.starts_with("it would not raise: memory.limit_in_bytes of "), "no limit stands: {said}");
    cgroup.write("memory.limit_in_bytes", "104857600");
    assert!(denied(&bench, "raise_cgroup_memory", ask(104_857_600)).starts_with("it would not raise: "));
    assert!(denied(&bench, "raise_cgroup_memory", ask(1 << 50)).starts_with("the node has no room for "));
    let outcome = bench.act("raise_cgroup_memory", ask(209_715_200));
    assert_eq!(cgroup.read("memory.limit_in_bytes"), "209715200");
    bench.undo(&outcome).unwrap();
    assert_eq!(cgroup.read("memory.limit_in_bytes"), "104857600");
    if Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists() {
        cgroup.write("memory.memsw.limit_in_bytes", "134217728");
        let said = denied(&bench, "raise_cgroup_memory", ask(209_715_200));
        assert!(said.contains(" would not help: memory.memsw.limit_in_bytes of "), "{said}");
    }
}

#[test]
fn the_cpu_of_a_cgroup_is_raised_to_what_the_node_has_and_put_back() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "cpu.cfs_quota_us") else { return };
    let ask = |percent: u64| json!({ "cgroup": cgroup.path(), "percent": percent });
    assert!(denied(&bench, "raise_cgroup_cpu", ask(50)).contains(" is -1, and 50000 was asked for"));
    cgroup.write("cpu.cfs_quota_us", "20000");
    assert!(denied(&bench, "raise_cgroup_cpu", ask(20)).starts_with("it would not raise: "));
    assert!(denied(&bench, "raise_cgroup_cpu", ask(102_400)).starts_with("the node has no room for "));
    let outcome = bench.act("raise_cgroup_cpu", ask(50));
    assert_eq!(cgroup.read("cpu.cfs_quota_us"), "50000");
    bench.undo(&outcome).unwrap();
    assert_eq!(cgroup.read("cpu.cfs_quota_us"), "20000");
}

#[test]
fn the_io_of_a_cgroup_is_limited_by_device_and_the_line_is_gone_again() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "blkio.throttle.read_bps_device") else { return };
    let disk = |name: &str| fs::read_to_string(format!("/sys/block/{name}/dev")).ok();
    let Some(device) = ["vda", "sda", "nvme0n1", "loop0"].into_iter().find_map(disk) else { return };
    let device = device.trim();
    let ask = |device: &str, what: &str, rate: u64| json!({ "cgroup": cgroup.path(), "device": device, "what": what, "rate": rate });
    assert_eq!(
        denied(&bench, "limit_cgroup_io", ask("4095:0", "read_bps", 1 << 20)),
        "there is no whole block device 4095:0"
    );
    for (what, file) in [
        ("read_bps", "blkio.throttle.read_bps_device"),
        ("write_bps", "blkio.throttle.write_bps_device"),
        ("read_iops", "blkio.throttle.read_iops_device"),
        ("write_iops", "blkio.throttle.write_iops_device"),
    ] {
        assert_eq!(cgroup.read(file), "");
        let first = bench.act("limit_cgroup_io", ask(device, what, 2 << 20));
        assert_eq!(cgroup.read(file), format!("{device} 2097152"));
        assert!(denied(&bench, "limit_cgroup_io", ask(device, what, 2 << 20)).starts_with("already there or milder: "));
        let second = bench.act("limit_cgroup_io", ask(device, what, 1 << 20));
        assert_eq!(cgroup.read(file), format!("{device} 1048576"));
        bench.undo(&second).unwrap();
        assert_eq!(cgroup.read(file), format!("{device} 2097152"));
        let undone = bench.undo(&first).unwrap();
        assert_eq!((cgroup.read(file).as_str(), undone.status), ("", OutcomeStatus::Done));
    }
    // Bytes that would bring a device to a stand.
    let said = denied(&bench, "limit_cgroup_io", ask(device, "read_bps", 1000));
    assert!(said.ends_with(" is max: 1000 would go too far, 65536 is the least"), "{said}");
}

#[test]
fn a_frozen_cgroup_is_thawed_and_frozen_again() {
    if !is_root() {
        return;
    }
    for (file, frozen, thawed) in [("freezer.state", "FROZEN", "THAWED"), ("cgroup.freeze", "1", "0")] {
        let (bench, target) = (Bench::new(), Target::idle());
        let Some(cgroup) = Cgroup::with(&target, file) else { continue };
        let ask = || json!({ "cgroup": cgroup.path() });
        assert!(denied(&bench, "thaw_cgroup", ask()).contains(" is not frozen by itself, "));
        cgroup.write(file, frozen);
        until(|| cgroup.read(file) == frozen);
        let outcome = bench.act("thaw_cgroup", ask());
        assert_eq!(cgroup.read(file), thawed);
        bench.undo(&outcome).unwrap();
        until(|| cgroup.read(file) == frozen);
    }
}

#[test]
fn memory_is_not_reclaimed_where_the_kernel_would_take_all() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let ask = |cgroup: &Cgroup| json!({ "cgroup": cgroup.path(), "bytes": 1 << 20 });
    if let Some(cgroup) = Cgroup::with(&target, "memory.limit_in_bytes") {
        let said = denied(&bench, "reclaim_cgroup", ask(&cgroup));
        assert!(said.ends_with("memory.reclaim; memory.force_empty of v1 would take back too much"), "{said}");
    }
}

#[test]
fn the_limits_of_a_cgroup_are_told_without_changing_any() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "pids.max") else { return };
    cgroup.write("pids.max", "77");
    let outcome = bench.act("list_cgroup_limits", json!({ "cgroup": cgroup.path() }));
    let line = outcome.output.lines().find(|line| line.trim().starts_with("pids.max")).unwrap();
    assert!(line.ends_with(" 77") || line.trim_end().ends_with(" 77"), "{}", outcome.output);
    assert_eq!(outcome.action_id, None);
}

#[test]
fn the_cgroup_that_writes_is_told_and_not_those_above_it() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "blkio.throttle.write_bps_device") else { return };
    let busy = cgroup.below(&target);
    // One megabyte, again and again, past the page cache.
    let file = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let write = format!("dd if=/dev/zero of={} bs=64k count=16 oflag=direct conv=notrunc", file.path().display());
    // As long as it is looked for, and some more.
    let mut writer = Command::new("bash")
        .args(["-c", &format!("while ((SECONDS < 90)); do {write} || exit; done")])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    busy.write("cgroup.procs", &writer.id().to_string());
    let mut told = String::new();
    let kib_of = |told: &str, path: &Value| {
        let line = told.lines().find(|line| line.split_whitespace().next() == path.as_str())?;
        line.split_whitespace().nth(2)?.parse::<u64>().ok()
    };
    // It tells of one second, and a busy disk may let it write nothing for longer.
    until(|| {
        told = bench.act("list_top_io", json!({ "count": 50 })).output;
        kib_of(&told, &busy.path()).is_some_and(|kib| kib >= 64)
    });
    let _ = writer.kill();
    assert_eq!(writer.wait().unwrap().signal(), Some(9), "{} does not take direct writes", file.path().display());
    assert_eq!(kib_of(&told, &cgroup.path()), None, "{told}");
}
