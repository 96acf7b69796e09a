//! The ten metric families: a table each, and its columns in the order that rows are written.

/// One family: a table, its columns after the time and the name.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    pub table: &'static str,
    /// Whether there is a row for each device or interface.
    pub named: bool,
    /// Names with the unit last, as in the table.
    pub columns: &'static [&'static str],
}

impl Family {
    pub const ALL: [&'static Self; 10] =
        [&MEMORY, &LOAD, &IO, &NETWORK, &TCP, &SWAP, &BLOCK, &SCHEDULER, &SYSCALL, &PAGE_FAULT];

    /// The family of that table.
    #[must_use]
    pub fn named(table: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|family| family.table == table)
    }
}

pub static MEMORY: Family = Family {
    table: "memory_metrics",
    named: false,
    columns: &[
        "total_bytes",
        "free_bytes",
        "available_bytes",
        "buffers_bytes",
        "cached_bytes",
        "anonymous_bytes",
        "slab_reclaimable_bytes",
        "dirty_bytes",
        "writeback_bytes",
        "pressure_some_percent",
        "pressure_full_percent",
        "reclaim_stalls",
        "reclaim_stall_ns",
        "oom_kills",
    ],
};
pub static LOAD: Family = Family {
    table: "load_metrics",
    named: false,
    columns: &[
        "one",
        "five",
        "fifteen",
        "runnable",
        "tasks",
        "online_cpus",
        "user_ns",
        "nice_ns",
        "system_ns",
        "idle_ns",
        "iowait_ns",
        "irq_ns",
        "steal_ns",
        "pressure_some_percent",
    ],
};
pub static IO: Family = Family {
    table: "io_stats",
    named: true,
    columns: &[
        "reads",
        "read_bytes",
        "read_time_ms",
        "writes",
        "written_bytes",
        "write_time_ms",
        "in_flight",
        "busy_ms",
        "queue_time_ms",
    ],
};
pub static NETWORK: Family = Family {
    table: "network_metrics",
    named: true,
    columns: &[
        "up",
        "received_bytes",
        "received_packets",
        "received_errors",
        "received_dropped",
        "sent_bytes",
        "sent_packets",
        "sent_errors",
        "sent_dropped",
    ],
};
pub static TCP: Family = Family {
    table: "tcp_metrics",
    named: false,
    columns: &[
        "sent_segments",
        "retransmitted_segments",
        "received_errors",
        "active_opens",
        "attempt_fails",
        "resets_sent",
        "listen_overflows",
        "listen_drops",
        "established",
        "syn_sent",
        "syn_recv",
        "fin_wait",
        "time_wait",
        "close_wait",
        "listen",
        "sockets_used",
        "orphans",
        "memory_pages",
    ],
};
pub static SWAP: Family = Family {
    table: "swap_metrics",
    named: false,
    columns: &[
        "total_bytes",
        "free_bytes",
        "swap_in_pages",
        "swap_out_pages",
        "refault_anon_pages",
        "refault_file_pages",
    ],
};
pub static BLOCK: Family = Family {
    table: "block_metrics",
    named: true,
    columns: &["requests", "bytes", "errors", "in_flight", "latency_p50_ns", "latency_p99_ns"],
};
pub static SCHEDULER: Family = Family {
    table: "scheduler_metrics",
    named: false,
    columns: &[
        "context_switches",
        "forks",
        "running",
        "blocked",
        "run_queue_waits",
        "run_queue_p50_ns",
        "run_queue_p99_ns",
        "execs",
        "exits",
    ],
};
pub static SYSCALL: Family = Family {
    table: "syscall_metrics",
    named: false,
    columns: &[
        "calls",
        "errors",
        "errors_untold",
        "timed",
        "latency_p50_ns",
        "latency_p99_ns",
        "files_allocated",
        "files_maximum",
        "io_pressure_some_percent",
        "io_pressure_full_percent",
    ],
};
pub static PAGE_FAULT: Family = Family {
    table: "page_fault_metrics",
    named: false,
    columns: &[
        "faults",
        "major_faults",
        "user_faults",
        "kernel_faults",
        "direct_scan_pages",
        "direct_steal_pages",
        "kswapd_scan_pages",
        "allocation_stalls",
    ],
};
