//! `pids_limit`: forks fail at the limit of a cgroup. The limit and who fills it are the finding.

use super::{
    Rule,
    evidence::{Evidence, Finding, signal},
    remedy::Remedies,
};
use crate::{decide::FailureMode, explain::Explanation, observe::SignalType};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::PidsLimit, hypothesise, remedies };

const LIMIT: [&str; 3] = ["fork_eagain", "forks_refused", "cgroup_pids"];

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    let refused = signal(explanation, SignalType::Syscall, &LIMIT)?;
    let full = refused.numbers.get("tasks").zip(refused.numbers.get("maximum_tasks"));
    let (tasks, maximum) = full.unwrap_or_default();
    Some(
        Evidence::from(0.6)
            .weigh(full.map(|_| tasks >= maximum * 0.9), 0.5, format!("{tasks:.0} of {maximum:.0} tasks are there"))
            .weigh(Some(true), 0.2, format!("{} is {:.0}", refused.measure, refused.value))
            .says(format!("{} is at its limit of tasks", refused.entity)),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let refused = signal(explanation, SignalType::Syscall, &LIMIT).unwrap_or(&explanation.primary);
    let leaker =
        explanation.culprit().map_or_else(String::new, |culprit| format!(" Most are made by {}.", culprit.entity));
    let (entity, sentence) = (&refused.entity, &refused.sentence);
    Remedies {
        advice: format!(
            "{entity} may have no more tasks ({sentence}).{leaker} Raise pids.max if the node has room, or end what leaks."
        ),
        ..Remedies::default()
    }
}
