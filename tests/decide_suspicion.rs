//! Suspicions that stay ambiguous: who is given less for a while, and what is learnt of it.

use kernelsight::{
    decide::{Attempt, Case, Decision, Proposal},
    execute::Actions,
    observe::{Entity, SignalType},
    reflect::Experience,
    verify::Verdict,
};

use crate::{
    decide::{case, decide, told},
    scene::{Actor, Group, Scene, actor, group},
    store_rows,
};

const MIB: u64 = 1 << 20;

/// Writers of so many MiB/s, each in a cgroup of its own, beside one who writes little and waits.
fn writers(mib_per_s: [u64; 3], others_wait: f64, io_limited: Option<bool>) -> Case {
    let of = |pid, cgroup, written| Actor { cgroup, written, ..actor(pid, "writer") };
    let [a, b, c] = mib_per_s.map(|mib| mib * MIB);
    let actors = [of(50, "/a", a), of(51, "/b", b), of(52, "/c", c), of(60, "/victim", 64 << 10)];
    let groups = ["/a", "/b", "/c", "/victim"].map(|path| Group { io_limited, ..group(path) });
    let mut scene = Scene::of(&actors, &groups);
    for _ in 0..5 {
        scene.keep(SignalType::IoCongestion, "others_io_wait_percent", &Entity::Node, others_wait);
    }
    let disk = Entity::Device { name: "vda".into() };
    case(&scene, &[scene.signal(1, SignalType::BlockDeviceSaturation, "queue_depth", disk, 30.0)])
}

fn spread() -> Case {
    writers([4, 4, 3], 80.0, Some(false))
}

fn act(proposal: &Proposal) -> Option<(Actions, bool)> {
    match &proposal.decision {
        Decision::Act { actions, is_test, .. } => Some((actions.clone(), *is_test)),
        _ => None,
    }
}

/// Whom the proposal gives less.
fn slowed(proposal: &Proposal) -> Option<(String, bool)> {
    let (actions, is_test) = act(proposal)?;
    assert_eq!(actions.action_type(), "limit_cgroup_io", "{}", told(proposal));
    Some((actions.first().cgroup()?.to_owned(), is_test))
}

/// What is decided one after the other, each time with that verdict.
fn tested(mut case: Case, verdict: Verdict) -> (Vec<String>, Proposal) {
    let mut all = Vec::new();
    loop {
        let proposal = decide(&case);
        let Some((actions, is_test)) = act(&proposal) else { return (all, proposal) };
        let (cgroup, _) = slowed(&proposal).unwrap();
        all.push(format!("{cgroup}{}", if is_test { " to test" } else { "" }));
        case.tried.push(Attempt { actions, result: verdict.name().to_owned(), is_test });
        assert!(all.len() < 10, "it never ends: {all:?}");
    }
}

#[test]
fn where_the_blame_is_spread_one_after_the_other_is_given_less_until_it_helps() {
    let first = decide(&spread());
    assert_eq!(slowed(&first), Some(("/a".to_owned(), true)));
    let Decision::Act { prediction, .. } = &first.decision else { panic!() };
    assert_eq!((prediction.measure.as_str(), prediction.before), ("others_io_wait_percent", 80.0));
    // Medium is at 50: that is what shows the cause.
    assert!((20.0..50.0).contains(&prediction.after) && prediction.within_s <= 20, "{prediction:?}");
    for words in ["It is a test, because the blame is spread", "writer (pid 50)", "which clears it"] {
        assert!(first.justification.contains(words), "{}", first.justification);
    }

    let (all, last) = tested(spread(), Verdict::Unchanged);
    assert_eq!(all, ["/a to test", "/b to test", "/c to test"]);
    let Decision::Advise { advice } = last.decision else { panic!() };
    assert!(
        advice.contains("the blame is spread") && advice.matches("changed nothing for the better").count() == 3,
        "{advice}"
    );
}

#[test]
fn after_three_tests_of_an_incident_nobody_is_tested() {
    let mut case = spread();
    let (actions, _) = act(&decide(&case)).unwrap();
    for (at, others) in ["/gone1", "/gone2", "/gone3"].into_iter().enumerate() {
        assert_eq!(slowed(&decide(&case)), Some(("/a".to_owned(), true)), "after {at}");
        let mut other = actions.first().clone();
        other.params.insert("cgroup".to_owned(), others.into());
        case.tried.push(Attempt { actions: other.into(), result: Verdict::Unchanged.name().to_owned(), is_test: true });
    }
    assert_eq!(act(&decide(&case)), None);
}

