//! The offline reasoner: rules over explanation and forecast, one file a failure mode. It never reads a name.
//!
//! A rule says what speaks for it and against it, and a ladder of remedies, mildest first. What is chosen is the
//! mildest whose predicted effect suffices; when the evidence is thin, nothing is done and that is said.

mod cgroup_memory_limit;
mod close_wait_leak;
mod cpu_hog;
mod cpu_quota;
mod device_saturation;
mod disk;
mod disk_full;
mod evidence;
mod fd_exhaustion;
mod fork_storm;
mod listen_overflow;
mod major_fault_storm;
mod memory_hog;
mod memory_leak;
mod minor_fault_churn;
mod options;
mod pids_limit;
mod port_exhaustion;
mod raise;
mod remedy;
mod suspicion;
mod swap_thrash;
mod switch_storm;
mod syscall_errors;
mod syscall_storm;
mod writeback_congestion;

use std::{collections::BTreeSet, future::Future, pin::Pin};

use super::{
    Attempt, Case, Confidence, ConfidencePart, Decision, FailureMode, Hypothesis, Prediction, Proposal, Reasoner,
};
use crate::{
    execute::Actions,
    explain::{Explanation, Suspect, Yardstick, figures::figure},
    observe::{ProcessId, Severity},
    reflect::{Belief, next_confidence},
    simulate::{Effect, effects, targets},
    verify::{Verdict, settle_s},
};
use evidence::Finding;
pub use options::options;
use remedy::{ASKS_TO_END, Remedies, Remedy, Rung};

/// All rules. A hypothesis of an earlier one wins among equals.
const RULES: [Rule; 20] = [
    memory_leak::RULE,
    memory_hog::RULE,
    cgroup_memory_limit::RULE,
    swap_thrash::RULE,
    cpu_hog::RULE,
    cpu_quota::RULE,
    fork_storm::RULE,
    switch_storm::RULE,
    minor_fault_churn::RULE,
    major_fault_storm::RULE,
    fd_exhaustion::RULE,
    pids_limit::RULE,
    syscall_storm::RULE,
    disk_full::RULE,
    syscall_errors::RULE,
    device_saturation::RULE,
    writeback_congestion::RULE,
    port_exhaustion::RULE,
    listen_overflow::RULE,
    close_wait_leak::RULE,
];

/// Below this confidence nothing is done.
const FLOOR: f64 = 0.5;
/// Those that an action reaches take at least this part of what is contested, or the blame is spread.
const DOMINANT: f64 = 0.4;
/// An action that failed so often on this failure mode is not tried again by itself.
const HOPELESS_AFTER: u32 = 3;
/// What is believed of an action's success before it was ever tried.
const PRIOR_SUCCESS: f64 = 0.9;

/// One failure mode: how it is recognised, and what helps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    failure_mode: FailureMode,
    /// None when the signals are not of this kind at all.
    hypothesise: fn(&Explanation) -> Option<Finding>,
    /// What helps if it is so.
    remedies: fn(&Explanation) -> Remedies,
}

/// The reasoner that needs nothing but the numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules;

impl Reasoner for Rules {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn decide<'a>(&'a self, case: &'a Case) -> Pin<Box<dyn Future<Output = Proposal> + Send + 'a>> {
        Box::pin(std::future::ready(decide(case)))
    }
}

/// The actions that the rules consider for an incident, mildest first: what [`crate::simulate`] is asked to reckon.
#[must_use]
pub fn candidates(explanation: &Explanation) -> Vec<Actions> {
    let Some((rule, _)) = hypotheses(explanation).into_iter().next() else { return Vec::new() };
    (rule.remedies)(explanation).ladder.into_iter().map(|remedy| remedy.actions).collect()
}

