//! Actions on real processes, cgroups and settings, read back from the kernel's own view, and undone.

use kernelsight::execute::{
    Errand, ExecuteError, Intent, Journal, JournalError, JournalRow, JournalState, Judging, OutcomeStatus,
};
use kernelsight::live::Autonomy;
use serde_json::json;

use crate::{
    execute_support::{Bench, Cgroup, Target, is_root, request, swappiness_alone, sysctl, until},
    store_rows::NOW_MS,
};

#[test]
fn a_priority_is_lowered_on_all_threads_and_put_back() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let outcome = bench.act("lower_process_priority", json!({ "pid": target.pid(), "priority": 12 }));
    assert_eq!(outcome.command, format!("renice -n 12 -p {}", target.pid()));
    assert_eq!(outcome.change, format!("nice 0 -> 12 of {} threads", target.nice().len()));
    assert!(target.nice().iter().all(|nice| *nice == 12), "{:?}", target.nice());
    let undone = bench.undo(&outcome).unwrap();
    assert_eq!((undone.status, undone.change.as_str()), (OutcomeStatus::Done, "nice 12 -> 0"));
    assert!(target.nice().iter().all(|nice| *nice == 0), "{:?}", target.nice());
    assert_eq!(bench.row(&outcome).state, JournalState::Undone);
}

#[test]
fn threads_that_differed_get_back_what_each_had() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let tids = target.tids();
    renice(tids[0], 3);
    renice(tids[1], 15);
    let before = target.nice();
    let outcome = bench.act("lower_process_priority", json!({ "pid": target.pid() }));
    assert!(outcome.command.contains(" -t "), "the milder thread is left out: {}", outcome.command);
    let lowered: Vec<i32> = before.iter().map(|nice| (*nice).max(10)).collect();
    assert_eq!(target.nice(), lowered);
    bench.undo(&outcome).unwrap();
    assert_eq!(target.nice(), before);
}

#[test]
fn lower_never_raises() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    for tid in target.tids() {
        renice(tid, 15);
    }
    let denied = bench.judge("lower_process_priority", json!({ "pid": target.pid(), "priority": 10 })).unwrap_err();
    assert_eq!(denied.to_string(), "already there or milder: nice is 15, and 10 was asked for");
    bench.act("lower_io_priority", json!({ "pid": target.pid(), "io_class": 3 }));
    let denied = bench.judge("lower_io_priority", json!({ "pid": target.pid(), "io_class": 2 })).unwrap_err();
    assert_eq!(denied.to_string(), "already there or milder: I/O class and level is 3:0, and 2:7 was asked for");
    let above = json!({ "value": 100 });
    let denied = bench.judge("reduce_swappiness", above).unwrap_err();
    let now = sysctl("vm/swappiness");
    assert_eq!(denied.to_string(), format!("it would not lower: vm.swappiness is {now}, and 100 was asked for"));
    assert_eq!(bench.judge("increase_tcp_backlog", json!({ "value": 128 })).unwrap_err().denial().rule, "milder");
    assert_eq!(bench.judge("reduce_fin_timeout", json!({ "value": 120 })).unwrap_err().denial().rule, "milder");
}

#[test]
fn an_io_priority_is_lowered_and_put_back() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let before = io_priorities(&target);
    let outcome = bench.act("lower_io_priority", json!({ "pid": target.pid() }));
    assert!(io_priorities(&target).iter().all(|raw| *raw == (2 << 13 | 7)), "{:?}", io_priorities(&target));
    bench.undo(&outcome).unwrap();
    assert_eq!(io_priorities(&target), before);
}

#[test]
fn affinity_is_set_on_all_threads_and_put_back() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let before = target.cpus();
    let outcome = bench.act("set_cpu_affinity", json!({ "pid": target.pid(), "cpus": "0" }));
    assert!(target.cpus().iter().all(|cpus| cpus == "0"), "{:?}", target.cpus());
    bench.undo(&outcome).unwrap();
    assert_eq!(target.cpus(), before);
    let denied = bench.judge("set_cpu_affinity", json!({ "pid": target.pid(), "cpus": "1000-1023" })).unwrap_err();
    assert!(denied.to_string().starts_with("none of the CPUs 1000-1023 is online: 0"), "{denied}");
}

