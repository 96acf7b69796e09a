//! What each program costs: an empty one is attached beside it, and both are timed by the kernel over the same events.

mod alternated;
mod ring;

use std::io;

use aya::{
    Ebpf,
    programs::{BtfTracePoint, ProgramError},
};

pub use alternated::{CallTimes, block, calls};
pub use ring::{Flood, RecordTimes, RingBench, produce};

use super::{Kernel, attach::attach, info, programs::Hook};
use crate::observe::offsets::{Types, TypesError};

/// Mean times of one program and of the empty one, over one lap of a [`Bench`].
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    pub name: &'static str,
    pub run_count: u64,
    pub mean_ns: f64,
    pub empty_mean_ns: f64,
}

impl Cost {
    /// What the program itself takes, ns.
    #[must_use]
    pub fn net_ns(&self) -> f64 {
        self.mean_ns - self.empty_mean_ns
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("nothing is loaded")]
    NothingLoaded,
    #[error("the programs of {hook} cannot be attached: {source}")]
    Attach { hook: &'static str, source: ProgramError },
    #[error(transparent)]
    Types(#[from] TypesError),
    #[error("the kernel's hooks cannot be named: {source}")]
    Hooks { source: aya::BtfError },
    #[error("runs cannot be counted: {source}")]
    Statistics { source: io::Error },
    #[error("the work failed: {source}")]
    Work { source: io::Error },
    #[error("{program} did not run: it is off, or nothing reached it")]
    Idle { program: String },
}

/// Empty programs are attached until it is dropped, with the kernel that it borrows.
#[derive(Debug)]
pub struct Bench<'a> {
    kernel: &'a mut Kernel,
    pairs: Vec<Pair>,
}

#[derive(Debug)]
struct Pair {
    name: &'static str,
    ahead: String,
    empty: String,
    before: [(u64, u64); 2],
}

impl<'a> Bench<'a> {
    /// Attaches an empty program ahead of and one behind each of ours that is on and has them, and begins to count. For
    /// that ours is attached anew, so its own count begins at zero and it misses what happens meanwhile.
    ///
    /// # Errors
    /// When nothing is loaded, or an empty program cannot be attached.
    pub fn start(kernel: &'a mut Kernel) -> Result<Self, BenchError> {
        kernel.count_runs(true).map_err(|source| BenchError::Statistics { source })?;
        let hooks = Types::running()?.hooks().types().map_err(|source| BenchError::Hooks { source })?;
        let loaded = kernel.loaded.as_mut().ok_or(BenchError::NothingLoaded)?;
        let mut pairs = Vec::new();
        for (program, state) in &kernel.states {
            let Hook::Tracepoint(hook) = program.hook else { continue };
            let [ahead, empty] = ["ahead", "empty"].map(|place| format!("{place}_{hook}"));
            if state.is_off() || loaded.ebpf.program(&empty).is_none() {
                continue;
            }
            let failed = |source| BenchError::Attach { hook, source };
            unload(&mut loaded.ebpf, program.name).map_err(failed)?;
            for name in [&ahead, program.name, &empty] {
                attach(&mut loaded.ebpf, name, program.hook, &hooks).map_err(failed)?;
            }
            pairs.push(Pair { name: program.name, ahead, empty, before: [(0, 0); 2] });
        }
        for pair in &mut pairs {
            pair.before = [pair.name, &pair.empty].map(|name| info(&loaded.ebpf, name).unwrap_or_default());
        }
        Ok(Self { kernel, pairs })
    }

    /// The cost of each program that ran since the last lap. Medians over laps are steadier than one long one.
    pub fn lap(&mut self) -> Vec<Cost> {
        let Some(loaded) = &self.kernel.loaded else { return Vec::new() };
        let mut costs = Vec::new();
        for Pair { name, empty, before, .. } in &mut self.pairs {
            let now = [*name, empty].map(|name| info(&loaded.ebpf, name).unwrap_or_default());
            let [ours, theirs] = [0, 1].map(|n| (now[n].0 - before[n].0, now[n].1 - before[n].1));
            *before = now;
            let mean_ns = |(count, time_ns): (u64, u64)| time_ns as f64 / count as f64;
            if ours.0 > 0 && theirs.0 > 0 {
                costs.push(Cost { name, run_count: ours.0, mean_ns: mean_ns(ours), empty_mean_ns: mean_ns(theirs) });
            }
        }
        costs
    }

    /// The last lap, or the only one.
    #[must_use]
    pub fn stop(mut self) -> Vec<Cost> {
        self.lap()
    }
}

impl Drop for Bench<'_> {
    fn drop(&mut self) {
        let Some(loaded) = &mut self.kernel.loaded else { return };
        for name in self.pairs.iter().flat_map(|pair| [&pair.ahead, &pair.empty]) {
            // One that is not loaded is as good.
            _ = unload(&mut loaded.ebpf, name);
        }
    }
}

/// Detaches too.
fn unload(ebpf: &mut Ebpf, name: &str) -> Result<(), ProgramError> {
    let program: &mut BtfTracePoint = ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?.try_into()?;
    program.unload()
}
