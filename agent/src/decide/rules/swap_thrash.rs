//! `swap_thrash`: pages come back from swap as fast as they leave; the working set is larger than its memory.

use super::{
    Rule,
    evidence::{Evidence, Finding, signal},
    remedy::{Remedies, freeze, restartable},
};
use crate::{
    decide::FailureMode,
    explain::{Explanation, figures::figure},
    observe::SignalType,
};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::SwapThrash, hypothesise, remedies };

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    let thrash = signal(explanation, SignalType::SwapThrashing, &[])?;
    let culprit = explanation.culprit();
    let in_swap = culprit.and_then(|culprit| culprit.number("swap_bytes"));
    Some(
        Evidence::from(0.6)
            .weigh(Some(true), 0.2, format!("{} is {}", thrash.measure, figure(&thrash.measure, thrash.value)))
            .weigh(
                in_swap.map(|bytes| bytes > 0.0),
                0.3,
                format!("the first suspect has {} in swap", figure("swap_bytes", in_swap.unwrap_or(0.0))),
            )
            .weigh(
                culprit.map(|culprit| culprit.share >= 0.6),
                0.4,
                format!("its part of the swap traffic is {:.0} %", culprit.map_or(0.0, |c| c.share * 100.0)),
            )
            .says("the working set is larger than its memory, and swap works for it".to_owned()),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let Some(culprit) = explanation.culprit() else {
        return Remedies {
            advice: "Find who has most in swap and give it memory, or less to do.".to_owned(),
            ..Remedies::default()
        };
    };
    Remedies {
        ladder: freeze(culprit).into_iter().collect(),
        advice: format!("{} works out of swap: give it memory, or {}.", culprit.entity, restartable(culprit)),
        hold: None,
    }
}
