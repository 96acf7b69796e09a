//! A suspicion that stays ambiguous, tested: one of several suspects gets less for the settle time, and how those who
//! wait respond is the evidence. What changes nothing is taken back, and clears the suspect.
//!
//! Only what is reversible is done, only by a rule that has no objection to that suspect, only while others are known
//! to wait, and a few times an incident.

use super::{Rule, identify, part, prediction, proposal, remedy::Rung};
use crate::{
    decide::{Attempt, Case, ConfidencePart, Decision, Hypothesis, Proposal},
    execute::Actions,
    explain::{Explanation, Suspect, figures::figure},
    simulate::Effect,
    verify::Verdict,
};

/// Who takes less than this part of what is contested is not suspected, 0 to 1.
const SUSPECTED_FROM: f64 = 0.1;
/// Tests of one incident.
const MOST_TESTS: usize = 3;
/// If it is the cause, the wait is to fall below this part of medium.
const GOAL: f64 = 0.6;

/// A test of whoever may be the cause, where one would tell more and may be made; else advice.
pub(super) fn test_or_advise(
    case: &Case,
    rule: &Rule,
    hypotheses: Vec<Hypothesis>,
    mut parts: Vec<ConfidencePart>,
    advice: &str,
    reason: &str,
) -> Proposal {
    let cleared = cleared(case);
    let test = match next(case, rule) {
        Some(test) if case.may_test => test,
        test => {
            let would = test.map(|test| format!(" At guardian and above it would be tested: {}.", why(&test, case)));
            let advice = format!("{advice} Nothing is done: {reason}.{cleared}{}", would.unwrap_or_default());
            return proposal(case, hypotheses, Decision::Advise { advice }, parts);
        }
    };
    parts.push(part("share of the suspect", test.suspect.share));
    let why = why(&test, case);
    let decision = Decision::Act {
        targets: identify(&case.explanation, &test.effect.actions),
        prediction: prediction(&case.explanation, &test.effect),
        actions: test.effect.actions,
        is_test: true,
    };
    let mut proposal = proposal(case, hypotheses, decision, parts);
    proposal.justification.push_str(&format!(" It is a test, because {reason}. So {why}.{cleared}"));
    proposal
}

/// A test that is to be made.
struct Test {
    suspect: Suspect,
    effect: Effect,
}

/// The next test that would tell more, if there is one: of whoever takes most and was not acted on yet.
fn next(case: &Case, rule: &Rule) -> Option<Test> {
    let explanation = &case.explanation;
    let yardstick = explanation.yardstick();
    let others_wait = yardstick.is_wait_of_others() || yardstick.is_io_wait_of_others();
    let tests = case.tried.iter().filter(|attempt| attempt.is_test).count();
    if !others_wait || yardstick.is_calm(yardstick.value) || tests >= MOST_TESTS {
        return None;
    }
    let of = &explanation.culprit()?.of;
    let suspected = |suspect: &&Suspect| suspect.of == *of && suspect.share >= SUSPECTED_FROM;
    let mut suspects: Vec<&Suspect> = explanation.suspects.iter().filter(suspected).collect();
    suspects.sort_by(|a, b| b.share.total_cmp(&a.share));
    let (suspect, actions) = suspects.into_iter().find_map(|suspect| Some((suspect, limit(case, rule, suspect)?)))?;
    let after = (GOAL * yardstick.medium_at).min(yardstick.value);
    let formula = format!(
        "if {} is the cause; if not, nothing changes and the limit is taken back, which clears it",
        suspect.entity
    );
    let effect = Effect {
        actions,
        before: yardstick.value,
        after,
        suffices: true,
        formula,
        cost: "one suspect does less for the settle time".to_owned(),
    };
    Some(Test { suspect: suspect.clone(), effect })
}

/// The limit that the rule would put on this suspect if it came first; none where it objects, or where the like was done
/// before.
fn limit(case: &Case, rule: &Rule, suspect: &Suspect) -> Option<Actions> {
    let remedies = (rule.remedies)(&suspecting(&case.explanation, suspect));
    if remedies.hold.is_some() {
        return None;
    }
    let limits = remedies.ladder.into_iter().filter(|remedy| remedy.rung == Rung::Limit);
    let was_tried = |actions: &Actions| case.tried.iter().any(|attempt| attempt.actions.is_like(actions));
    limits.map(|remedy| remedy.actions).find(|actions| !was_tried(actions))
}

/// The same with that suspect as the first.
fn suspecting(explanation: &Explanation, suspect: &Suspect) -> Explanation {
    let mut explanation = explanation.clone();
    explanation.suspects.retain(|other| other.entity != suspect.entity);
    explanation.suspects.insert(0, suspect.clone());
    explanation
}

/// Whether something was done about the incident that did not help, so that the first suspect may be the wrong one.
pub(super) fn was_wrong(case: &Case) -> bool {
    case.tried.iter().any(did_not_help)
}

/// What tests have shown so far, as sentences with a space before each.
pub(super) fn cleared(case: &Case) -> String {
    let tests = case.tried.iter().filter(|attempt| attempt.is_test && did_not_help(attempt));
    tests.map(|attempt| format!(" Tested before: {} changed nothing for the better.", attempt.actions)).collect()
}

/// `x (pid 8), with 30 % of the block I/O, is given less for a while, to see whether …`
fn why(test: &Test, case: &Case) -> String {
    let Suspect { entity, share, of, .. } = &test.suspect;
    let yardstick = case.explanation.yardstick();
    format!(
        "{entity}, with {:.0} % of the {of}, is given less for a while, to see whether {} falls from {}",
        share * 100.0,
        yardstick.measure,
        figure(&yardstick.measure, test.effect.before)
    )
}

fn did_not_help(attempt: &Attempt) -> bool {
    [Verdict::Unchanged, Verdict::Worse].iter().any(|verdict| attempt.result == verdict.name())
}
