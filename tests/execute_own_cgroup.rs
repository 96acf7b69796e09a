//! A process in a cgroup that was made for it: limited by itself, and back where it was, however far it had come.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kernelsight::execute::{Intent, Journal as _, JournalState, OutcomeStatus};
use serde_json::{Value, json};

use crate::{
    execute_parent::{Parent, cgroups, own_cgroups_alone},
    execute_support::{Bench, Cgroup, Target, is_root, start_ticks, until},
    store_rows::NOW_MS,
};

const MEMORY: &str = "/sys/fs/cgroup/memory";
const CPU: &str = "/sys/fs/cgroup/cpu";

fn own(pid: u32) -> String {
    format!("/kernelsight/p{pid}-{}", start_ticks(pid))
}

fn at(root: &str, path: &str) -> PathBuf {
    Path::new(root).join(&path[1..])
}

fn read(root: &str, path: &str, file: &str) -> String {
    fs::read_to_string(at(root, path).join(file)).unwrap().trim_end().to_owned()
}

/// The path of a process, or of one of its threads, in the v1 hierarchy of a controller.
fn place(text: &str, controller: &str) -> String {
    let line = text.lines().find(|line| line.split(':').nth(1) == Some(controller)).unwrap();
    line.splitn(3, ':').nth(2).unwrap().to_owned()
}

fn place_of(pid: u32, controller: &str) -> String {
    place(&cgroups(pid), controller)
}

fn both(pid: u32) -> Value {
    json!({ "pid": pid, "cpu_percent": 50, "memory_mb": 256 })
}

fn denied(bench: &Bench, params: Value) -> String {
    let denial = bench.judge("confine_process", params).unwrap_err().denial();
    assert_eq!(denial.rule, "milder", "{}", denial.reason);
    denial.reason
}

/// Where the process shares its cgroups with others; none where the machine has other hierarchies than v1.
struct Shared {
    memory: Cgroup,
    cpu: Cgroup,
}

impl Shared {
    fn with(target: &Target) -> Option<Self> {
        Some(Self {
            memory: Cgroup::with(target, "memory.limit_in_bytes")?,
            cpu: Cgroup::with(target, "cpu.cfs_quota_us")?,
        })
    }

    fn takes(&self, pid: u32) {
        self.memory.takes(pid);
        self.cpu.takes(pid);
    }
}

fn no_cgroup_is_left() {
    for root in [MEMORY, CPU] {
        assert!(!Path::new(root).join("kernelsight").exists(), "{root}");
    }
}

#[test]
fn a_process_is_limited_by_itself_and_goes_back_with_those_who_were_born_there() {
    if !is_root() {
        return;
    }
    let _alone = own_cgroups_alone();
    let (bench, other, mut shell) = (Bench::new(), Target::idle(), Parent::start());
    let Some(shared) = Shared::with(&other) else { return };
    let (pid, elder) = (shell.pid(), shell.children()[0]);
    shared.takes(pid);
    shared.takes(elder);
    let before = cgroups(pid);
    let outcome = bench.act("confine_process", both(pid));
    let own = own(pid);
    let line = format!("cgclassify -r cpu.cfs_quota_us=50000 -r memory.limit_in_bytes=268435456 -g {own} {pid}");
    assert_eq!(outcome.command, line);
    assert_eq!((place_of(pid, "memory"), place_of(pid, "cpu")), (own.clone(), own.clone()));
    let elsewhere = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.contains(":memory:") && !line.contains(":cpu:")).map(str::to_owned).collect()
    };
    assert_eq!(elsewhere(&cgroups(pid)), elsewhere(&before));
    assert_eq!(read(MEMORY, &own, "memory.limit_in_bytes"), "268435456");
    let quota = (read(CPU, &own, "cpu.cfs_quota_us"), read(CPU, &own, "cpu.cfs_period_us"));
    assert_eq!(quota, ("50000".to_owned(), "100000".to_owned()));
    // Nobody else moved, and no other limit.
    for one in [other.pid(), elder] {
        assert_eq!((place_of(one, "memory"), place_of(one, "cpu")), (place(&before, "memory"), place(&before, "cpu")));
    }
    assert_eq!(shared.cpu.read("cpu.cfs_quota_us"), "-1");
    let (younger, youngest) = (shell.begin(), shell.begin());
    assert_eq!((place_of(younger, "memory"), place_of(youngest, "cpu")), (own.clone(), own.clone()));
    assert!(denied(&bench, both(pid)).contains(" already; that has to be taken back first"));
    assert!(denied(&bench, both(younger)).contains(" already; "), "a child of it is limited with it");

    let undone = bench.undo(&outcome).unwrap();
    assert_eq!(undone.status, OutcomeStatus::Done);
    let (home, of_cpu) = (place(&before, "memory"), place(&before, "cpu"));
    assert_eq!(undone.change, format!("{own} -> cpu {of_cpu}, memory {home}"));
    for one in [pid, elder, younger, youngest] {
        assert_eq!(cgroups(one), before);
    }
    no_cgroup_is_left();
    assert_eq!(bench.row(&outcome).state, JournalState::Undone);
}

