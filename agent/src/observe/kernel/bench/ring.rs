//! Taking in records: decoded as the agent does it, and by a bare loop over the same ring; and a flood, counted at both
//! ends.

use std::{
    fs::File,
    hint::black_box,
    io,
    os::unix::fs::FileExt as _,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use aya::maps::{MapData, RingBuf};
use nix::time::{ClockId, clock_gettime};

use super::{super::Kernel, BenchError};
use crate::observe::{
    Event,
    event::What,
    ring::{Defects, Devices, drain},
};

/// No record is longer.
const RECORD_MAX: usize = 128;
/// While others make system calls, too, counts do not stand still.
const PATIENCE: Duration = Duration::from_secs(20);

/// CPU time that one record takes, ns, each over a ring that was filled before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecordTimes {
    pub ours_ns: f64,
    pub bare_ns: f64,
    /// Records that ours decoded, and bytes of the last that the bare loop saw.
    pub records: u64,
    pub record_bytes: usize,
}

/// Of a flood: system calls that sent a record, and what became of those.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flood {
    pub produced: u64,
    pub told: u64,
    pub lost: u64,
}

/// A kernel half whose every timed system call sends a record, and its ordinary ring.
pub struct RingBench {
    kernel: Kernel,
    ring: RingBuf<MapData>,
    file: File,
}

impl RingBench {
    /// The settings must have a threshold of 0 for system calls. For rounds they must not take this process for the
    /// agent, whose calls are not counted.
    ///
    /// # Errors
    /// When nothing is loaded.
    pub fn new(mut kernel: Kernel) -> Result<Self, BenchError> {
        let rings = kernel.loaded.as_mut().ok_or(BenchError::NothingLoaded)?.rings.take();
        let (ring, _urgent) = rings.ok_or(BenchError::NothingLoaded)?;
        let file = File::open("/proc/self/exe").map_err(|source| BenchError::Work { source })?;
        Ok(Self { kernel, ring, file })
    }

    /// One round of each: `calls` system calls, then all of the ring. `ours_first` changes who begins.
    ///
    /// # Errors
    /// When a call fails.
    pub fn round(&mut self, calls: u32, ours_first: bool) -> Result<RecordTimes, BenchError> {
        let mut times = RecordTimes { ours_ns: 0.0, bare_ns: 0.0, records: 0, record_bytes: 0 };
        for ours in [ours_first, !ours_first] {
            self.call(calls)?;
            if ours {
                (times.ours_ns, times.records) = self.decoded();
            } else {
                (times.bare_ns, times.record_bytes) = self.bare();
            }
        }
        Ok(times)
    }

    /// The ring while another process floods it, drained every `pause`, so that it cannot take all. The settings must
    /// take this process for the agent: reading the counts makes system calls, too.
    ///
    /// # Errors
    /// When the other cannot be waited for, a map cannot be read, or others make system calls without pause.
    pub fn flood(&mut self, mut flood: Child, pause: Duration) -> Result<Flood, BenchError> {
        let failed = |source| BenchError::Work { source };
        let (before, _) = self.until_quiet()?;
        let mut told = 0;
        // It begins when its input ends.
        drop(flood.stdin.take());
        while flood.try_wait().map_err(failed)?.is_none() {
            thread::sleep(pause);
            told += self.told();
        }
        let (after, rest) = self.until_quiet()?;
        Ok(Flood { produced: after.produced - before.produced, told: told + rest, lost: after.lost - before.lost })
    }

    /// The counts while the ring is empty: nothing moved while it was read; and how many records it still gave.
    fn until_quiet(&mut self) -> Result<(Flood, u64), BenchError> {
        let (begun, mut told) = (Instant::now(), 0);
        while begun.elapsed() < PATIENCE {
            let counts = self.counts()?;
            told += self.told();
            if self.counts()? == counts {
                return Ok((counts, told));
            }
        }
        Err(BenchError::Work { source: io::Error::other("the machine makes system calls without pause") })
    }

    fn call(&self, calls: u32) -> Result<(), BenchError> {
        call(&self.file, calls).map_err(|source| BenchError::Work { source })
    }

    fn decoded(&mut self) -> (f64, u64) {
        let (mut records, begun) = (0_u64, thread_time());
        self.each(|event| {
            black_box(&event);
            records += 1;
        });
        let took = thread_time() - begun;
        (took.as_nanos() as f64 / records.max(1) as f64, records)
    }

    fn bare(&mut self) -> (f64, usize) {
        let (mut records, mut bytes, mut copy) = (0_u64, 0, [0; RECORD_MAX]);
        let begun = thread_time();
        while let Some(record) = self.ring.next() {
            // Out of the ring, as whoever uses it must take it: the place is the kernel's again.
            bytes = record.len().min(RECORD_MAX);
            copy[..bytes].copy_from_slice(&record[..bytes]);
            black_box(&copy[..bytes]);
            records += 1;
        }
        ((thread_time() - begun).as_nanos() as f64 / records.max(1) as f64, bytes)
    }

    fn told(&mut self) -> u64 {
        let mut told = 0;
        self.each(|event| told += u64::from(matches!(event.what, What::SyscallOutlier { .. })));
        told
    }

    fn each(&mut self, each: impl FnMut(Event)) {
        drain(&mut self.ring, &mut Devices::default(), &mut Defects::default(), each);
    }

    /// System calls that were timed, each of which sent a record, and records that were lost, since load.
    fn counts(&mut self) -> Result<Flood, BenchError> {
        let sample = self.kernel.sample().map_err(|error| BenchError::Work { source: io::Error::other(error) })?;
        let latency = sample.syscalls.map(|syscalls| syscalls.latency).unwrap_or_default();
        let produced = latency.iter().flat_map(|(_, latency)| latency.slots).sum();
        let lost = sample.lost.iter().find(|(name, _)| *name == "syscalls").map_or(0, |(_, lost)| *lost);
        Ok(Flood { produced, told: 0, lost })
    }
}

impl std::fmt::Debug for RingBench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RingBench").field("kernel", &self.kernel).finish_non_exhaustive()
    }
}

/// What floods: waits until its input ends, and makes so many calls.
///
/// # Errors
/// When a call fails.
pub fn produce(calls: u32) -> io::Result<()> {
    io::copy(&mut io::stdin(), &mut io::sink())?;
    call(&File::open("/proc/self/exe")?, calls)
}

fn call(file: &File, calls: u32) -> io::Result<()> {
    for _ in 0..calls {
        // Nothing is read, but the call is made, and it is one that is timed.
        file.read_at(&mut [], 0)?;
    }
    Ok(())
}

/// CPU time of this thread.
fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
