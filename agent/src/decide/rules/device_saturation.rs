//! `device_saturation`: a block device has more to do than it can. Who asks for most is named.

use super::{
    Rule,
    evidence::{Evidence, Finding, signal},
    remedy::Remedies,
};
use crate::{decide::FailureMode, explain::Explanation, observe::SignalType};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::DeviceSaturation, hypothesise, remedies };

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    let busy = signal(explanation, SignalType::BlockDeviceSaturation, &[])?;
    let share = explanation.culprit().map(|culprit| culprit.share);
    Some(
        Evidence::from(0.6)
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
    Remedies {
        advice: format!("{} is saturated: lower the I/O priority of {who}, or limit its I/O.", device.entity),
        ..Remedies::default()
    }
}
