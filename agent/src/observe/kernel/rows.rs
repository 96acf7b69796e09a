//! The rows of the task iterator, folded: threads into their processes, readings into totals that never sink.

use std::collections::HashMap;

use agent_ebpf::{
    constants::Settings,
    wire::{ProcessRow, TaskCounters, ThreadRow},
};

use super::{KernelError, ProcessSample};
use crate::{
    observe::{
        ProcessId,
        ring::{prefix, start_ticks},
    },
    text::Text,
};

/// `PF_KTHREAD` of `include/linux/sched.h`, unchanged since 2.6.17.
const KERNEL_THREAD: u32 = 0x0020_0000;
/// `RLIM_INFINITY`.
const NO_LIMIT: u64 = u64::MAX;

/// One process as the kernel keeps it.
#[derive(Clone, Debug)]
pub struct TaskRow {
    /// All of it but `cgroup`, which is empty: a path is found by the ids below.
    pub sample: ProcessSample,
    /// Inode of its cgroup's directory in the unified hierarchy.
    pub unified_cgroup_id: u64,
    /// The same in the hierarchy of the memory controller, v1 or v2; none where the kernel does not tell.
    pub memory_cgroup_id: Option<u64>,
}

/// What one reading has to be told by from the one before.
#[derive(Debug)]
pub struct Rows {
    page_bytes: u64,
    tells_io: bool,
    tells_open_files: bool,
    /// Totals of the reading before. A thread that ends between two rows is in neither; its counts are not lost, but
    /// late, and a total that sank must not look like a burst when they come.
    before: HashMap<ProcessId, Before>,
}

#[derive(Clone, Copy, Debug)]
struct Before {
    told: TaskCounters,
    /// Run delay of the threads that lived then; the kernel keeps none for those that ended.
    live_run_delay_ns: u64,
}

struct Folded {
    row: ProcessRow,
    live: TaskCounters,
}

impl Rows {
    /// Of an iterator that was given these constants.
    #[must_use]
    pub fn new(constants: &Settings) -> Self {
        Self {
            page_bytes: constants.page_bytes,
            tells_io: constants.tasks_io != 0,
            tells_open_files: constants.tasks_open_files != 0,
            before: HashMap::new(),
        }
    }

    /// The processes of one whole reading, by pid.
    ///
    /// # Errors
    /// [`KernelError::TasksRow`] for a row that is as long as none, or is cut short.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Vec<TaskRow>, KernelError> {
        let folded = fold(bytes, self.before.len())?;
        let mut now = HashMap::with_capacity(folded.len());
        let mut rows: Vec<TaskRow> = folded
            .values()
            // A thread alone tells nothing of its process; it started after the leader was passed.
            .filter(|process| process.row.start_boottime_ns != 0)
            .map(|process| self.row(process, &mut now))
            .collect();
        self.before = now;
        rows.sort_unstable_by_key(|row| row.sample.id.pid);
        Ok(rows)
    }

    fn row(&self, process: &Folded, now: &mut HashMap<ProcessId, Before>) -> TaskRow {
        let row = &process.row;
        let id = ProcessId { pid: row.thread.tgid, start_ticks: start_ticks(row.start_boottime_ns) };
        let before = self.before.get(&id);
        let mut told = sum(&process.live, &row.ended);
        if let Some(Before { told: before, live_run_delay_ns }) = before {
            told = highest(&told, before);
            let since_ns = process.live.run_delay_ns.saturating_sub(*live_run_delay_ns);
            told.run_delay_ns = before.run_delay_ns.saturating_add(since_ns);
        }
        now.insert(id, Before { told, live_run_delay_ns: process.live.run_delay_ns });
        // The counters are sums of per-CPU batches, and may read below zero for a moment.
        let bytes = |pages: i64| (pages.max(0) as u64).saturating_mul(self.page_bytes);
        let resident = [row.file_pages, row.anon_pages, row.shmem_pages];
        let kernel_thread = row.flags & KERNEL_THREAD != 0;
        let sample = ProcessSample {
            id,
            parent_pid: row.parent_tgid,
            comm: Text::from_bytes(&row.comm),
            cgroup: Text::default(),
            kernel_thread,
            threads: row.threads,
            nice: i8::try_from(row.static_prio.saturating_sub(120)).unwrap_or(0),
            rss_bytes: resident.into_iter().map(bytes).fold(0, u64::saturating_add),
            swap_bytes: bytes(row.swap_pages),
            cpu_time_ns: told.run_time_ns,
            run_delay_ns: Some(told.run_delay_ns),
            minor_faults: told.minor_faults,
            major_faults: told.major_faults,
            voluntary_switches: Some(told.voluntary_switches),
            involuntary_switches: Some(told.involuntary_switches),
            read_bytes: self.tells_io.then_some(told.read_bytes),
            written_bytes: self.tells_io.then_some(told.written_bytes),
            open_files: (self.tells_open_files && !kernel_thread).then_some(row.open_files),
            open_files_limit: (row.files_limit != NO_LIMIT).then_some(row.files_limit),
            network: (row.network != 0).then_some(row.network),
        };
        TaskRow {
            sample,
            unified_cgroup_id: row.unified_cgroup_id,
            memory_cgroup_id: (row.memory_cgroup_id != 0).then_some(row.memory_cgroup_id),
        }
    }
}

