//! Dry runs: they say what the deed then does, and do nothing.

use std::{process::Command, sync::Arc, time::Duration};

use kernelsight::{
    clock::{now_ms, uptime_ms},
    execute::{DryRun, Errand, Guard, Hold, HoldKind, Journal as _, Judging, Limits},
    explain::IncidentUid,
    live::Autonomy,
    observe::ProcessId,
};
use serde_json::{Value, json};

use crate::{
    daemon::Daemon,
    execute_parent::own_cgroups_alone,
    execute_support::{Bench, Cgroup, Target, executor, is_root, request},
};

fn dry_run(bench: &Bench, name: &str, params: Value, autonomy: Autonomy) -> DryRun {
    let judging = Judging::new("ann", autonomy, now_ms());
    bench.executor.dry_run(&request(name, params), &judging, &Errand::ordered(), &bench.store)
}

fn rules(run: &DryRun) -> Vec<&str> {
    run.blocked_by.iter().map(|denial| denial.rule.as_str()).collect()
}

#[test]
fn what_a_dry_run_says_is_what_then_is_done() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let pid = target.pid();
    let mut actions = vec![
        ("lower_process_priority", json!({ "pid": pid, "priority": 7 }), "setpriority(2)".to_owned()),
        ("lower_io_priority", json!({ "pid": pid }), "ioprio_set(2)".to_owned()),
        ("raise_oom_score_adj", json!({ "pid": pid, "value": 300 }), format!("/proc/{pid}/oom_score_adj")),
        ("pause_process", json!({ "pid": pid }), "pidfd_send_signal(2)".to_owned()),
    ];
    let cgroup = Cgroup::with(&target, "cpu.cfs_quota_us");
    if let Some(cgroup) = &cgroup {
        let params = json!({ "cgroup": cgroup.path(), "percent": 30 });
        actions.push(("limit_cgroup_cpu", params, cgroup.file("cpu.cfs_quota_us")));
    }
    let _alone = own_cgroups_alone();
    let memory = Cgroup::with(&target, "memory.limit_in_bytes");
    if memory.is_some() {
        let own = format!("/sys/fs/cgroup/memory/kernelsight/p{pid}-{}", target.start_ticks());
        let through = format!("{own}/memory.limit_in_bytes, {own}/cgroup.procs");
        actions.push(("confine_process", json!({ "pid": pid, "memory_mb": 256 }), through));
    }
    for (name, params, through) in actions {
        let run = bench.dry_run(name, params.clone());
        assert_eq!((rules(&run), &run.needs_approval), (vec![], &None), "{run:?}");
        assert!(bench.store.latest(10).unwrap().iter().all(|row| row.intent.action.action_type != name), "{name}");
        let plan = run.plan.unwrap();
        assert_eq!(plan.through, through);
        // It compares the rest with a dry run of its own.
        let outcome = bench.act(name, params);
        let undone = bench.undo(&outcome).unwrap().change;
        assert!(plan.undo.starts_with(&undone), "{name}: `{}` is said, `{undone}` is done", plan.undo);
    }
}

#[test]
fn a_dry_run_names_who_lives_in_the_target_and_whom_it_concerns_besides() {
    if !is_root() {
        return;
    }
    let (bench, target, other) = (Bench::new(), Target::idle(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "freezer.state").or_else(|| Cgroup::with(&target, "cgroup.freeze")) else {
        return;
    };
    let below = cgroup.below_as("db.service", &other);
    let run = dry_run(&bench, "freeze_cgroup", json!({ "cgroup": cgroup.path() }), Autonomy::Agent);
    let company = run.plan.unwrap().company;
    let mut pids: Vec<u32> = company.processes.iter().map(|member| member.id.pid).collect();
    pids.sort_unstable();
    let mut expected = [target.pid(), other.pid()];
    expected.sort_unstable();
    assert_eq!((pids.as_slice(), company.processes_in_all), (expected.as_slice(), 2));
    assert_eq!(json!(company.cgroups_below), json!([below.path()]));
    assert_eq!(json!(company.units), json!(["db.service"]));

    // Of this very test: both targets are its children.
    let own = std::process::id();
    let run = dry_run(&bench, "lower_process_priority", json!({ "pid": own }), Autonomy::Agent);
    assert_eq!(rules(&run), ["protected.agent"]);
    let mut shell = Command::new("sh").args(["-c", "sleep 60 & wait"]).spawn().unwrap();
    let children = || {
        let run = dry_run(&bench, "pause_process", json!({ "pid": shell.id() }), Autonomy::Agent);
        run.plan.map(|plan| plan.company.children).unwrap_or_default()
    };
    crate::execute_support::until(|| children().iter().any(|child| child.comm.as_str() == "sleep"));
    for child in children() {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id.pid as i32), nix::sys::signal::SIGKILL).unwrap();
    }
    shell.wait().unwrap();
}

