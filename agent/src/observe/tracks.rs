//! What is remembered of processes over more than one tick: their resident memory, and how much they read and write.

use std::collections::{HashMap, HashSet, VecDeque};

use super::{ProcessId, sample::ProcessSample};

/// Points of resident memory kept for one process.
const POINTS: usize = 120;
/// Processes whose resident memory is tracked: the largest ones.
const PROCESSES: usize = 64;
/// Processes smaller than this are not tracked.
const FROM_BYTES: u64 = 16 << 20;
/// A growth is told from at least this many points.
const GROWTH_POINTS: usize = 8;
/// Who writes into the page cache is stopped for seconds and then let go on: I/O is a mean that forgets in so long, s.
const IO_OVER_S: f64 = 5.0;
/// Less than this a second is forgotten altogether, bytes.
const IO_FROM: f64 = 64.0;

/// How a process's resident memory moved over its track.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    /// (last - first) / time, bytes/s; negative when it shrank.
    pub bytes_per_s: f64,
    /// Share of the steps that did not shrink, 0 to 1.
    pub rising_share: f64,
    pub points: usize,
    /// Time between the first and the last point, s.
    pub seconds: f64,
}

#[derive(Debug, Default)]
pub(super) struct Tracks {
    /// (`CLOCK_MONOTONIC` ns, bytes), oldest first.
    rss: HashMap<ProcessId, VecDeque<(u64, u64)>>,
    /// Bytes/s, of those who did any.
    io: HashMap<ProcessId, f64>,
}

impl Tracks {
    /// Takes the processes of a sample, and those of the one before it by their ids.
    pub(super) fn take(
        &mut self,
        at_ns: u64,
        processes: &[ProcessSample],
        before: &HashMap<ProcessId, &ProcessSample>,
        seconds: Option<f64>,
    ) {
        self.take_rss(at_ns, processes);
        let Some(seconds) = seconds else { return };
        let forgotten = 1.0 - (-seconds / IO_OVER_S).exp();
        let mut io = HashMap::new();
        for process in processes {
            let known = self.io.get(&process.id).copied().unwrap_or(0.0);
            let rate = before.get(&process.id).and_then(|before| Some(moved(process)?.saturating_sub(moved(before)?)));
            let Some(rate) = rate.map(|bytes| bytes as f64 / seconds) else { continue };
            let mean = known + forgotten * (rate - known);
            if mean >= IO_FROM {
                io.insert(process.id, mean);
            }
        }
        self.io = io;
    }

    fn take_rss(&mut self, at_ns: u64, processes: &[ProcessSample]) {
        let mut largest: Vec<&ProcessSample> =
            processes.iter().filter(|process| process.rss_bytes >= FROM_BYTES).collect();
        largest.sort_unstable_by_key(|process| std::cmp::Reverse(process.rss_bytes));
        largest.truncate(PROCESSES);
        let kept: HashSet<ProcessId> = largest.iter().map(|process| process.id).collect();
        self.rss.retain(|id, _| kept.contains(id));
        for process in largest {
            let track = self.rss.entry(process.id).or_default();
            if track.len() == POINTS {
                track.pop_front();
            }
            track.push_back((at_ns, process.rss_bytes));
        }
    }

    pub(super) fn rss(&self, id: ProcessId) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.rss.get(&id).into_iter().flatten().copied()
    }

    /// Bytes read and written a second, over the last seconds; none where they are not told.
    pub(super) fn io(&self, process: &ProcessSample) -> Option<f64> {
        moved(process)?;
        Some(self.io.get(&process.id).copied().unwrap_or(0.0))
    }

    pub(super) fn growth(&self, id: ProcessId) -> Option<Growth> {
        let track = self.rss.get(&id)?;
        let (first, last) = (track.front()?, track.back()?);
        let seconds = last.0.saturating_sub(first.0) as f64 / 1e9;
        if track.len() < GROWTH_POINTS || seconds <= 0.0 {
            return None;
        }
        let steps = track.len() - 1;
        let rising = track.iter().zip(track.iter().skip(1)).filter(|(earlier, later)| later.1 >= earlier.1).count();
        Some(Growth {
            bytes_per_s: (last.1 as f64 - first.1 as f64) / seconds,
            rising_share: rising as f64 / steps as f64,
            points: track.len(),
            seconds,
        })
    }
}

fn moved(process: &ProcessSample) -> Option<u64> {
    Some(process.read_bytes?.saturating_add(process.written_bytes?))
}
