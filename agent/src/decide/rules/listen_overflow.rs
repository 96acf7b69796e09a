//! `listen_overflow`: a listener accepts more slowly than its clients come. Its backlog is its own, and a longer one holds
//! from when it listens anew.

use super::{
    Rule,
    evidence::{Evidence, Finding, signal},
    remedy::{Remedies, restartable},
};
use crate::{decide::FailureMode, explain::Explanation, observe::SignalType};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::ListenOverflow, hypothesise, remedies };

const FULL: [&str; 2] = ["listener_drops", "listen_overflows"];

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    let full = signal(explanation, SignalType::TcpExhaustion, &FULL)?;
    let queue = full.numbers.get("waiting").zip(full.numbers.get("backlog"));
    let (waiting, backlog) = queue.unwrap_or_default();
    Some(
        Evidence::from(0.6)
            .weigh(Some(true), 0.3, format!("{:.0} connections a second are turned away", full.value))
            .weigh(
                queue.map(|_| waiting >= backlog),
                0.5,
                format!("{waiting:.0} connections wait to be accepted where {backlog:.0} may"),
            )
            .says(full.sentence.clone()),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let full = signal(explanation, SignalType::TcpExhaustion, &FULL).unwrap_or(&explanation.primary);
    let bound = full.numbers.get("backlog").zip(full.numbers.get("somaxconn"));
    let longer = match bound {
        Some((backlog, somaxconn)) if backlog >= somaxconn => {
            format!("raise net.core.somaxconn above {somaxconn:.0} and have it listen anew")
        }
        _ => "have it listen with a longer backlog".to_owned(),
    };
    let restart = explanation.culprit().map_or_else(String::new, |culprit| format!(", or {}", restartable(culprit)));
    Remedies {
        advice: format!("{}: it accepts too slowly. Give it more workers, {longer}{restart}.", full.sentence),
        ..Remedies::default()
    }
}
