//! What a trace tells, and what it teaches.

use expect_test::expect;
use kernelsight::{
    decide::{Confidence, ConfidencePart, Decision, FailureMode, Hypothesis, Prediction, Proposal},
    execute::{ActionRequest, Denial, Outcome, OutcomeStatus},
    live::Autonomy,
    observe::{Entity, Severity, SignalType},
    reflect::{Belief, Experience, Phase, Trace, accuracy, beliefs, next_confidence, story},
    verify::{Verdict, Verification},
};

use crate::scene::{Scene, actor};

fn prediction(before: f64, after: f64) -> Prediction {
    Prediction {
        signal_type: SignalType::MemoryPressure,
        measure: "node_some_percent".into(),
        entity: Entity::Node,
        before,
        after,
        lower_is_better: true,
        within_s: 10,
        statement: "it goes from 40 % to 30 %".into(),
    }
}

fn verification(verdict: Verdict, before: f64, after: Option<f64>) -> Verification {
    Verification {
        verdict,
        before,
        after,
        severity_before: Severity::High,
        severity_after: Severity::Low,
        samples: 5,
        settled_s: 10.0,
        statement: "it fell".into(),
    }
}

#[test]
fn eighteen_percent_where_twenty_five_was_predicted_is_accurate_to_72_percent() {
    let of = accuracy(&prediction(100.0, 75.0), &verification(Verdict::Improved, 100.0, Some(82.0))).unwrap();
    assert!((of.accuracy - 0.72).abs() < 1e-9 && of.within_tolerance, "{of:?}");
    assert!((of.factor - 0.72).abs() < 1e-9, "{of:?}");
}

#[test]
fn a_change_the_other_way_is_accurate_to_nothing() {
    let of = accuracy(&prediction(100.0, 75.0), &verification(Verdict::Worse, 100.0, Some(120.0))).unwrap();
    assert_eq!((of.accuracy, of.within_tolerance, of.factor), (0.0, false, 0.1));
}

#[test]
fn without_a_value_after_nothing_is_compared() {
    assert_eq!(accuracy(&prediction(100.0, 75.0), &verification(Verdict::Resolved, 100.0, None)), None);
}

#[test]
fn three_successes_in_four_tries_are_a_rate_a_mean_effect_and_a_new_confidence() {
    let one = |verdict, effect: f64| Experience {
        action_type: "lower_process_priority".into(),
        failure_mode: "cpu_hog".into(),
        verdict,
        effect: Some(effect),
        factor: Some(effect / -0.25),
    };
    let of = beliefs(&[
        one(Verdict::Resolved, -0.30),
        one(Verdict::Improved, -0.28),
        one(Verdict::Resolved, -0.26),
        one(Verdict::Unchanged, -0.04),
    ]);
    let [Belief { attempts: 4, successes: 3, mean_effect, effect_factor, .. }] = &of[..] else { panic!("{of:?}") };
    assert!((mean_effect + 0.22).abs() < 1e-9 && (effect_factor - 0.88).abs() < 1e-9, "{of:?}");
    assert!((next_confidence(0.85, of.first()) - 0.80).abs() < 1e-9);
    assert_eq!(next_confidence(0.85, None), 0.85);
}

#[test]
fn one_try_that_came_to_nothing_does_not_spoil_what_is_expected_of_an_action() {
    let after = |attempts, effect_factor| {
        let (action_type, failure_mode) = ("limit_cgroup_io".to_owned(), "device_saturation".to_owned());
        let belief = Belief { action_type, failure_mode, attempts, successes: 0, mean_effect: 0.0, effect_factor };
        (belief.next_factor() * 100.0).round() / 100.0
    };
    assert_eq!([after(0, 0.0), after(1, 0.0), after(4, 0.0), after(400, 0.0)], [1.0, 0.82, 0.55, 0.11]);
    // What does more than was predicted is not expected to.
    assert_eq!([after(4, 0.7), after(4, 2.0)], [0.85, 1.0]);
}

fn freeze() -> ActionRequest {
    let params = serde_json::json!({ "cgroup": "/x" });
    ActionRequest { action_type: "freeze_cgroup".into(), params: params.as_object().unwrap().clone() }
}

/// A trace up to the proposal; returns it with the time of the next step.
fn proposed() -> Trace {
    let scene = Scene::of(&[actor(51, "a|b")], &[]);
    let signal = scene.signal(1, SignalType::MemoryPressure, "node_some_percent", Entity::Node, 40.0);
    let (mut incident, mut explanation) = scene.explain(&[signal]);
    incident.uid = kernelsight::explain::IncidentUid("0190-uid".into());
    explanation.incident = incident.uid.clone();
    let mut trace = Trace::open(&incident, Autonomy::Guardian, 1_700_000_000_000);
    trace.keep(explanation.clone(), 1_700_000_000_010);
    trace.keep(kernelsight::simulate::simulate(&explanation, &[]), 1_700_000_000_020);
    let kept = trace.keep(
        Proposal {
            only_with_approval: None,
            case: None,
            incident: incident.uid,
            author: "rules".into(),
            hypotheses: vec![Hypothesis {
                failure_mode: FailureMode::MemoryHog,
                statement: "a|b (pid 51) takes the memory".into(),
                evidence_for: vec!["it grows".into()],
                evidence_against: vec![],
                confidence: 0.9,
            }],
            decision: Decision::Act {
                actions: freeze().into(),
                targets: vec![],
                prediction: prediction(40.0, 30.0),
                is_test: false,
            },
            justification: "It suffices.".into(),
            confidence: Confidence::of(vec![ConfidencePart { name: "evidence".into(), factor: 0.9 }]),
        },
        1_700_000_000_030,
    );
    assert_eq!(kept.confidence.value, 0.9);
    trace
}

