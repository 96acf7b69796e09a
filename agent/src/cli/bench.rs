//! `bench-probes`, `bench-calls` and their like: measurements for `cargo xtask bench`; not for operators.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::{
    CliError, Context,
    eyes::{self, Eyes},
};
use crate::{
    agent,
    clock::monotonic_ns,
    observe::kernel::{
        Kernel, Settings,
        bench::{self, Bench, BenchError, CallTimes, Cost, Flood, RecordTimes, RingBench},
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
pub struct BenchRing {
    #[arg(long, value_name = "N", default_value_t = 15)]
    pub rounds: u32,
    /// Records of each side and round; the ring takes as many.
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub records: u32,
    /// Records of the flood, of which most do not fit.
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    pub flood: u32,
    /// Be the flood: so many calls, when standard input ends.
    #[arg(long, value_name = "N", hide = true)]
    pub produce: Option<u32>,
}

#[derive(Debug, Args)]
pub struct BenchLoad {}

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
    /// So many a second, as time goes; without it as fast as they are stored.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub per_s: Option<u64>,
}

/// Of a record with its head in the ring, at most.
const RECORD_ROOM_BYTES: u32 = 128;
const FLOODED_RING_BYTES: u32 = 64 << 10;
const FLOODED_PAUSE: Duration = Duration::from_millis(10);

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

impl BenchRing {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        if let Some(calls) = self.produce {
            return bench::produce(calls).map_err(|source| failed(&BenchError::Work { source }));
        }
        let rounds = self.rounds().map_err(|error| failed(&error))?;
        let flood = self.flooded().map_err(|error| failed(&error))?;
        let each = |of: fn(&RecordTimes) -> f64| rounds.iter().map(of).collect::<Vec<f64>>();
        let report = json!({
            "ours_ns": each(|round| round.ours_ns), "bare_ns": each(|round| round.bare_ns),
            "records": self.records, "record_bytes": rounds.first().map_or(0, |round| round.record_bytes),
            "produced": flood.produced, "told": flood.told, "lost": flood.lost,
        });
        context.print(&report, |report, _| format!("{report:#}"))
    }

    fn rounds(&self) -> Result<Vec<RecordTimes>, BenchError> {
        let ring_bytes = self.records.saturating_mul(RECORD_ROOM_BYTES).next_power_of_two();
        // Nobody is the agent: this process makes the calls.
        let settings = Settings { agent_pid: 0, syscall_outlier_ns: 0, ring_bytes, ..Settings::default() };
        let mut bench = RingBench::new(Kernel::load(&settings))?;
        // Of the first, the memory that is decoded into is new.
        bench.round(self.records, true)?;
        (0..self.rounds).map(|round| bench.round(self.records, round.is_multiple_of(2))).collect()
    }

    fn flooded(&self) -> Result<Flood, BenchError> {
        let flood = Command::new("/proc/self/exe")
            .args(["bench-ring", "--produce", &self.flood.to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|source| BenchError::Work { source })?;
        let settings = Settings { syscall_outlier_ns: 0, ring_bytes: FLOODED_RING_BYTES, ..Settings::default() };
        RingBench::new(Kernel::load(&settings))?.flood(flood, FLOODED_PAUSE)
    }
}

impl BenchLoad {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        let kernel = Kernel::load(&Settings::default());
        let at_ns = monotonic_ns();
        let off = kernel.probes().iter().filter(|probe| probe.state.is_off()).count();
        context.print(&json!({ "at_ns": at_ns, "off": off }), |report, _| format!("{report:#}"))
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
        let report = agent::bench::bench(&self.dir, self.signals, self.per_s)
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