#[test]
fn all_threads_are_held_to_the_quota_and_one_limit_touches_one_hierarchy() {
    if !is_root() {
        return;
    }
    let _alone = own_cgroups_alone();
    let (bench, target) = (Bench::new(), Target::spinning());
    let Some(_shared) = Shared::with(&target) else { return };
    let before = cgroups(target.pid());
    let outcome = bench.act("confine_process", json!({ "pid": target.pid(), "cpu_percent": 20 }));
    let own = own(target.pid());
    for tid in target.tids() {
        let text = fs::read_to_string(format!("/proc/{}/task/{tid}/cgroup", target.pid())).unwrap();
        assert_eq!((place(&text, "cpu"), place(&text, "memory")), (own.clone(), place(&before, "memory")));
    }
    assert!(!at(MEMORY, &own).exists());
    let used = target.cpu_ticks();
    std::thread::sleep(std::time::Duration::from_secs(1));
    let used = target.cpu_ticks() - used;
    assert!(used <= 30, "{used} of 100 ticks at a fifth of a CPU");
    bench.undo(&outcome).unwrap();
    assert_eq!(cgroups(target.pid()), before);
    no_cgroup_is_left();
}

#[test]
fn what_would_not_help_or_not_let_it_live_is_refused() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(shared) = Shared::with(&target) else { return };
    let pid = target.pid();
    assert!(denied(&bench, json!({ "pid": pid })).starts_with("no limit was asked for; it takes cpu_percent, "));
    assert!(
        denied(&bench, json!({ "pid": pid, "cpu_percent": 102_400 })).contains(" would not help: the CPU time of ")
    );
    assert!(
        denied(&bench, json!({ "pid": pid, "memory_mb": 1 << 30 })).contains(" would not help: the memory of this ")
    );
    for params in [json!({ "pid": pid, "cpu_percent": null }), json!({ "pid": pid, "memory_mb": 15 })] {
        let denial = bench.judge("confine_process", params).unwrap_err().denial();
        assert_eq!(denial.rule, "schema.confine_process");
    }
    // A group that is limited as a whole is not left.
    shared.cpu.write("cpu.cfs_quota_us", "90000");
    let said = denied(&bench, both(pid));
    assert!(
        said.contains("cpu.cfs_quota_us of /kernelsight-test-cpu-") && said.contains(" is 90000, which "),
        "{said}"
    );
    shared.cpu.write("cpu.cfs_quota_us", "-1");
    shared.cpu.write("cpu.shares", "512");
    assert!(denied(&bench, both(pid)).starts_with("cpu.shares of "));
    // The other hierarchy is not concerned.
    assert!(bench.judge("confine_process", json!({ "pid": pid, "memory_mb": 256 })).is_ok());
    assert_eq!(place_of(pid, "cpu"), shared.cpu.path());
}

#[test]
fn memory_that_a_process_holds_is_never_above_its_limit() {
    if !is_root() {
        return;
    }
    let _alone = own_cgroups_alone();
    let (bench, mut target) = (Bench::new(), Target::leaking());
    let Some(_shared) = Shared::with(&target) else { return };
    target.go();
    until(|| target.is_above(64 << 20));
    target.signal(nix::sys::signal::Signal::SIGSTOP);
    target.comes_to_stand();
    let said = denied(&bench, json!({ "pid": target.pid(), "memory_mb": 64 }));
    assert!(said.contains(" which holds ") && said.ends_with(" has to hold"), "{said}");
    // What it takes from now on is bound: the kernel ends it, and nobody else.
    let outcome = bench.act("confine_process", json!({ "pid": target.pid(), "memory_mb": 96 }));
    target.signal(nix::sys::signal::Signal::SIGCONT);
    assert_eq!(target.is_ended_by(), Some(9));
    assert_eq!(bench.undo(&outcome).unwrap().status, OutcomeStatus::Done);
    no_cgroup_is_left();
}