#[test]
fn a_process_is_paused_and_resumed() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let paused = bench.act("pause_process", json!({ "pid": target.pid() }));
    target.comes_to_stand();
    assert_eq!(paused.lease_until_ms, Some(NOW_MS + 300_000));
    let denied = bench.judge("pause_process", json!({ "pid": target.pid() })).unwrap_err();
    assert_eq!(denied.to_string(), format!("process {} is stopped already", target.pid()));
    let resumed = bench.act("resume_process", json!({ "pid": target.pid() }));
    target.comes_to_run();
    bench.undo(&resumed).unwrap();
    target.comes_to_stand();
    bench.undo(&paused).unwrap();
    target.comes_to_run();
}

#[test]
fn a_process_is_asked_to_end_and_that_is_not_undone() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let outcome = bench.act("terminate_process", json!({ "pid": target.pid() }));
    until(|| target.state() == 'Z');
    let refused = bench.undo(&outcome).unwrap_err();
    assert!(matches!(refused, ExecuteError::Irreversible { .. }), "{refused}");
}

#[test]
fn a_throttled_process_gets_its_share_and_runs_freely_afterwards() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::spinning());
    let outcome = bench.act("throttle_cpu", json!({ "pid": target.pid(), "limit": 20 }));
    let again = bench.judge("throttle_cpu", json!({ "pid": target.pid(), "limit": 50 }));
    if let Ok(permit) = again {
        let refused = bench.executor.run(permit, &bench.store, &Errand::ordered(), NOW_MS).unwrap_err();
        assert!(matches!(refused, ExecuteError::AlreadyThrottled { .. }), "{refused}");
    }
    let (ticks, started) = (target.cpu_ticks(), std::time::Instant::now());
    std::thread::sleep(std::time::Duration::from_secs(3));
    let percent = (target.cpu_ticks() - ticks) as f64 / started.elapsed().as_secs_f64();
    // A machine that is busy gives less; the throttle must not give more.
    assert!(percent < 30.0, "{percent} % of a CPU under a limit of 20");
    assert_eq!(bench.executor.expire_leases(&bench.store, NOW_MS).unwrap(), Vec::<String>::new());
    let undone = bench.undo(&outcome).unwrap();
    assert_eq!(undone.change, "the throttling ended, and the process runs");
    assert_ne!(target.state(), 'T');
}

#[test]
fn a_throttling_executor_that_is_killed_leaves_nobody_stopped() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::spinning());
    let outcome = bench.act("throttle_cpu", json!({ "pid": target.pid(), "limit": 1 }));
    target.comes_to_stand();
    let executor = child_of_this_test(&format!("cpulimit -p {} -l 1", target.pid()));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(executor), nix::sys::signal::Signal::SIGKILL).unwrap();
    until(|| !bench.executor.expire_leases(&bench.store, NOW_MS).unwrap().is_empty());
    assert_ne!(target.state(), 'T');
    assert_eq!(bench.row(&outcome).state, JournalState::Undone);
}

#[test]
fn a_throttled_process_is_let_go_when_the_daemon_is_gone() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::spinning());
    bench.act("throttle_cpu", json!({ "pid": target.pid(), "limit": 1 }));
    target.comes_to_stand();
    drop(bench);
    until(|| target.state() != 'T');
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_ne!(target.state(), 'T');
}

#[test]
fn the_memory_of_a_cgroup_is_limited_and_put_back() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "memory.limit_in_bytes") else { return };
    let before = cgroup.read("memory.limit_in_bytes");
    let asked = json!({ "cgroup": cgroup.path(), "bytes": 1_000_000_001 });
    let outcome = bench.act("limit_cgroup_memory", asked.clone());
    assert_eq!(cgroup.read("memory.limit_in_bytes"), "999997440");
    assert_eq!(bench.judge("limit_cgroup_memory", asked).unwrap_err().denial().rule, "milder");
    bench.undo(&outcome).unwrap();
    assert_eq!(cgroup.read("memory.limit_in_bytes"), before);
    assert_eq!(bench.row(&outcome).state, JournalState::Undone);
}

