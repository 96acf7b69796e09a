//! Evidence, weighed: each fact that is known moves the confidence up or down, and is told with its numbers.

use crate::{
    decide::{FailureMode, Hypothesis},
    explain::Explanation,
    observe::{Signal, SignalType},
};

#[derive(Debug)]
pub(super) struct Evidence {
    confidence: f64,
    evidence_for: Vec<String>,
    evidence_against: Vec<String>,
}

impl Evidence {
    /// `prior` is what the kind of signal alone says, 0 to 1.
    pub(super) fn from(prior: f64) -> Self {
        Self { confidence: prior, evidence_for: Vec::new(), evidence_against: Vec::new() }
    }

    /// A fact of weight 0 to 1. If it is so, the doubt shrinks by the weight; if not, the confidence does. A fact that
    /// is not known moves nothing.
    pub(super) fn weigh(mut self, is_so: Option<bool>, weight: f64, fact: String) -> Self {
        match is_so {
            Some(true) => {
                self.confidence += (1.0 - self.confidence) * weight;
                self.evidence_for.push(fact);
            }
            Some(false) => {
                self.confidence *= 1.0 - weight;
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
        let Evidence { confidence, evidence_for, evidence_against } = self.evidence;
        let confidence = confidence.clamp(0.0, 1.0);
        Hypothesis { failure_mode, statement: self.statement, evidence_for, evidence_against, confidence }
    }
}

/// A signal of the incident of that type whose measure has one of the words; the primary comes first.
pub(super) fn signal<'a>(explanation: &'a Explanation, kind: SignalType, words: &[&str]) -> Option<&'a Signal> {
    std::iter::once(&explanation.primary).chain(&explanation.symptoms).find(|signal| {
        signal.signal_type == kind && (words.is_empty() || words.iter().any(|w| signal.measure.contains(w)))
    })
}
