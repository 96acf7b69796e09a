//! `bench-probes`, `bench-calls`, `bench-block`, `bench-store` and `bench-signals`: measurements for `cargo xtask bench`;
//! not for operators.

use std::{path::PathBuf, thread, time::Duration};

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::{
    CliError, Context,
    eyes::{self, Eyes},
};
use crate::{
    agent,
    observe::kernel::{
        Kernel, Settings,
        bench::{self, Bench, BenchError, CallTimes, Cost},
    },
    store,
};

#[derive(Debug, Args)]
pub struct BenchProbes {
    /// How long to count, s.
    #[arg(long, value_name = "S", default_value_t = 5)]
    pub seconds: u64,
    /// Rounds in that time. Each loads the programs anew, at another place of memory, which moves their figures.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub rounds: u32,
}

#[derive(Debug, Args)]
pub struct BenchCalls {
    #[arg(long, value_name = "N", default_value_t = 15)]
    pub rounds: u32,
    /// Calls of each kind, side and round.
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    pub calls: u32,
}

#[derive(Debug, Args)]
pub struct BenchBlock {
    /// Block device or file to read from, past the page cache.
    #[arg(long, value_name = "PATH")]
    pub file: PathBuf,
    #[arg(long, value_name = "N", default_value_t = 9)]
    pub rounds: u32,
    /// Requests of each side and round.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub requests: u32,
}

#[derive(Debug, Args)]
pub struct BenchStore {
    /// Directory to write in; it is left as it is.
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Signals a round.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub rows: usize,
}

#[derive(Debug, Args)]
pub struct BenchSignals {
    /// Directory to write in; it is left as it is.
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Signals that open and close.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub signals: u64,
}

/// What one program costs beside an empty one: medians over the rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeCost {
    pub name: &'static str,
    pub run_count: u64,
    pub mean_ns: f64,
    pub empty_mean_ns: f64,
    pub net_ns: f64,
    /// Least and most of the rounds, ns.
    pub net_range_ns: [f64; 2],
}

impl ProbeCost {
    fn of(name: &'static str, laps: &[Cost]) -> Self {
        let sorted = |of: fn(&Cost) -> f64| {
            let mut values: Vec<f64> = laps.iter().filter(|lap| lap.name == name).map(of).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let median = |values: &[f64]| values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
        let net = sorted(Cost::net_ns);
        Self {
            name,
            run_count: laps.iter().filter(|lap| lap.name == name).map(|lap| lap.run_count).sum(),
            mean_ns: median(&sorted(|lap| lap.mean_ns)),
            empty_mean_ns: median(&sorted(|lap| lap.empty_mean_ns)),
            net_ns: median(&net),
            net_range_ns: [net.first().copied().unwrap_or(f64::NAN), net.last().copied().unwrap_or(f64::NAN)],
        }
    }
}

impl BenchProbes {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        let mut kernel = Kernel::load(&Settings::default());
        let mut laps: Vec<Cost> = Vec::new();
        for _ in 0..self.rounds {
            let bench = Bench::start(&mut kernel).map_err(|error| failed(&error))?;
            thread::sleep(Duration::from_secs(self.seconds) / self.rounds.max(1));
            laps.extend(bench.stop());
        }
        let mut costs: Vec<ProbeCost> = Vec::new();
        for lap in &laps {
            if !costs.iter().any(|cost| cost.name == lap.name) {
                costs.push(ProbeCost::of(lap.name, &laps));
            }
        }
        let off: Vec<_> = kernel.probes().into_iter().filter(|probe| probe.state.is_off()).collect();
        context.print(&json!({ "costs": costs, "off": off }), |_, eyes| text(&costs, eyes))
    }
}

impl BenchCalls {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        // Nobody is the agent: this process makes the calls that are measured.
        let mut kernel = Kernel::load(&Settings { agent_pid: 0, ..Settings::default() });
        let rounds = (0..self.rounds).map(|_| bench::calls(&mut kernel, self.calls)).collect::<Result<Vec<_>, _>>();
        let rounds = rounds.map_err(|error| failed(&error))?;
        let rows = |n: usize| -> Vec<_> {
            let row = |times: &[CallTimes; 2]| {
                let CallTimes { none_ns, empty_ns, ours_ns } = times[n];
                json!({ "none_ns": none_ns, "empty_ns": empty_ns, "ours_ns": ours_ns, "ratio": times[n].ratio() })
            };
            rounds.iter().map(row).collect()
        };
        context.print(&json!({ "untimed": rows(0), "timed": rows(1) }), |report, _| format!("{report:#}"))
    }
}

impl BenchBlock {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        let mut kernel = Kernel::load(&Settings { reference: true, ..Settings::default() });
        let round = |_| bench::block(&mut kernel, &self.file, self.requests);
        let rounds = (0..self.rounds).map(round).collect::<Result<Vec<_>, _>>().map_err(|error| failed(&error))?;
        let row = |[ours, reference]: &[f64; 2]| json!({ "ours_ns": ours, "reference_ns": reference });
        let rows: Vec<_> = rounds.iter().map(row).collect();
        context.print(&json!({ "rounds": rows }), |report, _| format!("{report:#}"))
    }
}

fn failed(error: &BenchError) -> CliError {
    CliError::Failed { reason: error.to_string() }
}

impl BenchStore {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        let report = store::bench::bench(&self.dir, self.rows)
            .map_err(|error| CliError::Failed { reason: error.to_string() })?;
        context.print(&report, |report, _| format!("{report:#?}"))
    }
}

impl BenchSignals {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        let report = agent::bench::bench(&self.dir, self.signals)
            .map_err(|error| CliError::Failed { reason: error.to_string() })?;
        context.print(&report, |report, _| format!("{report:#?}"))
    }
}

fn text(costs: &[ProbeCost], eyes: &Eyes) -> String {
    let rows = costs.iter().map(|cost| {
        [
            cost.name.to_owned(),
            eyes::short(cost.run_count as f64),
            eyes::nanoseconds(cost.mean_ns),
            eyes::nanoseconds(cost.empty_mean_ns),
            eyes::nanoseconds(cost.net_ns),
        ]
    });
    eyes.table(["PROGRAM", "RUNS", "MEAN", "EMPTY", "NET"], rows)
}
