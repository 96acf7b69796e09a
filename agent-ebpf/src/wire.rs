//! What passes between the programs and the agent: records of the rings, values of the maps, rows of the iterator.
//!
//! Every type is `repr(C)` without padding, so that its bytes are all told and mean the same on both sides.

/// System call numbers that are told apart; a higher one counts as none.
pub const SYSCALLS: usize = 512;
/// Histograms of timed system calls; slot 0 is for none.
pub const TIMED: usize = 64;
/// (Device, operation) pairs that have counters of their own: so many in each of so many tables, powers of two.
pub const BLOCK_SLOTS: usize = 64;
pub const BLOCK_TABLES: u32 = 4;
/// Threads told apart while they are inside a timed call, or in reclaim, by the low bits of their id.
pub const THREADS: usize = 1 << 16;

/// The rings, as the object declares them.
pub const EVENTS_BYTES: u32 = 256 << 10;
pub const URGENT_BYTES: u32 = 64 << 10;

/// Counts by floor(log2(ns)), the last slot also for all above.
pub type Histogram = [u64; 32];

/// A line of the cache that nobody uses: the values of neighbouring CPUs share none then.
pub type Apart = [u64; 8];

macro_rules! plain {
    ($($name:ty),+ $(,)?) => {
        // SAFETY: repr(C), made of integers without padding: any bytes are a value.
        $(#[cfg(not(target_arch = "bpf"))] unsafe impl aya::Pod for $name {})+
    };
}

/// Who writes records, and so who can lose them.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emitter {
    LeakWatch,
    OomVictim,
    Reclaim,
    BlockIo,
    Syscalls,
    RunQueue,
    Lifecycle,
}

impl Emitter {
    /// In the order of [`Dropped`].
    pub const ALL: [(Self, &'static str); EMITTERS] = [
        (Self::LeakWatch, "leak_watch"),
        (Self::OomVictim, "oom_victim"),
        (Self::Reclaim, "reclaim"),
        (Self::BlockIo, "block_io"),
        (Self::Syscalls, "syscalls"),
        (Self::RunQueue, "run_queue"),
        (Self::Lifecycle, "lifecycle"),
    ];
}

pub const EMITTERS: usize = 7;
/// Records lost for want of room in a ring, by [`Emitter`].
pub type Dropped = [u64; EMITTERS];

/// The kind of a record, and so its length.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    RssStep = 1,
    OomKill,
    ReclaimStall,
    BlockOutlier,
    BlockError,
    SyscallOutlier,
    RunQueueOutlier,
    Fork,
    Exec,
    Exit,
}

/// How each record begins.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// `CLOCK_MONOTONIC`, ns.
    pub at_ns: u64,
    /// Start of the thread group's leader, ns since boot; 0 where the kernel does not tell.
    pub start_boottime_ns: u64,
    /// Cgroup of the unified hierarchy.
    pub cgroup_id: u64,
    /// A [`Kind`].
    pub kind: u32,
    /// 0 where no process stands behind it (a block completion).
    pub tgid: u32,
    pub comm: [u8; 16],
}

/// A record with one number beside its header: `RssStep` (bytes), `RunQueueOutlier` (ns), `Fork` (the child's pid),
/// `Exec` (0), `Exit` (the exit code as `wait` gives it).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NumberRecord {
    pub header: Header,
    pub number: u64,
}

/// `OomKill` (bytes) and `ReclaimStall` (ns).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryRecord {
    pub header: Header,
    pub number: u64,
    /// 1: a cgroup's limit was behind it; 0: the node.
    pub in_cgroup: u64,
}

/// `SyscallOutlier`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyscallRecord {
    pub header: Header,
    pub latency_ns: u64,
    pub syscall: u64,
}

/// `BlockOutlier` and `BlockError`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockRecord {
    pub header: Header,
    pub latency_ns: u64,
    pub bytes: u64,
    pub device: Device,
    /// Low byte of the request's flags: `enum req_op`.
    pub operation: u32,
    /// As the tracepoint gives it: a block status, or up to 5.15 a negative errno; 0 for none.
    pub error: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Device {
    pub major: u32,
    pub minor: u32,
}

/// Calls by number, one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SyscallCounts {
    pub calls: [u64; SYSCALLS],
    /// Errors that had no room in the error map.
    pub errors_untold: u64,
    /// Timed calls whose start was not known, or overwritten by a thread of the same low id bits.
    pub untimed: u64,
    /// Registers of the thread that called last on this CPU, and 1 when it is the agent's.
    pub last_regs: u64,
    pub last_is_agent: u64,
    pub apart: Apart,
}

