//! The runner: reads every source each tick, times it, and records how it fares. One that is missing or fails never
//! stops the others.

use std::{
    collections::HashSet,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use nix::sys::resource::{Resource, getrlimit};
use serde::Serialize;

use super::{CgroupMounts, CgroupTree, Context, SOURCES, Scrape, ScrapeError, Scraped, Source, TaskTable};
use crate::{clock::monotonic_ns, observe::Sample, text::Text};

/// A source that is off is asked again once in so many ticks; one that failed, at the next.
const OFF_RETRY_TICKS: u64 = 60;

/// Reads all sources, once a tick.
#[derive(Debug)]
pub struct Scraper {
    pub context: Context,
    runs: Vec<Run>,
}

/// How a source fares, for `status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceStatus {
    pub name: &'static str,
    #[serde(flatten)]
    pub state: SourceState,
    /// Readings since the start, and the time they took, all and the last.
    pub runs: u64,
    pub run_time_ns: u64,
    pub last_run_ns: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SourceState {
    /// Not read yet.
    New,
    On,
    /// It serves, but for what the reason says.
    Partial {
        reason: String,
    },
    /// This machine does not have it.
    Off {
        reason: String,
    },
    Failed {
        reason: String,
        /// Unix time, ms, of the first failure in a row.
        since_ms: i64,
    },
}

#[derive(Debug)]
struct Run {
    status: SourceStatus,
    source: Box<dyn Scrape>,
    off_since_tick: u64,
}

impl Scraper {
    /// Begins every source of [`SOURCES`].
    #[must_use]
    pub fn new() -> Self {
        Self::of(SOURCES)
    }

    /// Begins these sources.
    #[must_use]
    pub fn of(sources: &[Source]) -> Self {
        Self { context: Context::new(), runs: sources.iter().map(Run::start).collect() }
    }

    /// The same, with the control groups at these mounts, wherever this machine has its own.
    #[must_use]
    pub fn with_cgroup_mounts(mut self, mounts: CgroupMounts) -> Self {
        self.context.cgroups = CgroupTree::at(mounts);
        self
    }

    /// Reads everything. `tasks` is the kernel's own table of tasks; without it processes are read from `/proc`.
    pub fn sample(&mut self, tasks: Option<TaskTable>) -> Sample {
        let mut sample = Sample { at_ns: monotonic_ns(), wall_ms: wall_ms(), ..Sample::default() };
        self.context.tasks = tasks;
        for run in &mut self.runs {
            run.read(&mut self.context, &mut sample);
        }
        self.context.tasks = None;
        self.context.tick += 1;
        sample
    }

    /// How every source fares, in the order of the list.
    pub fn status(&self) -> impl Iterator<Item = &SourceStatus> {
        self.runs.iter().map(|run| &run.status)
    }

    /// Where the control groups are mounted, as the last ticks found it.
    #[must_use]
    pub fn cgroup_mounts(&self) -> &CgroupMounts {
        self.context.cgroups.mounts()
    }

    /// The path of a cgroup by its id in the unified hierarchy (what `bpf_get_current_cgroup_id` gives).
    #[must_use]
    pub fn cgroup_by_unified_id(&self, id: u64) -> Option<&Text> {
        self.context.cgroups.by_unified_id(id)
    }
}

impl Default for Scraper {
    fn default() -> Self {
        Self::new()
    }
}

impl Run {
    fn start(source: &Source) -> Self {
        let status =
            SourceStatus { name: source.name, state: SourceState::New, runs: 0, run_time_ns: 0, last_run_ns: 0 };
        Self { status, source: (source.start)(), off_since_tick: 0 }
    }

    fn read(&mut self, context: &mut Context, sample: &mut Sample) {
        let off = matches!(self.status.state, SourceState::Off { .. });
        if off && context.tick < self.off_since_tick + OFF_RETRY_TICKS {
            return;
        }
        let begun = Instant::now();
        let result = self.source.scrape(context, sample);
        let took_ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.status.runs += 1;
        self.status.run_time_ns += took_ns;
        self.status.last_run_ns = took_ns;
        if result.as_ref().is_err_and(ScrapeError::is_off) {
            self.off_since_tick = context.tick;
        }
        let state = next_state(&self.status.state, result, sample.wall_ms);
        if std::mem::discriminant(&state) != std::mem::discriminant(&self.status.state) {
            tracing::info!(source = self.status.name, ?state, "source");
        }
        self.status.state = state;
    }
}

fn next_state(before: &SourceState, result: Result<Scraped, ScrapeError>, now_ms: i64) -> SourceState {
    match result {
        Ok(Scraped::Whole) => SourceState::On,
        Ok(Scraped::Partial { reason }) => SourceState::Partial { reason },
        Err(error) if error.is_off() => SourceState::Off { reason: error.to_string() },
        Err(error) => {
            let since_ms = match before {
                SourceState::Failed { since_ms, .. } => *since_ms,
                _ => now_ms,
            };
            SourceState::Failed { reason: error.to_string(), since_ms }
        }
    }
}

impl Context {
    fn new() -> Self {
        // A quarter each for processes and cgroups leaves half for the rest of the agent.
        let may_open = getrlimit(Resource::RLIMIT_NOFILE).map_or(256, |(soft, _)| soft);
        Self {
            buffer: Vec::new(),
            tick: 0,
            page_bytes: procfs::page_size(),
            ticks_per_second: procfs::ticks_per_second(),
            kept_files: usize::try_from(may_open / 4).unwrap_or(usize::MAX).min(4096),
            cgroups: CgroupTree::default(),
            tasks: None,
            watch_files_of: HashSet::new(),
            no_room: false,
            watch_cgroups: HashSet::new(),
        }
    }
}

fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
