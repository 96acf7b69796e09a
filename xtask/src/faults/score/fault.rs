//! A fault: seen in time, the right one blamed for the right cause, helped by what helps, and nothing left behind.

use super::{
    Mark, Score, Seen, Strangers, blank, effects, is_effect, is_expected, mark,
    times::times,
    words::{or_nobody, place_of, words},
};
use crate::{
    client::{Entity, Outcome, Trace},
    faults::catalogue::{Culprit, Expect, Fault},
};

pub(super) fn score_fault(fault: &Fault, expect: &Expect, seen: &Seen) -> Score {
    let mut score = blank(fault, seen);
    score.times = times(expect, seen);
    let detected = score.times.detect_s;
    score.detected = mark(detected.is_some_and(|seconds| seconds <= expect.within_s));
    match detected {
        None => score.reasons.push(format!("no signal of {}", expect.signals.join(", "))),
        Some(seconds) if seconds > expect.within_s => {
            score.reasons.push(format!("seen after {seconds:.1} s; {} s are given", expect.within_s));
        }
        Some(_) => {}
    }

    // The passes of the loop over incidents of the expected type; the last word of each counts.
    let passes: Vec<&Trace> = seen.traces.iter().filter(|trace| is_expected(expect, trace)).collect();
    let blamed: Vec<(Entity, Option<String>)> = passes.iter().filter_map(|trace| suspect(trace)).collect();
    let limit = expect.culprit.contains(&Culprit::Limit) && passes.iter().any(|trace| blames_the_limit(seen, trace));
    let culprit = blamed.iter().any(|(entity, cgroup)| is_culprit(expect, seen, entity, cgroup.as_deref()));
    // Beside a decoy it is a test that tells who is to blame.
    let told = seen.decoy.is_some() && passes.iter().any(|trace| helped(trace) && is_on_the_load_alone(seen, trace));
    score.blamed = mark(culprit || limit || told);
    if score.blamed == Mark::No {
        let names: Vec<String> = blamed.iter().map(|(entity, _)| entity.words()).collect();
        score.reasons.push(format!("blamed {}, not the load ({})", or_nobody(&names), place_of(seen)));
    }
    let causes: Vec<String> = passes.iter().filter_map(|trace| trace.cause().cloned()).collect();
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
    for trace in &seen.traces {
        for effect in trace.outcomes.iter().filter(|outcome| is_effect(outcome)) {
            if !expect.actions.contains(&effect.action.action_type) {
                score.reasons.push(format!("not what helps: {}", words(effect)));
            }
            let in_error = !helped(trace) && seen.decoy.as_ref().is_some_and(|decoy| is_on(decoy, effect));
            if !is_on_the_load(seen, effect) && !in_error {
                score.reasons.push(format!("done to a stranger: {}", words(effect)));
            }
        }
    }
    if !expect.actions.is_empty() {
        let helped = seen.traces.iter().any(helped);
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

/// Whether something was done that helped, by its verdict.
fn helped(trace: &Trace) -> bool {
    let verdict = trace.verification.as_ref().map(|verification| verification.verdict.as_str());
    trace.outcomes.iter().any(is_effect) && matches!(verdict, Some("resolved" | "improved"))
}

fn is_on_the_load_alone(seen: &Seen, trace: &Trace) -> bool {
    trace.outcomes.iter().filter(|outcome| is_effect(outcome)).all(|effect| is_on_the_load(seen, effect))
}

fn is_on_the_load(seen: &Seen, effect: &Outcome) -> bool {
    is_on(&Strangers { processes: seen.processes.clone(), cgroup: seen.cgroup.clone() }, effect)
}

/// Actions that name nobody concern the node; whether they may be is said by their name alone.
fn is_on(who: &Strangers, effect: &Outcome) -> bool {
    let params = &effect.action.params;
    let pid = params.get("pid").and_then(serde_json::Value::as_u64);
    let cgroup = params.get("cgroup").and_then(serde_json::Value::as_str);
    pid.is_none_or(|pid| who.processes.iter().any(|own| u64::from(*own) == pid))
        && cgroup.is_none_or(|path| who.cgroup.as_deref() == Some(path))
}
