//! `syscall_errors`: calls of one process fail again and again. What fails, and with what, is the finding.

use super::{
    Rule,
    evidence::{Evidence, Finding, signal},
    remedy::{Remedies, restart, restartable},
};
use crate::{decide::FailureMode, explain::Explanation, observe::SignalType};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::SyscallErrors, hypothesise, remedies };

const ERRORS: [&str; 3] = ["eio", "enomem", "other_errors"];

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    let errors = signal(explanation, SignalType::Syscall, &ERRORS)?;
    let rate = errors.numbers.get("failures_per_s").unwrap_or(errors.value);
    Some(
        Evidence::from(0.6)
            .weigh(Some(rate >= 1.0), 0.4, format!("{rate:.0} failures a second"))
            .says(errors.sentence.clone()),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let errors = signal(explanation, SignalType::Syscall, &ERRORS).unwrap_or(&explanation.primary);
    let then = match errors.measure.as_ref() {
        measure if measure.contains("enomem") => "give it memory".to_owned(),
        _ => explanation.culprit().map_or_else(|| "look at what it asks for".to_owned(), restartable),
    };
    // Memory is not had by beginning anew.
    let culprit = explanation.culprit().filter(|_| !errors.measure.contains("enomem"));
    Remedies {
        ladder: culprit.and_then(restart).into_iter().collect(),
        advice: format!("{}: {then}.", errors.sentence),
        ..Remedies::default()
    }
}
