//! How many files processes have open, for those that have a reason to be asked: the ones with the most, the ones that
//! were refused another, and a few in turns, so that the ones with the most are found.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    os::unix::fs::MetadataExt,
};

use super::parse;
use crate::observe::{
    ProcessId,
    sample::ProcessSample,
    scrape::{Context, KernelFile},
};

/// The processes with the most open files, asked every tick.
const TOP: usize = 16;
/// Processes asked in turns; counting is dear where the kernel does not tell the number itself.
const TURNS_PER_TICK: usize = 12;
const DEAR_TURNS_PER_TICK: usize = 4;
/// A limit is seldom changed.
const LIMIT_TICKS: u64 = 10;

#[derive(Debug, Default)]
pub(super) struct Descriptors {
    counts: HashMap<ProcessId, Count>,
    /// The pid after which the next turns begin.
    after: u32,
    /// Whether the size of `/proc/PID/fd` is the count, as since Linux 6.2.
    told_by_size: Option<bool>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    open: u64,
    limit: Option<(u64, Option<u64>)>,
}

impl Descriptors {
    /// Fills in open files (and, but for those whose turn it merely is, the limit). `processes` are ordered by pid. The
    /// kernel's own table tells both of all, and leaves nothing to do.
    pub(super) fn fill(&mut self, processes: &mut [ProcessSample], context: &mut Context) {
        if processes.iter().any(|process| process.open_files.is_some()) {
            self.counts = HashMap::new();
            return;
        }
        // We have at least one open ourselves.
        let told_by_size =
            *self.told_by_size.get_or_insert_with(|| fs::metadata("/proc/self/fd").is_ok_and(|fd| fd.len() > 0));
        let turns = if told_by_size { TURNS_PER_TICK } else { DEAR_TURNS_PER_TICK };
        let living: HashSet<ProcessId> = processes.iter().map(|process| process.id).collect();
        self.counts.retain(|id, _| living.contains(id));
        let reason = self.with_a_reason(&context.watch_files_of);
        let turn = self.next_turns(processes, turns);
        for process in processes.iter_mut().filter(|process| !process.kernel_thread) {
            let with_reason = reason.contains(&process.id) || context.watch_files_of.contains(&process.id.pid);
            if !with_reason && !turn.contains(&process.id.pid) {
                continue;
            }
            let Ok(open) = open_files(process.id.pid, told_by_size) else { continue };
            let count = self.counts.entry(process.id).or_insert(Count { open, limit: None });
            count.open = open;
            process.open_files = Some(open);
            if with_reason {
                process.open_files_limit = limit(process.id.pid, count, context);
            }
        }
    }

    fn with_a_reason(&self, watched: &HashSet<u32>) -> HashSet<ProcessId> {
        let mut counts: Vec<(u64, ProcessId)> = self.counts.iter().map(|(id, count)| (count.open, *id)).collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let top = counts.iter().take(TOP).map(|(_, id)| *id);
        top.chain(self.counts.keys().copied().filter(|id| watched.contains(&id.pid))).collect()
    }

    fn next_turns(&mut self, processes: &[ProcessSample], turns: usize) -> HashSet<u32> {
        let begin = processes.partition_point(|process| process.id.pid <= self.after);
        let turn: Vec<u32> = processes[begin..]
            .iter()
            .chain(&processes[..begin])
            .filter(|process| !process.kernel_thread)
            .map(|process| process.id.pid)
            .take(turns)
            .collect();
        self.after = turn.last().copied().unwrap_or(0);
        turn.into_iter().collect()
    }
}

fn open_files(pid: u32, told_by_size: bool) -> io::Result<u64> {
    let path = format!("/proc/{pid}/fd");
    if told_by_size {
        return fs::metadata(path).map(|fd| fd.size());
    }
    Ok(fs::read_dir(path)?.count() as u64)
}

/// None for no limit, and where it may not be read.
fn limit(pid: u32, count: &mut Count, context: &mut Context) -> Option<u64> {
    if let Some((read, limit)) = count.limit
        && context.tick < read + LIMIT_TICKS
    {
        return limit;
    }
    let mut file = KernelFile::once(format!("/proc/{pid}/limits"));
    let limit = file.read(&mut context.buffer).and_then(parse::open_files_limit).ok()?;
    count.limit = Some((context.tick, limit));
    limit
}
