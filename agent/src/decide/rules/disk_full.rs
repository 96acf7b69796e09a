//! `disk_full`: a filesystem has nothing left to give, and writes fail. What may be thrown away only an operator knows.

use super::{
    Rule,
    evidence::{Evidence, Finding, signal},
    remedy::Remedies,
};
use crate::{
    decide::FailureMode,
    explain::Explanation,
    observe::{Signal, SignalType},
};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::DiskFull, hypothesise, remedies };

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    let (failing, full) = (failing(explanation), full(explanation));
    let told = failing.or(full)?;
    let rate = failing.and_then(|signal| signal.numbers.get("failures_per_s"));
    Some(
        Evidence::from(0.6)
            .weigh(
                rate.map(|rate| rate >= 1.0),
                0.4,
                format!("{:.0} writes a second fail for want of space", rate.unwrap_or(0.0)),
            )
            .weigh(
                full.map(|full| full.value >= 97.0),
                0.4,
                full.map_or_else(String::new, |full| full.sentence.clone()),
            )
            .says(told.sentence.clone()),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let full = full(explanation);
    let place = full.map_or_else(|| "what it writes to".to_owned(), |full| full.entity.to_string());
    let who = explanation.culprit().map(|culprit| culprit.entity.to_string());
    let writer = who.map_or_else(String::new, |who| format!(", or have {who} write less"));
    Remedies {
        advice: format!(
            "{}. Free space on {place}{writer}. Files that an operator listed may be emptied by truncate_file; nothing \
             else is thrown away.",
            failing(explanation).or(full).unwrap_or(&explanation.primary).sentence
        ),
        ..Remedies::default()
    }
}

/// Writes that fail for want of space.
fn failing(explanation: &Explanation) -> Option<&Signal> {
    signal(explanation, SignalType::Syscall, &["enospc"])
}

fn full(explanation: &Explanation) -> Option<&Signal> {
    signal(explanation, SignalType::Syscall, &["filesystem"])
}
