//! `device_saturation`: a block device has more to do than it can. Who asks for most is named.

use super::{
    Rule, disk,
    evidence::{Evidence, Finding, signal},
    remedy::{Remedies, restartable},
};
use crate::{decide::FailureMode, explain::Explanation, observe::SignalType};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::DeviceSaturation, hypothesise, remedies };

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    let busy = signal(explanation, SignalType::BlockDeviceSaturation, &[])?;
    let share = explanation.culprit().map(|culprit| culprit.share);
    let evidence = disk::weigh_others(Evidence::from(0.6), explanation);
    Some(
        evidence
            .weigh(
                Some(busy.measure.contains("errors")).filter(|errors| *errors).map(|_| false),
                0.5,
                busy.sentence.clone(),
            )
            .weigh(
                share.map(|share| share >= 0.5),
                0.4,
                format!("the first suspect has {:.0} % of the I/O", share.unwrap_or(0.0) * 100.0),
            )
            .says(format!("{} has more to do than it can", busy.entity)),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let device = signal(explanation, SignalType::BlockDeviceSaturation, &[]).unwrap_or(&explanation.primary);
    let named: Vec<String> = explanation.suspects.iter().take(3).map(|suspect| suspect.entity.to_string()).collect();
    let who = if named.is_empty() { "whoever asks for most".to_owned() } else { named.join(", ") };
    let slower = explanation.culprit().map_or_else(|| "have it do less".to_owned(), restartable);
    disk::remedies(explanation, format!("{} is saturated: limit the I/O of {who}, or {slower}.", device.entity))
}
