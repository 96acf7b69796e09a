//! What a raised limit would change: whoever waits or fails at it goes on, up to the new one.

use super::effect::Left;
use crate::{
    execute::{ActionRequest, Raises},
    explain::{Explanation, Suspect, Yardstick, figures::figure},
    observe::{Entity, ProcessId, entity::is_within},
};

/// What is left of the measure of a limit once it is raised; none where the measure is not of that limit.
///
/// Of CPU time it is known what is wanted: a quota that is enough for that stops nobody, and one that is not stops them
/// in as many periods as before. Of tasks, files and memory it is not: nothing is left until the new limit is reached,
/// and the verdict tells whether it was.
pub(super) fn left_when_raised(
    explanation: &Explanation,
    yardstick: &Yardstick,
    raises: Raises,
    action: &ActionRequest,
) -> Option<Left> {
    let says = |words: &[&str]| words.iter().any(|word| yardstick.measure.contains(word));
    if matches!(raises, Raises::Ports | Raises::PortsInTimeWait) {
        // Of the whole network: whoever finds no port is helped.
        return left_of_ports(explanation, raises).filter(|_| says(&["no_address"]));
    }
    let is_limited = match &yardstick.entity {
        Entity::Process { id, .. } => action.pid() == Some(id.pid) || is_in(explanation, *id, action.cgroup()),
        Entity::Cgroup { path } => action.cgroup() == Some(path.as_str()),
        _ => false,
    };
    let (is_of_it, measure, name) = match raises {
        Raises::CpuQuota => (says(&["throttled"]), "cpu_percent", "percent"),
        Raises::Tasks => (says(&["forks_refused", "fork_eagain", "pids_percent"]), "tasks", "tasks"),
        Raises::OpenFiles => (says(&["emfile", "open_files"]), "open files", "files"),
        Raises::Ports | Raises::PortsInTimeWait => return None,
        Raises::Memory => (says(&["oom_kills", "some_percent", "anonymous_percent"]), "memory_bytes", "bytes"),
    };
    let to = action.number(name)?;
    if !is_limited || !is_of_it {
        return None;
    }
    let said = |left: f64, because: String| Some(Left { left, because, of_all: true });
    let shown = figure(measure, to);
    let wanted = match raises {
        Raises::CpuQuota => cpu_wanted(explanation, &yardstick.entity)?,
        Raises::Memory => return said(0.0, format!("left 0, until it holds {shown}")),
        Raises::Tasks | Raises::OpenFiles | Raises::Ports | Raises::PortsInTimeWait => {
            return said(0.0, format!("left 0, until it has {to:.0} {measure}"));
        }
    };
    let left = if wanted <= to { 0.0 } else { 1.0 };
    said(left, format!("left {left:.0}, for it wants {} of a CPU and may have {shown}", figure(measure, wanted)))
}

/// Ports in TIME-WAIT serve again a second after; in a wider range there are more until those are used, too.
fn left_of_ports(explanation: &Explanation, raises: Raises) -> Option<Left> {
    let number = |name: &str| explanation.primary.numbers.get(name);
    let (waiting, ports) = (number("time_wait_sockets")?, number("local_ports")?);
    let of_wait = raises == Raises::PortsInTimeWait;
    let left = if of_wait && waiting < ports * 0.5 { 1.0 } else { 0.0 };
    let because = match of_wait {
        true => format!("left {left:.0}, for {waiting:.0} of {ports:.0} ports lie in TIME-WAIT"),
        false => "left 0, until the wider range is used, too".to_owned(),
    };
    Some(Left { left, because, of_all: true })
}

/// Whether the cgroup holds the process.
fn is_in(explanation: &Explanation, id: ProcessId, cgroup: Option<&str>) -> bool {
    let holds = |suspect: &&Suspect| suspect.processes().any(|process| process == id);
    let of_it = explanation.suspects.iter().find(holds).and_then(|suspect| suspect.cgroup.as_ref());
    of_it.zip(cgroup).is_some_and(|(path, cgroup)| is_within(path.as_str(), cgroup))
}

/// What the processes of a cgroup ran and stood ready to run, percent of a CPU. Who stands because of a quota stands
/// ready.
#[must_use]
pub fn cpu_wanted(explanation: &Explanation, entity: &Entity) -> Option<f64> {
    let Entity::Cgroup { path } = entity else { return None };
    let of_it = explanation.suspects.iter().filter(|suspect| suspect.of == "cpu" && suspect.is_in(path.as_str()));
    let wanted = of_it.filter_map(|one| Some(one.number("cpu_percent")? + one.number("run_delay_percent")?));
    Some(wanted.sum::<f64>()).filter(|wanted| *wanted > 0.0)
}
