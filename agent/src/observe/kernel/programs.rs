//! What programs there are, in the order in which they are attached: where each hangs, and what it cannot do without.

use std::fmt;

use crate::observe::offsets::Types;

/// The program that writes the rows of tasks.
pub(super) const TASKS: &str = "tasks";

/// The program that writes the rows of sockets.
pub(super) const SOCKETS: &str = "sockets";

/// The tracer whose programs are attached only while somebody looks.
pub(super) const SYSCALLS: &str = "syscalls";

/// What the benchmark's reference remembers in.
pub(super) const REFERENCE_MAPS: [&str; 2] = ["REFERENCE_STARTS", "REFERENCE_LATENCY"];

/// Where a program hangs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hook {
    Tracepoint(&'static str),
    Iterator(&'static str),
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracepoint(name) => write!(f, "tracepoint {name}"),
            Self::Iterator(name) => write!(f, "iterator over {name}s"),
        }
    }
}

#[derive(Debug)]
pub(super) struct Program {
    /// As in the object.
    pub(super) name: &'static str,
    pub(super) tracer: &'static str,
    pub(super) hook: Hook,
    /// Fields without which it is off.
    pub(super) needs: &'static [&'static [&'static str]],
    /// Fields without which it tells less.
    pub(super) wants: &'static [Want],
    pub(super) variant: Variant,
    pub(super) telling: Telling,
    /// What it tells less even so.
    pub(super) shortcoming: Option<&'static str>,
}

/// Fields that are read together or not at all, and what is missed without one of them.
#[derive(Debug)]
pub(super) struct Want {
    pub(super) paths: &'static [&'static str],
    pub(super) without: &'static str,
}

/// Programs of which the kernel's version asks for one or the other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Variant {
    Always,
    /// When the tracepoint's first argument is of this type.
    FirstArgument(&'static str),
}