#[test]
fn a_hard_limit_below_what_is_in_use_is_refused() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "memory.limit_in_bytes") else { return };
    // The target's pages were charged elsewhere; a second one grows inside.
    let mut hog = std::process::Command::new("sh");
    let procs = format!("/sys/fs/cgroup/memory{}/cgroup.procs", cgroup.path().as_str().unwrap());
    let mut hog = hog
        .args(["-c", "echo $$ > \"$0\" && x=$(head -c 8000000 /dev/zero | tr '\\0' x) && echo up && exec 0<&- && kill -STOP $$; echo $x", &procs])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut up = [0; 3];
    std::io::Read::read_exact(hog.stdout.as_mut().unwrap(), &mut up).unwrap();
    let denied = bench.judge("limit_cgroup_memory", json!({ "cgroup": cgroup.path(), "bytes": 2_000_000 }));
    hog.kill().unwrap();
    hog.wait().unwrap();
    let denied = denied.unwrap_err().to_string();
    assert!(denied.starts_with("the limit of 1998848 bytes is below the "), "{denied}");
}

#[test]
fn the_cpu_of_a_cgroup_is_limited_and_put_back() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "cpu.cfs_quota_us") else { return };
    let outcome = bench.act("limit_cgroup_cpu", json!({ "cgroup": cgroup.path(), "percent": 30 }));
    assert_eq!(cgroup.read("cpu.cfs_quota_us"), "30000");
    let more = bench.judge("limit_cgroup_cpu", json!({ "cgroup": cgroup.path(), "percent": 40 })).unwrap_err();
    assert_eq!(more.denial().rule, "milder");
    bench.undo(&outcome).unwrap();
    assert_eq!(cgroup.read("cpu.cfs_quota_us"), "-1");
}

#[test]
fn a_cgroup_is_frozen_and_thawed() {
    if !is_root() {
        return;
    }
    for (file, frozen, thawed) in [("freezer.state", "FROZEN", "THAWED"), ("cgroup.freeze", "1", "0")] {
        let (bench, target) = (Bench::new(), Target::idle());
        let Some(cgroup) = Cgroup::with(&target, file) else { continue };
        let outcome = bench.act("freeze_cgroup", json!({ "cgroup": cgroup.path() }));
        until(|| cgroup.read(file) == frozen);
        bench.undo(&outcome).unwrap();
        assert_eq!(cgroup.read(file), thawed);
    }
}

#[test]
fn a_cgroup_that_holds_the_agent_or_nobody_is_no_target() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    for root in ["/", "//", "/..", "/a/../..", "", "x", "/a b", "/a\n"] {
        let denied = bench.judge("freeze_cgroup", json!({ "cgroup": root })).unwrap_err();
        assert_eq!(denied.denial().rule, "schema.freeze_cgroup", "{root:?}");
    }
    let denied = bench.judge("freeze_cgroup", json!({ "cgroup": "/kernelsight-none" })).unwrap_err();
    assert!(denied.to_string().starts_with("cgroup /kernelsight-none has no processes"), "{denied}");
    let Some(cgroup) = Cgroup::with(&target, "freezer.state") else { return };
    let child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    cgroup.write("cgroup.procs", &std::process::id().to_string());
    let denied = bench.judge("freeze_cgroup", json!({ "cgroup": cgroup.path() }));
    let back = own.lines().find(|line| line.contains(":freezer:")).unwrap().splitn(3, ':').nth(2).unwrap().to_owned();
    std::fs::write(format!("/sys/fs/cgroup/freezer{back}/cgroup.procs"), std::process::id().to_string()).unwrap();
    let mut child = child;
    child.kill().unwrap();
    child.wait().unwrap();
    let denial = denied.unwrap_err().denial();
    assert_eq!(denial.rule, "protected.agent", "{}", denial.reason);
}

#[test]
fn swappiness_is_lowered_and_put_back() {
    if !is_root() {
        return;
    }
    let _alone = swappiness_alone();
    let bench = Bench::new();
    let before = sysctl("vm/swappiness");
    let lower = before.parse::<u64>().unwrap() - 1;
    let outcome = bench.act("reduce_swappiness", json!({ "value": lower }));
    assert_eq!(sysctl("vm/swappiness"), lower.to_string());
    let undone = bench.undo(&outcome);
    assert_eq!(sysctl("vm/swappiness"), before);
    assert_eq!(undone.unwrap().change, format!("vm.swappiness {lower} -> {before}"));
}

