//! Taking back: exactly, not over somebody else's change, and after a kill at any point.

use std::{
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use kernelsight::{
    execute::{
        Errand, ExecuteError, Intent, Journal, JournalError, JournalRow, JournalState, Judging, OutcomeStatus, Undo,
    },
    live::Autonomy,
    observe::ProcessId,
    store::{Limits, Store},
};
use serde_json::json;

use crate::{
    daemon::Daemon,
    execute_support::{Bench, Cgroup, Target, executor, is_root, policy, request},
    store_rows::NOW_MS,
};

#[test]
fn what_somebody_else_changed_since_is_left_alone() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "cpu.cfs_quota_us") else { return };
    let outcome = bench.act("limit_cgroup_cpu", json!({ "cgroup": cgroup.path(), "percent": 30 }));
    cgroup.write("cpu.cfs_quota_us", "70000");
    let undone = bench.undo(&outcome).unwrap();
    assert_eq!(undone.status, OutcomeStatus::LeftAlone);
    assert!(
        undone.change.ends_with(" is 70000, neither -1 as before nor 30000 as written: left alone"),
        "{}",
        undone.change
    );
    assert_eq!(cgroup.read("cpu.cfs_quota_us"), "70000");
    assert_eq!(bench.row(&outcome).state, JournalState::LeftAlone);
    assert!(matches!(bench.undo(&outcome).unwrap_err(), ExecuteError::Over { .. }));
}

#[test]
fn a_thread_that_somebody_else_changed_is_left_alone_and_the_others_are_not() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let outcome = bench.act("lower_process_priority", json!({ "pid": target.pid() }));
    let other = target.tids()[1];
    assert!(Command::new("renice").args(["-n", "5", "-p", &other.to_string()]).output().unwrap().status.success());
    let undone = bench.undo(&outcome).unwrap();
    assert_eq!(undone.change, "nice 10 -> 0; 1 threads that somebody else changed were left alone");
    let mut expected = vec![0; target.tids().len()];
    expected[1] = 5;
    assert_eq!(target.nice(), expected);
}

#[test]
fn a_cgroup_made_anew_under_the_same_path_is_not_the_one_that_was_limited() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "cpu.cfs_quota_us") else { return };
    let outcome = bench.act("limit_cgroup_cpu", json!({ "cgroup": cgroup.path(), "percent": 30 }));
    drop(cgroup);
    let cgroup = Cgroup::with(&target, "cpu.cfs_quota_us").unwrap();
    cgroup.write("cpu.cfs_quota_us", "30000");
    let undone = bench.undo(&outcome).unwrap();
    assert!(undone.change.ends_with(" is gone"), "{}", undone.change);
    assert_eq!(cgroup.read("cpu.cfs_quota_us"), "30000");
}

#[test]
fn a_process_that_is_gone_is_settled_as_such() {
    if !is_root() {
        return;
    }
    let (bench, mut target) = (Bench::new(), Target::idle());
    let outcome = bench.act("pause_process", json!({ "pid": target.pid() }));
    target.end();
    assert_eq!(bench.undo(&outcome).unwrap().change, "the process is gone");
    assert_eq!(bench.row(&outcome).state, JournalState::Void);
}

#[test]
fn an_undo_never_reaches_the_next_owner_of_the_number() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    target.signal(nix::sys::signal::Signal::SIGSTOP);
    let earlier = ProcessId { pid: target.pid(), start_ticks: target.start_ticks() - 1 };
    let id = bench.store.intend(&intent(&bench, Undo::Continue { process: earlier }, None)).unwrap();
    bench.store.advance(id, JournalState::Done, "", NOW_MS).unwrap();
    assert_eq!(bench.executor.undo(id, &bench.store, NOW_MS).unwrap().change, "the process is gone");
    target.comes_to_stand();
}

#[test]
fn a_lease_that_ended_is_taken_back_and_one_that_runs_is_not() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let outcome = bench.act("pause_process", json!({ "pid": target.pid() }));
    bench.store.advance(outcome.action_id.unwrap(), JournalState::Kept, "resolved", NOW_MS).unwrap();
    let until_ms = outcome.lease_until_ms.unwrap();
    assert!(bench.executor.expire_leases(&bench.store, until_ms - 1).unwrap().is_empty());
    assert!(bench.executor.settle(&bench.store, until_ms - 1).unwrap().is_empty());
    target.comes_to_stand();
    let said = bench.executor.expire_leases(&bench.store, until_ms).unwrap();
    assert_eq!(said.len(), 1);
    assert!(said[0].ends_with(" has outlived its lease: stopped -> running"), "{said:?}");
    target.comes_to_run();
}

