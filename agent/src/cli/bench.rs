//! `bench-probes`, `bench-store` and `bench-signals`: measurements for `cargo xtask bench`; not for operators.

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
    observe::kernel::{Kernel, Settings, bench::Bench},
    store,
};

#[derive(Debug, Args)]
pub struct BenchProbes {
    /// How long to count, s.
    #[arg(long, value_name = "S", default_value_t = 5)]
    pub seconds: u64,
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

/// What one program costs beside an empty one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeCost {
    pub name: &'static str,
    pub run_count: u64,
    pub mean_ns: f64,
    pub empty_mean_ns: f64,
    pub net_ns: f64,
}

impl BenchProbes {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        let mut kernel = Kernel::load(&Settings::default());
        let failed = |reason: String| CliError::Failed { reason };
        let bench = Bench::start(&mut kernel).map_err(|error| failed(error.to_string()))?;
        thread::sleep(Duration::from_secs(self.seconds));
        let costs: Vec<ProbeCost> = bench
            .stop()
            .into_iter()
            .map(|cost| ProbeCost {
                name: cost.name,
                run_count: cost.run_count,
                mean_ns: cost.mean_ns,
                empty_mean_ns: cost.empty_mean_ns,
                net_ns: cost.net_ns(),
            })
            .collect();
        let off: Vec<_> = kernel.probes().into_iter().filter(|probe| probe.state.is_off()).collect();
        context.print(&json!({ "costs": costs, "off": off }), |_, eyes| text(&costs, eyes))
    }
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
