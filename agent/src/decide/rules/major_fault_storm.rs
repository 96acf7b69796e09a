//! `major_fault_storm`: pages of files are read in on demand, faster than the device can give them.

use super::{
    Rule, disk,
    evidence::{Evidence, Finding, signal},
    remedy::Remedies,
};
use crate::{decide::FailureMode, explain::Explanation, observe::SignalType};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::MajorFaultStorm, hypothesise, remedies };

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    signal(explanation, SignalType::PageFault, &["major"])?;
    let culprit = explanation.suspects.iter().find(|suspect| suspect.of == "major faults")?;
    let major = culprit.number("major_faults_per_s")?;
    let swapped = culprit.number("swap_bytes").unwrap_or(0.0);
    let evidence = disk::weigh_others(Evidence::from(0.6), explanation);
    Some(
        evidence
            .weigh(
                Some(culprit.share >= 0.5),
                0.5,
                format!("{} has {:.0} % of all major faults", culprit.entity, culprit.share * 100.0),
            )
            .weigh(Some(swapped == 0.0), 0.3, format!("it has {:.0} MiB in swap", swapped / 1_048_576.0))
            .says(format!("{} reads a cold mapping, {major:.0} major faults a second", culprit.entity)),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let who = explanation.culprit().map_or_else(|| explanation.primary.entity.to_string(), |c| c.entity.to_string());
    let advice =
        format!("{who} waits for a file that is not in memory: read it ahead, give it memory, or limit its I/O.");
    disk::remedies(explanation, advice)
}
