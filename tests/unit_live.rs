//! The unit under a real systemd, in a guest that has it: it starts, all its parts are on, and what it does it may do.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use kernelsight::execute::{Outcome, OutcomeStatus, Power, catalogue};
use serde_json::{Value, json};

use crate::{
    daemon::order,
    execute_support::{Target, sysctl},
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
    run("systemd-sysusers /etc/systemd/system/kernelsight.sysusers.conf");
    run("systemctl start kernelsight");
    comes_up();
}

/// Waits until its door is open, and each actor has been asked whether it can act. A guest without KVM is slow.
fn comes_up() {
    let until = Instant::now() + Duration::from_secs(30);
    while !Path::new(SOCKET).exists() {
        assert!(Instant::now() < until, "the daemon did not come up: {}", journal());
        std::thread::sleep(Duration::from_millis(100));
    }
    let wanted = Power::ALL.into_iter().filter(|power| !power.is_harmless()).count();
    let known = Instant::now() + Duration::from_secs(120);
    loop {
        let status = ask("status");
        let actors = status["parts"].as_array().unwrap().iter().filter(|part| part["kind"] == "actor").count();
        if actors == wanted {
            return;
        }
        assert!(Instant::now() < known, "{actors} of {wanted} actors answered: {}", journal());
        std::thread::sleep(Duration::from_secs(1));
    }
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
    if catalogue().iter().any(|entry| entry.name == name && entry.has_effect) {
        // The whole node cools down between two.
        std::thread::sleep(Duration::from_millis(2500));
    }
    let outcome = order(Path::new(SOCKET), name, params);
    let outcome = outcome.unwrap_or_else(|error| panic!("{name}: {error}\n{}", journal()));
    assert_eq!(outcome.status, OutcomeStatus::Done, "{name}: {outcome:?}");
    println!("{name} took {} ms", outcome.duration_ms);
    outcome
}

#[test]
fn an_action_of_each_power_is_done_and_taken_back() {
    if !is_the_guest() {
        return;
    }
    fs::create_dir_all("/srv/listed").unwrap();
    fs::write("/srv/listed/huge.log", "x".repeat(1 << 20)).unwrap();
    fs::create_dir_all("/etc/kernelsight/policies").unwrap();
    fs::write("/etc/kernelsight/kernelsight.toml", "policies = \"/etc/kernelsight/policies\"\n").unwrap();
    fs::write("/etc/kernelsight/policies/listed.toml", "[truncate]\npath = [\"/srv/listed/huge.log\"]\n").unwrap();
    let drop_in = Path::new("/etc/systemd/system/kernelsight-act-listed-file@.service.d");
    fs::create_dir_all(drop_in).unwrap();
    fs::write(drop_in.join("listed.conf"), "[Service]\nReadWritePaths=/srv/listed/huge.log\n").unwrap();
    run("systemctl daemon-reload");
    run("systemctl restart kernelsight");
    comes_up();
    run("kernelsight autonomy agent");
    run("systemd-run --unit=target --quiet sleep 300");
    let cgroup = "/system.slice/target.service";
    let file = |name: &str| fs::read_to_string(format!("/sys/fs/cgroup{cgroup}/{name}")).unwrap().trim_end().to_owned();
    let before = (file("pids.max"), file("memory.high"));
    let [nicer, stopped, more] = [Target::idle(), Target::idle(), Target::idle()];
    let mut sooner = Command::new("sleep").arg("300").uid(12_345).gid(12_345).spawn().unwrap();
    let adj = || fs::read_to_string(format!("/proc/{}/oom_score_adj", sooner.id())).unwrap();

    act("lower_process_priority", json!({ "pid": nicer.pid(), "priority": 5 }));
    assert!(nicer.nice().iter().all(|nice| *nice == 5));
    act("pause_process", json!({ "pid": stopped.pid() }));
    stopped.comes_to_stand();
    act("raise_oom_score_adj", json!({ "pid": sooner.id(), "value": 500 }));
    assert_eq!(adj(), "500\n");
    let limit = run(&format!("prlimit --nofile --noheadings --output SOFT --pid {}", more.pid()));
    let limit: u64 = limit.trim().parse().unwrap();
    act("raise_nofile_limit", json!({ "pid": more.pid(), "files": limit + 64 }));
    act("limit_cgroup_pids", json!({ "cgroup": cgroup, "tasks": 50 }));
    assert_eq!(file("pids.max"), "50");
    let swappiness = sysctl("vm/swappiness");
    act("reduce_swappiness", json!({ "value": 1 }));
    assert_eq!(sysctl("vm/swappiness"), "1");
    act("increase_rmem_max", json!({ "value": 4_194_304 }));
    act("flush_buffers", json!({}));
    act("truncate_file", json!({ "path": "/srv/listed/huge.log" }));
    assert_eq!(fs::metadata("/srv/listed/huge.log").unwrap().len(), 0);
    run("ip link add ks0 type dummy");
    run("tc qdisc add dev ks0 root pfifo limit 5");
    let discipline = run("tc qdisc show dev ks0");
    act("reset_qdisc", json!({ "interface": "ks0" }));
    assert!(!run("tc qdisc show dev ks0").contains("limit 5"));
    for (name, params) in [
        ("list_top_memory", json!({ "count": 3 })),
        ("list_descriptors", json!({ "pid": nicer.pid() })),
        ("list_descriptors", json!({ "pid": sooner.id() })),
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
    assert_eq!(adj(), "0\n", "{said}");
    assert_eq!(run("tc qdisc show dev ks0"), discipline, "{said}");
    run("ip link del ks0");
    assert!(run("kernelsight audit verify").starts_with("The journal is as it was written"));
    sooner.kill().unwrap();
    sooner.wait().unwrap();
}

#[test]
fn a_frozen_filesystem_is_thawed() {
    if !is_the_guest() {
        return;
    }
    start();
    run("kernelsight autonomy agent");
    run("truncate --size 64M /root/image");
    run("mkfs.ext4 -q /root/image");
    fs::create_dir_all("/srv/frozen").unwrap();
    run("mount -o loop /root/image /srv/frozen");
    run("fsfreeze --freeze /srv/frozen");
    let writer = std::thread::spawn(|| fs::write("/srv/frozen/file", "x").unwrap());
    std::thread::sleep(Duration::from_millis(300));
    assert!(!writer.is_finished(), "it is frozen");
    act("thaw_filesystem", json!({ "path": "/srv/frozen" }));
    writer.join().unwrap();
    run("umount /srv/frozen");
}

#[test]
fn who_watches_has_no_power_over_anybody() {
    if !is_the_guest() {
        return;
    }
    start();
    let pid = run("systemctl show --property=MainPID --value kernelsight");
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap();
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    // Bits 38 and 39: CAP_PERFMON and CAP_BPF.
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(line(set), format!("{:016x}", 0b11_u64 << 38), "{set}");
    }
    assert!(!line("Uid:").starts_with("0\t"));
    assert_eq!((line("NoNewPrivs:").as_str(), line("Seccomp:").as_str()), ("1", "2"));
}
