//! `writeback_congestion`: somebody writes or syncs faster than the devices can, and others wait for their I/O.

use super::{
    Rule, disk,
    evidence::{Evidence, Finding, signal},
    remedy::{Remedies, restartable},
};
use crate::{decide::FailureMode, explain::Explanation, observe::SignalType};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::WritebackCongestion, hypothesise, remedies };

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    let io = signal(explanation, SignalType::IoCongestion, &[])?;
    let share = explanation.culprit().map(|culprit| culprit.share);
    let evidence = disk::weigh_others(Evidence::from(0.55), explanation);
    Some(
        evidence
            .weigh(
                share.map(|share| share >= 0.5),
                0.4,
                format!("the first suspect has {:.0} % of the {}", share.unwrap_or(0.0) * 100.0, "block I/O"),
            )
            .says(io.sentence.clone()),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let who = explanation.culprit().map_or_else(|| "whoever writes most".to_owned(), |c| c.entity.to_string());
    let slower = explanation.culprit().map_or_else(|| "have it write less at once".to_owned(), restartable);
    disk::remedies(explanation, format!("I/O is congested: limit that of {who}, or {slower}."))
}
