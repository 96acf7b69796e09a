//! `cargo xtask bench`: what the agent costs and how soon it sees, each figure beside its goal.

mod idle;
mod pairs;
mod probes;
mod ratio;
mod reaction;
mod rounds;
mod signals;
mod store;
mod work;

use std::{
    fmt, fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::json;

use crate::{
    place, run,
    say::{self, Step},
    setup,
};
pub(crate) use work::Work;

/// Every measurement, in the order it is taken; each gives one figure or more.
const MEASUREMENTS: [Measurement; 6] = [
    Measurement { name: "probes", about: "net time of each eBPF program", measure: probes::measure },
    Measurement { name: "ratio", about: "CPU time of fixed work, with the agent and without", measure: ratio::measure },
    Measurement { name: "reaction", about: "how soon a leak is seen", measure: reaction::measure },
    Measurement { name: "store", about: "what the store takes in, and how soon it answers", measure: store::measure },
    Measurement { name: "signals", about: "what many signals leave in memory", measure: signals::measure },
    Measurement { name: "idle", about: "what the agent costs on a calm node", measure: idle::measure },
];

struct Measurement {
    name: &'static str,
    about: &'static str,
    measure: fn() -> Result<Vec<Figure>>,
}

/// One figure beside its goal.
#[derive(Clone, Debug, Serialize)]
struct Figure {
    /// As the goals are numbered: `P12`.
    id: &'static str,
    what: String,
    figure: f64,
    goal: Goal,
    unit: &'static str,
    /// How it was taken: rounds, spread, what it is relative to.
    note: String,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

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
    if let Some(unknown) = bench.only.iter().find(|name| !MEASUREMENTS.iter().any(|known| known.name == **name)) {
        let names: Vec<&str> = MEASUREMENTS.iter().map(|known| known.name).collect();
        bail!("`{unknown}` is no measurement; {} are", names.join(", "));
    }
    setup::ensure(setup::For::Building)?;
    run::build()?;
    let logs = place::target()?.join("bench");
    fs::create_dir_all(&logs).with_context(|| format!("{} cannot be made", logs.display()))?;
    let mut figures = Vec::new();
    let chosen =
        MEASUREMENTS.iter().filter(|known| bench.only.is_empty() || bench.only.iter().any(|name| name == known.name));
    for measurement in chosen {
        say::note(&format!("{}: {}", measurement.name, measurement.about));
        figures.extend((measurement.measure)().with_context(|| format!("the measurement {}", measurement.name))?);
    }
    // What is missed comes first.
    figures.sort_by_key(Figure::is_met);
    if bench.json {
        let rows = figures.iter().map(|figure| json!({ "met": figure.is_met(), "figure": figure })).collect::<Vec<_>>();
        println!(
            "{:#}",
            json!({ "missed": figures.iter().filter(|figure| !figure.is_met()).count(), "figures": rows })
        );
    } else {
        print(&figures);
    }
    Ok(figures.iter().all(Figure::is_met))
}

impl Figure {
    fn is_met(&self) -> bool {
        match self.goal {
            Goal::AtMost(bound) => self.figure <= bound,
            Goal::AtLeast(bound) => self.figure >= bound,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bound) => write!(f, "at most {bound}"),
            Self::AtLeast(bound) => write!(f, "at least {bound}"),
        }
    }
}

/// Waits, and shows that it does.
fn wait(step: &mut Step, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        step.tick();
        thread::sleep(Duration::from_millis(100));
    }
}

fn print(figures: &[Figure]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["", "goal", "figure", "wanted", "what", "how"]);
    for figure in figures {
        table.add_row([
            if figure.is_met() { "met" } else { "MISSED" }.to_owned(),
            figure.id.to_owned(),
            format!("{:.3} {}", figure.figure, figure.unit),
            format!("{} {}", figure.goal, figure.unit),
            figure.what.clone(),
            figure.note.clone(),
        ]);
    }
    println!("{table}");
    let missed = figures.iter().filter(|figure| !figure.is_met()).count();
    println!("{} goals met, {missed} missed", figures.len() - missed);
}