/// Decides one case.
#[must_use]
pub fn decide(case: &Case) -> Proposal {
    let explanation = &case.explanation;
    let found = hypotheses(explanation);
    let hypotheses: Vec<Hypothesis> = found.iter().map(|(_, hypothesis)| hypothesis.clone()).collect();
    let Some((rule, best)) = found.into_iter().next() else {
        return proposal(case, hypotheses, inconclusive("no rule knows this"), vec![part("evidence", 0.0)]);
    };
    let mut parts = vec![part("evidence", best.confidence), part("lost events", certainty_of_events(explanation))];
    if best.confidence < FLOOR {
        let missing = format!("the evidence for {} is thin: {}", best.failure_mode.name(), against(&best));
        return proposal(case, hypotheses, inconclusive(&missing), parts);
    }
    let remedies = (rule.remedies)(explanation);
    let Remedies { ladder, advice, hold } = remedies;
    let cleared = suspicion::cleared(case);
    match hold.map(HandsOff::Anyway).or_else(|| why_hands_off(explanation, &ladder)) {
        Some(HandsOff::Anyway(reason)) => {
            let advice = format!("{advice} Nothing is done: {reason}.{cleared}");
            return proposal(case, hypotheses, Decision::Advise { advice }, parts);
        }
        Some(HandsOff::Spread(reason)) => {
            return suspicion::test_or_advise(case, &rule, hypotheses, parts, &advice, &reason);
        }
        None => {}
    }
    if ladder.is_empty() {
        return proposal(case, hypotheses, Decision::Advise { advice }, parts);
    }
    match choose(case, best.failure_mode, ladder) {
        Ok(Choice { effect, belief, passed_over }) => {
            parts.push(part("share of the culprit", 0.6 + 0.4 * share_of(explanation, &effect.actions)));
            parts.push(part("past success", next_confidence(PRIOR_SUCCESS, belief)));
            let confidence = Confidence::of(parts.clone());
            if confidence.value < FLOOR {
                let advice = format!(
                    "{advice} {} would help ({}), but the confidence of {:.2} is below {FLOOR:.2}.",
                    effect.actions.action_type(),
                    effect.formula,
                    confidence.value
                );
                return proposal(case, hypotheses, Decision::Advise { advice }, parts);
            }
            let prediction = prediction(explanation, &effect);
            let targets = identify(explanation, &effect.actions);
            let decision = Decision::Act { actions: effect.actions, targets, prediction, is_test: false };
            let is_restart = matches!(&decision, Decision::Act { actions, .. } if actions.first().unit().is_some());
            let mut proposal = proposal(case, hypotheses, decision, parts);
            if is_restart {
                // Who is asked must know how long there is.
                proposal.justification.push_str(&format!(" {advice}"));
            }
            if !passed_over.is_empty() {
                proposal.justification.push_str(&format!(" Milder ones do not: {}.", passed_over.join("; ")));
            }
            proposal
        }
        Err(why) if suspicion::was_wrong(case) => {
            suspicion::test_or_advise(case, &rule, hypotheses, parts, &advice, &why)
        }
        Err(why) => {
            let advice = format!("{advice} No action is proposed: {why}.");
            proposal(case, hypotheses, Decision::Advise { advice }, parts)
        }
    }
}

/// What every rule that knows the signals says, surest first; earlier rules first among equals.
fn hypotheses(explanation: &Explanation) -> Vec<(Rule, Hypothesis)> {
    let mut found: Vec<(Rule, Hypothesis)> =
        RULES.iter().filter_map(|rule| Some((*rule, (rule.hypothesise)(explanation)?.of(rule.failure_mode)))).collect();
    found.sort_by(|(_, a), (_, b)| b.confidence.total_cmp(&a.confidence));
    found
}

/// Why nobody is touched.
enum HandsOff {
    Anyway(String),
    /// It is not clear who is to blame.
    Spread(String),
}

