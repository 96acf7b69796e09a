//! Evidence, weighed: each fact that is known moves the confidence up or down, and is told with its numbers.

use crate::{
    decide::{FailureMode, Hypothesis},
    explain::{Explanation, Suspect},
    observe::{Signal, SignalType},
};

#[derive(Debug)]
pub(super) struct Evidence {
    odds: f64,
    evidence_for: Vec<String>,
    evidence_against: Vec<String>,
}

impl Evidence {
    /// `prior` is what the kind of signal alone says, 0 to 1.
    pub(super) fn from(prior: f64) -> Self {
        Self { odds: prior / (1.0 - prior), evidence_for: Vec::new(), evidence_against: Vec::new() }
    }

    /// A fact of weight 0 to below 1: if it is so, the odds are divided by 1 - weight; if not, they are multiplied by it.
    /// A fact that is not known moves nothing. The order of facts does not matter.
    pub(super) fn weigh(mut self, is_so: Option<bool>, weight: f64, fact: String) -> Self {
        match is_so {
            Some(true) => {
                self.odds /= 1.0 - weight;
                self.evidence_for.push(fact);
            }
            Some(false) => {
                self.odds *= 1.0 - weight;
                self.evidence_against.push(fact);
            }
            None => {}
        }
        self
    }

    pub(super) fn says(self, statement: String) -> Finding {
        Finding { evidence: self, statement }
    }
}

/// What a rule found: a statement and its evidence.
#[derive(Debug)]
pub(super) struct Finding {
    evidence: Evidence,
    statement: String,
}

impl Finding {
    pub(super) fn of(self, failure_mode: FailureMode) -> Hypothesis {
        let Evidence { odds, evidence_for, evidence_against } = self.evidence;
        let confidence = odds / (1.0 + odds);
        Hypothesis { failure_mode, statement: self.statement, evidence_for, evidence_against, confidence }
    }
}

/// A signal of the incident of that type whose measure has one of the words; the primary comes first.
pub(super) fn signal<'a>(explanation: &'a Explanation, kind: SignalType, words: &[&str]) -> Option<&'a Signal> {
    std::iter::once(&explanation.primary).chain(&explanation.symptoms).find(|signal| {
        signal.signal_type == kind && (words.is_empty() || words.iter().any(|w| signal.measure.contains(w)))
    })
}

/// The suspect with most of what `amount` reads off its numbers.
pub(super) fn most(explanation: &Explanation, amount: impl Fn(&Suspect) -> Option<f64>) -> Option<(&Suspect, f64)> {
    let known = explanation.suspects.iter().filter_map(|suspect| Some((suspect, amount(suspect)?)));
    known.max_by(|(_, a), (_, b)| a.total_cmp(b)).filter(|(_, amount)| *amount > 0.0)
}