#[test]
fn a_dry_run_tells_everything_that_would_stop_the_deed() {
    if !is_root() {
        return;
    }
    let (mut bench, target) = (Bench::new(), Target::idle());
    let params = json!({ "pid": target.pid() });
    let guard = Arc::new(Guard::new(Limits::load(None).unwrap(), Duration::from_secs(1)));
    guard.turned(uptime_ms());
    bench.executor = executor(&bench.policy).behind(Arc::clone(&guard));

    let advised = dry_run(&bench, "pause_process", params.clone(), Autonomy::Advisor);
    assert_eq!(rules(&advised), ["autonomy.advisor"]);
    assert_eq!(advised.plan.unwrap().change, "running -> stopped");
    let asked = dry_run(&bench, "pause_process", params.clone(), Autonomy::Copilot);
    assert_eq!(rules(&asked), [""; 0]);
    assert_eq!(asked.needs_approval.unwrap(), "an operator approves every action at this level");

    let why = "the disk is replaced".to_owned();
    guard.hold(Hold { kind: HoldKind::Paused, why, by: "ann".to_owned(), since_ms: now_ms(), until_ms: None });
    let held = dry_run(&bench, "pause_process", params.clone(), Autonomy::Advisor);
    assert_eq!(rules(&held), ["autonomy.advisor", "hold.paused"]);
    guard.release(&[HoldKind::Paused]);

    let permit = bench.judge("pause_process", params.clone()).unwrap();
    let outcome = bench.executor.run(permit, &bench.store, &Errand::of(&IncidentUid::new()), now_ms()).unwrap();
    bench.undo(&outcome).unwrap();
    let again = dry_run(&bench, "pause_process", params.clone(), Autonomy::Agent);
    assert_eq!(rules(&again), ["limits.cooldown.target"]);

    // What was decided about another process of that number.
    let earlier = [ProcessId { pid: target.pid(), start_ticks: target.start_ticks() - 1 }];
    let judging = Judging { expected: Some(&earlier), ..Judging::new("ann", Autonomy::Agent, now_ms()) };
    let asked = request("pause_process", params);
    let recycled = bench.executor.dry_run(&asked, &judging, &Errand::ordered(), &bench.store);
    assert_eq!((rules(&recycled), &recycled.plan), (vec!["target.identity"], &None));
    let unknown = dry_run(&bench, "pause_process", json!({ "pid": "1; reboot" }), Autonomy::Agent);
    assert_eq!(rules(&unknown), ["schema.pause_process"]);
}

#[test]
fn the_verb_tells_it_for_eyes_and_exits_by_it() {
    if !is_root() {
        return;
    }
    let (state, target) = (tempfile::tempdir().unwrap(), Target::idle());
    let daemon = Daemon::start(state.path(), "guardian");
    let pid = format!("pid={}", target.pid());
    let verb = ["actions", "lower_process_priority", &pid, "priority=5", "--dry-run"];
    let run = daemon.ask(&verb);
    assert_eq!((&run["blocked_by"], &run["needs_approval"]), (&json!([]), &Value::Null), "{run}");
    assert_eq!(run["plan"]["change"], json!(format!("nice 0 -> 5 of {} threads", target.tids().len())));
    assert_eq!(target.nice(), vec![0; target.tids().len()]);
    assert_eq!(daemon.ask(&["actions"])["actions"], json!([]));
    daemon.ask(&["autonomy", "advisor"]);
    let (code, text) = daemon.tells(&verb);
    assert_eq!(code, 1);
    assert!(text.contains("Blocked by Safety: at level advisor nothing is done, only proposed"), "{text}");
    assert!(text.contains(&format!("would    renice -n 5 -p {}", target.pid())), "{text}");
    daemon.stop();
}