#[test]
fn buffers_are_flushed_and_caches_dropped() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    assert_eq!(bench.act("flush_buffers", json!({})).command, "sync");
    assert_eq!(bench.act("clear_page_cache", json!({ "level": 1 })).command, "sysctl -w vm.drop_caches=1");
}

#[test]
fn information_actions_print_tables_and_leave_no_row() {
    let bench = Bench::new();
    let heads = [
        ("list_top_memory", json!({ "count": 3 }), "resident MiB"),
        ("list_top_cpu", json!({ "count": 3 }), "CPU % of one"),
        ("list_top_io", json!({ "count": 3 }), "cgroup"),
        ("check_io_activity", json!({}), "I/O pressure"),
        ("check_network_stats", json!({}), "lo"),
        ("check_tcp_stats", json!({}), "RetransSegs"),
        ("monitor_swap", json!({}), "swappiness"),
        ("list_sockets", json!({}), "unix"),
        ("list_mounts", json!({}), "mounted at"),
    ];
    for (name, params, contains) in heads {
        let outcome = bench.act(name, params);
        assert!(outcome.output.contains(contains), "{name}: {}", outcome.output);
        assert_eq!(outcome.action_id, None);
    }
    // A listening socket of this very process, and of its user.
    let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let sockets = bench.act("list_sockets", json!({})).output;
    let user = nix::unistd::Uid::effective().to_string();
    let is_ours = |line: &str| line.split_whitespace().take(3).eq(["tcp", "LISTEN", user.as_str()]);
    assert!(sockets.lines().any(is_ours), "{sockets}");
    drop(listening);
    assert_eq!(bench.act("list_top_memory", json!({ "count": 3 })).output.trim_end().lines().count(), 4);
    assert!(bench.store.unsettled().unwrap().is_empty());
}

#[test]
fn without_a_journal_nothing_is_done() {
    #[derive(Debug)]
    struct Full;
    impl Journal for Full {
        fn intend(&self, _: &Intent) -> Result<i64, JournalError> {
            Err(JournalError::Storage { what: "keep the intent", reason: "the disk is full".to_owned() })
        }
        fn advance(&self, id: i64, _: JournalState, _: &str, _: i64) -> Result<(), JournalError> {
            Err(JournalError::NoRow { id })
        }
        fn get(&self, _: i64) -> Result<Option<JournalRow>, JournalError> {
            Ok(None)
        }
        fn latest(&self, _: u32) -> Result<Vec<JournalRow>, JournalError> {
            Ok(Vec::new())
        }
        fn unsettled(&self) -> Result<Vec<JournalRow>, JournalError> {
            Ok(Vec::new())
        }
    }
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let permit = bench.judge("pause_process", json!({ "pid": target.pid() })).unwrap();
    let refused = bench.executor.run(permit, &Full, &Errand::ordered(), NOW_MS).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "nothing was done, because its undo could not be written: the journal could not keep the intent: the disk is full"
    );
    target.comes_to_run();
}

#[test]
fn what_the_journal_could_not_be_told_is_taken_back() {
    #[derive(Debug)]
    struct Forgetful;
    impl Journal for Forgetful {
        fn intend(&self, _: &Intent) -> Result<i64, JournalError> {
            Ok(1)
        }
        fn advance(&self, id: i64, _: JournalState, _: &str, _: i64) -> Result<(), JournalError> {
            Err(JournalError::NoRow { id })
        }
        fn get(&self, _: i64) -> Result<Option<JournalRow>, JournalError> {
            Ok(None)
        }
        fn latest(&self, _: u32) -> Result<Vec<JournalRow>, JournalError> {
            Ok(Vec::new())
        }
        fn unsettled(&self) -> Result<Vec<JournalRow>, JournalError> {
            Ok(Vec::new())
        }
    }
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let permit = bench.judge("pause_process", json!({ "pid": target.pid() })).unwrap();
    let refused = bench.executor.run(permit, &Forgetful, &Errand::ordered(), NOW_MS).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "it was done, but the journal could not be told: the journal has no row 1; stopped -> running"
    );
    target.comes_to_run();
}