#[test]
fn what_a_manager_owns_is_not_taken_from_it() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(shared) = Shared::with(&target) else { return };
    let id = "0123456789abcdef".repeat(4);
    for name in ["db.service", "run-1.scope", "app.slice", "docker", "kubepods", "libpod-1", "lxc.payload.a", &id] {
        // In a hierarchy that is not concerned, too: its manager would write there once it is.
        for group in [&shared.memory, &shared.cpu] {
            let below = group.below_as(name, &target);
            let said = denied(&bench, json!({ "pid": target.pid(), "cpu_percent": 50 }));
            assert!(said.contains(&format!(" is {name}'s, whose manager would lose track ")), "{said}");
            drop(below);
        }
    }
    assert!(bench.judge("confine_process", both(target.pid())).is_ok());
    for (pid, rule) in [(1, "protected.init"), (2, "protected.kernel_thread"), (std::process::id(), "protected.agent")]
    {
        assert_eq!(bench.judge("confine_process", both(pid)).unwrap_err().denial().rule, rule);
    }
    assert_eq!(place_of(target.pid(), "memory"), shared.memory.path());
}

#[test]
fn a_process_whose_cgroup_is_gone_stays_without_a_limit() {
    if !is_root() {
        return;
    }
    let _alone = own_cgroups_alone();
    let (bench, mut target) = (Bench::new(), Target::idle());
    let Some(shared) = Shared::with(&target) else { return };
    let (pid, own) = (target.pid(), own(target.pid()));
    let of_cpu = place_of(pid, "cpu");
    let outcome = bench.act("confine_process", both(pid));
    let gone = shared.memory.path();
    drop(shared.memory);
    let undone = bench.undo(&outcome).unwrap();
    let left = format!(
        "cgroup {} of memory is gone: whoever is in {own} stays there, without a limit",
        gone.as_str().unwrap()
    );
    assert!(undone.change.ends_with(&left), "{}", undone.change);
    // In the other hierarchy it is where it was.
    assert_eq!((place_of(pid, "memory"), place_of(pid, "cpu")), (own.clone(), of_cpu));
    assert_eq!((at(CPU, &own).exists(), read(MEMORY, &own, "memory.limit_in_bytes").len()), (false, 19));
    assert_eq!(bench.row(&outcome).state, JournalState::Undone);
    target.end();
    until(|| fs::remove_dir(at(MEMORY, &own)).is_ok());
    fs::remove_dir(Path::new(MEMORY).join("kernelsight")).unwrap();
}

#[test]
fn a_process_that_somebody_else_moved_since_is_left_where_it_is() {
    if !is_root() {
        return;
    }
    let _alone = own_cgroups_alone();
    let (bench, target, other) = (Bench::new(), Target::idle(), Target::idle());
    let Some(shared) = Shared::with(&target) else { return };
    let pid = target.pid();
    let outcome = bench.act("confine_process", json!({ "pid": pid, "memory_mb": 256 }));
    let elsewhere = shared.memory.below(&other);
    elsewhere.takes(pid);
    let undone = bench.undo(&outcome).unwrap();
    assert_eq!(undone.status, OutcomeStatus::LeftAlone);
    let place = elsewhere.path();
    let said = format!("by memory it is in {}, where somebody else put it: left alone", place.as_str().unwrap());
    assert_eq!(undone.change, said);
    assert_eq!(place_of(pid, "memory"), place);
    no_cgroup_is_left();
}

#[test]
fn a_cgroup_with_others_below_it_is_left_alone_without_its_limits() {
    if !is_root() {
        return;
    }
    let _alone = own_cgroups_alone();
    let (bench, mut target) = (Bench::new(), Target::idle());
    let Some(_shared) = Shared::with(&target) else { return };
    let (pid, own) = (target.pid(), own(target.pid()));
    let outcome = bench.act("confine_process", json!({ "pid": pid, "cpu_percent": 50 }));
    fs::create_dir(at(CPU, &own).join("below")).unwrap();
    let undone = bench.undo(&outcome).unwrap();
    assert_eq!(undone.status, OutcomeStatus::LeftAlone);
    assert!(undone.change.starts_with(&format!("cgroups were made below {own}: ")), "{}", undone.change);
    assert_eq!((place_of(pid, "cpu"), read(CPU, &own, "cpu.cfs_quota_us")), (own.clone(), "-1".to_owned()));
    fs::remove_dir(at(CPU, &own).join("below")).unwrap();
    target.end();
    until(|| fs::remove_dir(at(CPU, &own)).is_ok());
    fs::remove_dir(Path::new(CPU).join("kernelsight")).unwrap();
}

