//! P2 and P4: what each program takes beside an empty one on the same hook, by the kernel's own clock, under the work
//! that runs it most. P1 and P3 are `pairs`.

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{Figure, Goal, pairs, work, work::Kind};
use crate::{place, say::Step};
use anyhow::{Context, Result, bail};
use clap::ValueEnum as _;
use serde::Deserialize;

/// How long each work is counted, in so many rounds; each round has the programs at another place of memory.
const SECONDS: u64 = 10;
const ROUNDS: u32 = 10;
/// For the programs to be loaded before the work begins.
const LOAD: Duration = Duration::from_millis(500);

/// Work, with how much of it is done at a time, and the programs that it runs most: at most how many ns they take
/// beyond the empty ones.
const GOALS: [(Kind, u64, &[Wanted]); 3] = [
    (Kind::PingPong, 20_000, &[("P2", "a context switch", "sched_switch", 15.0)]),
    (Kind::ReadFaults, 200_000, &[("P4", "a page fault that moves no memory", "page_fault_user", 3.0)]),
    (
        Kind::WriteFaults,
        200_000,
        &[
            // Filling the page evicts what the program needs from the cache; that is counted as its own.
            ("P4", "a page fault that fills a page", "page_fault_user", 3.0),
            ("P4", "a change of resident memory (leak watch)", "rss_stat", 8.0),
        ],
    ),
];

type Wanted = (&'static str, &'static str, &'static str, f64);

#[derive(Deserialize)]
struct Answer {
    costs: Vec<Cost>,
}

#[derive(Clone, Debug, Deserialize)]
struct Cost {
    name: String,
    run_count: u64,
    net_ns: f64,
    net_range_ns: [f64; 2],
}

pub(super) fn measure() -> Result<Vec<Figure>> {
    let mut figures = pairs::measure()?;
    for (kind, count, wanted) in GOALS {
        let costs = costs(kind, count)?;
        figures.extend(wanted.iter().filter_map(|wanted| figure(wanted, kind, &costs)));
    }
    Ok(figures)
}

/// Net times of all programs while that work is done again and again.
fn costs(kind: Kind, count: u64) -> Result<Vec<Cost>> {
    let mut step = Step::begin(format!("net time of each program under {}, {SECONDS} s", name(kind)));
    let mut counted = Command::new(place::agent()?)
        .args(["bench-probes", "--json", "--seconds", &SECONDS.to_string(), "--rounds", &ROUNDS.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("the agent cannot be started")?;
    thread::sleep(LOAD);
    let until = Instant::now() + Duration::from_secs(2 * SECONDS);
    while counted.try_wait()?.is_none() && Instant::now() < until {
        step.tick();
        work::cpu_ms(kind, count)?;
    }
    let done = counted.wait_with_output()?;
    if !done.status.success() {
        bail!("`kernelsight bench-probes` failed: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    let answer: Answer = serde_json::from_slice(&done.stdout).context("what `kernelsight bench-probes` answers")?;
    step.done(&name(kind));
    Ok(answer.costs)
}

fn name(kind: Kind) -> String {
    kind.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// None where the program is not there: another took its place on this kernel, or it is off.
fn figure(wanted: &Wanted, kind: Kind, costs: &[Cost]) -> Option<Figure> {
    let (id, what, program, goal) = *wanted;
    let cost = costs.iter().find(|cost| cost.name == program)?;
    Some(Figure {
        id,
        what: what.to_owned(),
        figure: cost.net_ns,
        goal: Goal::AtMost(goal),
        unit: "ns",
        note: format!(
            "{program} beyond an empty program, {}: median of {ROUNDS} rounds, {:.1} to {:.1} ns, {} runs",
            name(kind),
            cost.net_range_ns[0],
            cost.net_range_ns[1],
            cost.run_count
        ),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn costs() -> Vec<Cost> {
        let answer = json!({ "off": [], "costs": [
            { "name": "rss_stat", "run_count": 5, "mean_ns": 30.0, "empty_mean_ns": 28.0, "net_ns": 2.0,
              "net_range_ns": [1.5, 2.5] },
        ] });
        serde_json::from_value::<Answer>(answer).expect("an answer").costs
    }

    #[test]
    fn the_median_is_held_against_the_goal() {
        let figure = figure(&("P4", "a change", "rss_stat", 8.0), Kind::WriteFaults, &costs()).expect("it is there");
        assert!((figure.figure - 2.0).abs() < 1e-9);
        assert!(figure.is_met());
        assert!(figure.note.contains("write-faults") && figure.note.contains("1.5 to 2.5 ns"), "{}", figure.note);
    }

    #[test]
    fn a_goal_of_a_program_that_is_off_is_no_figure() {
        assert!(figure(&("P2", "a switch", "sched_switch", 15.0), Kind::PingPong, &costs()).is_none());
    }
}
