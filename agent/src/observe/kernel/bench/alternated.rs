//! Pairs of programs that take turns on the same work: ours, and what they are compared with.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
    time::Instant,
};

use aya::Ebpf;

use super::{
    super::{Kernel, attach::attach, info, programs::Hook},
    BenchError, unload,
};
use crate::observe::offsets::Types;

/// Wall time of one system call, ns: with nothing of ours attached, with the empty pair, with our pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CallTimes {
    pub none_ns: f64,
    pub empty_ns: f64,
    pub ours_ns: f64,
}

impl CallTimes {
    /// What our pair adds to a call over what the empty pair adds.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        (self.ours_ns - self.none_ns) / (self.empty_ns - self.none_ns)
    }
}

/// A pair of programs at the two ends of something.
type Ends = [(&'static str, &'static str); 2];

/// One round of `calls` system calls a side: one that is not timed, and one that is. The settings must not take this
/// process for the agent, whose calls are not counted.
///
/// # Errors
/// When nothing is loaded, or a program cannot be attached.
pub fn calls(kernel: &mut Kernel, calls: u32) -> Result<[CallTimes; 2], BenchError> {
    const OURS: Ends = [("sys_enter", "sys_enter"), ("sys_exit", "sys_exit")];
    const EMPTY: Ends = [("sys_enter", "empty_sys_enter"), ("sys_exit", "empty_sys_exit")];
    let hooks = Types::running()?.hooks().types().map_err(|source| BenchError::Hooks { source })?;
    let ebpf = &mut kernel.loaded.as_mut().ok_or(BenchError::NothingLoaded)?.ebpf;
    let file = File::open("/proc/self/exe").map_err(|source| BenchError::Work { source })?;
    let untimed = || {
        std::hint::black_box(nix::unistd::getppid());
        Ok(())
    };
    // Nothing is read, but the call is made, and it is one that is timed.
    let timed = || file.read_at(&mut [], 0).map(drop);
    let mut sides = [[0.0; 3]; 2];
    for (side, pair) in [None, Some(EMPTY), Some(OURS)].into_iter().enumerate() {
        detach(ebpf, &OURS);
        if let Some(pair) = &pair {
            attach_all(ebpf, pair, &hooks)?;
        }
        sides[0][side] = mean_ns(calls, untimed)?;
        sides[1][side] = mean_ns(calls, timed)?;
        if let Some(pair) = &pair {
            detach(ebpf, pair);
        }
    }
    Ok(sides.map(|[none_ns, empty_ns, ours_ns]| CallTimes { none_ns, empty_ns, ours_ns }))
}

fn mean_ns(calls: u32, call: impl Fn() -> io::Result<()>) -> Result<f64, BenchError> {
    let begun = Instant::now();
    for _ in 0..calls {
        call().map_err(|source| BenchError::Work { source })?;
    }
    Ok(begun.elapsed().as_nanos() as f64 / f64::from(calls))
}

/// What a request costs in our programs, issue and completion together, and in those of the reference, ns beyond the
/// empty ones; each over `requests` direct reads of `file`, one after the other, with only the measured ones attached.
/// The kernel must have been loaded with room for the reference.
///
/// # Errors
/// When nothing is loaded, a program cannot be attached or did not run, or the file cannot be read directly.
pub fn block(kernel: &mut Kernel, file: &Path, requests: u32) -> Result<[f64; 2], BenchError> {
    const OURS: Ends = [("block_rq_issue", "block_rq_issue"), ("block_rq_complete", "block_rq_complete")];
    const REFERENCE: Ends =
        [("block_rq_issue", "reference_block_rq_issue"), ("block_rq_complete", "reference_block_rq_complete")];
    kernel.count_runs(true).map_err(|source| BenchError::Statistics { source })?;
    let hooks = Types::running()?.hooks().types().map_err(|source| BenchError::Hooks { source })?;
    let ebpf = &mut kernel.loaded.as_mut().ok_or(BenchError::NothingLoaded)?.ebpf;
    detach(ebpf, &OURS);
    let mut net = [0.0; 2];
    for (side, pair) in [OURS, REFERENCE].into_iter().enumerate() {
        let names = pair.map(|(hook, name)| [format!("ahead_{hook}"), name.to_owned(), format!("empty_{hook}")]);
        for ((hook, _), names) in pair.iter().zip(&names) {
            for name in names {
                attach(ebpf, name, Hook::Tracepoint(hook), &hooks)
                    .map_err(|source| BenchError::Attach { hook, source })?;
            }
        }
        read_directly(file, requests).map_err(|source| BenchError::Work { source })?;
        for [_, ours, empty] in &names {
            let mean_ns = |name: &String| match info(ebpf, name) {
                Some((count, time_ns)) if count > 0 => Ok(time_ns as f64 / count as f64),
                _ => Err(BenchError::Idle { program: name.clone() }),
            };
            net[side] += mean_ns(ours)? - mean_ns(empty)?;
        }
        for name in names.iter().flatten() {
            // One that is not loaded is as good.
            _ = unload(ebpf, name);
        }
    }
    Ok(net)
}

fn read_directly(file: &Path, requests: u32) -> io::Result<()> {
    const BLOCK_BYTES: usize = 4096;
    let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_DIRECT).open(file)?;
    // A device tells no length in its metadata.
    let blocks = (io::Seek::seek(&mut &file, io::SeekFrom::End(0))? / BLOCK_BYTES as u64).max(1);
    let mut memory = vec![0; 2 * BLOCK_BYTES];
    let from = memory.as_ptr().align_offset(BLOCK_BYTES);
    for request in 0..requests {
        let at = u64::from(request) % blocks * BLOCK_BYTES as u64;
        file.read_exact_at(&mut memory[from..from + BLOCK_BYTES], at)?;
    }
    Ok(())
}

fn attach_all(ebpf: &mut Ebpf, pair: &Ends, hooks: &aya::Btf) -> Result<(), BenchError> {
    for (hook, name) in pair {
        attach(ebpf, name, Hook::Tracepoint(hook), hooks).map_err(|source| BenchError::Attach { hook, source })?;
    }
    Ok(())
}

fn detach(ebpf: &mut Ebpf, pair: &Ends) {
    for (_, name) in pair {
        // One that is not loaded is as good.
        _ = unload(ebpf, name);
    }
}