#[test]
fn the_cgroup_of_a_process_that_ended_goes_and_its_children_go_back() {
    if !is_root() {
        return;
    }
    let _alone = own_cgroups_alone();
    let (bench, mut target) = (Bench::new(), Target::idle());
    let Some(shared) = Shared::with(&target) else { return };
    let outcome = bench.act("confine_process", both(target.pid()));
    target.end();
    let undone = bench.undo(&outcome).unwrap();
    assert!(undone.change.ends_with("; the process is gone"), "{}", undone.change);
    no_cgroup_is_left();

    let mut shell = Parent::start();
    shared.takes(shell.pid());
    let home = (place_of(shell.pid(), "memory"), place_of(shell.pid(), "cpu"));
    let outcome = bench.act("confine_process", both(shell.pid()));
    let child = shell.begin();
    shell.end_alone();
    bench.undo(&outcome).unwrap();
    assert_eq!((place_of(child, "memory"), place_of(child, "cpu")), home);
    no_cgroup_is_left();
}

#[test]
fn however_far_it_had_come_it_is_undone() {
    if !is_root() {
        return;
    }
    let _alone = own_cgroups_alone();
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(_shared) = Shared::with(&target) else { return };
    let (pid, own, before) = (target.pid(), own(target.pid()), cgroups(target.pid()));
    let outcome = bench.act("confine_process", both(pid));
    bench.undo(&outcome).unwrap();
    let intent: Intent = bench.row(&outcome).intent;
    // A step each, as they are done: what is there, and what the next start says of it.
    let steps: [(&str, &str, &str); 9] = [
        (CPU, "/kernelsight", ""),
        (CPU, &own, ""),
        (MEMORY, "/kernelsight", ""),
        (MEMORY, &own, ""),
        (CPU, "cpu.cfs_quota_us", "50000"),
        (MEMORY, "memory.limit_in_bytes", "268435456"),
        (CPU, "cgroup.procs", &pid.to_string()),
        (MEMORY, "cgroup.procs", &pid.to_string()),
        // And the half of a way back.
        (CPU, "back", ""),
    ];
    for done in 0..=steps.len() {
        let id = bench.store.intend(&intent).unwrap();
        for (root, what, value) in &steps[..done] {
            match (*what, *value) {
                ("back", _) => {
                    fs::write(at(root, &place(&before, "cpu")).join("cgroup.procs"), pid.to_string()).unwrap();
                    fs::remove_dir(at(root, &own)).unwrap();
                }
                (directory, "") => fs::create_dir(at(root, directory)).unwrap(),
                (file, value) => fs::write(at(root, &own).join(file), value).unwrap(),
            }
        }
        let said = bench.executor.settle(&bench.store, NOW_MS).unwrap();
        let state = bench.store.get(id).unwrap().unwrap().state;
        // Empty, it is no more than a name.
        let expected = if [0, 1].contains(&done) { JournalState::Void } else { JournalState::Undone };
        assert_eq!((state, said.len()), (expected, 1), "after {done} steps: {said:?}");
        assert_eq!(cgroups(pid), before, "after {done} steps");
        no_cgroup_is_left();
    }
}

#[test]
fn an_undo_that_names_a_place_which_it_never_left_is_refused() {
    if !is_root() {
        return;
    }
    let _alone = own_cgroups_alone();
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(shared) = Shared::with(&target) else { return };
    let outcome = bench.act("confine_process", json!({ "pid": target.pid(), "memory_mb": 256 }));
    let unit = shared.memory.below_as("db.service", &Target::idle());
    let mut forged = serde_json::to_value(bench.row(&outcome).intent).unwrap();
    let home = &mut forged["undo"]["homes"][0];
    home["path"] = unit.path();
    home["inode"] = json!(std::os::unix::fs::MetadataExt::ino(&fs::metadata(unit.file("")).unwrap()));
    let id = bench.store.intend(&serde_json::from_value(forged).unwrap()).unwrap();
    let refused = bench.executor.undo(id, &bench.store, NOW_MS).unwrap_err().to_string();
    assert!(refused.contains(" is db.service's, whose manager "), "{refused}");
    assert_eq!(place_of(target.pid(), "memory"), own(target.pid()));
    bench.undo(&outcome).unwrap();
    assert_eq!(place_of(target.pid(), "memory"), shared.memory.path());
}
