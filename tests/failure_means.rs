//! What the agent needs and does not get: descriptors, room, a disk without errors. It says so, does nothing that it could
//! not record, watches on, and is whole again by itself.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use kernelsight::{
    cli::client::Client,
    live::Status,
    tools::{execute_remediation::ExecuteRemediation, get_status::GetStatus, params::Nothing},
};
use serde_json::json;

use crate::{
    daemon::{Daemon, order},
    execute_support::{Target, is_root, until},
    journal_disk::{Mounted, run},
};

/// The whole node cools down between two actions.
const COOLS: Duration = Duration::from_millis(2100);

/// A start that must fail, with its words.
fn fails_to_start(state_dir: &Path) -> String {
    let begun = Instant::now();
    let Output { status, stderr, .. } = Command::new(env!("CARGO_BIN_EXE_kernelsight"))
        .args(["--socket", "/nonexistent/k.sock", "run", "--quiet", "--state-dir"])
        .arg(state_dir)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    String::from_utf8(stderr).unwrap()
}

/// Descriptors of a process from here on: as many as it has, or as before.
fn may_open(pid: u32, soft: &str) {
    run("prlimit", &["--pid", &pid.to_string(), &format!("--nofile={soft}:")]).unwrap();
}

/// The parts that are not on.
pub(crate) fn unwell(daemon: &Daemon) -> Vec<String> {
    let status = daemon.ask(&["status"]);
    let parts = status["parts"].as_array().unwrap().iter();
    parts.filter(|part| part["state"] != "on").map(|part| part["name"].to_string()).collect()
}

fn descriptors(pid: u32) -> u64 {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64
}

#[test]
fn a_daemon_without_descriptors_watches_on_does_nothing_and_heals() {
    if !is_root() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(state.path(), "agent");
    let (target, unwell_before) = (Target::idle(), unwell(&daemon));
    let asked = json!({ "action_type": "pause_process", "params": { "pid": target.pid() }, "justification": "a test",
        "confidence": 1.0 });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // One who is in already is answered on.
        let client = Client::connect(daemon.socket()).await.unwrap();
        let ticks = async || -> Status { client.ask::<GetStatus>(&Nothing {}).await.unwrap() };
        let before = ticks().await.ticks;
        may_open(daemon.pid(), "3");
        let refused = client.ask::<ExecuteRemediation>(&serde_json::from_value(asked).unwrap()).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("Too many open files") || refused.contains("unable to open"), "{refused}");
        // Who comes now waits until there are some again, and costs no time of a CPU.
        let begun = cpu_ticks(daemon.pid());
        let late = std::thread::spawn({
            let socket = daemon.socket().to_owned();
            move || order(&socket, "pause_process", json!({ "pid": 1 }))
        });
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(cpu_ticks(daemon.pid()) - begun < 100, "it runs in circles");
        let status = ticks().await;
        assert!(status.ticks >= before + 2, "the loop stands: {before}, {}", status.ticks);
        target.comes_to_run();
        may_open(daemon.pid(), "1024");
        let protected = late.join().unwrap().unwrap_err();
        assert!(protected.contains("protected"), "{protected}");
        client.close().await;
    });
    let outcome = daemon.order("pause_process", json!({ "pid": target.pid() })).unwrap();
    target.comes_to_stand();
    assert_eq!(daemon.ask(&["actions"])["actions"].as_array().unwrap().len(), 1, "{outcome:?}");
    until(|| unwell(&daemon) == unwell_before);
    // What it opened to come through it gave back.
    let open = descriptors(daemon.pid());
    assert!(open < 400, "{open}");
    daemon.stop();
}

fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_disk_that_is_full_at_the_start_is_said_and_the_next_start_with_room_goes_well() {
    if !is_root() {
        return;
    }
    let Some(disk) = Mounted::memory(4) else { return };
    for state in ["new", "used"].map(|name| disk.place.join(name)) {
        if state.ends_with("used") {
            Daemon::start(&state, "advisor").stop();
        }
        disk.fill();
        let said = fails_to_start(&state);
        assert!(said.contains(&format!("there is no room in {}", state.display())), "{said}");
        disk.empty();
        let daemon = Daemon::start(&state, "advisor");
        assert_eq!(daemon.notes(), Vec::<String>::new(), "nothing was set aside for want of room");
        daemon.stop();
    }
}

#[test]
fn a_disk_with_errors_is_written_again_once_it_is_well() {
    if !is_root() {
        return;
    }
    // The image lies where there is no room for it: what is written to a new place of the disk is an I/O error.
    let Some(below) = Mounted::memory(16) else { return };
    let Some(disk) = Mounted::forgiving_disk(&below.place, 64) else { return };
    let state = disk.place.join("state");
    let daemon = Daemon::start(&state, "agent");
    run("sync", &[]).unwrap();
    below.fill();
    let mut refused = None;
    let begun = Instant::now();
    while refused.is_none() {
        let target = Target::idle();
        refused = daemon.order("pause_process", json!({ "pid": target.pid() })).err();
        if refused.is_some() {
            target.comes_to_run();
        } else {
            // What was done is in the journal, or it was not done.
            std::thread::sleep(COOLS);
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "the disk has no errors");
    }
    let refused = refused.unwrap();
    assert!(refused.contains("disk I/O error") || refused.contains("No space left"), "{refused}");
    let ticks = |daemon: &Daemon| daemon.ask(&["status"])["ticks"].as_u64().unwrap();
    let before = ticks(&daemon);
    std::thread::sleep(COOLS);
    assert!(ticks(&daemon) > before, "it watches on");
    forget_lost(&state);
    below.empty();
    let (target, begun) = (Target::idle(), Instant::now());
    while let Err(refused) = daemon.order("pause_process", json!({ "pid": target.pid() })) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{refused}; {}", daemon.ask(&["actions"]));
        target.comes_to_run();
        std::thread::sleep(COOLS / 10);
    }
    target.comes_to_stand();
    daemon.stop();
}

/// Has the kernel write what it can of these files, and read them from the disk from now on: what the disk did not take
/// is gone, as it is sooner or later on a machine that needs its memory.
fn forget_lost(state: &Path) {
    run("sync", &[]).unwrap();
    for entry in fs::read_dir(state).unwrap().flatten() {
        let file = fs::File::open(entry.path()).unwrap();
        nix::fcntl::posix_fadvise(&file, 0, 0, nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    }
}
