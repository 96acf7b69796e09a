//! What is believed of an action on a failure mode, because of how it went before.

use std::collections::BTreeMap;

use super::{Belief, Trace, accuracy};
use crate::{decide::Decision, verify::Verdict};

/// How many tries the confidence before them is worth.
const PRIOR_TRIES: f64 = 4.0;

/// One try, as the traces tell it.
#[derive(Clone, Debug, PartialEq)]
pub struct Experience {
    pub action_type: String,
    pub failure_mode: String,
    pub verdict: Verdict,
    /// Relative change of the measure, such as -0.22; none when it could not be told.
    pub effect: Option<f64>,
    /// Actual over predicted change.
    pub factor: Option<f64>,
}

impl Experience {
    /// Of a trace in which something was done and verified. A test of a suspicion teaches of the suspect, not of the
    /// action.
    #[must_use]
    pub fn of(trace: &Trace) -> Option<Self> {
        let verification = trace.verification.as_ref()?;
        let proposal = trace.proposal.as_ref()?;
        let Decision::Act { actions, prediction, is_test: false, .. } = &proposal.decision else { return None };
        let compared = accuracy(prediction, verification);
        Some(Self {
            action_type: actions.action_type().to_owned(),
            failure_mode: proposal.hypotheses.first()?.failure_mode.name().to_owned(),
            verdict: verification.verdict,
            effect: compared.map(|compared| compared.actual),
            factor: compared.map(|compared| compared.factor),
        })
    }
}

/// Success rate, mean effect and mean correction by action and failure mode. Resolved and improved are successes.
#[must_use]
pub fn beliefs(experiences: &[Experience]) -> Vec<Belief> {
    let mut by_kind: BTreeMap<(&str, &str), Vec<&Experience>> = BTreeMap::new();
    for experience in experiences {
        by_kind.entry((&experience.action_type, &experience.failure_mode)).or_default().push(experience);
    }
    by_kind
        .into_iter()
        .map(|((action_type, failure_mode), tries)| Belief {
            action_type: action_type.to_owned(),
            failure_mode: failure_mode.to_owned(),
            attempts: tries.len() as u32,
            successes: tries.iter().filter(|one| !one.verdict.calls_for_undo()).count() as u32,
            mean_effect: mean(tries.iter().filter_map(|one| one.effect)).unwrap_or(0.0),
            effect_factor: mean(tries.iter().filter_map(|one| one.factor)).unwrap_or(1.0),
        })
        .collect()
}

/// The confidence that experience leaves of a confidence before it: the latter counts as four tries. 0.85 after three
/// successes in four tries is 0.80.
#[must_use]
pub fn next_confidence(before: f64, belief: Option<&Belief>) -> f64 {
    let (successes, attempts) = belief.map_or((0.0, 0.0), |b| (f64::from(b.successes), f64::from(b.attempts)));
    (before * PRIOR_TRIES + successes) / (PRIOR_TRIES + attempts)
}

impl Belief {
    /// What the next prediction is scaled by: the mean of actual over predicted change, 0.1 to 1, where the trust before
    /// any try counts as four tries that came as predicted. One try that came to nothing leaves 0.82 of a prediction, for
    /// it may have been done to the wrong one.
    #[must_use]
    pub fn next_factor(&self) -> f64 {
        let attempts = f64::from(self.attempts);
        let of_tries = self.effect_factor.clamp(0.1, 1.0);
        (PRIOR_TRIES + attempts * of_tries) / (PRIOR_TRIES + attempts)
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}