/// What holds for every failure mode: nobody is touched for what is calm, or while the blame is spread.
fn why_hands_off(explanation: &Explanation, ladder: &[Remedy]) -> Option<HandsOff> {
    if ladder.is_empty() {
        return None;
    }
    let primary = &explanation.primary;
    if primary.closed_ms.is_some() || primary.severity < Severity::Medium {
        return Some(HandsOff::Anyway(format!("{} is {} by now", primary.measure, primary.severity)));
    }
    // What only gives needs nobody to blame.
    if ladder.iter().all(|remedy| relieves(&remedy.actions)) {
        return why_calm(explanation);
    }
    let Some(culprit) = explanation.culprit() else {
        return Some(HandsOff::Anyway("nobody can be blamed".to_owned()));
    };
    let most = ladder.iter().map(|remedy| share_of(explanation, &remedy.actions)).fold(0.0, f64::max);
    if most < DOMINANT {
        return Some(HandsOff::Spread(format!(
            "the blame is spread: whom an action could reach have only {:.0} % of the {}",
            most * 100.0,
            culprit.of
        )));
    }
    why_calm(explanation)
}

fn why_calm(explanation: &Explanation) -> Option<HandsOff> {
    let yardstick = explanation.yardstick();
    yardstick.is_calm(yardstick.value).then(|| {
        let value = figure(&yardstick.measure, yardstick.value);
        HandsOff::Anyway(format!("{} of {} is {value}, which is calm", yardstick.measure, yardstick.entity))
    })
}

fn relieves(actions: &Actions) -> bool {
    actions.first().action().is_some_and(|action| action.predicts.relieves())
}

/// What those that the actions reach take of what is contested, 0 to 1; what the first suspect takes where they reach none.
/// All, where they only give.
fn share_of(explanation: &Explanation, actions: &Actions) -> f64 {
    if relieves(actions) {
        return 1.0;
    }
    let reached = targets(explanation, actions);
    let first = reached.first().copied().or(explanation.culprit());
    let of = first.map_or("", |first| &first.of);
    let shares = reached.iter().filter(|suspect| suspect.of == of).map(|suspect| suspect.share);
    if reached.is_empty() { first.map_or(0.0, |first| first.share) } else { shares.sum::<f64>().min(1.0) }
}

struct Choice<'a> {
    effect: Effect,
    belief: Option<&'a Belief>,
    /// Why each milder remedy is not chosen.
    passed_over: Vec<String>,
}

/// The mildest remedy whose effect, as experience corrects it, suffices.
fn choose(case: &Case, mode: FailureMode, mut ladder: Vec<Remedy>) -> Result<Choice<'_>, String> {
    ladder.sort_by_key(|remedy| remedy.rung);
    let mut passed_over = Vec::new();
    for remedy in ladder {
        match weigh(case, mode, &remedy) {
            Ok((effect, belief)) => return Ok(Choice { effect, belief, passed_over }),
            Err(why) => passed_over.extend(why),
        }
    }
    Err(passed_over.join("; "))
}

/// What a remedy would change, where it may be chosen; else why it is passed over, where that is worth a word.
fn weigh<'a>(
    case: &'a Case,
    mode: FailureMode,
    remedy: &Remedy,
) -> Result<(Effect, Option<&'a Belief>), Option<String>> {
    let name = remedy.actions.action_type();
    let share = share_of(&case.explanation, &remedy.actions);
    if share < DOMINANT {
        return Err(Some(format!("{name} would reach only {:.0} % of the blame", share * 100.0)));
    }
    if remedy.rung == Rung::Kill && !was_asked_to_end(case) {
        return Err(None);
    }
    if let Some(attempt) = case.tried.iter().find(|attempt| attempt.actions.is_like(&remedy.actions)) {
        return Err(Some(format!("{name} was tried: {}", attempt.result)));
    }
    let belief = case.beliefs.iter().find(|belief| belief.action_type == name && belief.failure_mode == mode.name());
    if let Some(belief) = belief.filter(|belief| belief.attempts >= HOPELESS_AFTER && belief.successes == 0) {
        return Err(Some(format!("{name} never helped in {} attempts", belief.attempts)));
    }
    let effect = corrected(case, &remedy.actions, belief);
    if effect.suffices {
        Ok((effect, belief))
    } else {
        Err(Some(format!("{name} would not suffice ({})", effect.formula)))
    }
}

