//! The same on the unified hierarchy, where a node has its controllers there.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use kernelsight::execute::{Journal as _, JournalState};
use serde_json::{Value, json};

use crate::{
    execute_parent::{Parent, cgroups, own_cgroups_alone},
    execute_support::{Bench, Cgroup, Target, is_root, start_ticks, until},
    store_rows::NOW_MS,
};

const MIB: u64 = 1 << 20;

fn denied(bench: &Bench, name: &str, params: Value) -> String {
    bench.judge(name, params).unwrap_err().to_string()
}

#[test]
fn every_limit_is_written_to_the_unified_file_and_put_back_exactly() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "memory.high") else { return };
    let limits = [
        ("limit_cgroup_memory", json!({ "bytes": 256 * MIB }), "memory.high", "max", "268435456"),
        ("limit_cgroup_memory", json!({ "bytes": 128 * MIB }), "memory.high", "201326592", "134217728"),
        ("limit_cgroup_cpu", json!({ "percent": 30 }), "cpu.max", "max 100000", "30000 100000"),
        ("limit_cgroup_cpu", json!({ "percent": 30 }), "cpu.max", "40000 50000", "15000 50000"),
        ("limit_cgroup_pids", json!({ "tasks": 64 }), "pids.max", "max", "64"),
        ("raise_cgroup_pids", json!({ "tasks": 64 }), "pids.max", "32", "64"),
        ("freeze_cgroup", json!({}), "cgroup.freeze", "0", "1"),
        ("thaw_cgroup", json!({}), "cgroup.freeze", "1", "0"),
    ];
    for (name, mut params, file, before, after) in limits {
        cgroup.write(file, before);
        params["cgroup"] = cgroup.path();
        let outcome = bench.act(name, params);
        assert_eq!(cgroup.read(file), after, "{name}");
        bench.undo(&outcome).unwrap();
        assert_eq!(cgroup.read(file), before, "{name}");
    }
    cgroup.write("cgroup.freeze", "0");
}

#[test]
fn the_limit_of_memory_that_binds_is_the_one_that_is_raised() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "memory.max") else { return };
    let ask = |mib: u64| json!({ "cgroup": cgroup.path(), "bytes": mib * MIB });
    for (high, max, raised) in [("104857600", "max", "memory.high"), ("max", "104857600", "memory.max")] {
        cgroup.write("memory.high", high);
        cgroup.write("memory.max", max);
        let outcome = bench.act("raise_cgroup_memory", ask(200));
        assert_eq!(cgroup.read(raised), "209715200", "{}", outcome.command);
        bench.undo(&outcome).unwrap();
        assert_eq!((cgroup.read("memory.high").as_str(), cgroup.read("memory.max").as_str()), (high, max));
    }
    cgroup.write("memory.high", "104857600");
    cgroup.write("memory.max", "157286400");
    let said = denied(&bench, "raise_cgroup_memory", ask(200));
    assert!(said.contains(" would not help: memory.max of ") && said.ends_with(" is 157286400"), "{said}");
}

#[test]
fn a_hard_limit_is_not_taken_back_over_what_is_in_use() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "memory.max") else { return };
    cgroup.write("memory.max", "33554432");
    let outcome = bench.act("raise_cgroup_memory", json!({ "cgroup": cgroup.path(), "bytes": 256 * MIB }));
    let hog = hog_in(&cgroup);
    until(|| cgroup.read("memory.current").parse::<u64>().unwrap() > 40 * MIB);
    let said = bench.undo(&outcome).unwrap_err().to_string();
    assert!(said.contains(" cannot be 33554432 again: "), "{said}");
    assert_eq!((bench.row(&outcome).state, cgroup.read("memory.max").as_str()), (JournalState::Owed, "268435456"));
    drop(hog);
    until(|| !bench.executor.expire_leases(&bench.store, NOW_MS).unwrap().is_empty());
    assert_eq!((bench.row(&outcome).state, cgroup.read("memory.max").as_str()), (JournalState::Undone, "33554432"));
}

#[test]
fn memory_is_reclaimed_as_far_as_there_is_any_to_be_had() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "memory.reclaim") else { return };
    let outcome = bench.act("reclaim_cgroup", json!({ "cgroup": cgroup.path(), "bytes": 512 * MIB }));
    assert!(outcome.output.contains("less than 536870912 bytes could be had"), "{}", outcome.output);
}

