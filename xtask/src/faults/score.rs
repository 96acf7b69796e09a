//! The score of one fault, from what was seen: detected, blamed, explained, resolved, undone. Values only.

use serde::Serialize;

use super::catalogue::{Control, Culprit, Expect, Fault};
use crate::client::{Entity, Incident, Outcome, Severity, Signal, Trace};

/// All that was seen of one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Signals that were first seen after the onset, each with the seconds from the onset until a client saw it.
    pub(crate) signals: Vec<(f64, Signal)>,
    pub(crate) incidents: Vec<Incident>,
    pub(crate) traces: Vec<Trace>,
    /// What the load named as its culprits; empty for a control.
    pub(crate) culprits: Vec<u32>,
    /// All processes of the load, culprits included.
    pub(crate) processes: Vec<u32>,
    pub(crate) cgroup: Option<String>,
    /// What did not hold at the end, in words.
    pub(crate) unmet: Vec<String>,
    /// Who did not live to the end, in words.
    pub(crate) ended: Vec<String>,
    /// Settings that are not as they were.
    pub(crate) changes: Vec<String>,
    /// What went wrong with the agent itself.
    pub(crate) agent_troubles: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Score {
    pub(crate) name: String,
    pub(crate) passed: bool,
    /// Seconds from the onset to the signal.
    pub(crate) detected_s: Option<f64>,
    pub(crate) detected: Mark,
    pub(crate) blamed: Mark,
    pub(crate) explained: Mark,
    pub(crate) resolved: Mark,
    pub(crate) undone: Mark,
    /// What the agent did, a line each.
    pub(crate) actions: Vec<String>,
    /// Why it failed, a line each; empty when it passed.
    pub(crate) reasons: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mark {
    Yes,
    No,
    /// Not asked of this one.
    None,
}

/// Scores a run.
pub(crate) fn score(fault: &Fault, seen: &Seen) -> Score {
    let mut score = match (&fault.expect, &fault.control) {
        (Some(expect), _) => score_fault(fault, expect, seen),
        (None, Some(control)) => score_control(fault, control, seen),
        (None, None) => blank(fault, seen),
    };
    score.reasons.extend(raw_texts(seen));
    score.reasons.extend(seen.agent_troubles.iter().cloned());
    score.passed = score.reasons.is_empty();
    score
}

fn score_control(fault: &Fault, control: &Control, seen: &Seen) -> Score {
    let mut score = blank(fault, seen);
    for (_, signal) in seen.signals.iter().filter(|(_, signal)| signal.peak_severity > control.worst) {
        let what = format!("{} on {}: {}", signal.signal_type, signal.entity.words(), signal.sentence);
        score.reasons.push(format!("a {:?} signal, {what}", signal.peak_severity).to_lowercase());
    }
    for action in effects(seen) {
        score.reasons.push(format!("an action on what is no fault: {}", words(action)));
    }
    score.resolved = mark(score.reasons.is_empty());
    score.undone = mark(seen.changes.is_empty());
    score.reasons.extend(seen.changes.iter().map(|change| format!("changed: {change}")));
    score.reasons.extend(seen.ended.iter().cloned());
    score
}

fn score_fault(fault: &Fault, expect: &Expect, seen: &Seen) -> Score {
    let mut score = blank(fault, seen);
    let detected = seen
        .signals
        .iter()
        .filter(|(_, signal)| expect.signals.contains(&signal.signal_type))
        .map(|(seconds, _)| *seconds)
        .min_by(f64::total_cmp);
    score.detected_s = detected;
    score.detected = mark(detected.is_some_and(|seconds| seconds <= expect.within_s));
    match detected {
        None => score.reasons.push(format!("no signal of {}", expect.signals.join(", "))),
        Some(seconds) if seconds > expect.within_s => {
            score.reasons.push(format!("seen after {seconds:.1} s; {} s are given", expect.within_s));
        }
        Some(_) => {}
    }

    // The passes of the loop over incidents of the expected type; the last word of each counts.
    let passes: Vec<&Trace> = seen
        .traces
        .iter()
        .filter(|trace| trace.explanation.as_ref().is_some_and(|e| expect.signals.contains(&e.primary.signal_type)))
        .collect();
    let blamed: Vec<(Entity, Option<String>)> = passes.iter().filter_map(|trace| suspect(trace)).collect();
    let limit = expect.culprit.contains(&Culprit::Limit) && passes.iter().any(|trace| blames_the_limit(seen, trace));
    let culprit = blamed.iter().any(|(entity, cgroup)| is_culprit(expect, seen, entity, cgroup.as_deref()));
    score.blamed = mark(culprit || limit);
    if score.blamed == Mark::No {
        let names: Vec<String> = blamed.iter().map(|(entity, _)| entity.words()).collect();
        score.reasons.push(format!("blamed {}, not the load ({})", or_nobody(&names), place_of(seen)));
    }
    let causes: Vec<String> = passes
        .iter()
        .filter_map(|trace| Some(trace.proposal.as_ref()?.hypotheses.first()?.failure_mode.clone()))
        .collect();
    score.explained = mark(causes.iter().any(|cause| expect.cause.contains(cause)));
    if score.explained == Mark::No {
        score.reasons.push(format!("explained as {}, not {}", or_nobody(&causes), expect.cause.join(" or ")));
    }

    let before = score.reasons.len();
    score_actions(expect, seen, &mut score);
    score.resolved = mark(score.reasons.len() == before);

    let before = score.reasons.len();
    for trace in &seen.traces {
        let failed = trace.verification.as_ref().is_some_and(|v| matches!(v.verdict.as_str(), "unchanged" | "worse"));
        let done = trace.outcomes.iter().filter(|outcome| is_effect(outcome)).count();
        let taken_back =
            trace.undone.iter().filter(|undo| matches!(undo.status.as_str(), "done" | "left_alone")).count();
        if failed && taken_back < done {
            score.reasons.push(format!("what did not help was not taken back (trace {})", trace.trace_id));
        }
    }
    score.reasons.extend(seen.changes.iter().map(|change| format!("changed: {change}")));
    score.undone = mark(score.reasons.len() == before);
    score
}

/// Whether what was done is what helps, to whom it should be done, and whether it helped.
fn score_actions(expect: &Expect, seen: &Seen, score: &mut Score) {
    let effects: Vec<&Outcome> = effects(seen).collect();
    for effect in &effects {
        if !expect.actions.contains(&effect.action.action_type) {
            score.reasons.push(format!("not what helps: {}", words(effect)));
        }
        if !is_on_the_load(seen, effect) {
            score.reasons.push(format!("done to a stranger: {}", words(effect)));
        }
    }
    if !expect.actions.is_empty() {
        let helped = seen.traces.iter().any(|trace| {
            let verdict = trace.verification.as_ref().map(|verification| verification.verdict.as_str());
            trace.outcomes.iter().any(is_effect) && matches!(verdict, Some("resolved" | "improved"))
        });
        let left_alone = expect.may_be_left_alone && effects.is_empty();
        let in_vain = expect.may_be_in_vain && !effects.is_empty();
        if !helped && !left_alone && !in_vain {
            score
                .reasons
                .push(if effects.is_empty() { "nothing was done" } else { "no action helped, by its verdict" }.into());
            let denied = seen.traces.iter().filter_map(|trace| trace.denial.as_ref());
            score.reasons.extend(denied.map(|denial| format!("denied: {}", denial.reason)));
        }
    }
    score.reasons.extend(seen.unmet.iter().chain(&seen.ended).cloned());
}

/// Text of a stranger that came through as it was: none may, whatever a process calls itself.
fn raw_texts(seen: &Seen) -> Option<String> {
    let said =
        seen.signals.iter().flat_map(|(_, signal)| [Some(&signal.sentence), signal.entity.comm.as_ref()]).flatten();
    let titles = seen.incidents.iter().map(|incident| &incident.title);
    let steps = seen.traces.iter().flat_map(|trace| &trace.steps).map(|step| &step.text);
    let mut texts = said.chain(titles).chain(steps);
    let raw = texts.find(|text| text.chars().any(|letter| letter.is_control() && letter != '\n'))?;
    Some(format!("a control character came through: {raw:?}"))
}

fn blank(fault: &Fault, seen: &Seen) -> Score {
    Score {
        name: fault.name.clone(),
        passed: false,
        detected_s: None,
        detected: Mark::None,
        blamed: Mark::None,
        explained: Mark::None,
        resolved: Mark::None,
        undone: Mark::None,
        actions: in_short(&effects(seen).collect::<Vec<_>>()),
        reasons: Vec::new(),
    }
}

/// What was done and changed something; a look is no deed.
fn effects(seen: &Seen) -> impl Iterator<Item = &Outcome> {
    seen.traces.iter().flat_map(|trace| &trace.outcomes).filter(|outcome| is_effect(outcome))
}

fn is_effect(outcome: &Outcome) -> bool {
    outcome.action_id.is_some() && outcome.status == "done"
}

/// The first suspect; without suspects, what the signal is about.
fn suspect(trace: &Trace) -> Option<(Entity, Option<String>)> {
    let explanation = trace.explanation.as_ref()?;
    let first = explanation.suspects.first().map(|suspect| (suspect.entity.clone(), suspect.cgroup.clone()));
    Some(first.unwrap_or_else(|| (explanation.primary.entity.clone(), None)))
}

fn blames_the_limit(seen: &Seen, trace: &Trace) -> bool {
    let of_load = |path: Option<&str>| path.is_some() && path == seen.cgroup.as_deref();
    trace.explanation.as_ref().is_some_and(|explanation| {
        let within = explanation.suspects.first().is_none_or(|first| of_load(first.cgroup.as_deref()));
        of_load(explanation.primary.entity.path.as_deref()) && within
    })
}

fn is_culprit(expect: &Expect, seen: &Seen, entity: &Entity, cgroup: Option<&str>) -> bool {
    let process = entity.pid.is_some_and(|pid| seen.culprits.contains(&pid));
    let group = |path: Option<&str>| path.is_some() && path == seen.cgroup.as_deref();
    expect.culprit.iter().any(|culprit| match culprit {
        Culprit::Process => process,
        Culprit::Limit => false,
        Culprit::Cgroup => group(entity.path.as_deref()) || (process && group(cgroup)),
    })
}

/// Actions that name nobody concern the node; whether they may be is said by their name alone.
fn is_on_the_load(seen: &Seen, effect: &Outcome) -> bool {
    let params = &effect.action.params;
    let pid = params.get("pid").and_then(serde_json::Value::as_u64);
    let cgroup = params.get("cgroup").and_then(serde_json::Value::as_str);
    pid.is_none_or(|pid| seen.processes.iter().any(|own| u64::from(*own) == pid))
        && cgroup.is_none_or(|path| seen.cgroup.as_deref() == Some(path))
}

/// Each action in words; those that did the same to another as the one before are counted with it.
fn in_short(effects: &[&Outcome]) -> Vec<String> {
    let same = |a: &&Outcome, b: &&Outcome| a.action.action_type == b.action.action_type && a.change == b.change;
    let alike = effects.chunk_by(same).map(|alike| match alike {
        [first, others @ ..] if !others.is_empty() => format!("{}, and {} more", words(first), others.len()),
        _ => alike.iter().copied().map(words).collect(),
    });
    alike.collect()
}

fn words(outcome: &Outcome) -> String {
    let params =
        outcome.action.params.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
    let change = if outcome.change.is_empty() { String::new() } else { format!(" ({})", outcome.change) };
    format!("{} {params}{change}", outcome.action.action_type)
}

fn or_nobody(names: &[String]) -> String {
    let mut names = names.to_vec();
    names.dedup();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn place_of(seen: &Seen) -> String {
    let pids = seen.culprits.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    seen.cgroup.as_ref().map_or_else(|| format!("pid {pids}"), |path| format!("pid {pids} in {path}"))
}

const fn mark(good: bool) -> Mark {
    if good { Mark::Yes } else { Mark::No }
}

impl Score {
    /// The severest thing a control can do: have something done to it.
    pub(crate) fn acted_on_a_control(&self, fault: &Fault) -> bool {
        fault.control.is_some() && !self.actions.is_empty()
    }
}

impl Severity {
    #[cfg(test)]
    const ALL: [Self; 5] = [Self::None, Self::Low, Self::Medium, Self::High, Self::Critical];
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
        json!({ "id": 1, "signal_type": kind, "entity": { "kind": "process", "pid": pid, "comm": "x" },
                "peak_severity": peak, "sentence": "s", "first_seen_ms": 0 })
    }

    fn trace(pid: u32, action: &str, verdict: &str) -> Trace {
        let primary = signal("load_mismatch", pid, "high");
        serde_json::from_value(json!({
            "trace_id": 1, "incident": "u", "steps": [],
            "explanation": { "primary": primary, "suspects": [{ "entity": { "kind": "process", "pid": pid } }] },
            "proposal": { "hypotheses": [{ "failure_mode": "cpu_hog" }] },
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
    fn the_right_deed_to_the_right_process_passes() {
        check(&hog(), &seen(trace(7, "lower_process_priority", "resolved")), &[]);
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
        for severity in Severity::ALL {
            let mut noisy = Seen::default();
            let mut kind: Signal = serde_json::from_value(signal("scheduler", 7, "low")).expect("a signal");
            kind.peak_severity = severity;
            noisy.signals.push((1.0, kind));
            assert_eq!(score(&control(), &noisy).passed, severity <= Severity::Medium, "{severity:?}");
        }
    }
}
