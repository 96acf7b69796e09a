//! What passes and what does not, by values.

use serde_json::json;

use super::*;
use crate::client::{Severity, Step};

const SEVERITIES: [Severity; 5] = [Severity::None, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

fn fault(rest: &str) -> Fault {
    let text = format!("about = \"x\"\nbound_s = 30\nload = {{ name = \"cpu_hog\" }}\n{rest}");
    toml::from_str(&text).expect("a sound fault")
}

fn hog() -> Fault {
    fault(
        "[expect]\nsignals = [\"load_mismatch\"]\nwithin_s = 10.0\nculprit = [\"process\"]\ncause = [\"cpu_hog\"]\n\
         actions = [\"lower_process_priority\"]",
    )
}

fn control() -> Fault {
    fault("[control]\nworst = \"medium\"")
}

fn signal(kind: &str, pid: u32, peak: &str) -> serde_json::Value {
    json!({ "id": 1, "signal_type": kind, "measure": "m", "entity": { "kind": "process", "pid": pid, "comm": "x" },
            "peak_severity": peak, "sentence": "s", "first_seen_ms": 0, "closed_ms": null })
}

fn trace(pid: u32, action: &str, verdict: &str) -> Trace {
    let primary = signal("load_mismatch", pid, "high");
    serde_json::from_value(json!({
        "trace_id": 1, "incident": "u", "steps": [],
        "explanation": { "primary": primary, "suspects": [{ "entity": { "kind": "process", "pid": pid } }] },
        "proposal": { "hypotheses": [{ "failure_mode": "cpu_hog" }], "decision": { "kind": "act" } },
        "outcomes": [{ "action_id": 1, "action": { "action_type": action, "params": { "pid": pid } }, "status": "done" }],
        "verification": { "verdict": verdict },
    }))
    .expect("a trace")
}

fn seen(trace_of: Trace) -> Seen {
    let kind: Signal = serde_json::from_value(signal("load_mismatch", 7, "high")).expect("a signal");
    Seen {
        signals: vec![(2.0, kind)],
        traces: vec![trace_of],
        culprits: vec![7],
        processes: vec![6, 7],
        ..Seen::default()
    }
}

fn check(fault: &Fault, seen: &Seen, reasons: &[&str]) {
    let score = score(fault, seen);
    assert_eq!(score.reasons, reasons);
    assert_eq!(score.passed, reasons.is_empty());
}

#[test]
fn an_incident_named_after_another_type_counts_only_if_the_expected_one_is_a_symptom_in_it() {
    let mut fault = hog();
    let mut of_scheduler = trace(7, "lower_process_priority", "resolved");
    let explanation = of_scheduler.explanation.as_mut().expect("one");
    explanation.primary.signal_type = "scheduler".to_owned();
    let blind = ["blamed nothing, not the load (pid 7)", "explained as nothing, not cpu_hog"];
    check(&fault, &seen(of_scheduler.clone()), &blind);
    fault.expect.as_mut().expect("one").headed_by = vec!["scheduler".to_owned()];
    check(&fault, &seen(of_scheduler.clone()), &blind);
    let symptom = serde_json::from_value(signal("load_mismatch", 7, "high")).expect("a signal");
    of_scheduler.explanation.as_mut().expect("one").symptoms = vec![symptom];
    check(&fault, &seen(of_scheduler.clone()), &[]);
    // It is no detection by itself.
    let unseen = Seen { signals: Vec::new(), ..seen(of_scheduler) };
    check(&fault, &unseen, &["no signal of load_mismatch"]);
}

#[test]
fn the_right_deed_to_the_right_process_passes() {
    check(&hog(), &seen(trace(7, "lower_process_priority", "resolved")), &[]);
}

#[test]
fn what_was_open_before_it_came_is_told_of_a_round_that_failed() {
    let earlier = ["syscall: mount /data".to_owned()].into();
    let mut unquiet = Seen { earlier, ..seen(trace(7, "lower_process_priority", "resolved")) };
    check(&hog(), &unquiet, &[]);
    unquiet.signals[0].0 = 11.0;
    check(&hog(), &unquiet, &["seen after 11.0 s; 10 s are given", "open before it came: syscall: mount /data"]);
}

#[test]
fn a_signal_that_comes_late_fails() {
    let mut late = seen(trace(7, "lower_process_priority", "resolved"));
    late.signals[0].0 = 11.0;
    check(&hog(), &late, &["seen after 11.0 s; 10 s are given"]);
}

#[test]
fn a_deed_to_a_stranger_fails_whatever_came_of_it() {
    check(
        &hog(),
        &seen(trace(99, "lower_process_priority", "resolved")),
        &["blamed process (pid 99), not the load (pid 7)", "done to a stranger: lower_process_priority pid=99"],
    );
}

#[test]
fn a_deed_to_the_decoy_is_an_error_that_counts_unless_it_was_taken_back() {
    let beside_decoy = |on_decoy: &str, on_load: &str| {
        let mut in_error = trace(99, "lower_process_priority", on_decoy);
        in_error.undone.clone_from(&in_error.outcomes);
        let decoy = Some(Strangers { processes: vec![99], cgroup: None });
        let mut seen = Seen { decoy, ..seen(in_error) };
        seen.traces.push(trace(7, "lower_process_priority", on_load));
        // Whom a look names first is not what counts: whom a deed helped on is.
        for trace in &mut seen.traces {
            trace.explanation.as_mut().expect("one").suspects[0].entity.pid = Some(99);
        }
        seen
    };
    check(&hog(), &beside_decoy("unchanged", "resolved"), &[]);
    check(&hog(), &beside_decoy("improved", "resolved"), &["done to a stranger: lower_process_priority pid=99"]);
    let mut in_vain = beside_decoy("unchanged", "unchanged");
    in_vain.traces[1].undone = in_vain.traces[1].outcomes.clone();
    check(&hog(), &in_vain, &["blamed process (pid 99), not the load (pid 7)", "no action helped, by its verdict"]);
}

#[test]
fn ending_what_should_only_yield_fails() {
    check(&hog(), &seen(trace(7, "terminate_process", "resolved")), &["not what helps: terminate_process pid=7"]);
}

#[test]
fn a_deed_that_did_not_help_must_be_taken_back() {
    check(
        &hog(),
        &seen(trace(7, "lower_process_priority", "unchanged")),
        &["no action helped, by its verdict", "what did not help was not taken back (trace 1)"],
    );
}

#[test]
fn doing_nothing_about_what_could_be_helped_fails() {
    let mut idle = trace(7, "lower_process_priority", "resolved");
    idle.outcomes.clear();
    idle.verification = None;
    check(&hog(), &seen(idle), &["nothing was done"]);
}

#[test]
fn a_changed_setting_fails_although_all_else_is_well() {
    let mut changed = seen(trace(7, "lower_process_priority", "resolved"));
    changed.changes.push("vm.swappiness: 60 -> 10".into());
    check(&hog(), &changed, &["changed: vm.swappiness: 60 -> 10"]);
}

#[test]
fn a_name_that_comes_through_raw_fails() {
    let mut raw = seen(trace(7, "lower_process_priority", "resolved"));
    raw.signals[0].1.sentence = "\u{1b}[2J calm".into();
    check(&hog(), &raw, &["a control character came through: \"\\u{1b}[2J calm\""]);
}

#[test]
fn a_control_bears_no_action() {
    let mut acted = seen(trace(7, "lower_process_priority", "resolved"));
    acted.signals.clear();
    let score = score(&control(), &acted);
    assert_eq!(score.reasons, ["an action on what is no fault: lower_process_priority pid=7"]);
    assert!(score.acted_on_a_control(&control()));
}

#[test]
fn a_control_bears_signals_up_to_its_worst() {
    for severity in SEVERITIES {
        let mut noisy = Seen::default();
        let mut kind: Signal = serde_json::from_value(signal("scheduler", 7, "low")).expect("a signal");
        kind.peak_severity = severity;
        noisy.signals.push((1.0, kind));
        assert_eq!(score(&control(), &noisy).passed, severity <= Severity::Medium, "{severity:?}");
    }
}

/// Steps of a pass, each with its second after an onset at 100 s.
fn told(trace: &mut Trace, steps: &[(&str, f64, &str)]) {
    let step = |(phase, at_s, text): &(&str, f64, &str)| Step {
        phase: (*phase).to_owned(),
        at_ms: 100_000 + (at_s * 1000.0) as i64,
        text: (*text).to_owned(),
    };
    trace.steps = steps.iter().map(step).collect();
}

#[test]
fn each_time_is_of_the_first_that_came() {
    let mut pass = trace(7, "lower_process_priority", "resolved");
    told(&mut pass, &[("observe", 2.5, "high"), ("decide", 2.6, "act"), ("execute", 2.9, "`renice` done (3 ms)")]);
    let mut later = trace(7, "lower_process_priority", "resolved");
    told(&mut later, &[("observe", 9.0, "high"), ("decide", 9.1, "act"), ("execute", 9.2, "`renice` done (3 ms)")]);
    let mut both = seen(later);
    both.traces.push(pass);
    both.onset_ms = 100_000;
    both.relieved_s = Some(21.0);
    // A client asked at 2.9 s first, and by then the loop was at work.
    both.signals[0].0 = 2.9;
    let expected = Times { detect_s: Some(2.5), decide_s: Some(2.6), act_s: Some(2.9), relief_s: Some(21.0) };
    assert_eq!(score(&hog(), &both).times, expected);
}

#[test]
fn a_decision_on_something_else_is_no_decision_on_the_fault() {
    let mut other = trace(7, "lower_process_priority", "resolved");
    told(&mut other, &[("observe", 2.5, "high"), ("decide", 2.6, "act")]);
    let mut kind = signal("page_fault", 7, "high");
    kind["signal_type"] = "page_fault".into();
    other.explanation.as_mut().expect("one").primary = serde_json::from_value(kind).expect("a signal");
    let times = score(&hog(), &seen(other)).times;
    assert_eq!((times.detect_s, times.decide_s), (Some(2.0), None));
}

#[test]
fn a_decision_for_another_cause_is_no_decision_on_the_fault() {
    let mut other = trace(7, "lower_process_priority", "resolved");
    told(&mut other, &[("decide", 2.6, "inconclusive")]);
    other.proposal.as_mut().expect("one").hypotheses[0].failure_mode = "memory_leak".into();
    assert_eq!(score(&hog(), &seen(other)).times.decide_s, None);
}

#[test]
fn what_was_not_carried_out_is_no_effect() {
    let mut failed = trace(7, "lower_process_priority", "resolved");
    failed.outcomes[0].status = "failed".into();
    told(&mut failed, &[("decide", 2.6, "act"), ("execute", 2.9, "`renice` failed, nothing changed (3 ms)")]);
    let score = score(&hog(), &seen(failed));
    assert_eq!((score.times.act_s, score.done.as_str()), (None, "nothing"));
}

#[test]
fn a_step_of_execution_that_ran_no_command_shifts_no_time() {
    let mut pass = trace(7, "lower_process_priority", "resolved");
    told(&mut pass, &[("execute", 2.0, "not carried out: x"), ("execute", 4.0, "`renice` done (3 ms)")]);
    let mut one = seen(pass);
    one.onset_ms = 100_000;
    assert_eq!(score(&hog(), &one).times.act_s, Some(4.0));
}

#[test]
fn the_same_done_to_three_is_told_in_a_word() {
    let mut three = trace(7, "lower_process_priority", "resolved");
    let done = three.outcomes[0].clone();
    three.outcomes = vec![done.clone(), done.clone(), done];
    assert_eq!(score(&hog(), &seen(three)).done, "lower_process_priority ×3");
}