#[test]
fn a_quota_is_raised_within_its_period_and_put_back() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "cpu.max") else { return };
    let ask = || json!({ "cgroup": cgroup.path(), "percent": 50 });
    assert!(denied(&bench, "raise_cgroup_cpu", ask()).contains(" is max 100000, and 50000 was asked for"));
    cgroup.write("cpu.max", "10000 50000");
    let outcome = bench.act("raise_cgroup_cpu", ask());
    assert_eq!(cgroup.read("cpu.max"), "25000 50000");
    bench.undo(&outcome).unwrap();
    assert_eq!(cgroup.read("cpu.max"), "10000 50000");
}

#[test]
fn one_number_of_a_line_is_limited_and_the_others_stay() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "io.max") else { return };
    let disk = |name: &str| fs::read_to_string(format!("/sys/block/{name}/dev")).ok();
    let Some(device) = ["vda", "sda", "nvme0n1", "loop0"].into_iter().find_map(disk) else {
        eprintln!("skipped: there is no disk to be limited");
        return;
    };
    let device = device.trim();
    let ask = |what: &str| json!({ "cgroup": cgroup.path(), "device": device, "what": what, "rate": 1_048_576 });
    assert_eq!(cgroup.read("io.max"), "");
    let read = bench.act("limit_cgroup_io", ask("read_bps"));
    assert_eq!(cgroup.read("io.max"), format!("{device} rbps=1048576 wbps=max riops=max wiops=max"));
    let write = bench.act("limit_cgroup_io", ask("write_iops"));
    assert_eq!(cgroup.read("io.max"), format!("{device} rbps=1048576 wbps=max riops=max wiops=1048576"));
    bench.undo(&read).unwrap();
    assert_eq!(cgroup.read("io.max"), format!("{device} rbps=max wbps=max riops=max wiops=1048576"));
    bench.undo(&write).unwrap();
    assert_eq!(cgroup.read("io.max"), "");
}

#[test]
fn the_cgroup_that_reads_is_told_and_not_those_above_it() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "io.max") else { return };
    let exists = |path: &String| fs::metadata(path).is_ok();
    let Some(disk) = ["vda", "sda", "nvme0n1"].map(|name| format!("/dev/{name}")).into_iter().find(exists) else {
        eprintln!("skipped: there is no disk to be read");
        return;
    };
    let read = format!("dd if={disk} of=/dev/null bs=64k count=16 iflag=direct 2>/dev/null");
    let mut reader = Command::new("sh");
    reader.args(["-c", &format!("echo $$ > \"$0\" && for i in $(seq 3000); do {read} || exit; done")]);
    let mut reader = reader.arg(cgroup.file("cgroup.procs")).spawn().unwrap();
    until(|| cgroup.read("io.stat").contains("rbytes="));
    let told = bench.act("list_top_io", json!({ "count": 50 })).output;
    let _ = reader.kill();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&reader.wait().unwrap()), Some(9), "{disk}: {told}");
    let kib_of = |path: &Value| {
        let line = told.lines().find(|line| line.split_whitespace().next() == path.as_str())?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let (busy, above) = (kib_of(&cgroup.path()), kib_of(&json!("/")));
    assert!(busy.is_some_and(|kib| kib >= 64 && above.unwrap_or(0) < kib), "{told}");
}

