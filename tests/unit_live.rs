//! The unit under a real systemd, in a guest that has it: it starts, all its parts are on, and what it does it may do.

use std::{fs, path::Path, process::Command, time::Duration};

use kernelsight::execute::{Outcome, OutcomeStatus};
use serde_json::{Value, json};

use crate::{
    daemon::order,
    execute_support::{Target, sysctl, until},
};

const SOCKET: &str = "/run/kernelsight/kernelsight.sock";

/// Whether this is the guest that was made for it.
fn is_the_guest() -> bool {
    let here = Path::new("/etc/systemd/system/kernelsight-guest.service").exists();
    if !here {
        // Not said as skipped: `cargo xtask vm --systemd` is where it runs, and CI runs that.
        eprintln!("of the guest with systemd only");
    }
    here
}

fn run(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "`{line}`: {said}{complained}{}", journal());
    said.into_owned()
}

fn journal() -> String {
    let output = Command::new("journalctl").args(["-u", "kernelsight*", "--no-pager", "-n", "60"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn ask(verb: &str) -> Value {
    serde_json::from_str(&run(&format!("kernelsight {verb} --json"))).unwrap()
}

/// The unit, started with all that its package would have made.
fn start() {
    run("groupadd --system --force kernelsight");
    run("systemctl start kernelsight");
    until(|| Path::new(SOCKET).exists());
}

#[test]
fn the_unit_runs_with_all_its_parts() {
    if !is_the_guest() {
        return;
    }
    start();
    let status = ask("status");
    let off: Vec<String> = status["parts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|part| part["state"] != "on")
        .map(|part| format!("{} {}: {}", part["kind"], part["name"], part["reason"]))
        .collect();
    assert_eq!(off, [""; 0], "{}", journal());
}

/// What an operator orders, done.
fn act(name: &str, params: Value) -> Outcome {
    // The whole node cools down between two.
    std::thread::sleep(Duration::from_millis(2500));
    let outcome = order(Path::new(SOCKET), name, params);
    let outcome = outcome.unwrap_or_else(|error| panic!("{name}: {error}\n{}", journal()));
    assert_eq!(outcome.status, OutcomeStatus::Done, "{name}: {outcome:?}");
    outcome
}

#[test]
fn every_power_that_the_unit_has_holds_and_what_it_lacks_is_said() {
    if !is_the_guest() {
        return;
    }
    start();
    run("kernelsight autonomy agent");
    run("systemd-run --unit=target --quiet sleep 300");
    let cgroup = "/system.slice/target.service";
    let file = |name: &str| fs::read_to_string(format!("/sys/fs/cgroup{cgroup}/{name}")).unwrap().trim_end().to_owned();
    let before = (file("pids.max"), file("memory.high"));
    let [nicer, stopped, sooner, more] = [Target::idle(), Target::idle(), Target::idle(), Target::idle()];

    act("lower_process_priority", json!({ "pid": nicer.pid(), "priority": 5 }));
    assert!(nicer.nice().iter().all(|nice| *nice == 5));
    act("pause_process", json!({ "pid": stopped.pid() }));
    stopped.comes_to_stand();
    act("raise_oom_score_adj", json!({ "pid": sooner.pid(), "value": 500 }));
    assert_eq!(fs::read_to_string(format!("/proc/{}/oom_score_adj", sooner.pid())).unwrap(), "500\n");
    let limit = run(&format!("prlimit --nofile --noheadings --output SOFT --pid {}", more.pid()));
    let limit: u64 = limit.trim().parse().unwrap();
    act("raise_nofile_limit", json!({ "pid": more.pid(), "files": limit + 64 }));
    act("limit_cgroup_pids", json!({ "cgroup": cgroup, "tasks": 50 }));
    assert_eq!(file("pids.max"), "50");
    let swappiness = sysctl("vm/swappiness");
    act("reduce_swappiness", json!({ "value": 1 }));
    assert_eq!(sysctl("vm/swappiness"), "1");
    act("flush_buffers", json!({}));
    for (name, params) in [
        ("list_top_memory", json!({ "count": 3 })),
        ("list_descriptors", json!({ "pid": nicer.pid() })),
        ("list_cgroup_limits", json!({ "cgroup": cgroup })),
        ("list_mounts", json!({})),
    ] {
        assert!(act(name, params).output.lines().count() > 1, "{name}");
    }

    let said = run("kernelsight undo --all");
    assert!(nicer.nice().iter().all(|nice| *nice == 0), "{said}");
    stopped.comes_to_run();
    assert_eq!((file("pids.max"), file("memory.high")), before, "{said}");
    assert_eq!(sysctl("vm/swappiness"), swappiness, "{said}");
    assert_eq!(fs::read_to_string(format!("/proc/{}/oom_score_adj", sooner.pid())).unwrap(), "0\n", "{said}");
    assert!(run("kernelsight audit verify").starts_with("The journal is as it was written"));

    // The unit leaves CAP_SYS_ADMIN out; a dry run says so, and nothing was intended.
    let mut dry_run = Command::new("kernelsight");
    let said = dry_run.args(["actions", "thaw_filesystem", "--dry-run", "path=/", "--json"]).output().unwrap();
    let told: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((said.status.code(), &told["blocked_by"][0]["rule"]), (Some(1), &json!("executor")), "{told}");
    let done = ask("actions")["actions"].as_array().unwrap().len();
    let refused = order(Path::new(SOCKET), "thaw_filesystem", json!({ "path": "/" })).unwrap_err();
    assert!(refused.contains("CAP_SYS_ADMIN"), "{refused}");
    assert_eq!(ask("actions")["actions"].as_array().unwrap().len(), done);
}
