//! `fork_storm`: one parent makes processes without end. The parent is to blame, not the children.

use super::{
    Rule,
    evidence::{Evidence, Finding, most, signal},
    remedy::{Remedies, end, freeze, restartable},
};
use crate::{
    decide::FailureMode,
    explain::Explanation,
    observe::{Severity, SignalType},
};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::ForkStorm, hypothesise, remedies };

/// A parent that makes fewer processes a second may well be a build or a script.
const STORM_FROM_PER_S: f64 = 200.0;

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    let forks = signal(explanation, SignalType::Scheduler, &["forks"])?;
    let most = most(explanation, |suspect| suspect.number("forks_per_s"));
    let (culprit, rate) = most.unzip();
    let all = explanation.node.forks_per_s;
    let share = rate.zip(all).map(|(rate, all)| (rate / all.max(1.0)).min(1.0));
    let execs =
        explanation.node.execs_per_s.zip(explanation.node.forks_per_s).map(|(execs, forks)| execs / forks.max(1.0));
    let who = culprit.map_or_else(|| forks.entity.to_string(), |culprit| culprit.entity.to_string());
    Some(
        Evidence::from(0.5)
            .weigh(
                rate.map(|rate| rate >= STORM_FROM_PER_S),
                0.5,
                format!("{who} forks {:.0} times a second", rate.unwrap_or(0.0)),
            )
            .weigh(
                share.map(|share| share >= 0.6),
                0.5,
                format!("that is {:.0} % of all forks", share.unwrap_or(0.0) * 100.0),
            )
            .weigh(
                execs.map(|share| share < 0.3),
                0.3,
                format!("{:.0} % of what is forked starts a program", execs.unwrap_or(0.0) * 100.0),
            )
            .says(format!("{who} makes processes without end")),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let Some((culprit, rate)) = most(explanation, |suspect| suspect.number("forks_per_s")) else {
        return Remedies {
            advice: "Limit the processes of whoever forks (pids.max).".to_owned(),
            ..Remedies::default()
        };
    };
    let last_resort = explanation.primary.severity == Severity::Critical;
    Remedies {
        ladder: freeze(culprit).into_iter().chain(if last_resort { end(culprit) } else { Vec::new() }).collect(),
        advice: format!(
            "{} forks {rate:.0} times a second: {}, or set pids.max.",
            culprit.entity,
            restartable(culprit)
        ),
        hold: (rate < STORM_FROM_PER_S).then(|| format!("{rate:.0} forks a second may be a build or a script")),
    }
}