fn outcome(status: OutcomeStatus) -> Outcome {
    Outcome {
        action_id: Some(1),
        action: freeze(),
        command: "cgset freezer.state=FROZEN /x".into(),
        status,
        output: String::new(),
        duration_ms: 3,
        change: "THAWED -> FROZEN".into(),
        lease_until_ms: None,
    }
}

#[test]
fn a_trace_tells_its_seven_steps_as_an_auditor_reads_them() {
    let mut trace = proposed();
    trace.keep(outcome(OutcomeStatus::Done), 1_700_000_000_040);
    trace.keep(verification(Verdict::Resolved, 40.0, Some(2.0)), 1_700_000_010_040);
    let trace = trace.close(1_700_000_010_050);
    let phases: Vec<Phase> = trace.steps.iter().map(|step| step.phase).collect();
    use Phase::*;
    assert_eq!(phases, [Observe, Explain, Simulate, Decide, Execute, Verify, Reflect]);
    expect![[r##"
        # Trace 0 of incident 0190-uid

        2023-11-14T22:13:20Z, autonomy guardian

        | | |
        |---|---|
        | observation | medium memory_pressure: node_some_percent of node |
        | hypothesis | memory_hog: a\|b (pid 51) takes the memory |
        | evidence | for: it grows. against: nothing. |
        | predicted outcome | it goes from 40 % to 30 % |
        | recommended action | freeze_cgroup(cgroup "/x") |
        | confidence | 0.90 |
        | actual outcome | resolved: it fell |
        | accuracy of the prediction | 26 %, out of tolerance |
        | lesson | freeze_cgroup ended resolved with node_some_percent at 2.0 %. -25 % was predicted, -95 % came: accuracy 26 %, out of tolerance, adjust the factor by 2.00x. It is worth doing again. |

        ## Steps

        1. **observe** (+0.0 s) medium memory_pressure: node_some_percent of node
        2. **explain** (+0.0 s) node_some_percent of node. a|b (pid 51) has 0 % of the memory: 4 MiB. Not known: what is usual for node_some_percent is not known yet: 0 samples, 300 are needed; the trend is not known: 0 values, 10 are needed.
        3. **simulate** (+0.0 s) Nothing can be said of what comes: there are too few points for a trend.
        4. **decide** (+0.0 s) rules: freeze_cgroup(cgroup "/x"). It suffices. Confidence 0.90 = evidence 0.90.
        5. **execute** (+0.0 s) `cgset freezer.state=FROZEN /x` done, THAWED -> FROZEN (3 ms)
        6. **verify** (+10.0 s) resolved: it fell
        7. **reflect** (+10.1 s) freeze_cgroup ended resolved with node_some_percent at 2.0 %. -25 % was predicted, -95 % came: accuracy 26 %, out of tolerance, adjust the factor by 2.00x. It is worth doing again.

        Closed 2023-11-14T22:13:30.05Z.
    "##]]
    .assert_eq(&story(&trace));
}

#[test]
fn a_denied_trace_says_why_and_that_nothing_was_learnt() {
    let mut trace = proposed();
    trace.keep(Denial { reason: "advisor only looks".into(), rule: "autonomy.advisor".into() }, 1_700_000_000_040);
    let trace = trace.close(1_700_000_000_050);
    assert_eq!(trace.actual_outcome.as_deref(), Some("denied: advisor only looks"));
    assert_eq!(
        trace.lessons_learned.as_deref(),
        Some("Nothing was done: advisor only looks (autonomy.advisor). The prediction stays untested.")
    );
    assert_eq!((trace.accuracy, Experience::of(&trace)), (None, None));
}

#[test]
fn an_undo_is_a_step_of_its_own_and_the_experience_a_failure() {
    let mut trace = proposed();
    trace.keep(outcome(OutcomeStatus::Done), 1_700_000_000_040);
    trace.keep(verification(Verdict::Unchanged, 40.0, Some(40.0)), 1_700_000_010_040);
    trace.keep_undo(outcome(OutcomeStatus::Done), 1_700_000_010_050);
    let trace = trace.close(1_700_000_010_060);
    assert!(trace.steps.iter().any(|step| step.text.starts_with("taken back: ")));
    assert_eq!((trace.prediction_accurate, trace.accuracy), (Some(false), Some(0.0)));
    let experience = Experience::of(&trace).unwrap();
    assert_eq!((experience.failure_mode.as_str(), experience.verdict), ("memory_hog", Verdict::Unchanged));
    assert_eq!(beliefs(&[experience])[0].successes, 0);
}