#[test]
fn what_is_to_be_taken_back_and_cannot_be_looked_up_is_taken_back_with_the_housekeeping() {
    #[derive(Debug)]
    struct Unreadable;
    impl Journal for Unreadable {
        fn intend(&self, _: &Intent) -> Result<i64, JournalError> {
            unreachable!("nothing is done")
        }
        fn advance(&self, _: i64, _: JournalState, _: &str, _: i64) -> Result<(), JournalError> {
            unreachable!("it cannot be looked up")
        }
        fn get(&self, _: i64) -> Result<Option<JournalRow>, JournalError> {
            Err(JournalError::Storage { what: "look a row up", reason: "the disk has errors".to_owned() })
        }
        fn latest(&self, _: u32) -> Result<Vec<JournalRow>, JournalError> {
            unreachable!("one row is asked for")
        }
        fn unsettled(&self) -> Result<Vec<JournalRow>, JournalError> {
            unreachable!("one row is asked for")
        }
    }
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let outcome = bench.act("pause_process", json!({ "pid": target.pid() }));
    let housekeeping = || bench.executor.expire_leases(&bench.store, NOW_MS).unwrap();
    assert_eq!(housekeeping(), Vec::<String>::new(), "it has no verdict yet");
    let id = outcome.action_id.unwrap();
    let failed = bench.executor.undo(id, &Unreadable, NOW_MS).unwrap_err();
    assert_eq!(
        failed.to_string(),
        "the journal could not be read or told: the journal could not look a row up: the disk has errors"
    );
    let said = housekeeping();
    assert_eq!(said.len(), 1, "{said:?}");
    target.comes_to_run();
    assert_eq!(bench.row(&outcome).state, JournalState::Undone);
}

#[test]
fn a_target_that_ends_between_the_judgement_and_the_deed_is_refused() {
    if !is_root() {
        return;
    }
    let (bench, mut target) = (Bench::new(), Target::idle());
    let permit = bench.judge("terminate_process", json!({ "pid": target.pid() })).unwrap();
    target.end();
    let refused = bench.executor.run(permit, &bench.store, &Errand::ordered(), NOW_MS).unwrap_err();
    assert!(matches!(refused, ExecuteError::Changed { .. }), "{refused}");
    assert!(bench.store.unsettled().unwrap().is_empty());
}

#[test]
fn a_setting_that_changes_between_the_judgement_and_the_deed_is_refused() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "cpu.cfs_quota_us") else { return };
    let asked = request("limit_cgroup_cpu", json!({ "cgroup": cgroup.path(), "percent": 30 }));
    let permit = bench.policy.judge(&asked, Judging::new("rules", Autonomy::Agent, NOW_MS)).unwrap();
    cgroup.write("cpu.cfs_quota_us", "20000");
    let refused = bench.executor.run(permit, &bench.store, &Errand::ordered(), NOW_MS).unwrap_err();
    assert!(matches!(refused, ExecuteError::Changed { .. }), "{refused}");
    assert_eq!(cgroup.read("cpu.cfs_quota_us"), "20000");
}

fn renice(tid: u32, nice: i32) {
    let renice = std::process::Command::new("renice").args(["-n", &nice.to_string(), "-p", &tid.to_string()]).output();
    assert!(renice.unwrap().status.success());
}

/// Class and level of each thread as `ionice` reads them, put together as the kernel does.
fn io_priorities(target: &Target) -> Vec<u32> {
    target
        .tids()
        .iter()
        .map(|tid| {
            let said = std::process::Command::new("ionice").args(["-p", &tid.to_string()]).output().unwrap();
            let said = String::from_utf8(said.stdout).unwrap();
            let (class, level) = said.trim().split_once(": prio ").unwrap_or((said.trim(), "0"));
            let class = ["none", "realtime", "best-effort", "idle"].iter().position(|name| *name == class).unwrap();
            (class as u32) << 13 | level.parse::<u32>().unwrap()
        })
        .collect()
}

/// The pid of a child of this test binary whose command line ends so.
fn child_of_this_test(ends_with: &str) -> i32 {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<i32>().ok())
        .find(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).trim_end_matches('\0').replace('\0', " ").ends_with(ends_with)
        })
        .unwrap()
}