#[test]
fn what_cannot_be_taken_back_is_owed_until_it_can() {
    if !is_root() {
        return;
    }
    let (bench, target, beside) = (Bench::new(), Target::idle(), Target::idle());
    let Some(parent) = Cgroup::with(&beside, "cpu.cfs_quota_us") else { return };
    let child = parent.below(&target);
    child.write("cpu.cfs_quota_us", "80000");
    let outcome = bench.act("limit_cgroup_cpu", json!({ "cgroup": child.path(), "percent": 30 }));
    // A child may not have more than its parent.
    parent.write("cpu.cfs_quota_us", "50000");
    bench.undo(&outcome).unwrap_err();
    let row = bench.row(&outcome);
    assert_eq!((row.state, row.note.is_empty()), (JournalState::Owed, false));
    assert!(bench.executor.expire_leases(&bench.store, NOW_MS).unwrap().is_empty(), "it was said before");
    // The first failure may pass soon, and what fails again and again costs less and less.
    let counted = Counted { store: &bench.store, looked: AtomicUsize::new(0) };
    for _ in 1..63 {
        assert!(bench.executor.expire_leases(&counted, NOW_MS).unwrap().is_empty());
    }
    assert_eq!(counted.looked.load(Ordering::Relaxed), 5, "after rounds 2, 4, 8, 16 and 32");
    parent.write("cpu.cfs_quota_us", "-1");
    let said = bench.executor.expire_leases(&bench.store, NOW_MS).unwrap();
    assert_eq!(said.len(), 1);
    assert!(said[0].contains(" could not be taken back before: ") && said[0].ends_with(" 30000 -> 80000"), "{said:?}");
    assert_eq!((bench.row(&outcome).state, child.read("cpu.cfs_quota_us").as_str()), (JournalState::Undone, "80000"));
}

/// Counts how often somebody looks at a row to take it back.
#[derive(Debug)]
struct Counted<'a> {
    store: &'a Store,
    looked: AtomicUsize,
}

impl Journal for Counted<'_> {
    fn intend(&self, intent: &Intent) -> Result<i64, JournalError> {
        self.store.intend(intent)
    }
    fn advance(&self, id: i64, state: JournalState, note: &str, at_ms: i64) -> Result<(), JournalError> {
        self.store.advance(id, state, note, at_ms)
    }
    fn get(&self, id: i64) -> Result<Option<JournalRow>, JournalError> {
        self.looked.fetch_add(1, Ordering::Relaxed);
        self.store.get(id)
    }
    fn latest(&self, count: u32) -> Result<Vec<JournalRow>, JournalError> {
        self.store.latest(count)
    }
    fn unsettled(&self) -> Result<Vec<JournalRow>, JournalError> {
        self.store.unsettled()
    }
}

#[test]
fn what_an_earlier_boot_left_is_void() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    target.signal(nix::sys::signal::Signal::SIGSTOP);
    let process = ProcessId { pid: target.pid(), start_ticks: target.start_ticks() };
    let mut intent = intent(&bench, Undo::Continue { process }, None);
    intent.boot_id = "another".to_owned();
    let id = bench.store.intend(&intent).unwrap();
    let said = bench.executor.settle(&bench.store, NOW_MS).unwrap();
    assert!(said[0].ends_with("the machine was started anew since, and nothing of it is left"), "{said:?}");
    assert_eq!(bench.store.get(id).unwrap().unwrap().state, JournalState::Void);
    target.comes_to_stand();

    // Nor does what was to stay stand any more, unless it is what no boot brings back.
    let mut emptied = intent.clone();
    emptied.undo = Undo::Nothing { why: "what was in the file is gone".to_owned() };
    let ids = [intent, emptied].map(|intent| {
        let id = bench.store.intend(&intent).unwrap();
        for state in [JournalState::Done, JournalState::Kept] {
            bench.store.advance(id, state, "", NOW_MS).unwrap();
        }
        id
    });
    let kept = || bench.store.reader().unwrap().standing_actions().unwrap().rows;
    assert!(bench.executor.settle(&bench.store, NOW_MS).unwrap().is_empty());
    assert_eq!(kept().len(), 2);
    let said = bench.executor.settle_earlier_boots(&kept(), &bench.store, NOW_MS);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("was done before this boot: the machine was started anew since"), "{said:?}");
    assert_eq!(kept().iter().map(|row| row.id).collect::<Vec<_>>(), [ids[1]]);
    target.comes_to_stand();
}

