//! The kernel half's user half: loads the eBPF programs, each on its own, and reads what they counted.
//!
//! `programs` says what there is and what each needs; `counters` reads the maps; `tasks` and `sockets` read iterators,
//! `rows` folds what the one of tasks wrote. Nothing is pinned: all of it goes when the process ends.

#![expect(unsafe_code, reason = "maps are read by bpf(2)")]

mod attach;
mod batch;
pub mod bench;
mod counters;
mod demand;
mod obstacles;
mod pass;
mod programs;
mod rings;
mod rows;
mod settings;
mod sockets;
mod tasks;

use std::{io, os::fd::OwnedFd};

use agent_ebpf::constants::Settings as Constants;
use aya::{
    Ebpf, EbpfLoader,
    maps::MapError,
    programs::Program as Handle,
    sys::{Stats, enable_stats},
};
use serde::Serialize;

pub use obstacles::obstacles;
pub(crate) use obstacles::release as kernel_release;
pub use rows::{Rows, TaskRow};
pub use settings::Settings;

use super::{
    offsets::Types,
    ring::Events,
    sample::{KernelSample, ProcessSample, SocketsOfProcess},
};
use attach::{chain, fit, start};
use counters::Counters;
use demand::Demand;
use programs::{PROGRAMS, Program};
use rings::Rings;
use sockets::Sockets;
use tasks::Tasks;

use crate::allocator;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/agent-ebpf"));

/// Room for what the benchmark compares with.
const REFERENCE_ENTRIES: u32 = 10_240;

/// Why nothing is read.
const NOTHING_LOADED: &str = "nothing is loaded";

