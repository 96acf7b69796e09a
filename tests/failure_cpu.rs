//! A CPU that is taken offline under the agent and comes back: what it counted stays counted, nothing is told wrong, and
//! what it did is undone once that is possible.

use std::{fs, time::Duration};

use kernelsight::observe::kernel::Settings;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use serde_json::json;

use crate::{
    daemon::Daemon,
    execute_support::{Target, until},
    failure_means::unwell,
    kernel_child::{Load, kernel},
    kernel_counters::forks_of,
};

const SWITCH: &str = "/sys/devices/system/cpu/cpu1/online";

/// The second CPU, of a guest that is there for this alone: a machine with work of its own keeps its CPUs.
struct SecondCpu;

impl SecondCpu {
    fn of_the_guest() -> Option<Self> {
        let here = fs::read_to_string("/proc/cmdline").unwrap().contains("kernelsight.may_lose_a_cpu");
        if !here {
            eprintln!("of the guest with two CPUs only");
        }
        here.then_some(Self)
    }

    fn goes(&self) {
        fs::write(SWITCH, "0").unwrap();
    }

    fn comes(&self) {
        fs::write(SWITCH, "1").unwrap();
    }
}

impl Drop for SecondCpu {
    fn drop(&mut self) {
        // It may be there.
        let _ = fs::write(SWITCH, "1");
    }
}

fn may_run_on(load: &Load, cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu).unwrap();
    for task in fs::read_dir(format!("/proc/{}/task", load.pid())).unwrap() {
        let tid = task.unwrap().file_name().to_str().unwrap().parse().unwrap();
        sched_setaffinity(Pid::from_raw(tid), &set).unwrap();
    }
}

#[test]
fn what_a_cpu_counted_stays_counted_when_it_goes_and_it_counts_on_when_it_comes() {
    let Some(second) = SecondCpu::of_the_guest() else { return };
    let mut loads = [0, 1, 2].map(|_| Load::prepare("fork 50"));
    let mut kernel = kernel(&Settings::default()).unwrap();
    let before = kernel.sample().unwrap();
    may_run_on(&loads[0], 1);
    loads[0].go();
    loads[0].finish();
    second.goes();
    loads[1].go();
    loads[1].finish();
    second.comes();
    may_run_on(&loads[2], 1);
    loads[2].go();
    loads[2].finish();
    let counted = kernel.sample().unwrap().since(&before);
    for load in &loads {
        assert_eq!(forks_of(&counted, load), Some(50));
    }
}

#[test]
fn a_daemon_watches_on_says_nothing_wrong_and_undoes_what_it_did_when_the_cpu_is_back() {
    let Some(second) = SecondCpu::of_the_guest() else { return };
    let state = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(state.path(), "agent");
    let ticks = || daemon.ask(&["status"])["ticks"].as_u64().unwrap();
    let ticks_on = || {
        let before = ticks();
        until(|| ticks() >= before + 6);
    };
    ticks_on();
    let unwell_before = unwell(&daemon);
    let target = Target::idle();
    let alone = |cpu: &str| json!({ "pid": target.pid(), "cpus": cpu });
    let moved = daemon.order("set_cpu_affinity", alone("0")).unwrap();
    assert!(target.cpus().iter().all(|cpus| cpus == "0"), "{moved:?}");

    second.goes();
    ticks_on();
    let refused = daemon.order("set_cpu_affinity", alone("1")).unwrap_err();
    assert!(refused.contains("none of the CPUs 1 is online: 0"), "{refused}");
    // Linux 6.1 gives back no CPU that is not there; then it must not be said that all is as before.
    let (code, said) = daemon.tells(&["undo", "--all"]);
    assert_eq!(code == 0, target.cpus().iter().all(|cpus| cpus == "0-1"), "{said}");

    second.comes();
    ticks_on();
    until(|| target.cpus().iter().all(|cpus| cpus == "0-1"));
    until(|| daemon.ask(&["actions"])["actions"][0]["state"] == "undone");
    // Longer than any measure needs until it is a signal.
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(unwell(&daemon), unwell_before);
    assert_eq!(daemon.ask(&["signals"])["signals"], json!([]));
    assert_eq!(daemon.ask(&["actions"])["actions"].as_array().unwrap().len(), 1);
    daemon.stop();
}
