//! What the programs are told at load.

use agent_ebpf::{
    constants,
    wire::{SYSCALLS, TIMED},
};
use nix::{
    libc,
    unistd::{SysconfVar, sysconf},
};

use super::programs;
use crate::observe::offsets::Types;

/// How the programs look at the kernel.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time in the run queue from which an event is told, ns.
    pub run_queue_outlier_ns: u64,
    /// Time of a block request from which an event is told, ns.
    pub block_outlier_ns: u64,
    /// Time of a timed system call from which an event is told, ns.
    pub syscall_outlier_ns: u64,
    /// Time in direct reclaim from which an event is told, ns.
    pub reclaim_outlier_ns: u64,
    /// Anonymous memory from which a process is watched, and the growth after which it is told again, bytes. The step
    /// is taken as the next power of two.
    pub rss_floor_bytes: u64,
    pub rss_step_bytes: u64,
    /// One system call in this many is looked at by process; taken as the next power of two.
    pub sample_one_in: u32,
    /// Whether every fork, exec and exit is an event; else only the exits that a signal caused.
    pub lifecycle_events: bool,
    /// Whether the programs' runs are counted and timed; see [`super::Kernel::count_runs`].
    pub count_runs: bool,
    /// Whether there is room for the programs that the benchmark compares ours with.
    pub reference: bool,
    /// Size of the ordinary ring; taken as the next power of two pages.
    pub ring_bytes: u32,
    /// The process whose own system calls are not counted.
    pub agent_pid: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            run_queue_outlier_ns: 50_000_000,
            block_outlier_ns: 100_000_000,
            syscall_outlier_ns: 100_000_000,
            reclaim_outlier_ns: 10_000_000,
            rss_floor_bytes: 128 << 20,
            rss_step_bytes: 64 << 20,
            sample_one_in: 64,
            lifecycle_events: false,
            count_runs: false,
            reference: false,
            ring_bytes: 1 << 20,
            agent_pid: std::process::id(),
        }
    }
}

/// The calls whose latency is told, and whether each returns a descriptor of what it opened. None of them waits for
/// somebody else by nature: no futex, poll, sleep, wait or lock, and none that reads or writes what may be a pipe, a
/// terminal or a socket (`pread64` and its like refuse those).
const TIMED_CALLS: &[(libc::c_long, bool)] = &[
    (libc::SYS_fsync, false),
    (libc::SYS_fdatasync, false),
    (libc::SYS_sync_file_range, false),
    (libc::SYS_sync, false),
    (libc::SYS_syncfs, false),
    (libc::SYS_msync, false),
    (libc::SYS_pread64, false),
    (libc::SYS_pwrite64, false),
    (libc::SYS_copy_file_range, false),
    (libc::SYS_fallocate, false),
    (libc::SYS_ftruncate, false),
    (libc::SYS_truncate, false),
    (libc::SYS_openat, true),
    (libc::SYS_openat2, true),
    (libc::SYS_unlinkat, false),
    (libc::SYS_renameat2, false),
    (libc::SYS_linkat, false),
    (libc::SYS_symlinkat, false),
    (libc::SYS_mkdirat, false),
    (libc::SYS_getdents64, false),
    (libc::SYS_statx, false),
    (libc::SYS_newfstatat, false),
    (libc::SYS_readlinkat, false),
    (libc::SYS_statfs, false),
    (libc::SYS_mount, false),
    (libc::SYS_umount2, false),
    (libc::SYS_mmap, false),
    (libc::SYS_munmap, false),
    (libc::SYS_mremap, false),
    (libc::SYS_mprotect, false),
    (libc::SYS_madvise, false),
    (libc::SYS_mlock, false),
    (libc::SYS_brk, false),
    (libc::SYS_clone, false),
    (libc::SYS_clone3, false),
    (libc::SYS_execve, false),
    (libc::SYS_connect, false),
    (libc::SYS_bpf, false),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, true),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, true),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_unlink, false),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rename, false),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mkdir, false),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rmdir, false),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_stat, false),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_lstat, false),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_access, false),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_fork, false),
];

/// The calls that want room for the file of the descriptor that is their first argument.
const WRITING_CALLS: [libc::c_long; 11] = [
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_fallocate,
    libc::SYS_ftruncate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_sendfile,
];

const _: () = assert!(TIMED_CALLS.len() < TIMED);

/// System call numbers by the slot of their histogram.
pub(super) fn timed_calls() -> impl Iterator<Item = (usize, u32)> {
    TIMED_CALLS.iter().enumerate().map(|(n, (call, _))| (n + 1, *call as u32))
}

impl Settings {
    pub(super) fn constants(&self, types: &Types) -> constants::Settings {
        let page_bytes = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().map_or(4096, |bytes| bytes as u64);
        let step_pages = (self.rss_step_bytes / page_bytes).max(1).next_power_of_two();
        let told = |path: &str| u32::from(types.offset(path).is_ok());
        let all_told = |paths: &[&str]| paths.iter().map(|path| told(path)).min().unwrap_or(0);
        let mut timed = [0; SYSCALLS];
        let mut descriptors = [0; SYSCALLS];
        for ((slot, call), (_, opens_file)) in timed_calls().zip(TIMED_CALLS) {
            if let (Some(timed), Some(does)) = (timed.get_mut(call as usize), descriptors.get_mut(call as usize)) {
                *timed = slot as u8;
                *does = if *opens_file { constants::Settings::OPENS } else { 0 };
            }
        }
        for call in WRITING_CALLS {
            if let Some(does) = descriptors.get_mut(call as usize) {
                *does = constants::Settings::WRITES;
            }
        }
        // Up to 5.10 the tracepoint's first argument is the queue.
        let issue = types.tracepoint("block_rq_issue").unwrap_or_default();
        constants::Settings {
            agent_tgid: self.agent_pid,
            sample_mask: self.sample_one_in.next_power_of_two() - 1,
            lifecycle_records: u32::from(self.lifecycle_events),
            rss_step_shift: step_pages.trailing_zeros(),
            rss_floor_pages: (self.rss_floor_bytes / page_bytes).max(1),
            run_queue_outlier_ns: self.run_queue_outlier_ns,
            block_outlier_ns: self.block_outlier_ns,
            syscall_outlier_ns: self.syscall_outlier_ns,
            reclaim_outlier_ns: self.reclaim_outlier_ns,
            page_bytes,
            issue_argument: u32::from(issue.first().is_some_and(|argument| argument == "request_queue*")),
            disk_by_queue: told("request_queue.disk"),
            folio_large_bit: types.constant("PG_head").filter(|_| all_told(programs::FOLIO) == 1).unwrap_or(64),
            tasks_io: all_told(programs::TASK_IO),
            tasks_memory_cgroup: all_told(programs::MEMORY_CGROUP),
            tasks_open_files: all_told(programs::OPEN_FILES),
            tasks_network: all_told(programs::NETWORK),
            fifo_check: all_told(programs::OPENED) as u16,
            device_check: all_told(programs::WITHOUT_ROOM) as u16,
            rss_by_probe: told("mm_struct.rss_stat.count"),
            rings: 1,
            timed,
            descriptors,
        }
    }

    /// Calls that one sample stands for.
    pub(super) fn sampled_one_in(&self) -> u32 {
        self.sample_one_in.next_power_of_two()
    }
}
