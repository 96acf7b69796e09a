//! `cgroup_memory_limit`: a cgroup is at its own limit while the node has room. The limit is the finding.

use super::{
    Rule,
    evidence::{Evidence, Finding, signal},
    raise,
    remedy::Remedies,
};
use crate::{
    decide::FailureMode,
    explain::{Explanation, Suspect, figures::figure},
    observe::{Entity, SignalType},
};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::CgroupMemoryLimit, hypothesise, remedies };

/// Who grows by so many bytes/s, in so much of its steps, and is so old, s, leaks: more memory would go the same way.
const GROWS_FROM: f64 = 256.0 * 1024.0;
const RISING_FROM: f64 = 0.8;
const OLD_FROM_S: f64 = 10.0;

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    let at_limit = signal(explanation, SignalType::MemoryPressure, &["cgroup_"])?;
    let Entity::Cgroup { path } = &at_limit.entity else { return None };
    let killed = at_limit.measure.contains("oom_kills");
    let node = &explanation.node;
    let room = node.memory_available_bytes as f64 / (node.memory_total_bytes.max(1)) as f64;
    let limit = at_limit.numbers.get("limit_bytes");
    Some(
        Evidence::from(0.4)
            .weigh(Some(killed), 0.6, format!("{} is {}", at_limit.measure, figure(&at_limit.measure, at_limit.value)))
            .weigh(limit.map(|_| true), 0.3, format!("its limit is {}", figure("limit_bytes", limit.unwrap_or(0.0))))
            .weigh(
                (node.memory_total_bytes > 0).then_some(room >= 0.2),
                0.4,
                format!("{:.0} % of the node's memory is available", room * 100.0),
            )
            .says(format!("cgroup {path} is at its own memory limit, not the node's")),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let at_limit = signal(explanation, SignalType::MemoryPressure, &["cgroup_"]).unwrap_or(&explanation.primary);
    let limit =
        at_limit.numbers.get("limit_bytes").map_or_else(String::new, |l| format!(" of {}", figure("limit_bytes", l)));
    let room = figure("available_bytes", explanation.node.memory_available_bytes as f64);
    let suffers = signal(explanation, SignalType::MemoryPressure, &["cgroup_oom_kills", "cgroup_some"]);
    let hold = explanation.suspects.iter().find(|suspect| grows(suspect)).map(|leak| {
        let by = figure("growth_bytes_per_s", leak.number("growth_bytes_per_s").unwrap_or(0.0));
        format!("{} grows by {by}, and would meet any limit", leak.entity)
    });
    Remedies {
        hold,
        ladder: suffers.and_then(|_| raise::memory(at_limit)).into_iter().collect(),
        advice: format!(
            "{} meets its limit{limit}; the node has {room} available. Raise the limit if what it does is worth it.",
            at_limit.entity
        ),
    }
}

/// Whether it has grown long enough, and steadily enough, to go on.
fn grows(suspect: &Suspect) -> bool {
    let at_least = |name: &str, least: f64| suspect.number(name).is_some_and(|value| value >= least);
    at_least("growth_bytes_per_s", GROWS_FROM) && at_least("rising_share", RISING_FROM) && at_least("age_s", OLD_FROM_S)
}
