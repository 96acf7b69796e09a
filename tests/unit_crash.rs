//! What the unit survives, in the guest with systemd: kill -9 of the daemon and of an actor, and a full disk.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use aya::programs::loaded_programs;
use kernelsight::execute::{Outcome, OutcomeStatus};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::{
    daemon::order,
    execute_support::{Target, until},
    journal_disk::fill,
    unit_guest::{SOCKET, STATE, act, answers, ask, is_the_guest, journal, property, run, start},
};

/// The whole node cools down between two actions.
const COOLS: Duration = Duration::from_millis(2500);
/// Names of programs are cut after so many letters by the kernel.
const NAME_LETTERS: usize = 15;
const PATIENCE: Duration = Duration::from_secs(120);

/// Ids of the daemon's programs that the kernel has.
fn programs(status: &Value) -> BTreeSet<u32> {
    let probes = status["parts"].as_array().unwrap().iter().filter(|part| part["kind"] == "probe");
    let names: Vec<String> =
        probes.map(|part| part["name"].as_str().unwrap().chars().take(NAME_LETTERS).collect()).collect();
    let loaded = loaded_programs().map(Result::unwrap);
    loaded
        .filter(|program| program.name_as_str().is_some_and(|name| names.iter().any(|ours| ours == name)))
        .map(|program| program.id())
        .collect()
}

fn kill_hard(pid: &str) {
    kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
}

/// The rows of the journal about a process.
fn rows_about(target: &Target) -> Vec<Value> {
    let mut rows = ask("actions --most 500")["actions"].as_array().unwrap().clone();
    rows.retain(|row| row["intent"]["action"]["params"]["pid"] == target.pid());
    rows
}

#[test]
fn a_daemon_that_is_killed_comes_back_and_knows_what_stands() {
    if !is_the_guest() {
        return;
    }
    start();
    run("systemd-run --unit=survivor --quiet sleep 600");
    let cgroup = "/system.slice/survivor.service";
    let tasks = || fs::read_to_string(format!("/sys/fs/cgroup{cgroup}/pids.max")).unwrap().trim().to_owned();
    let (before, target) = (tasks(), Target::idle());
    act("lower_process_priority", json!({ "pid": target.pid(), "priority": 5 }));
    act("limit_cgroup_pids", json!({ "cgroup": cgroup, "tasks": 50 }));
    let (killed, restarts) = (property("MainPID"), property("NRestarts").parse::<u32>().unwrap());
    let old = programs(&ask("status"));
    assert!(old.len() >= 20, "{old:?}");

    kill_hard(&killed);
    until(|| ![killed.as_str(), "0"].contains(&property("MainPID").as_str()));
    let status = answers();
    assert_eq!(property("NRestarts").parse(), Ok(restarts + 1));
    assert_eq!(status["holds"], json!([]));
    let notes = status["notes"].to_string();
    assert!(!notes.contains("set aside"), "{notes}");
    // Those of the dead one went with it, and the new one has as many.
    until(|| programs(&status).is_disjoint(&old));
    assert_eq!(programs(&status).len(), old.len());
    let row = rows_about(&target).pop().unwrap();
    assert_eq!(row["state"], "kept", "{row}");
    assert!(target.nice().iter().all(|nice| *nice == 5));
    assert_eq!(tasks(), "50");
    let said = run("kernelsight undo --all");
    assert!(target.nice().iter().all(|nice| *nice == 0), "{said}");
    assert_eq!(tasks(), before, "{said}");
    assert!(run("kernelsight audit verify").starts_with("The journal is as it was written"));
    run("systemctl stop survivor");
}

/// The process of an actor of this power, if one is at work.
fn actor(power: &str) -> Option<i32> {
    let wanted = format!("kernelsight\0actor\0{power}\0");
    fs::read_dir("/proc").unwrap().find_map(|entry| {
        let pid: i32 = entry.unwrap().file_name().to_str()?.parse().ok()?;
        fs::read(format!("/proc/{pid}/cmdline")).ok()?.ends_with(wanted.as_bytes()).then_some(pid)
    })
}

/// When an actor is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    AtOnce,
    /// While it reads, judges, and says that it is ready.
    After(Duration),
    /// So long after it has made its executor: before and after the daemon gives its word.
    WithExecutor(Duration),
}

/// Kills the actor at that moment, unless the order is through before.
fn kill_at_work(power: &str, ordered: &JoinHandle<Result<Outcome, String>>, moment: Moment) {
    while !ordered.is_finished() {
        let Some(pid) = actor(power) else { continue };
        match moment {
            Moment::AtOnce => {}
            Moment::After(time) => std::thread::sleep(time),
            Moment::WithExecutor(time) => {
                let has_child = || fs::read(format!("/proc/{pid}/task/{pid}/children")).map(|pids| !pids.is_empty());
                while !ordered.is_finished() && !has_child().unwrap_or(true) {}
                std::thread::sleep(time);
            }
        }
        // It may have ended meanwhile.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        return;
    }
}