/// Rows of threads and processes, by thread group, of which there are about `expected`.
fn fold(mut bytes: &[u8], expected: usize) -> Result<HashMap<u32, Folded>, KernelError> {
    let mut processes: HashMap<u32, Folded> = HashMap::with_capacity(expected);
    while !bytes.is_empty() {
        let row_bytes = prefix::<u32>(bytes).unwrap_or(0);
        let wrong = KernelError::TasksRow { row_bytes, left: bytes.len() };
        let row = match row_bytes as usize {
            length if length == size_of::<ProcessRow>() => prefix::<ProcessRow>(bytes).ok_or(wrong)?,
            length if length == size_of::<ThreadRow>() => {
                ProcessRow { thread: prefix(bytes).ok_or(wrong)?, ..ProcessRow::default() }
            }
            _ => return Err(wrong),
        };
        bytes = &bytes[row_bytes as usize..];
        processes.entry(row.thread.tgid).and_modify(|process| process.add(&row)).or_insert_with(|| Folded::new(row));
    }
    Ok(processes)
}

impl Folded {
    fn new(row: ProcessRow) -> Self {
        Self { live: row.thread.counters, row }
    }

    fn add(&mut self, row: &ProcessRow) {
        self.live = sum(&self.live, &row.thread.counters);
        let is_fuller = |row: &ProcessRow| (row.has_memory, row.start_boottime_ns);
        if is_fuller(row) > is_fuller(&self.row) {
            self.row = *row;
        }
    }
}

fn sum(a: &TaskCounters, b: &TaskCounters) -> TaskCounters {
    each(a, b, u64::wrapping_add)
}

fn highest(a: &TaskCounters, b: &TaskCounters) -> TaskCounters {
    each(a, b, u64::max)
}

fn each(a: &TaskCounters, b: &TaskCounters, of: fn(u64, u64) -> u64) -> TaskCounters {
    TaskCounters {
        minor_faults: of(a.minor_faults, b.minor_faults),
        major_faults: of(a.major_faults, b.major_faults),
        voluntary_switches: of(a.voluntary_switches, b.voluntary_switches),
        involuntary_switches: of(a.involuntary_switches, b.involuntary_switches),
        run_time_ns: of(a.run_time_ns, b.run_time_ns),
        run_delay_ns: of(a.run_delay_ns, b.run_delay_ns),
        read_bytes: of(a.read_bytes, b.read_bytes),
        written_bytes: of(a.written_bytes, b.written_bytes),
    }
}
