//! `cargo xtask bench`: what the agent costs and how soon it sees, each figure beside its goal and its reference.

mod bpftrace;
mod earlyoom;
mod idle;
mod model;
mod pairs;
mod probes;
mod ratio;
pub(crate) mod reaction;
mod relief;
mod report;
mod ring;
mod rounds;
mod signals;
mod stall;
mod start;
mod store;
mod work;
mod workloads;

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::de::DeserializeOwned;

use crate::{
    figure::{self, Figure, Goal, Measurement, Words},
    page::Machine,
    place,
    say::{self, Step},
};
pub(crate) use work::Work;

/// Every measurement, in the order it is taken: what wants a calm node before what makes it busy.
const MEASUREMENTS: [Measurement<()>; 12] = [
    Measurement { name: "idle", about: "what the agent costs on a calm node", measure: |()| idle::measure() },
    Measurement { name: "probes", about: "net time of each eBPF program", measure: |()| probes::measure() },
    Measurement {
        name: "ratio",
        about: "CPU time of fixed work, with the agent, with bpftrace and without",
        measure: |()| ratio::measure(),
    },
    Measurement { name: "ring", about: "what it costs to take in a record", measure: |()| ring::measure() },
    Measurement { name: "reaction", about: "how soon a leak is seen", measure: |()| reaction::measure() },
    Measurement { name: "relief", about: "how soon something is done about it", measure: |()| relief::measure() },
    Measurement { name: "stall", about: "how soon a stall is seen", measure: |()| stall::measure() },
    Measurement { name: "start", about: "how soon all probes are live", measure: |()| start::measure() },
    Measurement {
        name: "store",
        about: "what the store takes in, and how soon it answers",
        measure: |()| store::measure(),
    },
    Measurement { name: "rates", about: "many signals an hour, and a burst of them", measure: |()| signals::rates() },
    Measurement { name: "signals", about: "what many signals leave in memory", measure: |()| signals::memory() },
    Measurement {
        name: "model",
        about: "what the loop adds to a model, and what waiting for one costs",
        measure: |()| model::measure(),
    },
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
    /// Write the report here [default: bench/report.html in the target directory]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// True when no goal is missed; a figure that was not taken misses none.
pub(crate) fn bench(bench: &Bench) -> Result<bool> {
    let default_page = || Ok(place::target()?.join("bench/report.html"));
    let page = bench.report.clone().map_or_else(default_page, Ok::<_, anyhow::Error>)?;
    let (machine, load, command) = (Machine::read(), report::load(), bench.line());
    let report = |taken: &figure::Taken| report::write(&machine, &load, &command, taken, &page);
    say::note(&format!("the report, after each measurement: {}", page.display()));
    let taken = figure::take(&MEASUREMENTS, &bench.only, &WORDS, &(), report)?;
    if bench.json {
        let mut answer = figure::json(&taken);
        answer["machine"] = serde_json::to_value(&machine)?;
        answer["load_before"] = load.into();
        answer["command"] = command.into();
        answer["report"] = page.to_string_lossy().into();
        println!("{answer:#}");
    } else {
        figure::print(&taken, &WORDS);
        println!("report: {}", page.display());
    }
    Ok(taken.is_well())
}

impl Bench {
    /// The command that runs the same again.
    fn line(&self) -> String {
        format!("cargo xtask bench{}", self.only.iter().flat_map(|name| [" --only ", name]).collect::<String>())
    }
}

/// Waits, and shows that it does.
pub(crate) fn wait(step: &mut Step, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        step.tick();
        thread::sleep(until.saturating_duration_since(Instant::now()).min(Duration::from_millis(100)));
    }
}

/// What one of the agent's own measurements answers.
fn ask<T: DeserializeOwned>(arguments: &[&str]) -> Result<T> {
    let asked = Command::new(place::agent()?).args(arguments).stdin(Stdio::null()).output();
    let done = asked.context("the agent cannot be started")?;
    if !done.status.success() {
        bail!("`kernelsight {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr).trim());
    }
    serde_json::from_slice(&done.stdout).with_context(|| format!("what `kernelsight {}` answers", arguments.join(" ")))
}
