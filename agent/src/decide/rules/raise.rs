//! Limits that are raised: what is short is what somebody allowed, while the node has room. Whether it has is asked again
//! by the action itself. A limit that is only near is a person's to raise: nothing fails or waits yet.

use super::remedy::{Remedy, Rung, action};
use crate::{
    explain::Explanation,
    observe::{Entity, Signal},
    simulate::cpu_wanted,
};

/// Fewer are never worth raising a limit to.
const FILES_LEAST: f64 = 1024.0;
/// Ports in TIME-WAIT are what is short when they are this part of the range.
const IN_TIME_WAIT: f64 = 0.5;
/// The kernel's own range ends here; below is what services commonly listen on.
const PORT_LOW: f64 = 15_000.0;
const PORT_HIGH: f64 = 60_999.0;
/// What is wanted of a CPU differs from second to second.
const CPU_MORE: f64 = 1.25;
/// Of the CPU time that is idle so much may be given away.
const IDLE_PART: f64 = 0.8;

/// A quota that is enough for what its cgroup wants, if so much of the CPUs is idle.
pub(super) fn cpu_quota(explanation: &Explanation, throttled: &Signal) -> Option<Remedy> {
    let Entity::Cgroup { path } = &throttled.entity else { return None };
    let quota = throttled.numbers.get("quota_percent")?;
    let idle = (100.0 - explanation.node.cpu_busy_percent?) * f64::from(explanation.node.online_cpus);
    let wanted = cpu_wanted(explanation, &throttled.entity)?;
    let percent = (wanted * CPU_MORE).min(quota + idle * IDLE_PART).ceil();
    let cgroup = Some(path.as_str()).filter(|_| path.is_plain() && percent >= quota * 1.1)?;
    raised("raise_cgroup_cpu", ("cgroup", cgroup.into()), ("percent", percent))
}

/// Twice as many tasks.
pub(super) fn tasks(refused: &Signal) -> Option<Remedy> {
    let Entity::Cgroup { path } = &refused.entity else { return None };
    let maximum = refused.numbers.get("maximum_tasks").filter(|maximum| *maximum > 0.0)?;
    let cgroup = Some(path.as_str()).filter(|_| path.is_plain())?;
    raised("raise_cgroup_pids", ("cgroup", cgroup.into()), ("tasks", maximum * 2.0))
}

/// Twice as many open files, and as many as most systems allow.
pub(super) fn open_files(process: &Entity, limit: f64) -> Option<Remedy> {
    let pid = process.process()?.pid;
    raised("raise_nofile_limit", ("pid", pid.into()), ("files", (limit * 2.0).max(FILES_LEAST)))
}

/// Twice as much memory.
pub(super) fn memory(at_limit: &Signal) -> Option<Remedy> {
    let Entity::Cgroup { path } = &at_limit.entity else { return None };
    let limit = at_limit.numbers.get("limit_bytes")?;
    let cgroup = Some(path.as_str()).filter(|_| path.is_plain())?;
    raised("raise_cgroup_memory", ("cgroup", cgroup.into()), ("bytes", limit * 2.0))
}

/// Ports in TIME-WAIT for new connections, where they are most of the range; and a wider range.
pub(super) fn ports(failing: &Signal) -> Vec<Remedy> {
    let number = |name: &str| failing.numbers.get(name);
    let remedy =
        |name, params: [(&str, serde_json::Value); 2]| Remedy { rung: Rung::Adjust, actions: action(name, params) };
    let mut ladder = Vec::new();
    if let (Some(waiting), Some(ports)) = (number("time_wait_sockets"), number("local_ports"))
        && waiting >= ports * IN_TIME_WAIT
    {
        ladder.push(Remedy { rung: Rung::Adjust, actions: action("reuse_time_wait", [("value", 1.into())]) });
    }
    if let (Some(low), Some(high)) = (number("local_port_low"), number("local_port_high")) {
        let (low, high) = (low.min(PORT_LOW) as u64, high.max(PORT_HIGH) as u64);
        ladder.push(remedy("widen_port_range", [("low", low.into()), ("high", high.into())]));
    }
    ladder
}

fn raised(name: &str, whose: (&str, serde_json::Value), (to, value): (&str, f64)) -> Option<Remedy> {
    let actions = action(name, [whose, (to, (value as u64).into())]);
    Some(Remedy { rung: Rung::Adjust, actions })
}
