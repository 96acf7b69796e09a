//! The guard before every effect, in front of the real executor: what holds, what stalls, what was done too often.

use std::{path::Path, sync::Arc, time::Duration};

use kernelsight::{
    clock::{now_ms, uptime_ms},
    execute::{Errand, ExecuteError, Executor, Guard, Hold, HoldKind, Limits, Outcome},
    explain::IncidentUid,
};
use serde_json::json;

use crate::{
    daemon::Daemon,
    execute_support::{Bench, Target, executor, is_root},
};

struct Guarded {
    bench: Bench,
    guard: Arc<Guard>,
    executor: Executor,
}

fn guarded() -> Guarded {
    let bench = Bench::new();
    let guard = Arc::new(Guard::new(Limits::load(None).unwrap(), Duration::from_secs(1)));
    guard.turned(uptime_ms());
    let executor = executor(&bench.policy).behind(Arc::clone(&guard));
    Guarded { bench, guard, executor }
}

impl Guarded {
    fn pause(&self, target: &Target, errand: &Errand) -> Result<Outcome, ExecuteError> {
        let permit = self.bench.judge("pause_process", json!({ "pid": target.pid() })).unwrap();
        self.executor.run(permit, &self.bench.store, errand, now_ms())
    }
}

fn hold(kind: HoldKind) -> Hold {
    Hold { kind, why: "a test".to_owned(), by: "ann".to_owned(), since_ms: now_ms(), until_ms: None }
}

#[test]
fn while_something_holds_nothing_is_done_and_all_can_be_taken_back() {
    if !is_root() {
        return;
    }
    let (house, target) = (guarded(), Target::idle());
    let outcome = house.pause(&target, &Errand::ordered()).unwrap();
    target.comes_to_stand();
    let other = Target::idle();
    let resumed = "`kernelsight resume` ends that";
    for (kind, ends) in [
        (HoldKind::Paused, resumed),
        (HoldKind::Storm, resumed),
        (HoldKind::CrashLoop, resumed),
        (HoldKind::Watchtower, "that ends when an answer comes"),
        (HoldKind::Unconfined, "only another start ends that"),
        (HoldKind::Unsettled, "that ends when it is gone"),
    ] {
        house.guard.hold(hold(kind));
        let refused = house.pause(&other, &Errand::ordered()).unwrap_err().to_string();
        assert!(refused.contains(&format!(" by ann: a test; {ends}")), "{refused}");
        assert_eq!(house.guard.release(&[kind]).len(), 1);
    }
    other.comes_to_run();
    house.guard.hold(hold(HoldKind::Paused));
    house.executor.undo(outcome.action_id.unwrap(), &house.bench.store, now_ms()).unwrap();
    target.comes_to_run();
}

#[test]
fn a_hold_ends_when_its_time_is_over() {
    let guard = Guard::new(Limits::load(None).unwrap(), Duration::from_secs(1));
    guard.hold(Hold { until_ms: Some(1000), ..hold(HoldKind::Paused) });
    assert_eq!((guard.holds(999).len(), guard.holds(1000).len()), (1, 0));
}

#[test]
fn a_loop_that_does_not_turn_has_no_effect_any_more() {
    if !is_root() {
        return;
    }
    let (house, target) = (guarded(), Target::idle());
    house.guard.turned(uptime_ms() - 16_000);
    let refused = house.pause(&target, &Errand::ordered()).unwrap_err().to_string();
    assert_eq!(refused, "the loop has not turned for 16 s");
    house.guard.turned(uptime_ms());
    house.pause(&target, &Errand::ordered()).unwrap();
}

#[test]
fn two_deeds_of_one_incident_never_run_at_once() {
    if !is_root() {
        return;
    }
    let (house, targets) = (guarded(), [Target::idle(), Target::idle()]);
    let incident = IncidentUid::new();
    // As two passes would: each judged before the other did anything.
    let outcomes = std::thread::scope(|scope| {
        let (house, incident) = (&house, &incident);
        let run = |target| scope.spawn(move || house.pause(target, &Errand::of(incident)).map(drop));
        targets.each_ref().map(run).map(|thread| thread.join().unwrap())
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    let refused = outcomes.into_iter().find_map(Result::err).unwrap().to_string();
    assert!(refused.contains(" for the same incident is being verified"), "{refused}");
}

#[test]
fn a_pause_outlives_the_daemon_and_a_crash_loop_makes_one() {
    if !is_root() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let holds = |daemon: &Daemon| daemon.ask(&["status"])["holds"].clone();
    let first = Daemon::start(state.path(), "advisor");
    assert_eq!(holds(&first), json!([]));
    first.ask(&["pause", "--reason", "the disk is replaced"]);
    first.kill();
    let second = Daemon::start(state.path(), "advisor");
    assert_eq!(holds(&second)[0]["why"], "the disk is replaced");
    let ended = second.ask(&["resume"])["ended"].clone();
    assert_eq!((ended[0]["kind"].clone(), holds(&second)), (json!("paused"), json!([])));
    second.kill();
    looping(state.path());
}

/// Three more starts within the minute are five.
fn looping(state: &Path) {
    for _ in 0..2 {
        Daemon::start(state, "advisor").kill();
    }
    let fifth = Daemon::start(state, "advisor");
    let held = fifth.ask(&["status"])["holds"][0].clone();
    assert_eq!((held["kind"].clone(), held["by"].clone()), (json!("crash_loop"), json!("the agent")), "{held}");
    assert_eq!(fifth.ask(&["resume"])["ended"][0]["kind"], "crash_loop");
    fifth.stop();
}