#[test]
fn who_is_only_tested_keeps_half_of_what_he_does() {
    let mut case = spread();
    let disk = case.explanation.node.busiest_disk.as_mut().unwrap();
    (disk.reads_per_s, disk.read_bytes_per_s, disk.busy_percent) = (0.0, 0.0, 100.0);
    (disk.writes_per_s, disk.written_bytes_per_s) = (1000.0, 4096.0 * 1000.0);
    for suspect in &mut case.explanation.suspects {
        suspect.share = 0.3;
    }
    let (actions, _) = act(&decide(&case)).unwrap();
    assert_eq!(
        (actions.first().params["what"].as_str(), actions.first().number("rate")),
        (Some("write_iops"), Some(150.0))
    );
}

#[test]
fn who_was_slowed_in_vain_may_not_be_the_cause_and_the_next_is_tested() {
    let clear = || writers([8, 2, 2], 80.0, Some(false));
    assert_eq!(tested(clear(), Verdict::Unchanged).0, ["/a", "/b to test", "/c to test"]);
    // Who takes next to nothing is not suspected.
    assert_eq!(tested(writers([20, 2, 1], 80.0, Some(false)), Verdict::Unchanged).0, ["/a"]);
    // What was denied, or could not be done, tells nothing.
    let mut denied = clear();
    let (actions, _) = act(&decide(&denied)).unwrap();
    denied.tried.push(Attempt { actions, result: "denied: protected".to_owned(), is_test: false });
    assert_eq!(slowed(&decide(&denied)), None);
}

#[test]
fn who_waits_longest_and_does_little_is_never_slowed() {
    let stalls = |mut case: Case, percent: [f64; 3]| {
        for suspect in &mut case.explanation.suspects {
            let cgroups = ["/a", "/b", "/c"];
            let at = cgroups.iter().position(|cgroup| suspect.is_in(cgroup)).unwrap();
            suspect.numbers.0.push(("cgroup_io_stall_percent".into(), percent[at]));
        }
        tested(case, Verdict::Unchanged).0
    };
    let shared = || writers([8, 3, 2], 80.0, Some(false));
    assert_eq!(stalls(shared(), [90.0, 10.0, 10.0]), ["/a", "/b to test", "/c to test"]);
    assert_eq!(stalls(shared(), [90.0, 75.0, 10.0]), ["/a", "/c to test"]);
    // Who does much waits for what it does itself.
    assert_eq!(stalls(writers([8, 5, 2], 80.0, Some(false)), [90.0, 75.0, 75.0]), ["/a", "/b to test"]);
}

#[test]
fn below_guardian_nobody_is_tested_and_it_is_said_who_would_be() {
    let proposal = decide(&Case { may_test: false, ..spread() });
    let Decision::Advise { advice } = &proposal.decision else { panic!("{}", told(&proposal)) };
    let would = "At guardian and above it would be tested: writer (pid 50), with ";
    assert!(advice.contains(would), "{advice}");
}

#[test]
fn nobody_is_tested_where_nobody_waits_or_nothing_can_be_limited() {
    for (case, why) in [
        (writers([4, 4, 3], 2.0, Some(false)), "the evidence for device_saturation is thin"),
        (writers([4, 4, 3], 80.0, Some(true)), "device vda is saturated"),
        (writers([4, 4, 3], 80.0, None), "device vda is saturated"),
    ] {
        let proposal = decide(&case);
        assert_eq!(act(&proposal), None);
        let told = told(&proposal);
        assert!(told.contains(why) && !told.contains("tested"), "{told}");
    }
}

#[test]
fn a_test_teaches_of_the_suspect_and_not_of_the_action() {
    let mut trace = store_rows::trace("incident-1", 48.0, Verdict::Unchanged);
    assert!(Experience::of(&trace).is_some());
    let Some(Proposal { decision: Decision::Act { is_test, .. }, .. }) = &mut trace.proposal else { panic!() };
    *is_test = true;
    assert_eq!(Experience::of(&trace), None);
    let lesson = |verdict| store_rows::trace("incident-1", 48.0, verdict);
    for (verdict, said) in [(Verdict::Resolved, "It is the cause"), (Verdict::Unchanged, "It is cleared")] {
        let mut trace = lesson(verdict);
        if let Some(Proposal { decision: Decision::Act { is_test, .. }, .. }) = &mut trace.proposal {
            *is_test = true;
        }
        let told = trace.close(store_rows::NOW_MS).lessons_learned.unwrap();
        assert!(told.starts_with("A test: with lower_process_priority(") && told.contains(said), "{told}");
    }
}
