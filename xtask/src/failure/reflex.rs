//! The reflex while the node is as bad as it gets: the same leak as `bench` measures on a calm one, beside each of the
//! loads that the agent is there for.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{Figure, Goal};
use crate::{
    agent::Agent,
    bench::{self, reaction::Ears},
    cgroup::Limits,
    faults::{catalogue::Process, inject::Running},
    figure::quantile,
    place,
    say::Step,
};

const LEAKS: usize = 8;
/// For the load to come up, and the agent to get used to it.
const SETTLE: Duration = Duration::from_secs(4);
/// No load lasts longer.
const LOAD_S: u64 = 120;

/// Whose load it is, by name and settings, and how many of it there are at once.
fn loads() -> [(&'static str, Vec<(&'static str, Value)>); 4] {
    [
        ("CPU: twice as many spinners as there are CPUs", vec![("cpu_hog", json!({})), ("cpu_hog", json!({}))]),
        (
            "memory: pages filled and given back",
            vec![("minor_fault_churn", json!({})), ("minor_fault_churn", json!({}))],
        ),
        ("I/O: syncs and dirty pages", vec![("fsync_storm", json!({})), ("dirty_flood", json!({}))]),
        ("forks: as fast as a shell makes them", vec![("fork_storm", json!({ "rate_per_s": 5000 })); 2]),
    ]
}

pub(super) fn measure() -> Result<Vec<Figure>> {
    loads().into_iter().enumerate().map(|(number, (what, processes))| under(number, what, &processes)).collect()
}

fn under(number: usize, what: &str, processes: &[(&str, Value)]) -> Result<Figure> {
    let mut step = Step::begin(format!("{LEAKS} leaks, {what}"));
    // It watches and treats nothing, or the load would not last.
    let (agent, _) = Agent::start("advisor", &place::target()?.join("bench/agent.log"))?;
    let running = processes
        .iter()
        .enumerate()
        .map(|(at, (name, settings))| {
            let cgroup = Some(Limits { memory_mb: Some(512), ..Limits::default() });
            let process = Process::new(name, settings.clone(), cgroup);
            Running::start(&process, &format!("failure/load-{number}-{at}"), LOAD_S)
        })
        .collect::<Result<Vec<_>>>()?;
    bench::wait(&mut step, SETTLE);
    let ears = Ears::open(&agent)?;
    let (mut reflexes_ms, mut told_ms) = (Vec::new(), Vec::new());
    for leak in 0..LEAKS {
        let heard = ears.leak(100 * (number + 1) + leak, &mut step)?;
        reflexes_ms.extend(heard.reflex_ms);
        told_ms.extend(heard.signal_ms);
    }
    drop((ears, running));
    agent.stop()?;
    step.done(what);
    if reflexes_ms.is_empty() {
        bail!("the reflex opened a signal on none of {LEAKS} leaks under {what}; {} led to one", told_ms.len());
    }
    reflexes_ms.sort_by(f64::total_cmp);
    told_ms.sort_by(f64::total_cmp);
    let what = format!("crossing of a leak to its typed signal, slowest; {what}");
    Ok(Figure::once("proof", what, Goal::AtMost(100.0), "ms", quantile(&reflexes_ms, 1.0)).noting(format!(
        "{} of {LEAKS} leaks by the reflex, p50 {:.2} ms; told to a client in {:.1} ms at most",
        reflexes_ms.len(),
        quantile(&reflexes_ms, 0.5),
        quantile(&told_ms, 1.0)
    )))
}