/// Whether it was asked to end, and a verdict said what came of that. What was denied, or could not be carried out, does
/// not lead to something harder.
fn was_asked_to_end(case: &Case) -> bool {
    let verdicts = [Verdict::Resolved, Verdict::Improved, Verdict::Unchanged, Verdict::Worse].map(Verdict::name);
    let asked = |attempt: &Attempt| attempt.actions.action_type() == ASKS_TO_END;
    case.tried.iter().any(|attempt| asked(attempt) && verdicts.contains(&attempt.result.as_str()))
}

/// The effect as the forecast has it (or reckoned now, when nobody asked before), scaled by what such effects were
/// worth in the past.
fn corrected(case: &Case, actions: &Actions, belief: Option<&Belief>) -> Effect {
    let explanation = &case.explanation;
    let forecast = case.forecast.effects.iter().find(|effect| effect.actions == *actions).cloned();
    let reckoned = forecast.or_else(|| effects(explanation, std::slice::from_ref(actions)).pop());
    let mut effect = reckoned.unwrap_or_else(|| Effect {
        actions: actions.clone(),
        before: explanation.yardstick().value,
        after: explanation.yardstick().value,
        suffices: false,
        formula: String::new(),
        cost: String::new(),
    });
    if let Some(belief) = belief.filter(|belief| belief.attempts > 0) {
        let factor = belief.next_factor();
        effect.after = effect.before + (effect.after - effect.before) * factor;
        effect.suffices = explanation.yardstick().suffices(effect.after);
        effect.formula = format!("{}, × {factor:.2} by experience", effect.formula);
    }
    effect
}

/// The suspects' processes that the actions name.
fn identify(explanation: &Explanation, actions: &Actions) -> Vec<ProcessId> {
    let is_named = |process: &ProcessId| actions.iter().any(|action| action.pid() == Some(process.pid));
    let named = explanation.suspects.iter().flat_map(Suspect::processes).filter(is_named);
    named.collect::<BTreeSet<_>>().into_iter().collect()
}

fn prediction(explanation: &Explanation, effect: &Effect) -> Prediction {
    let Yardstick { signal_type, measure, entity, falling, .. } = explanation.yardstick();
    let within_s = settle_s(effect.actions.first(), &measure);
    let (before, after) = (figure(&measure, effect.before), figure(&measure, effect.after));
    Prediction {
        statement: format!(
            "{measure} of {entity} goes from {before} to about {after} within {within_s} s ({})",
            effect.formula
        ),
        signal_type,
        measure,
        entity,
        before: effect.before,
        after: effect.after,
        lower_is_better: !falling,
        within_s,
    }
}

fn certainty_of_events(explanation: &Explanation) -> f64 {
    if explanation.primary.lost_events == 0 { 1.0 } else { 0.8 }
}

fn part(name: &str, factor: f64) -> ConfidencePart {
    ConfidencePart { name: name.to_owned(), factor }
}

fn inconclusive(missing: &str) -> Decision {
    Decision::Inconclusive { missing: format!("inconclusive, recommend human investigation: {missing}") }
}

fn against(hypothesis: &Hypothesis) -> String {
    match hypothesis.evidence_against.as_slice() {
        [] => "nothing contradicts it, and too little speaks for it".to_owned(),
        against => against.join("; "),
    }
}

fn proposal(case: &Case, hypotheses: Vec<Hypothesis>, decision: Decision, parts: Vec<ConfidencePart>) -> Proposal {
    let mut justification = hypotheses.first().map_or_else(String::new, |best| {
        let evidence = if best.evidence_for.is_empty() { "nothing".to_owned() } else { best.evidence_for.join("; ") };
        format!("{}. For it: {evidence}.", best.statement)
    });
    if let Decision::Act { actions, prediction, is_test, .. } = &decision {
        let what = if *is_test { "tells" } else { "is the mildest that suffices" };
        justification = format!("{justification} {} {what}: {}.", actions.action_type(), prediction.statement);
    }
    Proposal {
        incident: case.incident.uid.clone(),
        author: Rules.name().to_owned(),
        hypotheses,
        decision,
        justification,
        confidence: Confidence::of(parts),
        only_with_approval: None,
        case: None,
    }
}