/// Why a reading of the kernel failed.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    #[error("the task iterator is off: {reason}")]
    TasksOff { reason: String },
    #[error("the task iterator cannot be opened: {source}")]
    TasksOpen { source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the task iterator cannot be read: {source}")]
    TasksRead { source: io::Error },
    #[error("the task iterator wrote a row of {row_bytes} bytes with {left} left")]
    TasksRow { row_bytes: u32, left: usize },
    #[error("the iterator over descriptors is off: {reason}")]
    SocketsOff { reason: String },
    #[error("the iterator over descriptors cannot be opened: {source}")]
    SocketsOpen { source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the iterator over descriptors cannot be read: {source}")]
    SocketsRead { source: io::Error },
    #[error("the object has no map {map}")]
    NoMap { map: &'static str },
    #[error("map {map} cannot be read: {source}")]
    Map { map: &'static str, source: MapError },
}

/// One program, and how it fares.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeState {
    pub name: &'static str,
    pub tracer: &'static str,
    #[serde(flatten)]
    pub state: State,
    /// Runs, and time in them, since load; zero where run statistics are off.
    pub run_count: u64,
    pub run_time_ns: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    On,
    /// It runs, and tells less than it might.
    Degraded {
        reason: String,
    },
    Off {
        reason: String,
    },
}

impl State {
    #[must_use]
    pub fn is_off(&self) -> bool {
        matches!(self, Self::Off { .. })
    }
}

/// The loaded programs; dropping it detaches them.
pub struct Kernel {
    states: Vec<(&'static Program, State)>,
    loaded: Option<Loaded>,
    statistics: Option<OwnedFd>,
    /// Why there are no rings, though the rest is loaded.
    without_rings: Option<String>,
}

struct Loaded {
    ebpf: Ebpf,
    counters: Counters,
    demand: Demand,
    tasks: Tasks,
    sockets: Sockets,
    rings: Option<Rings>,
}

impl Kernel {
    /// Loads and attaches what this kernel lets it. Never fails: what is missing is the reason of a probe that is off.
    #[must_use]
    pub fn load(settings: &Settings) -> Self {
        let kernel = match Types::running() {
            Ok(types) => Self::load_with(settings, types),
            Err(error) => Self::off(&reason_with_obstacles(error.to_string())),
        };
        // What parsing took, some 30 MB.
        allocator::give_back();
        kernel
    }

    /// The same with types that are given: those of [`Types::running`], less what is to be missed.
    #[must_use]
    pub fn load_with(settings: &Settings, types: Types) -> Self {
        match load(settings, types) {
            Ok(kernel) => kernel,
            Err(reason) => Self::off(&reason_with_obstacles(reason)),
        }
    }

    fn off(reason: &str) -> Self {
        let state = || State::Off { reason: reason.to_owned() };
        let states = PROGRAMS.iter().filter(|program| !program.is_variant()).map(|p| (p, state())).collect();
        Self { states, loaded: None, statistics: None, without_rings: None }
    }

    /// Every program, in the order of the loop's tracers.
    #[must_use]
    pub fn probes(&self) -> Vec<ProbeState> {
        let row = |(program, state): &(&'static Program, State)| {
            let info = self.loaded.as_ref().and_then(|loaded| info(&loaded.ebpf, program.name));
            ProbeState {
                name: program.name,
                tracer: program.tracer,
                state: self.state_now(program.name, state),
                run_count: info.map_or(0, |info| info.0),
                run_time_ns: info.map_or(0, |info| info.1),
            }
        };
        self.states.iter().map(row).collect()
    }

    /// All that the programs counted since load. A tracer that is off is none.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn sample(&mut self) -> Result<KernelSample, KernelError> {
        let states = &self.states;
        let Some(Loaded { counters, demand, .. }) = &mut self.loaded else { return Ok(KernelSample::default()) };
        let is_on = |name| {
            let is_loaded = states.iter().any(|(program, state)| program.name == name && !state.is_off());
            is_loaded && demand.why_refused(name).is_none()
        };
        counters.sample(is_on, demand.watched_ns())
    }

    /// The state that loading left, unless it was attached in vain since.
    fn state_now(&self, name: &str, loaded_as: &State) -> State {
        let refused = self.loaded.as_ref().and_then(|loaded| loaded.demand.why_refused(name));
        refused.map_or_else(|| loaded_as.clone(), |reason| State::Off { reason: reason.to_owned() })
    }

    /// Whether system calls are watched, as they are at load. It costs each call of every process on this kernel 100 to
    /// 200 ns; to begin and to end takes 0.4 ms of CPU time, and can block for some 10 ms. A program that cannot be
    /// attached is off, with the reason, until a later call can attach it.
    pub fn watch_calls(&mut self, wanted: bool) {
        let Some(Loaded { ebpf, demand, .. }) = &mut self.loaded else { return };
        if !wanted {
            return demand.detach(ebpf);
        }
        let of_calls =
            |(program, state): &&(&'static Program, State)| program.tracer == programs::SYSCALLS && !state.is_off();
        let names: Vec<&'static str> = self.states.iter().filter(of_calls).map(|(program, _)| program.name).collect();
        demand.attach(ebpf, &names);
    }

    /// Every process now, ordered by pid. Paths of cgroups are the scraper's to fill in.
    ///
    /// # Errors
    /// When the iterator is off, or fails.
    pub fn tasks(&mut self) -> Result<Vec<TaskRow>, KernelError> {
        if let Some(reason) = self.why_off(programs::TASKS) {
            return Err(KernelError::TasksOff { reason });
        }
        match &mut self.loaded {
            Some(loaded) => loaded.tasks.read(&mut loaded.ebpf),
            None => Err(KernelError::TasksOff { reason: NOTHING_LOADED.to_owned() }),
        }
    }

    /// The TCP sockets of every process now, by pid and network namespace. It goes through every descriptor of the node:
    /// about 100 ns each. `at_ns` is `CLOCK_MONOTONIC`.
    ///
    /// # Errors
    /// When the iterator is off, or fails.
    pub fn sockets(&mut self, at_ns: u64) -> Result<Vec<SocketsOfProcess>, KernelError> {
        if let Some(reason) = self.why_off(programs::SOCKETS) {
            return Err(KernelError::SocketsOff { reason });
        }
        match &mut self.loaded {
            Some(loaded) => loaded.sockets.read(&mut loaded.ebpf, at_ns),
            None => Err(KernelError::SocketsOff { reason: NOTHING_LOADED.to_owned() }),
        }
    }

    fn why_off(&self, name: &str) -> Option<String> {
        match self.states.iter().find(|(program, _)| program.name == name) {
            Some((_, State::Off { reason })) => Some(reason.clone()),
            _ => None,
        }
    }

    /// The rings, once; none when nothing is loaded or they were taken. Within a tokio runtime.
    ///
    /// # Errors
    /// When the urgent ring cannot be watched.
    pub fn events(&mut self) -> io::Result<Option<Events>> {
        let rings = self.loaded.as_mut().and_then(|loaded| loaded.rings.take());
        rings.map(|(ordinary, urgent)| Events::new(ordinary, urgent)).transpose()
    }

    /// Why nothing is told between two samples, where the programs count all the same.
    #[must_use]
    pub fn why_without_rings(&self) -> Option<&str> {
        self.without_rings.as_deref()
    }

    /// Whether the programs' runs are counted and timed, which costs each run two looks at the clock.
    pub fn count_runs(&mut self, wanted: bool) -> io::Result<()> {
        if wanted == self.statistics.is_some() || self.loaded.is_none() {
            return Ok(());
        }
        self.statistics =
            if wanted { Some(enable_stats(Stats::RunTime).map_err(|error| error.io_error)?) } else { None };
        Ok(())
    }
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kernel").field("probes", &self.probes()).finish_non_exhaustive()
    }
}

/// The error is the reason why nothing at all can be loaded.
fn load(settings: &Settings, types: Types) -> Result<Kernel, String> {
    obstacles::raise_memory_lock();
    let offsets = types.offsets();
    let mut constants = settings.constants(&types);
    let programs = PROGRAMS.iter().filter(|program| program.fits(&types));
    let programs: Vec<_> = programs.map(|program| (program, fit(program, &types))).collect();
    // Whatever is not needed any more goes before the next is made: each of these is several MB.
    let hooks = types.hooks();
    let by_cpu: Vec<_> =
        counters::entries_by_cpu().map_err(|error| format!("CPUs cannot be counted: {error}"))?.collect();
    let open = |constants: &Constants, object: &[u8]| {
        // It begins by reading all types of the kernel, which it does not need.
        let mut loader = EbpfLoader::new();
        loader.btf(None);
        for (map, entries) in &by_cpu {
            loader.map_max_entries(map, *entries);
        }
        for map in programs::REFERENCE_MAPS {
            loader.map_max_entries(map, if settings.reference { REFERENCE_ENTRIES } else { 1 });
        }
        if constants.rings != 0 {
            loader.map_max_entries(rings::ORDINARY, settings.ring_bytes);
        }
        loader.override_global("OFFSETS", &offsets[..], true).override_global("SETTINGS", constants, true);
        loader.load(object)
    };
    let (mut ebpf, without_rings) = match open(&constants, OBJECT) {
        Ok(ebpf) => (ebpf, None),
        Err(error) => {
            let Some(why) = rings::refused(&error) else { return Err(chain(&error)) };
            constants.rings = 0;
            let ebpf = open(&constants, &rings::without(OBJECT));
            (ebpf.map_err(|error| chain(&error))?, Some(why))
        }
    };
    let hooks = hooks.types().map_err(|error| error.to_string())?;
    let states = programs
        .into_iter()
        .map(|(program, fit)| (program, start(&mut ebpf, program, fit, &hooks, without_rings.as_deref())))
        .collect();
    drop(hooks);
    let counters = Counters::take(&mut ebpf, settings).map_err(|error| error.to_string())?;
    let demand = Demand::take(&mut ebpf).map_err(|error| error.to_string())?;
    let rings = if without_rings.is_none() { Some(rings::take(&mut ebpf)?) } else { None };
    let mut kernel = Kernel {
        states,
        loaded: Some(Loaded {
            ebpf,
            counters,
            demand,
            tasks: Tasks::new(&constants),
            sockets: Sockets::default(),
            rings,
        }),
        statistics: None,
        without_rings,
    };
    kernel.watch_calls(true);
    if settings.count_runs {
        // Without them the counts read zero, which `status` shows.
        _ = kernel.count_runs(true);
    }
    Ok(kernel)
}

/// Runs and their time, ns.
fn info(ebpf: &Ebpf, name: &str) -> Option<(u64, u64)> {
    let info = match ebpf.program(name)? {
        Handle::BtfTracePoint(program) => program.info(),
        Handle::Iter(program) => program.info(),
        _ => return None,
    };
    let info = info.ok()?;
    Some((info.run_count(), u64::try_from(info.run_time().as_nanos()).unwrap_or(u64::MAX)))
}

fn reason_with_obstacles(reason: String) -> String {
    let obstacles = obstacles();
    if obstacles.is_empty() { reason } else { obstacles.join("; ") }
}
