//! `top_processes`: who takes most of something, now.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, params::Bounded, seen::SeenProcess};
use crate::{live::Daemon, observe::window::ProcessTick};

#[derive(Debug)]
pub struct TopProcesses;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub by: By,
    #[serde(default = "ten")]
    pub most: Bounded<1, 50>,
}

fn ten() -> Bounded<1, 50> {
    Bounded::clamped(10)
}

/// What they are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum By {
    /// CPU time since the tick before, percent of one CPU.
    Cpu,
    /// Time its threads waited for a CPU, percent of one CPU.
    RunDelay,
    /// Resident memory, bytes.
    Memory,
    /// Growth of resident memory, bytes a second.
    MemoryGrowth,
    /// Swapped out, bytes.
    Swap,
    /// Bytes read and written, a second.
    Io,
    MinorFaults,
    MajorFaults,
    /// Switches of its own will and of the scheduler's, a second.
    Switches,
    /// Descriptors, where they are counted.
    OpenFiles,
    Threads,
}

impl By {
    /// The name of what it orders by, its unit last.
    #[must_use]
    pub const fn measure(self) -> &'static str {
        match self {
            Self::Cpu => "cpu_percent",
            Self::RunDelay => "run_delay_percent",
            Self::Memory => "rss_bytes",
            Self::MemoryGrowth => "growth_bytes_per_s",
            Self::Swap => "swap_bytes",
            Self::Io => "io_bytes_per_s",
            Self::MinorFaults => "minor_faults_per_s",
            Self::MajorFaults => "major_faults_per_s",
            Self::Switches => "switches_per_s",
            Self::OpenFiles => "open_files",
            Self::Threads => "threads",
        }
    }

    /// None where that is not known of the process.
    fn of(self, process: &ProcessTick) -> Option<f64> {
        let sample = &process.sample;
        let sum =
            |a: Option<f64>, b: Option<f64>| Some(a.unwrap_or(0.0) + b.unwrap_or(0.0)).filter(|_| a.or(b).is_some());
        match self {
            Self::Cpu => process.cpu_percent,
            Self::RunDelay => process.run_delay_percent,
            Self::Memory => Some(sample.rss_bytes as f64),
            Self::MemoryGrowth => process.growth.map(|growth| growth.bytes_per_s),
            Self::Swap => Some(sample.swap_bytes as f64),
            Self::Io => process.io_bytes_per_s,
            Self::MinorFaults => process.minor_faults_per_s,
            Self::MajorFaults => process.major_faults_per_s,
            Self::Switches => sum(process.voluntary_switches_per_s, process.involuntary_switches_per_s),
            Self::OpenFiles => sample.open_files.map(|files| files as f64),
            Self::Threads => Some(f64::from(sample.threads)),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Unix time, ms.
    pub at_ms: i64,
    /// What they are ordered by: the name of the measure, its unit last.
    pub measure: Cow<'static, str>,
    /// The first takes most; those that take nothing are left out.
    pub processes: Vec<Taking>,
    /// What all processes take together.
    pub all: f64,
    /// Processes there are.
    pub count: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taking {
    /// Of what they are ordered by.
    pub value: f64,
    #[serde(flatten)]
    pub process: SeenProcess,
}

impl Tool for TopProcesses {
    const NAME: &'static str = "top_processes";
    const DESCRIPTION: &'static str = "The processes that take most of one thing now (CPU, run delay, memory, its growth, \
        swap, I/O, faults, switches, descriptors, threads), each with all that is known of it in numbers.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, _: &Caller, params: Params) -> Result<Answer, ToolError> {
        let live = daemon.look();
        let tick = live.window.now().ok_or(ToolError::Early)?;
        let valued = tick.processes.iter().filter_map(|process| Some((params.by.of(process)?, process)));
        let mut valued: Vec<_> = valued.filter(|(value, _)| value.is_finite() && *value > 0.0).collect();
        let all = valued.iter().fold(0.0, |all, (value, _)| all + value);
        valued.sort_by(|(a, one), (b, other)| b.total_cmp(a).then(one.sample.id.cmp(&other.sample.id)));
        valued.truncate(params.most.count());
        let taking = |(value, process)| Taking { value, process: SeenProcess::of(process, tick) };
        Ok(Answer {
            at_ms: tick.wall_ms,
            measure: params.by.measure().into(),
            count: tick.processes.len(),
            all,
            processes: valued.into_iter().map(taking).collect(),
        })
    }
}
