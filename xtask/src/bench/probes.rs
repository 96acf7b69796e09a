//! P1 to P4: what each program takes beside an empty one on the same hook, by the kernel's own clock.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Figure, Goal, work, work::Kind};
use crate::{
    faults::{catalogue::Process, inject::Running},
    place,
    say::Step,
};

/// How long is counted; all the work below falls into it.
const SECONDS: u64 = 12;
/// For the programs to be loaded before the work begins.
const LOAD: Duration = Duration::from_secs(2);

/// The programs of each goal, and at most how many ns they take together beyond the empty ones.
const GOALS: [(&str, &str, &[&str], f64); 5] = [
    // A tenth of what the empty pair adds to a call.
    ("P1", "a system call that is not timed", &["sys_enter", "sys_exit"], 14.0),
    ("P2", "a context switch", &["sched_switch"], 15.0),
    // 0.22 of a latency program that remembers each request in a hash map, 585 ns.
    ("P3", "a block request", &["block_rq_issue", "block_rq_complete"], 129.0),
    ("P4", "a page fault", &["page_fault_user"], 3.0),
    ("P4", "a change of resident memory (leak watch)", &["rss_stat"], 8.0),
];

#[derive(Deserialize)]
struct Answer {
    costs: Vec<Cost>,
}

#[derive(Clone, Debug, Deserialize)]
struct Cost {
    name: String,
    run_count: u64,
    net_ns: f64,
}

pub(super) fn measure() -> Result<Vec<Figure>> {
    let mut step = Step::begin(format!("net time of each program, {SECONDS} s"));
    let counted = Command::new(place::agent()?)
        .args(["bench-probes", "--json", "--seconds", &SECONDS.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("the agent cannot be started")?;
    let worked = occupy(&mut step);
    let done = counted.wait_with_output()?;
    worked?;
    if !done.status.success() {
        bail!("`kernelsight bench-probes` failed: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    let answer: Answer = serde_json::from_slice(&done.stdout).context("what `kernelsight bench-probes` answers")?;
    step.done("probes");
    Ok(GOALS.iter().filter_map(|(id, what, names, goal)| figure(id, what, names, *goal, &answer.costs)).collect())
}

/// Something for every program to count.
fn occupy(step: &mut Step) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(SECONDS);
    super::wait(step, LOAD);
    let process = |name: &str, settings: Value| Process { name: name.to_owned(), settings, cgroup: None };
    let seconds = until.saturating_duration_since(Instant::now()).as_secs().max(1);
    let loads = [process("minor_fault_churn", json!({})), process("archive", json!({ "files": 100 }))];
    let running = loads.iter().map(|load| Running::start(load, "bench", seconds)).collect::<Result<Vec<_>>>()?;
    while Instant::now() + Duration::from_secs(1) < until {
        step.tick();
        work::cpu_ms(Kind::Getppid, 200_000)?;
        work::cpu_ms(Kind::PingPong, 10_000)?;
    }
    drop(running);
    Ok(())
}

/// None where one of the programs is not there: another took its place on this kernel, or it is off.
fn figure(id: &'static str, what: &str, names: &[&str], goal: f64, costs: &[Cost]) -> Option<Figure> {
    let of = names.iter().map(|name| costs.iter().find(|cost| cost.name == *name)).collect::<Option<Vec<&Cost>>>()?;
    let runs: Vec<String> =
        of.iter().map(|cost| format!("{} {:.1} ns of {} runs", cost.name, cost.net_ns, cost.run_count)).collect();
    Some(Figure {
        id,
        what: what.to_owned(),
        figure: of.iter().map(|cost| cost.net_ns).sum(),
        goal: Goal::AtMost(goal),
        unit: "ns",
        note: format!("beyond an empty program: {}", runs.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs() -> Vec<Cost> {
        let answer = json!({ "off": [], "costs": [
            { "name": "sys_enter", "run_count": 5, "mean_ns": 30.0, "empty_mean_ns": 28.0, "net_ns": 2.0 },
            { "name": "sys_exit", "run_count": 5, "mean_ns": 31.0, "empty_mean_ns": 28.0, "net_ns": 3.0 },
        ] });
        serde_json::from_value::<Answer>(answer).expect("an answer").costs
    }

    #[test]
    fn the_two_ends_of_a_call_are_summed() {
        let figure = figure("P1", "a call", &["sys_enter", "sys_exit"], 14.0, &costs()).expect("both are there");
        assert!((figure.figure - 5.0).abs() < 1e-9);
        assert!(figure.is_met());
    }

    #[test]
    fn a_goal_of_a_program_that_is_off_is_no_figure() {
        assert!(figure("P2", "a switch", &["sched_switch"], 15.0, &costs()).is_none());
    }
}
