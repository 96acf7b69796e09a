//! `minor_fault_churn`: a process maps, touches and unmaps memory without end, and the kernel works for nothing.

use super::{
    Rule,
    evidence::{Evidence, Finding, most, signal},
    remedy::{Remedies, give_way, restartable},
};
use crate::{decide::FailureMode, explain::Explanation, observe::SignalType};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::MinorFaultChurn, hypothesise, remedies };

/// A compiler faults 6,000 to 10,000 times a second; this much is churn.
const CHURN_FROM_PER_S: f64 = 30_000.0;
const OLD_FROM_S: f64 = 5.0;

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    signal(explanation, SignalType::PageFault, &["minor", "faults_per_cpu"])?;
    let (culprit, minor) = most(explanation, |suspect| suspect.number("minor_faults_per_s"))?;
    let all: f64 = explanation.suspects.iter().filter_map(|suspect| suspect.number("minor_faults_per_s")).sum();
    let major = culprit.number("major_faults_per_s").unwrap_or(0.0);
    let growth = culprit.number("growth_bytes_per_s").unwrap_or(0.0);
    Some(
        Evidence::from(0.5)
            .weigh(
                Some(minor >= CHURN_FROM_PER_S),
                0.6,
                format!("{} has {minor:.0} minor faults a second", culprit.entity),
            )
            .weigh(Some(major * 100.0 < minor), 0.4, format!("{major:.0} of its faults a second are major"))
            .weigh(
                Some(minor >= 0.5 * all),
                0.4,
                format!("that is {:.0} % of the suspects' minor faults", 100.0 * minor / all),
            )
            .weigh(
                Some(growth < minor * 4096.0 * 0.1),
                0.4,
                format!("its memory grows by {:.1} MiB/s, so the pages are given back at once", growth / 1_048_576.0),
            )
            .says(format!("{} maps and unmaps memory without end", culprit.entity)),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let Some((culprit, minor)) = most(explanation, |suspect| suspect.number("minor_faults_per_s")) else {
        return Remedies::default();
    };
    let young = culprit.number("age_s").is_none_or(|age| age < OLD_FROM_S);
    let hold = if young {
        Some(format!("{} is younger than {OLD_FROM_S:.0} s", culprit.entity))
    } else {
        (minor < CHURN_FROM_PER_S).then(|| format!("{minor:.0} minor faults a second are what a compiler makes, too"))
    };
    Remedies {
        ladder: give_way(explanation, culprit, &[culprit]),
        advice: format!(
            "{} should keep its memory instead of mapping it anew, or {}.",
            culprit.entity,
            restartable(culprit)
        ),
        hold,
    }
}
