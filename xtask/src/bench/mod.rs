//! `cargo xtask bench`: what the agent costs and how soon it sees, each figure beside its goal.

mod idle;
mod pairs;
mod probes;
mod ratio;
pub(crate) mod reaction;
pub(crate) mod rounds;
mod signals;
mod store;
mod work;

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Args;

use crate::{
    figure::{self, Figure, Goal, Measurement, Words},
    say::Step,
};
pub(crate) use work::Work;

/// Every measurement, in the order it is taken.
const MEASUREMENTS: [Measurement<()>; 6] = [
    Measurement { name: "probes", about: "net time of each eBPF program", measure: |()| probes::measure() },
    Measurement {
        name: "ratio",
        about: "CPU time of fixed work, with the agent and without",
        measure: |()| ratio::measure(),
    },
    Measurement { name: "reaction", about: "how soon a leak is seen", measure: |()| reaction::measure() },
    Measurement {
        name: "store",
        about: "what the store takes in, and how soon it answers",
        measure: |()| store::measure(),
    },
    Measurement { name: "signals", about: "what many signals leave in memory", measure: |()| signals::measure() },
    Measurement { name: "idle", about: "what the agent costs on a calm node", measure: |()| idle::measure() },
];
const WORDS: Words = Words { one: "measurement", met: "met", missed: "MISSED" };

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Only this measurement; may be given more than once
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// True when every goal is met.
pub(crate) fn bench(bench: &Bench) -> Result<bool> {
    figure::take(&MEASUREMENTS, &bench.only, bench.json, &WORDS, &())
}

/// Waits, and shows that it does.
pub(crate) fn wait(step: &mut Step, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        step.tick();
        thread::sleep(Duration::from_millis(100));
    }
}