#[test]
fn an_action_whose_actor_is_killed_is_done_once_or_taken_back() {
    if !is_the_guest() {
        return;
    }
    start();
    let mut cut = 0;
    let with_executor = [0, 60, 120].map(|ms| Moment::WithExecutor(Duration::from_millis(ms)));
    for moment in [Moment::AtOnce, Moment::After(Duration::from_millis(300))].into_iter().chain(with_executor) {
        let target = Target::idle();
        std::thread::sleep(COOLS);
        let params = json!({ "pid": target.pid(), "priority": 5 });
        let ordered = std::thread::spawn(move || order(Path::new(SOCKET), "lower_process_priority", params));
        kill_at_work("sys-nice", &ordered, moment);
        let outcome = ordered.join().unwrap();
        println!("killed {moment:?}: {outcome:?}");
        let rows = || rows_about(&target);
        let is = |states: &[&str]| rows().iter().all(|row| states.contains(&row["state"].as_str().unwrap()));
        if outcome.is_ok_and(|outcome| outcome.status == OutcomeStatus::Done) {
            assert!(rows().len() == 1 && is(&["kept"]), "{:?}", rows());
            assert!(target.nice().iter().all(|nice| *nice == 5));
        } else {
            cut += 1;
            // Without a row it was never intended.
            until(|| is(&["failed", "undone", "void"]));
            assert!(rows().len() <= 1, "{:?}", rows());
            assert!(target.nice().iter().all(|nice| *nice == 0), "{:?}", rows());
        }
    }
    assert!(cut > 0, "every actor was sooner");

    // One that stands: it throttles until it is told to end.
    let target = Target::spinning();
    act("throttle_cpu", json!({ "pid": target.pid(), "limit": 20 }));
    let throttles = actor("kill").unwrap();
    kill(Pid::from_raw(throttles), Signal::SIGKILL).unwrap();
    let over = || !["done", "kept", "owed"].contains(&rows_about(&target)[0]["state"].as_str().unwrap());
    until(over);
    for _ in 0..20 {
        assert!(target.state() != 'T', "{:?}", rows_about(&target));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(actor("kill"), None);
    run("kernelsight undo --all");
    assert!(run("kernelsight audit verify").starts_with("The journal is as it was written"));
}

/// How the database fares.
fn database() -> Value {
    let status = ask("status");
    status["parts"].as_array().unwrap().iter().find(|part| part["kind"] == "store").unwrap().clone()
}

/// Orders until one is refused because the journal takes it no more.
fn refused_at_last() -> String {
    let begun = Instant::now();
    loop {
        std::thread::sleep(COOLS);
        let target = Target::idle();
        match order(Path::new(SOCKET), "pause_process", json!({ "pid": target.pid() })) {
            Ok(outcome) => assert!(outcome.action_id.is_some(), "what was done is in the journal"),
            Err(refused) => {
                target.comes_to_run();
                return refused;
            }
        }
        assert!(begun.elapsed() < PATIENCE, "the journal takes everything");
    }
}

#[test]
fn on_a_full_disk_it_watches_says_so_and_is_whole_again_with_room() {
    if !is_the_guest() {
        return;
    }
    start();
    run("systemctl stop kernelsight");
    let [uid, gid] = ["-u", "-g"].map(|which| run(&format!("id {which} kernelsight")).trim().to_owned());
    run(&format!("mount -t tmpfs -o size=8m,mode=700,uid={uid},gid={gid} none {STATE}"));
    let filling = Path::new(STATE).join("filling");
    run("systemctl start kernelsight");
    answers();
    run("kernelsight autonomy agent");

    fill(&filling);
    let refused = refused_at_last();
    assert!(refused.contains("nothing was done, because its undo could not be written"), "{refused}");
    until(|| database()["state"] == "degraded");
    let reason = database()["reason"].to_string();
    assert!(reason.contains("full"), "{reason}");
    assert!(run("kernelsight status").contains("database"), "{}", run("kernelsight status"));
    let (pid, ticks) = (property("MainPID"), ask("status")["ticks"].as_u64().unwrap());
    std::thread::sleep(Duration::from_secs(5));
    assert!(ask("status")["ticks"].as_u64().unwrap() > ticks, "it watches on");
    assert_eq!((property("MainPID"), property("NRestarts").as_str()), (pid, "0"), "{}", journal());
    fs::remove_file(&filling).unwrap();
    until(|| database()["state"] == "on");
    std::thread::sleep(COOLS);
    act("flush_buffers", json!({}));

    // A start finds no room: each try says so, and the one that finds some again goes well.
    run("systemctl stop kernelsight");
    fill(&filling);
    run("systemctl start kernelsight");
    until(|| property("NRestarts").parse::<u32>().unwrap() >= 2);
    let said = |program: &str| {
        let output =
            Command::new(program).arg("status").args((program == "systemctl").then_some("kernelsight")).output();
        let Output { stdout, stderr, .. } = output.unwrap();
        [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
    };
    let told = said("kernelsight");
    assert!(told.contains("`systemctl status kernelsight` tells why it ended"), "{told}");
    until(|| said("systemctl").contains(&format!("there is no room in {STATE}")));
    fs::remove_file(&filling).unwrap();
    let status = answers();
    let notes = status["notes"].to_string();
    assert!(!notes.contains("set aside"), "{notes}");
    assert_eq!(status["autonomy"], "agent", "what was kept before is known");
    assert!(run("kernelsight audit verify").starts_with("The journal is as it was written"));

    run("systemctl stop kernelsight");
    run(&format!("umount {STATE}"));
    run("systemctl start kernelsight");
    // So many starts may count as a crash loop, which they are.
    if answers()["holds"] != json!([]) {
        run("kernelsight resume");
    }
}
