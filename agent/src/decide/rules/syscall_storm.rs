//! `syscall_storm`: a process calls the kernel as fast as it goes.

use super::{
    Rule,
    evidence::{Evidence, Finding, signal},
    remedy::{Remedies, give_way, restartable},
};
use crate::{decide::FailureMode, explain::Explanation, observe::SignalType};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::SyscallStorm, hypothesise, remedies };

const STORM_FROM_PER_S: f64 = 200_000.0;
const OLD_FROM_S: f64 = 10.0;

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    let calls = signal(explanation, SignalType::Syscall, &["process_calls"])?;
    let most = calls.numbers.get("most_called_per_s").map(|most| most / calls.value.max(1.0));
    Some(
        Evidence::from(0.5)
            .weigh(
                Some(calls.value >= STORM_FROM_PER_S),
                0.5,
                format!("{} makes {:.0} calls a second", calls.entity, calls.value),
            )
            .weigh(
                most.map(|share| share >= 0.8),
                0.5,
                format!("{:.0} % of them are one call", most.unwrap_or(0.0) * 100.0),
            )
            .says(format!("{} calls the kernel without end", calls.entity)),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let Some(culprit) = explanation.culprit() else { return Remedies::default() };
    let young = culprit.number("age_s").is_none_or(|age| age < OLD_FROM_S);
    Remedies {
        ladder: give_way(explanation, culprit, &[culprit]),
        advice: format!(
            "{} calls the kernel without end: look at what it polls, or {}.",
            culprit.entity,
            restartable(culprit)
        ),
        hold: young.then(|| format!("{} is younger than {OLD_FROM_S:.0} s", culprit.entity)),
    }
}