#[test]
fn an_undo_that_somebody_wrote_into_the_journal_is_judged_like_any_command() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let Some(cgroup) = Cgroup::with(&target, "cpu.cfs_quota_us") else { return };
    let outcome = bench.act("limit_cgroup_cpu", json!({ "cgroup": cgroup.path(), "percent": 30 }));
    let mut forged = bench.row(&outcome).intent;
    let Undo::Setting { before, .. } = &mut forged.undo else { panic!("{:?}", forged.undo) };
    *before = "1".to_owned();
    let id = bench.store.intend(&forged).unwrap();
    let refused = bench.executor.undo(id, &bench.store, NOW_MS).unwrap_err().to_string();
    assert!(refused.contains("may not run"), "{refused}");
    assert_eq!(cgroup.read("cpu.cfs_quota_us"), "30000");
}

/// The test that is started again as the agent to be killed, and what it is told.
const CRASH: &str = "KERNELSIGHT_TEST_CRASH";

#[test]
fn a_kill_between_the_journal_and_the_effect_is_settled_at_the_next_start() {
    const NAME: &str = "undo::a_kill_between_the_journal_and_the_effect_is_settled_at_the_next_start";
    if let Some(told) = std::env::var_os(CRASH) {
        return act_and_be_killed(told.to_str().unwrap(), At::AfterIntent);
    }
    killed(NAME, false, |said, row| {
        assert_eq!(row, JournalState::Void, "{said:?}");
        assert!(said[0].ends_with("before it knew of an effect: the process runs as before"), "{said:?}");
    });
}

#[test]
fn a_kill_between_the_effect_and_the_journal_is_settled_at_the_next_start() {
    const NAME: &str = "undo::a_kill_between_the_effect_and_the_journal_is_settled_at_the_next_start";
    if let Some(told) = std::env::var_os(CRASH) {
        return act_and_be_killed(told.to_str().unwrap(), At::BeforeDone);
    }
    killed(NAME, true, |said, row| {
        assert_eq!(row, JournalState::Undone, "{said:?}");
        assert!(said[0].ends_with("before it knew of an effect: stopped -> running"), "{said:?}");
    });
}

#[test]
fn a_kill_between_the_effect_and_the_verdict_is_settled_at_the_next_start() {
    const NAME: &str = "undo::a_kill_between_the_effect_and_the_verdict_is_settled_at_the_next_start";
    if let Some(told) = std::env::var_os(CRASH) {
        return act_and_be_killed(told.to_str().unwrap(), At::AfterDone);
    }
    killed(NAME, true, |said, row| {
        assert_eq!(row, JournalState::Undone, "{said:?}");
        assert!(said[0].ends_with("was done, and the agent ended before a verdict: stopped -> running"), "{said:?}");
    });
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    AfterIntent,
    BeforeDone,
    AfterDone,
}

/// The store's journal, until the agent is killed at the chosen point, as hard as the kernel can.
#[derive(Debug)]
struct Deadly(Store, At);

impl Journal for Deadly {
    fn intend(&self, intent: &Intent) -> Result<i64, JournalError> {
        let id = self.0.intend(intent)?;
        if self.1 == At::AfterIntent {
            die();
        }
        Ok(id)
    }

    fn advance(&self, id: i64, state: JournalState, note: &str, at_ms: i64) -> Result<(), JournalError> {
        if self.1 == At::BeforeDone {
            die();
        }
        self.0.advance(id, state, note, at_ms)?;
        die()
    }

    fn get(&self, id: i64) -> Result<Option<JournalRow>, JournalError> {
        self.0.get(id)
    }

    fn latest(&self, count: u32) -> Result<Vec<JournalRow>, JournalError> {
        self.0.latest(count)
    }

    fn unsettled(&self) -> Result<Vec<JournalRow>, JournalError> {
        self.0.unsettled()
    }
}

fn die() -> ! {
    nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL).unwrap();
    unreachable!("SIGKILL is not survived")
}

/// The agent's part: pauses the process and is killed on the way.
fn act_and_be_killed(told: &str, at: At) {
    let (pid, dir) = told.split_once(' ').unwrap();
    let (store, _) = Store::open(Path::new(dir), Limits::default()).unwrap();
    let policy = policy();
    let asked = request("pause_process", json!({ "pid": pid.parse::<u32>().unwrap() }));
    let permit = policy.judge(&asked, Judging::new("rules", Autonomy::Agent, NOW_MS)).unwrap();
    let survived = executor(&policy).run(permit, &Deadly(store, at), &Errand::ordered(), NOW_MS);
    panic!("not killed: {survived:?}");
}

