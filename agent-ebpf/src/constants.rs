//! What the agent tells the programs once, at load: where the running kernel keeps its fields, and what is wanted.
//!
//! The programs read these as constants, so that the verifier drops what is not wanted and fields are read directly.

use crate::wire::SYSCALLS;

macro_rules! offsets {
    ($($(#[$doc:meta])* $field:ident = $path:literal;)+) => {
        /// Where the running kernel keeps what the programs read: bytes from the start of the structure.
        ///
        /// User space finds each by its path in [`Offsets::PATHS`]; [`Offsets::MISSING`] is one that was not found.
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        pub struct Offsets {
            $($(#[$doc])* pub $field: u32,)+
        }

        impl Offsets {
            /// The path of every field, in the order of the structure; `|` parts the names that kernels have given it.
            pub const PATHS: &[&str] = &[$($path),+];
            pub const MISSING: u32 = u32::MAX;
            pub const NONE: Self = Self { $($field: Self::MISSING),+ };
        }
    };
}

offsets! {
    regs_syscall = "pt_regs.orig_ax|pt_regs.syscallno";
    /// The call's first argument, which what it returns does not replace.
    regs_first = "pt_regs.di|pt_regs.orig_x0";
    task_tgid = "task_struct.tgid";
    task_pid = "task_struct.pid";
    task_comm = "task_struct.comm";
    task_flags = "task_struct.flags";
    task_static_prio = "task_struct.static_prio";
    task_start_boottime = "task_struct.start_boottime";
    task_group_leader = "task_struct.group_leader";
    task_real_parent = "task_struct.real_parent";
    task_exit_code = "task_struct.exit_code";
    task_mm = "task_struct.mm";
    task_nsproxy = "task_struct.nsproxy";
    task_files = "task_struct.files";
    task_signal = "task_struct.signal";
    task_cgroups = "task_struct.cgroups";
    task_min_flt = "task_struct.min_flt";
    task_maj_flt = "task_struct.maj_flt";
    task_nvcsw = "task_struct.nvcsw";
    task_nivcsw = "task_struct.nivcsw";
    task_sum_exec_runtime = "task_struct.se.sum_exec_runtime";
    task_cfs_rq = "task_struct.se.cfs_rq";
    task_run_delay = "task_struct.sched_info.run_delay";
    task_last_queued = "task_struct.sched_info.last_queued";
    task_read_bytes = "task_struct.ioac.read_bytes";
    task_write_bytes = "task_struct.ioac.write_bytes";
    cfs_rq_rq = "cfs_rq.rq";
    rq_clock = "rq.clock";
    signal_nr_threads = "signal_struct.nr_threads";
    signal_min_flt = "signal_struct.min_flt";
    signal_maj_flt = "signal_struct.maj_flt";
    signal_nvcsw = "signal_struct.nvcsw";
    signal_nivcsw = "signal_struct.nivcsw";
    signal_sum_sched_runtime = "signal_struct.sum_sched_runtime";
    signal_read_bytes = "signal_struct.ioac.read_bytes";
    signal_write_bytes = "signal_struct.ioac.write_bytes";
    /// 7 is `RLIMIT_NOFILE`, a number of the system call interface.
    signal_files_limit = "signal_struct.rlim[7].rlim_cur";
    mm_file_pages = "mm_struct.rss_stat[MM_FILEPAGES].count|mm_struct.rss_stat.count[MM_FILEPAGES]";
    mm_anon_pages = "mm_struct.rss_stat[MM_ANONPAGES].count|mm_struct.rss_stat.count[MM_ANONPAGES]";
    mm_swap_entries = "mm_struct.rss_stat[MM_SWAPENTS].count|mm_struct.rss_stat.count[MM_SWAPENTS]";
    mm_shmem_pages = "mm_struct.rss_stat[MM_SHMEMPAGES].count|mm_struct.rss_stat.count[MM_SHMEMPAGES]";
    css_set_dfl_cgrp = "css_set.dfl_cgrp";
    css_set_memory = "css_set.subsys[memory_cgrp_id]";
    css_cgroup = "cgroup_subsys_state.cgroup";
    cgroup_kn = "cgroup.kn";
    kernfs_id = "kernfs_node.id";
    files_fdt = "files_struct.fdt";
    files_next_fd = "files_struct.next_fd";
    fdt_max_fds = "fdtable.max_fds";
    fdt_open_fds = "fdtable.open_fds";
    fdt_fd = "fdtable.fd";
    file_inode = "file.f_inode";
    inode_mode = "inode.i_mode";
    inode_filesystem = "inode.i_sb";
    filesystem_device = "super_block.s_dev";
    request_queue = "request.q";
    request_flags = "request.cmd_flags";
    request_data_len = "request.__data_len";
    request_start_time = "request.start_time_ns";
    request_io_start_time = "request.io_start_time_ns";
    /// Up to 5.14 the request knew its disk, since 5.15 its queue does.
    request_disk = "request.rq_disk";
    queue_disk = "request_queue.disk";
    disk_major = "gendisk.major";
    disk_first_minor = "gendisk.first_minor";
    folio_flags = "folio.flags";
    folio_pages = "folio._nr_pages|folio._folio_nr_pages";
    iter_meta_seq = "bpf_iter_meta.seq";
    socket_sk = "socket.sk";
    sock_family = "sock.__sk_common.skc_family";
    sock_state = "sock.__sk_common.skc_state";
    /// The local port, in the host's order.
    sock_port = "sock.__sk_common.skc_num";
    sock_net = "sock.__sk_common.skc_net.net";
    sock_protocol = "sock.sk_protocol";
    sock_waiting = "sock.sk_ack_backlog";
    sock_backlog = "sock.sk_max_ack_backlog";
    sock_drops = "sock.sk_drops.counter";
    nsproxy_net = "nsproxy.net_ns";
    net_inode = "net.ns.inum";
}

/// What user space decides at load; the programs see constants.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The agent itself: its system calls are not counted.
    pub agent_tgid: u32,
    /// One system call in this many (a power of two), less one, is looked at by process.
    pub sample_mask: u32,
    /// 1: every fork, exec and exit of a process is a record; 0: only those that a signal ended.
    pub lifecycle_records: u32,
    /// log2 of the pages of one step of resident memory.
    pub rss_step_shift: u32,
    /// Anonymous pages below which a process is not watched.
    pub rss_floor_pages: u64,
    pub run_queue_outlier_ns: u64,
    pub block_outlier_ns: u64,
    pub syscall_outlier_ns: u64,
    pub reclaim_outlier_ns: u64,
    pub page_bytes: u64,
    /// Which argument of `block_rq_issue` is the request: 1 up to 5.10, 0 since.
    pub issue_argument: u32,
    /// 1: `request_queue.disk` tells the disk; 0: `request.rq_disk` does.
    pub disk_by_queue: u32,
    /// Bit of `folio.flags` that marks a folio of several pages; 64 where page counts are not told.
    pub folio_large_bit: u32,
    /// 1: the parts of a row that need these are read.
    pub tasks_io: u32,
    pub tasks_memory_cgroup: u32,
    pub tasks_open_files: u32,
    pub tasks_network: u32,
    /// 1: a timed call may return a descriptor, and what it opened is looked at before it is called slow.
    pub fifo_check: u16,
    /// 1: which filesystem had no room is told.
    pub device_check: u16,
    /// 1: resident pages are an array of atomics, as up to 6.1, into which the verifier lets no program walk.
    pub rss_by_probe: u32,
    /// 1: there are rings, and what is rare is told.
    pub rings: u32,
    /// Slot of each system call's histogram, 1 to `TIMED` - 1; 0 for one that is not timed.
    pub timed: [u8; SYSCALLS],
    /// What each system call does with a descriptor: [`Self::OPENS`], [`Self::WRITES`], or nothing that matters, 0.
    pub descriptors: [u8; SYSCALLS],
}

impl Settings {
    /// Returns one of what it opened.
    pub const OPENS: u8 = 1;
    /// Wants room for the file of the one that is its first argument.
    pub const WRITES: u8 = 2;

    pub const NONE: Self = Self {
        agent_tgid: 0,
        sample_mask: 63,
        lifecycle_records: 0,
        rss_step_shift: 14,
        rss_floor_pages: u64::MAX,
        run_queue_outlier_ns: u64::MAX,
        block_outlier_ns: u64::MAX,
        syscall_outlier_ns: u64::MAX,
        reclaim_outlier_ns: u64::MAX,
        page_bytes: 4096,
        issue_argument: 0,
        disk_by_queue: 1,
        folio_large_bit: 64,
        tasks_io: 0,
        tasks_memory_cgroup: 0,
        tasks_open_files: 0,
        tasks_network: 0,
        fifo_check: 0,
        device_check: 0,
        rss_by_probe: 0,
        rings: 0,
        timed: [0; SYSCALLS],
        descriptors: [0; SYSCALLS],
    };
}

// SAFETY: repr(C), made of integers without padding: any bytes are a value.
#[cfg(not(target_arch = "bpf"))]
unsafe impl aya::Pod for Offsets {}
// SAFETY: as above.
#[cfg(not(target_arch = "bpf"))]
unsafe impl aya::Pod for Settings {}
