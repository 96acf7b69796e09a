//! P5: CPU time of fixed work while the agent watches, over the same without it, alternated.

use std::time::Duration;

use anyhow::Result;

use super::{
    Figure, Goal,
    rounds::{Side, alternate},
    work::{self, Kind},
};
use crate::{agent::Agent, place, say::Step};

const ROUNDS: usize = 7;
/// Enough that one piece of work takes about half a second.
const WORKS: [(Kind, u64, &str); 2] =
    [(Kind::Getppid, 3_000_000, "getppid loop"), (Kind::PingPong, 100_000, "pipe ping-pong")];
const GOAL: f64 = 1.05;
/// The agent's own start is no part of what it costs.
const SETTLE: Duration = Duration::from_secs(3);

pub(super) fn measure() -> Result<Vec<Figure>> {
    let log = place::target()?.join("bench/agent.log");
    WORKS
        .iter()
        .map(|(kind, count, what)| {
            let mut step = Step::begin(format!("{what}, {ROUNDS} rounds each way"));
            let with = || {
                let (agent, _) = Agent::start("advisor", &log)?;
                std::thread::sleep(SETTLE);
                let cpu_ms = work::cpu_ms(*kind, *count)?;
                agent.stop()?;
                Ok(cpu_ms)
            };
            let without = || {
                step.tick();
                work::cpu_ms(*kind, *count)
            };
            let (with, without) = alternate(ROUNDS, with, without)?;
            step.done(what);
            Ok(figure(what, &with, &without))
        })
        .collect()
}

fn figure(what: &str, with: &Side, without: &Side) -> Figure {
    Figure {
        id: "P5",
        what: format!("{what}, CPU time with the agent over without"),
        figure: with.median / without.median,
        goal: Goal::AtMost(GOAL),
        unit: "x",
        note: format!(
            "{:.0} ms over {:.0} ms, {} rounds, spread {:.1} % and {:.1} %",
            with.median, without.median, with.rounds, with.spread_percent, without.spread_percent
        ),
    }
}