/// Starts an agent that is killed, sees its target paused or not, starts the daemon, and shows how it settled.
fn killed(name: &str, paused: bool, check: impl FnOnce(&[String], JournalState)) {
    if !is_root() {
        return;
    }
    let target = Target::idle();
    let dir = tempfile::tempdir().unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(CRASH, format!("{} {}", target.pid(), dir.path().display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(9), "{status}");
    if paused {
        target.comes_to_stand();
    } else {
        target.comes_to_run();
    }
    let (store, opening) = Store::open(dir.path(), Limits::default()).unwrap();
    assert_eq!(opening.set_aside, None);
    let id = store.unsettled().unwrap()[0].id;
    drop(store);
    let next = Daemon::start(dir.path(), "advisor");
    let said = next.notes();
    target.comes_to_run();
    next.stop();
    assert_eq!(said.len(), 1, "{said:?}");
    let (store, _) = Store::open(dir.path(), Limits::default()).unwrap();
    check(&said, store.get(id).unwrap().unwrap().state);
    assert!(store.unsettled().unwrap().is_empty());
}

fn intent(bench: &Bench, undo: Undo, lease_until_ms: Option<i64>) -> Intent {
    Intent {
        incident: None,
        author: "rules".to_owned(),
        approved_by: None,
        rule: "kill_stop".to_owned(),
        action: request("pause_process", json!({ "pid": 1 })),
        command: "kill -STOP 1".to_owned(),
        target: "test".to_owned(),
        undo,
        boot_id: bench.executor.boot_id().to_owned(),
        lease_until_ms,
        made_at_ms: NOW_MS,
        uptime_ms: 0,
        target_key: String::new(),
        deed: String::new(),
    }
}

/// A journal in which somebody else tries to take back and to confirm whatever is being written just now.
#[derive(Debug)]
struct Meddled<'a> {
    bench: &'a Bench,
    refused: Mutex<Vec<String>>,
}

impl Journal for Meddled<'_> {
    fn intend(&self, intent: &Intent) -> Result<i64, JournalError> {
        self.bench.store.intend(intent)
    }
    fn advance(&self, id: i64, state: JournalState, note: &str, at_ms: i64) -> Result<(), JournalError> {
        let Bench { executor, store, .. } = self.bench;
        for tried in [executor.undo(id, store, NOW_MS).map(drop), executor.confirm(id, "resolved", store, NOW_MS)] {
            assert!(matches!(tried, Err(ExecuteError::AtWork { .. })), "{tried:?} while it becomes {state}");
        }
        assert_eq!(executor.expire_leases(store, i64::MAX).unwrap(), [""; 0], "while it becomes {state}");
        self.refused.lock().unwrap().push(state.to_string());
        store.advance(id, state, note, at_ms)
    }
    fn get(&self, id: i64) -> Result<Option<JournalRow>, JournalError> {
        self.bench.store.get(id)
    }
    fn latest(&self, count: u32) -> Result<Vec<JournalRow>, JournalError> {
        self.bench.store.latest(count)
    }
    fn unsettled(&self) -> Result<Vec<JournalRow>, JournalError> {
        self.bench.store.unsettled()
    }
}

#[test]
fn one_hand_at_a_time_is_at_work_on_an_action() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let journal = Meddled { bench: &bench, refused: Mutex::default() };
    let permit = bench.judge("pause_process", json!({ "pid": target.pid() })).unwrap();
    let outcome = bench.executor.run(permit, &journal, &Errand::ordered(), NOW_MS).unwrap();
    let id = outcome.action_id.unwrap();
    bench.executor.confirm(id, "resolved", &bench.store, NOW_MS).unwrap();
    bench.executor.undo(id, &journal, NOW_MS).unwrap();
    assert_eq!(*journal.refused.lock().unwrap(), ["done", "owed", "undone"]);
    target.comes_to_run();
    // Who comes late changes nothing.
    for late in [bench.undo(&outcome).map(drop), bench.executor.confirm(id, "resolved", &bench.store, NOW_MS)] {
        assert!(matches!(late, Err(ExecuteError::Over { state: JournalState::Undone, .. })), "{late:?}");
    }
}
