//! `pids_limit`: forks fail at the limit of a cgroup. The limit and who fills it are the finding.

use super::{
    Rule,
    evidence::{Evidence, Finding, signal},
    raise,
    remedy::Remedies,
};
use crate::{
    decide::FailureMode,
    explain::Explanation,
    observe::{Signal, SignalType},
};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::PidsLimit, hypothesise, remedies };

/// Who is refused so often forks without end, and would fill any limit.
const STORM_FROM_PER_S: f64 = 100.0;
const LIMIT: [&str; 3] = ["fork_eagain", "forks_refused", "cgroup_pids"];

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    let refused = refused(explanation)?;
    let full = refused.numbers.get("tasks").zip(refused.numbers.get("maximum_tasks"));
    let (tasks, maximum) = full.unwrap_or_default();
    Some(
        Evidence::from(0.6)
            .weigh(full.map(|_| tasks >= maximum * 0.9), 0.5, format!("{tasks:.0} of {maximum:.0} tasks are there"))
            .weigh(Some(true), 0.2, format!("{} is {:.0}", refused.measure, refused.value))
            .says(format!("{} is at its limit of tasks", refused.entity)),
    )
}

/// The signal of the limit: that of the cgroup, which knows it, before that of a process that meets it.
fn refused(explanation: &Explanation) -> Option<&Signal> {
    let of_cgroup = signal(explanation, SignalType::Syscall, &["cgroup_forks_refused", "cgroup_pids"]);
    of_cgroup.or_else(|| signal(explanation, SignalType::Syscall, &LIMIT))
}

fn remedies(explanation: &Explanation) -> Remedies {
    let refused = refused(explanation).unwrap_or(&explanation.primary);
    let leaker =
        explanation.culprit().map_or_else(String::new, |culprit| format!(" Most are made by {}.", culprit.entity));
    let (entity, sentence) = (&refused.entity, &refused.sentence);
    let fails = signal(explanation, SignalType::Syscall, &["forks_refused", "fork_eagain"]);
    let per_s = refused.numbers.get("forks_refused_per_s").or_else(|| refused.numbers.get("failures_per_s"));
    Remedies {
        ladder: fails.and_then(|_| raise::tasks(refused)).into_iter().collect(),
        hold: per_s
            .filter(|per_s| *per_s >= STORM_FROM_PER_S)
            .map(|per_s| format!("{per_s:.0} forks a second are refused, which would fill any limit")),
        advice: format!(
            "{entity} may have no more tasks ({sentence}).{leaker} Raise pids.max if the node has room, or end what leaks."
        ),
    }
}
