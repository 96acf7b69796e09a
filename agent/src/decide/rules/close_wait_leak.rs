//! `close_wait_leak`: a process keeps sockets that its peers have closed. Only its own code, or its end, closes them.

use super::{
    Rule,
    evidence::{Evidence, Finding, signal},
    remedy::{Remedies, restart, restartable},
};
use crate::{decide::FailureMode, explain::Explanation, observe::SignalType};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::CloseWaitLeak, hypothesise, remedies };

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    let leak = signal(explanation, SignalType::TcpExhaustion, &["close_wait"])?;
    let share = explanation.culprit().map(|culprit| culprit.share);
    Some(
        Evidence::from(0.6)
            .weigh(Some(true), 0.3, format!("{:.0} sockets are in CLOSE_WAIT", leak.value))
            .weigh(
                share.map(|share| share >= 0.5),
                0.5,
                format!("the first suspect holds {:.0} % of them", share.unwrap_or(0.0) * 100.0),
            )
            .says(leak.sentence.clone()),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let leak = signal(explanation, SignalType::TcpExhaustion, &["close_wait"]).unwrap_or(&explanation.primary);
    let then = explanation.culprit().map_or_else(|| "find out who holds them".to_owned(), restartable);
    Remedies {
        ladder: explanation.culprit().and_then(restart).into_iter().collect(),
        advice: format!(
            "{}. It does not close what its peers have closed: {then}; no setting of the node closes them.",
            leak.sentence
        ),
        ..Remedies::default()
    }
}
