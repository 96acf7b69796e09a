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

/// How often each work is counted. Each round is a process of its own, which has the programs and their maps at
/// another place of memory: where they share lines of the cache with the kernel's own data, a figure doubles.
const ROUNDS: usize = 25;
const SECONDS: u64 = 1;
/// For the programs to be loaded before the work begins.
const LOAD: Duration = Duration::from_millis(500);
/// Past its time, the work ends even if the count does not.
const PATIENCE: Duration = Duration::from_secs(10);

/// Work, with how much of it is done at a time, and the programs that it runs most: at most how many ns they take
/// beyond the empty ones.
const GOALS: [(Kind, u64, &[Wanted]); 3] = [
    (Kind::PingPong, 20_000, &[Wanted::new("P2", "a context switch", "sched_switch", 15.0)]),
    (Kind::ReadFaults, 200_000, &[Wanted::new("P4", "a page fault that moves no memory", "page_fault_user", 3.0)]),
    (
        Kind::WriteFaults,
        200_000,
        &[
            Wanted {
                besides: "; the same program as where no page is filled, and filling is likely to take its lines out of the cache",
                ..Wanted::new("P4", "a page fault that fills a page", "page_fault_user", 3.0)
            },
            Wanted::new("P4", "a change of resident memory (leak watch)", "rss_stat", 8.0),
        ],
    ),
];

struct Wanted {
    id: &'static str,
    what: &'static str,
    program: &'static str,
    most_ns: f64,
    /// What else is to be known of it.
    besides: &'static str,
}

impl Wanted {
    const fn new(id: &'static str, what: &'static str, program: &'static str, most_ns: f64) -> Self {
        Self { id, what, program, most_ns, besides: "" }
    }
}

#[derive(Deserialize)]
struct Answer {
    costs: Vec<Cost>,
}

#[derive(Clone, Debug, Deserialize)]
struct Cost {
    name: String,
    run_count: u64,
    mean_ns: f64,
    empty_mean_ns: f64,
    net_ns: f64,
}

pub(super) fn measure() -> Result<Vec<Figure>> {
    let mut figures = pairs::measure()?;
    for (kind, count, wanted) in GOALS {
        let costs = costs(kind, count)?;
        figures.extend(wanted.iter().map(|wanted| figure(wanted, kind, &costs)));
    }
    Ok(figures)
}

/// Net times of all programs in each round, while that work is done again and again.
fn costs(kind: Kind, count: u64) -> Result<Vec<Cost>> {
    let mut step = Step::begin(format!("net time of each program under {}, {ROUNDS} rounds", name(kind)));
    let mut costs = Vec::new();
    for _ in 0..ROUNDS {
        costs.extend(round(|| {
            step.tick();
            work::cpu_ms(kind, count)
        })?);
    }
    step.done(&name(kind));
    Ok(costs)
}

/// How often empty programs on the agent's hooks run while that is done again and again, and the ns that they take by
/// the kernel's clock of programs: what that clock takes itself.
pub(super) fn empty_runs(again: impl FnMut() -> Result<f64>) -> Result<(u64, f64)> {
    let costs = round(again)?;
    let count = costs.iter().map(|cost| cost.run_count).sum();
    if count == 0 {
        bail!("no program ran");
    }
    Ok((count, costs.iter().map(|cost| cost.run_count as f64 * cost.empty_mean_ns).sum()))
}

/// Each program's cost while that is done again and again.
fn round(mut again: impl FnMut() -> Result<f64>) -> Result<Vec<Cost>> {
    let mut counted = Command::new(place::agent()?)
        .args(["bench-probes", "--json", "--seconds", &SECONDS.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("the agent cannot be started")?;
    thread::sleep(LOAD);
    let until = Instant::now() + Duration::from_secs(SECONDS) + PATIENCE;
    while counted.try_wait()?.is_none() && Instant::now() < until {
        again()?;
    }
    let done = counted.wait_with_output()?;
    if !done.status.success() {
        bail!("`kernelsight bench-probes` failed: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    let answer: Answer = serde_json::from_slice(&done.stdout).context("what `kernelsight bench-probes` answers")?;
    Ok(answer.costs)
}

fn name(kind: Kind) -> String {
    kind.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn figure(wanted: &Wanted, kind: Kind, costs: &[Cost]) -> Figure {
    let Wanted { id, what, program, most_ns, besides } = *wanted;
    let of: Vec<&Cost> = costs.iter().filter(|cost| cost.name == program).collect();
    let each = |value: fn(&Cost) -> f64| of.iter().map(|cost| value(cost)).collect::<Vec<f64>>();
    let goal = Goal::AtMost(most_ns);
    if of.is_empty() {
        let why = format!("{program} is off on this kernel, or another took its place");
        return Figure::not_taken(id, what, goal, "ns", why);
    }
    let runs: u64 = of.iter().map(|cost| cost.run_count).sum();
    Figure::median(id, what, goal, "ns", each(|cost| cost.net_ns))
        .beside(program, "ns", each(|cost| cost.mean_ns))
        .beside("an empty program", "ns", each(|cost| cost.empty_mean_ns))
        .noting(format!("{}, {runs} runs; each round has the programs at another place of memory{besides}", name(kind)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn costs() -> Vec<Cost> {
        let cost = |net_ns: f64| {
            let mean_ns = 20.0 + net_ns;
            json!({ "name": "rss_stat", "run_count": 5, "net_ns": net_ns, "mean_ns": mean_ns, "empty_mean_ns": 20.0 })
        };
        let answer = json!({ "off": [], "costs": [cost(2.0), cost(1.5), cost(40.0)] });
        serde_json::from_value::<Answer>(answer).expect("an answer").costs
    }

    #[test]
    fn the_median_is_held_against_the_goal() {
        let figure = figure(&Wanted::new("P4", "a change", "rss_stat", 8.0), Kind::WriteFaults, &costs());
        assert_eq!((figure.figure, figure.rounds.len()), (Some(2.0), 3));
        assert!(figure.is_met());
        assert!(figure.note.contains("write-faults"), "{}", figure.note);
    }

    #[test]
    fn a_goal_of_a_program_that_is_off_is_a_figure_that_was_not_taken() {
        let figure = figure(&Wanted::new("P2", "a switch", "sched_switch", 15.0), Kind::PingPong, &costs());
        assert_eq!(figure.figure, None);
    }
}