/// Latency of the timed calls, one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SyscallLatency {
    pub slots: [Histogram; TIMED],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ErrorKey {
    pub cgroup_id: u64,
    pub syscall: u32,
    /// Positive.
    pub errno: u32,
    /// The filesystem that had no room, as the kernel numbers devices inside (`dev_t`); 0: it is not told.
    pub device: u32,
    pub unused: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorValue {
    pub count: u64,
    /// A majority vote over thread groups: the candidate, and by how much it leads.
    pub tgid: u32,
    pub lead: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SampleKey {
    pub tgid: u32,
    pub syscall: u32,
}

/// When a thread began what is timed. `begun_ns` is 0 once it ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Start {
    pub begun_ns: u64,
    pub tid: u32,
    /// System call number; for reclaim 1 when a cgroup's limit was behind it.
    pub what: u32,
}

/// One CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SchedulerCounters {
    pub run_queue: Histogram,
    pub forks: u64,
    pub execs: u64,
    pub exits: u64,
    /// Forks whose parent had no room in the map.
    pub forks_untold: u64,
    pub apart: Apart,
}

/// One CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FaultCounters {
    pub user: u64,
    pub kernel: u64,
    pub unused: [u64; 6],
    pub apart: Apart,
}

/// One CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MemoryCounters {
    pub page_cache_added: u64,
    pub page_cache_removed: u64,
    pub reclaim_stalls: u64,
    pub reclaim_stall_ns: u64,
    pub oom_kills: u64,
    pub apart: Apart,
}

/// How far one process's memory was told.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct RssMark {
    /// Memory map of the process: another one means that it was replaced, or the pid is somebody else's.
    pub mm: u64,
    /// Highest step told.
    pub step: u64,
}

/// The step that one CPU saw last, and whose; most updates stay within it and need no hash.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct RssSeen {
    pub mm: u64,
    pub step: u64,
    pub unused: [u64; 6],
    pub apart: Apart,
}

/// One (device, operation), one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BlockSlot {
    pub device: Device,
    /// `enum req_op` + 1; 0 for a free slot.
    pub operation: u32,
    pub unused: u32,
    pub bytes: u64,
    pub errors: u64,
    /// Requests handed to the driver.
    pub issued: u64,
    /// Requests done, or given back undone to be issued again.
    pub completed: u64,
    pub latency: Histogram,
}

/// One CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BlockCounters {
    pub slots: [BlockSlot; BLOCK_SLOTS],
    /// Events of pairs that found no free slot.
    pub untold: u64,
}

/// By which the benchmark's reference keeps its histograms.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReferenceKey {
    pub device: Device,
    pub operation: u32,
}

/// What a task and a thread group both count.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskCounters {
    pub minor_faults: u64,
    pub major_faults: u64,
    pub voluntary_switches: u64,
    pub involuntary_switches: u64,
    pub run_time_ns: u64,
    pub run_delay_ns: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
}

/// A thread, as the task iterator writes it. Rows of two lengths follow each other; each begins with its own.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadRow {
    pub row_bytes: u32,
    pub tgid: u32,
    pub pid: u32,
    pub unused: u32,
    pub counters: TaskCounters,
}

/// A thread that speaks for its process: the leader, or any one while the leader has left its memory before the others.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessRow {
    pub thread: ThreadRow,
    /// Of threads that ended (run delay is not kept for them).
    pub ended: TaskCounters,
    pub parent_tgid: u32,
    pub threads: u32,
    pub flags: u32,
    pub static_prio: i32,
    pub start_boottime_ns: u64,
    pub unified_cgroup_id: u64,
    pub memory_cgroup_id: u64,
    pub file_pages: i64,
    pub anon_pages: i64,
    pub shmem_pages: i64,
    pub swap_pages: i64,
    pub files_limit: u64,
    pub open_files: u64,
    pub comm: [u8; 16],
    /// 1 when the row tells memory.
    pub has_memory: u32,
    /// Inode of its network namespace; 0 where it is not told.
    pub network: u32,
}

/// A TCP socket that a process holds open, as the iterator over descriptors writes it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketRow {
    pub tgid: u32,
    /// Inode of its network namespace.
    pub network: u32,
    /// As in `include/net/tcp_states.h`.
    pub state: u32,
    /// The local one.
    pub port: u32,
    /// Of a listener: connections that wait to be accepted, and how many may.
    pub waiting: u32,
    pub backlog: u32,
    /// Of a listener: connections and packets that were turned away since it is there.
    pub drops: u32,
    pub unused: u32,
}

plain! {
    SocketRow, Header, NumberRecord, MemoryRecord, SyscallRecord, BlockRecord, Device, SyscallCounts,
    SyscallLatency, ErrorKey, ErrorValue, SampleKey, Start, SchedulerCounters, FaultCounters, MemoryCounters, RssMark,
    RssSeen, BlockSlot, BlockCounters, ReferenceKey, TaskCounters, ThreadRow, ProcessRow,
}