/// What a program is without the rings, and what is missed then.
#[derive(Clone, Copy, Debug)]
pub(super) enum Telling {
    /// It only counts.
    Nothing,
    /// It counts all the same.
    Also(&'static str),
    /// It does nothing else.
    Only(&'static str),
}

impl Telling {
    pub(super) fn less(self, without_rings: Option<&str>) -> Option<String> {
        match (self, without_rings) {
            (Self::Also(without) | Self::Only(without), Some(why)) => Some(format!("{without}: {why}")),
            _ => None,
        }
    }
}

impl Program {
    pub(super) fn fits(&self, types: &Types) -> bool {
        let (Variant::FirstArgument(wanted), Hook::Tracepoint(name)) = (self.variant, self.hook) else { return true };
        match types.tracepoint(name) {
            Some(arguments) => arguments.first().is_some_and(|argument| argument == wanted),
            // Missing: one of the variants stands for all, and says so.
            None => !self.is_variant(),
        }
    }

    /// Whether it stands in for another one on some kernels.
    pub(super) fn is_variant(&self) -> bool {
        self.shortcoming.is_some()
    }
}

const PLAIN: Program = Program {
    name: "",
    tracer: "",
    hook: Hook::Tracepoint(""),
    needs: &[],
    wants: &[],
    variant: Variant::Always,
    telling: Telling::Nothing,
    shortcoming: None,
};

/// What the header of a record is read from.
const HEADER: &[&str] = &[
    "task_struct.tgid",
    "task_struct.comm",
    "task_struct.group_leader",
    "task_struct.start_boottime",
    "task_struct.cgroups",
    "css_set.dfl_cgrp",
    "cgroup.kn",
    "kernfs_node.id",
];
const PID: &[&str] = &["task_struct.pid", "task_struct.tgid"];
const RESIDENT: &[&str] = &[
    "task_struct.mm",
    "mm_struct.rss_stat[MM_FILEPAGES].count|mm_struct.rss_stat.count[MM_FILEPAGES]",
    "mm_struct.rss_stat[MM_ANONPAGES].count|mm_struct.rss_stat.count[MM_ANONPAGES]",
    "mm_struct.rss_stat[MM_SHMEMPAGES].count|mm_struct.rss_stat.count[MM_SHMEMPAGES]",
];
const REQUEST: &[&str] =
    &["request.cmd_flags", "request.q", "gendisk.major", "gendisk.first_minor", "request.rq_disk|request_queue.disk"];
/// What a process read and wrote.
pub(super) const TASK_IO: &[&str] = &[
    "task_struct.ioac.read_bytes",
    "task_struct.ioac.write_bytes",
    "signal_struct.ioac.read_bytes",
    "signal_struct.ioac.write_bytes",
];
pub(super) const MEMORY_CGROUP: &[&str] = &["css_set.subsys[memory_cgrp_id]", "cgroup_subsys_state.cgroup"];
/// What open files are counted from.
pub(super) const OPEN_FILES: &[&str] =
    &["task_struct.files", "files_struct.fdt", "files_struct.next_fd", "fdtable.max_fds", "fdtable.open_fds"];
/// What the network namespace of a process is found by.
pub(super) const NETWORK: &[&str] = &["task_struct.nsproxy", "nsproxy.net_ns", "net.ns.inum"];
/// What a call has opened.
pub(super) const OPENED: &[&str] =
    &["task_struct.files", "files_struct.fdt", "fdtable.fd", "file.f_inode", "inode.i_mode"];
/// Which filesystem has no room for what a call writes.
pub(super) const WITHOUT_ROOM: &[&str] = &[
    "pt_regs.di|pt_regs.orig_x0",
    "task_struct.files",
    "files_struct.fdt",
    "fdtable.fd",
    "file.f_inode",
    "inode.i_sb",
    "super_block.s_dev",
];
/// How many pages enter and leave the page cache together.
pub(super) const FOLIO: &[&str] = &["folio.flags", "folio._nr_pages|folio._folio_nr_pages"];
const SYSCALL_EXIT: &[&[&str]] = &[HEADER, &["pt_regs.orig_ax|pt_regs.syscallno"]];
const COMPLETION: &[&str] = &["request.__data_len", "request.start_time_ns", "request.io_start_time_ns"];

pub(super) static PROGRAMS: &[Program] = &[
    Program {
        name: TASKS,
        tracer: "tasks",
        hook: Hook::Iterator("task"),
        needs: &[
            HEADER,
            PID,
            RESIDENT,
            &[
                "bpf_iter_meta.seq",
                "mm_struct.rss_stat[MM_SWAPENTS].count|mm_struct.rss_stat.count[MM_SWAPENTS]",
                "task_struct.flags",
                "task_struct.static_prio",
                "task_struct.real_parent",
                "task_struct.signal",
                "task_struct.min_flt",
                "task_struct.maj_flt",
                "task_struct.nvcsw",
                "task_struct.nivcsw",
                "task_struct.se.sum_exec_runtime",
                "task_struct.sched_info.run_delay",
                "signal_struct.nr_threads",
                "signal_struct.min_flt",
                "signal_struct.maj_flt",
                "signal_struct.nvcsw",
                "signal_struct.nivcsw",
                "signal_struct.sum_sched_runtime",
                "signal_struct.rlim[7].rlim_cur",
            ],
        ],
        wants: &[
            Want { paths: TASK_IO, without: "no bytes of I/O by process" },
            Want { paths: MEMORY_CGROUP, without: "no memory cgroup by process" },
            Want { paths: OPEN_FILES, without: "no open files by process" },
            Want { paths: NETWORK, without: "no network namespace by process" },
        ],
        ..PLAIN
    },
    Program {
        name: SOCKETS,
        tracer: "sockets",
        hook: Hook::Iterator("task_file"),
        needs: &[&[
            "bpf_iter_meta.seq",
            "task_struct.tgid",
            "socket.sk",
            "sock.__sk_common.skc_family",
            "sock.__sk_common.skc_state",
            "sock.__sk_common.skc_num",
            "sock.__sk_common.skc_net.net",
            "sock.sk_protocol",
            "sock.sk_ack_backlog",
            "sock.sk_max_ack_backlog",
            "sock.sk_drops.counter",
            "net.ns.inum",
        ]],
        ..PLAIN
    },
    Program {
        name: "rss_stat",
        tracer: "memory",
        hook: Hook::Tracepoint("rss_stat"),
        needs: &[HEADER, RESIDENT],
        telling: Telling::Only("memory that grows is seen at the next tick"),
        ..PLAIN
    },
    Program {
        name: "mark_victim",
        tracer: "memory",
        hook: Hook::Tracepoint("mark_victim"),
        needs: &[HEADER, RESIDENT],
        variant: Variant::FirstArgument("task_struct*"),
        telling: Telling::Also("victims of the OOM killer are counted, and none is named"),
        ..PLAIN
    },
    Program {
        name: "mark_victim_pid",
        tracer: "memory",
        hook: Hook::Tracepoint("mark_victim"),
        variant: Variant::FirstArgument("int"),
        shortcoming: Some("a victim's name, start and memory are not told before 6.8"),
        telling: Telling::Also("victims of the OOM killer are counted, and none is named"),
        ..PLAIN
    },
    Program {
        name: "direct_reclaim_begin",
        tracer: "memory",
        hook: Hook::Tracepoint("mm_vmscan_direct_reclaim_begin"),
        ..PLAIN
    },
    Program {
        name: "direct_reclaim_end",
        tracer: "memory",
        hook: Hook::Tracepoint("mm_vmscan_direct_reclaim_end"),
        needs: &[HEADER],
        telling: Telling::Also("stalls are counted, and none is told"),
        ..PLAIN
    },
    Program {
        name: "memcg_reclaim_begin",
        tracer: "memory",
        hook: Hook::Tracepoint("mm_vmscan_memcg_reclaim_begin"),
        ..PLAIN
    },
    Program {
        name: "memcg_reclaim_end",
        tracer: "memory",
        hook: Hook::Tracepoint("mm_vmscan_memcg_reclaim_end"),
        needs: &[HEADER],
        telling: Telling::Also("stalls are counted, and none is told"),
        ..PLAIN
    },
    Program {
        name: "page_cache_add",
        tracer: "memory",
        hook: Hook::Tracepoint("mm_filemap_add_to_page_cache"),
        wants: &[Want { paths: FOLIO, without: "insertions are counted, not pages" }],
        ..PLAIN
    },
    Program {
        name: "page_cache_delete",
        tracer: "memory",
        hook: Hook::Tracepoint("mm_filemap_delete_from_page_cache"),
        wants: &[Want { paths: FOLIO, without: "insertions are counted, not pages" }],
        ..PLAIN
    },
    Program {
        name: "block_rq_issue",
        tracer: "block_io",
        hook: Hook::Tracepoint("block_rq_issue"),
        needs: &[REQUEST],
        ..PLAIN
    },
    Program {
        name: "block_rq_requeue",
        tracer: "block_io",
        hook: Hook::Tracepoint("block_rq_requeue"),
        needs: &[REQUEST],
        ..PLAIN
    },
    Program {
        name: "block_rq_complete",
        tracer: "block_io",
        hook: Hook::Tracepoint("block_rq_complete"),
        needs: &[REQUEST, COMPLETION],
        telling: Telling::Also("slow requests are counted, and none is told"),
        ..PLAIN
    },
    Program {
        name: "sys_enter",
        tracer: SYSCALLS,
        hook: Hook::Tracepoint("sys_enter"),
        // Its own it reads none of: without the exit it would be in vain.
        needs: SYSCALL_EXIT,
        ..PLAIN
    },
    Program {
        name: "sys_exit",
        tracer: SYSCALLS,
        hook: Hook::Tracepoint("sys_exit"),
        needs: SYSCALL_EXIT,
        wants: &[
            Want { paths: OPENED, without: "opening a FIFO counts as any other" },
            Want { paths: WITHOUT_ROOM, without: "not told which filesystem has no room for whom" },
        ],
        telling: Telling::Also("slow calls are counted, and none is told"),
        ..PLAIN
    },
    Program { name: "page_fault_user", tracer: "page_faults", hook: Hook::Tracepoint("page_fault_user"), ..PLAIN },
    Program { name: "page_fault_kernel", tracer: "page_faults", hook: Hook::Tracepoint("page_fault_kernel"), ..PLAIN },
    Program {
        name: "sched_switch",
        tracer: "scheduler",
        hook: Hook::Tracepoint("sched_switch"),
        needs: &[
            HEADER,
            PID,
            &["task_struct.sched_info.last_queued", "task_struct.se.cfs_rq", "cfs_rq.rq", "rq.clock"],
        ],
        telling: Telling::Also("long waits are counted, and none is told"),
        ..PLAIN
    },
    Program {
        name: "sched_process_fork",
        tracer: "scheduler",
        hook: Hook::Tracepoint("sched_process_fork"),
        needs: &[HEADER, PID],
        ..PLAIN
    },
    Program {
        name: "sched_process_exec",
        tracer: "scheduler",
        hook: Hook::Tracepoint("sched_process_exec"),
        needs: &[HEADER],
        ..PLAIN
    },
    Program {
        name: "sched_process_exit",
        tracer: "scheduler",
        hook: Hook::Tracepoint("sched_process_exit"),
        needs: &[HEADER, PID, &["task_struct.exit_code"]],
        telling: Telling::Also("exits are counted, and none that a signal caused is told"),
        ..PLAIN
    },
];