#[test]
fn a_process_is_confined_below_the_root_and_nothing_is_enabled_for_others() {
    if !is_root() {
        return;
    }
    let _alone = own_cgroups_alone();
    let (bench, other, mut shell) = (Bench::new(), Target::idle(), Parent::start());
    let Some(shared) = Cgroup::with(&other, "memory.high") else { return };
    let pid = shell.pid();
    shared.takes(pid);
    let (before, own) = (cgroups(pid), format!("/kernelsight/p{pid}-{}", start_ticks(pid)));
    let is_at = |pid: u32, path: &str| cgroups(pid).lines().any(|line| line == format!("0::{path}"));
    let of_own = |file: &str| shared.read(&format!("..{own}/{file}"));
    let of_root = || {
        ["cgroup.subtree_control", "cgroup.type"]
            .map(|file| fs::read_to_string(shared.file(&format!("../{file}"))).ok())
    };
    let of_shared = || ["memory.high", "memory.max", "cpu.max", "cpu.weight"].map(|file| shared.read(file));
    let (root_before, shared_before) = (of_root(), of_shared());
    // What the kernel would not do is known before: here everything is enabled, cpuset, too.
    let old = nix::sys::utsname::uname().unwrap().release().to_string_lossy().starts_with("6.1.");
    let privileged = bench.judge("confine_process", json!({ "pid": other.pid(), "cpu_percent": 50 }));
    match privileged {
        Err(denied) if old => assert!(denied.to_string().contains("before Linux 6.6"), "{denied}"),
        judged => assert!(judged.is_ok() && !old, "{:?}", judged.err()),
    }
    let params = json!({ "pid": pid, "cpu_percent": 50, "memory_mb": 256 });
    let outcome = bench.act("confine_process", params.clone());
    assert_eq!(outcome.command, format!("cgclassify -r cpu.max=50000 -r memory.high=268435456 -g {own} {pid}"));
    let written = ["memory.high", "memory.max", "cpu.max"].map(of_own);
    assert_eq!(written, ["268435456", "max", "50000 100000"].map(str::to_owned));
    assert!(is_at(pid, &own) && !is_at(other.pid(), &own));
    let child = shell.begin();
    assert!(is_at(child, &own));
    assert_eq!((of_root(), of_shared()), (root_before.clone(), shared_before.clone()));
    assert!(denied(&bench, "confine_process", params).contains(" already; "));
    bench.undo(&outcome).unwrap();
    assert_eq!((cgroups(pid), cgroups(child)), (before.clone(), before.clone()));
    assert!(fs::metadata(shared.file("../kernelsight")).is_err());

    // Cut off after each step, and settled by the next start.
    let intent = bench.row(&outcome).intent;
    let make = |path: &str| fs::create_dir(shared.file(&format!("..{path}"))).unwrap();
    for steps in 0..=4 {
        let id = bench.store.intend(&intent).unwrap();
        if steps > 0 {
            make("/kernelsight");
            shared.write("../kernelsight/cgroup.subtree_control", "+cpu +memory");
        }
        if steps > 1 {
            make(&own);
        }
        if steps > 2 {
            shared.write(&format!("..{own}/memory.high"), "268435456");
        }
        if steps > 3 {
            shared.write(&format!("..{own}/cgroup.procs"), &pid.to_string());
        }
        bench.executor.settle(&bench.store, NOW_MS).unwrap();
        let expected = if steps < 2 { JournalState::Void } else { JournalState::Undone };
        assert_eq!(bench.store.get(id).unwrap().unwrap().state, expected, "after {steps} steps");
        assert_eq!(cgroups(pid), before, "after {steps} steps");
        assert!(fs::metadata(shared.file("../kernelsight")).is_err(), "after {steps} steps");
    }
    assert_eq!((of_root(), of_shared()), (root_before, shared_before));
}

#[test]
fn a_controller_that_only_the_root_could_enable_is_not_enabled() {
    if !is_root() {
        return;
    }
    let _alone = own_cgroups_alone();
    let (bench, other, shell) = (Bench::new(), Target::idle(), Parent::start());
    let Some(shared) = Cgroup::with(&other, "memory.high") else { return };
    shared.takes(shell.pid());
    let is_directory = |entry: &fs::DirEntry| entry.file_type().unwrap().is_dir();
    let all = fs::read_dir(shared.file("..")).unwrap().map(Result::unwrap).filter(is_directory).count();
    if all > 1 {
        eprintln!("others live here, who would feel it");
        return;
    }
    let confine = |what: &str| json!({ "pid": shell.pid(), what: 100 });
    shared.write("../cgroup.subtree_control", "-cpu");
    let said = denied(&bench, "confine_process", confine("cpu_percent"));
    let of_memory = bench.judge("confine_process", confine("memory_mb")).is_ok();
    shared.write("../cgroup.subtree_control", "+cpu");
    assert!(said.starts_with("cpu is not in cgroup.subtree_control of the root, and put there it would "), "{said}");
    assert!(of_memory && bench.judge("confine_process", confine("cpu_percent")).is_ok());
    // What limits the whole group is not left behind.
    shared.write("pids.max", "50");
    let said = denied(&bench, "confine_process", confine("cpu_percent"));
    assert!(
        said.starts_with("pids.max of ") && said.contains(" is 50, which the process would leave behind"),
        "{said}"
    );
}

/// Holds 48 MiB in the cgroup until it is dropped.
struct Hog(Child);

fn hog_in(cgroup: &Cgroup) -> Hog {
    let script = "echo $$ > \"$0\" && head -c 50331648 /dev/zero | tail -c 50331648 | (sleep 60; cat) > /dev/null";
    let mut hog = Command::new("sh");
    hog.args(["-c", script, &cgroup.file("cgroup.procs")]).stdout(Stdio::null());
    std::os::unix::process::CommandExt::process_group(&mut hog, 0);
    Hog(hog.spawn().unwrap())
}

impl Drop for Hog {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(self.0.id() as i32);
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.0.wait();
    }
}
