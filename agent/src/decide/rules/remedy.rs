//! Remedies: what helps, from the mildest to the last resort.

use serde_json::{Map, Value};

use crate::{
    execute::{ActionRequest, Actions},
    explain::{Explanation, Member, Suspect},
    observe::Entity,
};

/// How much an action takes from its target. Ordered from the mildest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rung {
    Adjust,
    Limit,
    Freeze,
    /// Of a service that an operator lists for it.
    Restart,
    End,
    /// Only after the same was asked to end, and lives.
    Kill,
}

/// The action that asks a process to end.
pub(super) const ASKS_TO_END: &str = "terminate_process";

#[derive(Clone, Debug)]
pub(crate) struct Remedy {
    pub(super) rung: Rung,
    pub(super) actions: Actions,
}

/// What a rule would do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remedies {
    pub(super) ladder: Vec<Remedy>,
    /// What a person should do, or know; one or more full sentences.
    pub(super) advice: String,
    /// Why the agent should keep its hands off, whatever the ladder holds.
    pub(super) hold: Option<String>,
}

/// `action("throttle_cpu", [("pid", 8.into())])`
pub(super) fn action<const N: usize>(action_type: &str, params: [(&str, Value); N]) -> Actions {
    let params: Map<String, Value> = params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    ActionRequest { action_type: action_type.to_owned(), params }.into()
}

/// The pid to act on, when the suspect is one process that may be: never the first two, which hold the system.
pub(super) fn pid_of(suspect: &Suspect) -> Option<u32> {
    suspect.entity.process().map(|id| id.pid).filter(|pid| *pid > 2)
}

/// The path of the suspect's own cgroup, when it can be written down as it is.
pub(super) fn own_cgroup_of(suspect: &Suspect) -> Option<&str> {
    suspect.own_cgroup().filter(|path| path.is_plain() && path.as_str() != "/").map(crate::text::Text::as_str)
}

/// What leaves more of the CPU to others: `all` who share the blame yield it, to a tenth or a seventieth of the usual
/// weight, or the culprit gets less of it.
pub(super) fn give_way(explanation: &Explanation, culprit: &Suspect, all: &[&Suspect]) -> Vec<Remedy> {
    let nicer = [10, 19].map(|to| lower_priority(all, to));
    let less = [limit_cpu(explanation, culprit), throttle(explanation, culprit)];
    nicer.into_iter().chain(less).flatten().collect()
}

/// Lowers every process of the suspects: one that kept its priority would take what the others leave. None when they are
/// too many to be named in one decision.
fn lower_priority(suspects: &[&Suspect], to: i8) -> Option<Remedy> {
    let members: Option<Vec<&[Member]>> = suspects.iter().map(|suspect| suspect.all_members()).collect();
    let lower = |member: &Member| {
        let params = [("pid", member.id.pid.into()), ("priority", to.into())];
        action("lower_process_priority", params).first().clone()
    };
    let higher = members?.concat().into_iter().filter(|member| member.nice < to && member.id.pid > 2);
    let actions: Vec<ActionRequest> = higher.map(|member| lower(&member)).collect();
    Some(Remedy { rung: Rung::Adjust, actions: actions.try_into().ok()? })
}

/// A quota on the suspect's own cgroup, tight enough for the primary measure to be calm.
fn limit_cpu(explanation: &Explanation, suspect: &Suspect) -> Option<Remedy> {
    let used = suspect.number("cgroup_cpu_percent").filter(|_| suspect.number("cgroup_takes_quota") == Some(1.0))?;
    let cgroup = suspect.cgroup_it_keeps_busy().filter(|path| path.is_plain())?.as_str();
    let percent = quota(explanation, suspect, used);
    let actions = action("limit_cgroup_cpu", [("cgroup", cgroup.into()), ("percent", percent.into())]);
    Some(Remedy { rung: Rung::Limit, actions })
}

/// The same for one process, by stopping and continuing it in turn.
fn throttle(explanation: &Explanation, suspect: &Suspect) -> Option<Remedy> {
    let pid = pid_of(suspect)?;
    let used = suspect.number("cpu_percent")?;
    let limit = quota(explanation, suspect, used).min(99);
    let actions = action("throttle_cpu", [("pid", pid.into()), ("limit", limit.into())]);
    Some(Remedy { rung: Rung::Limit, actions })
}

/// Freezes the suspect's own cgroup where there is a freezer, else pauses the process.
pub(super) fn freeze(suspect: &Suspect) -> Option<Remedy> {
    let freezer = suspect.number("cgroup_frozen") == Some(0.0);
    let actions = match own_cgroup_of(suspect).filter(|_| freezer) {
        Some(cgroup) => action("freeze_cgroup", [("cgroup", cgroup.into())]),
        None => action("pause_process", [("pid", pid_of(suspect)?.into())]),
    };
    Some(Remedy { rung: Rung::Freeze, actions })
}

/// Asks the process to end, and kills it when it was asked before and lives.
pub(super) fn end(suspect: &Suspect) -> Vec<Remedy> {
    let remedy = |pid: u32, rung, name| Remedy { rung, actions: action(name, [("pid", pid.into())]) };
    let both = |pid| [remedy(pid, Rung::End, ASKS_TO_END), remedy(pid, Rung::Kill, "kill_process")];
    pid_of(suspect).map(both).into_iter().flatten().collect()
}

/// Restarts the unit that the suspect is of, where an operator lists it.
pub(super) fn restart(suspect: &Suspect) -> Option<Remedy> {
    let unit = suspect.unit.as_ref().filter(|unit| suspect.may_restart && unit.is_plain())?;
    Some(Remedy { rung: Rung::Restart, actions: action("restart_unit", [("unit", unit.as_str().into())]) })
}

/// A limit on the memory of the suspect's own cgroup that only its cache stands above.
pub(super) fn limit_memory(suspect: &Suspect) -> Option<Remedy> {
    let cgroup = own_cgroup_of(suspect)?;
    let (usage, anonymous) = (suspect.number("cgroup_usage_bytes")?, suspect.number("cgroup_anonymous_bytes")?);
    let bytes = (anonymous * 1.2).max(16.0 * 1_048_576.0);
    let worth_it = bytes < usage * 0.8;
    let actions = action("limit_cgroup_memory", [("cgroup", cgroup.into()), ("bytes", (bytes as u64).into())]);
    worth_it.then_some(Remedy { rung: Rung::Limit, actions })
}

/// "x.service" when a unit owns it, else the entity.
pub(super) fn restartable(suspect: &Suspect) -> String {
    match (&suspect.unit, &suspect.entity) {
        (Some(unit), _) => format!("restart {unit}"),
        (None, Entity::Process { .. }) => format!("restart or end {}", suspect.entity),
        (None, entity) => format!("stop what runs in {entity}"),
    }
}

/// Less of a CPU than this, percent, is hardly left alive, and at guardian it is not allowed.
const LEAST_PERCENT: f64 = 10.0;

/// Percent of a CPU that leaves the yardstick at 0.6 of medium, at least a twentieth of what is used now.
fn quota(explanation: &Explanation, suspect: &Suspect, used: f64) -> u32 {
    let yardstick = explanation.yardstick();
    let value = yardstick.value.max(f64::MIN_POSITIVE);
    let part = if yardstick.entity == suspect.entity { 1.0 } else { suspect.share.max(0.01) };
    let goal = (0.6 * yardstick.medium_at / value).min(1.0);
    let left = (1.0 - (1.0 - goal) / part).clamp(0.05, 0.8);
    (used * left).clamp(LEAST_PERCENT, 102_400.0).round() as u32
}
