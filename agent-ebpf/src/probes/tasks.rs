//! Every task, once a tick: a BPF iterator that writes one row a thread. What a process does is counted by the kernel
//! in its tasks already, so no event pays for it.

use core::{ffi::c_void, ptr};

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_seq_write};

use crate::{
    kernel::{field, pages, probe_read, setting},
    wire::{ProcessRow, TaskCounters, ThreadRow},
};

/// Words of a descriptor table that are read at once, and how often: 4,096 descriptors above the first free one.
const CHUNK: usize = 4;
const CHUNKS: u32 = 16;

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
fn tasks(ctx: *mut c_void) -> i32 {
    let ctx = ctx.cast::<*const u8>();
    // SAFETY: the context of a task iterator is two pointers: what is iterated with, and the task.
    let (meta, task) = unsafe { (*ctx, *ctx.add(1)) };
    if task.is_null() {
        return 0; // The end.
    }
    let seq = field!(meta, iter_meta_seq as *mut c_void);
    let pid = field!(task, task_pid as u32);
    let tgid = field!(task, task_tgid as u32);
    let thread = ThreadRow { row_bytes: size_of::<ThreadRow>() as u32, tgid, pid, unused: 0, counters: counters(task) };
    if pid != tgid {
        let leader = field!(task, task_group_leader as *const u8);
        if !field!(leader, task_mm as *const u8).is_null() || field!(task, task_mm as *const u8).is_null() {
            write(seq, &thread);
            return 0;
        }
    }
    let mut row = ProcessRow { thread, ..ProcessRow::default() };
    row.thread.row_bytes = size_of::<ProcessRow>() as u32;
    describe(task, &mut row);
    write(seq, &row);
    0
}

#[inline(always)]
fn write<T>(seq: *mut c_void, row: &T) {
    // A full buffer is the kernel's to handle: it asks for the same task again.
    // SAFETY: the row is initialised and of this size.
    unsafe { bpf_seq_write(seq.cast(), ptr::from_ref(row).cast(), size_of::<T>() as u32) };
}

#[inline(always)]
fn counters(task: *const u8) -> TaskCounters {
    let mut counters = TaskCounters {
        minor_faults: field!(task, task_min_flt as u64),
        major_faults: field!(task, task_maj_flt as u64),
        voluntary_switches: field!(task, task_nvcsw as u64),
        involuntary_switches: field!(task, task_nivcsw as u64),
        run_time_ns: field!(task, task_sum_exec_runtime as u64),
        run_delay_ns: field!(task, task_run_delay as u64),
        read_bytes: 0,
        written_bytes: 0,
    };
    if setting!(tasks_io) != 0 {
        counters.read_bytes = field!(task, task_read_bytes as u64);
        counters.written_bytes = field!(task, task_write_bytes as u64);
    }
    counters
}

#[inline(always)]
fn describe(task: *const u8, row: &mut ProcessRow) {
    let leader = field!(task, task_group_leader as *const u8);
    row.flags = field!(leader, task_flags as u32);
    row.static_prio = field!(leader, task_static_prio as i32);
    row.start_boottime_ns = field!(leader, task_start_boottime as u64);
    row.comm = field!(leader, task_comm as [u8; 16]);
    let parent = field!(leader, task_real_parent as *const u8);
    row.parent_tgid = field!(parent, task_tgid as u32);

    let signal = field!(task, task_signal as *const u8);
    row.threads = field!(signal, signal_nr_threads as u32);
    row.files_limit = field!(signal, signal_files_limit as u64);
    row.ended = TaskCounters {
        minor_faults: field!(signal, signal_min_flt as u64),
        major_faults: field!(signal, signal_maj_flt as u64),
        voluntary_switches: field!(signal, signal_nvcsw as u64),
        involuntary_switches: field!(signal, signal_nivcsw as u64),
        run_time_ns: field!(signal, signal_sum_sched_runtime as u64),
        run_delay_ns: 0,
        read_bytes: 0,
        written_bytes: 0,
    };
    if setting!(tasks_io) != 0 {
        row.ended.read_bytes = field!(signal, signal_read_bytes as u64);
        row.ended.written_bytes = field!(signal, signal_write_bytes as u64);
    }

    let mm = field!(task, task_mm as *const u8);
    if !mm.is_null() {
        row.has_memory = 1;
        row.file_pages = pages!(mm, mm_file_pages);
        row.anon_pages = pages!(mm, mm_anon_pages);
        row.shmem_pages = pages!(mm, mm_shmem_pages);
        row.swap_pages = pages!(mm, mm_swap_entries);
    }

    let css_set = field!(task, task_cgroups as *const u8);
    let unified = field!(css_set, css_set_dfl_cgrp as *const u8);
    let kn = field!(unified, cgroup_kn as *const u8);
    row.unified_cgroup_id = field!(kn, kernfs_id as u64);
    if setting!(tasks_memory_cgroup) != 0 {
        let css = field!(css_set, css_set_memory as *const u8);
        let cgroup = field!(css, css_cgroup as *const u8);
        let kn = field!(cgroup, cgroup_kn as *const u8);
        row.memory_cgroup_id = field!(kn, kernfs_id as u64);
    }
    if setting!(tasks_network) != 0 {
        // A process that has ended is in no namespace any more.
        let namespaces = field!(leader, task_nsproxy as *const u8);
        if !namespaces.is_null() {
            let net = field!(namespaces, nsproxy_net as *const u8);
            row.network = field!(net, net_inode as u32);
        }
    }
    if setting!(tasks_open_files) != 0 {
        row.open_files = open_files(task);
    }
}

/// Counts the bits of the descriptor table. Below `next_fd` all are set, so the count begins there, and reaches far
/// enough for all but a table whose descriptors lie thousands apart.
#[inline(always)]
fn open_files(task: *const u8) -> u64 {
    let files = field!(task, task_files as *const u8);
    if files.is_null() {
        return 0;
    }
    let table = field!(files, files_fdt as *const u8);
    let words = field!(table, fdt_max_fds as u32) / 64;
    let bits = field!(table, fdt_open_fds as u64);
    if words < CHUNK as u32 {
        return count_ones(probe_read(bits)); // The first table, of one word; all others are of whole chunks.
    }
    let first = field!(files, files_next_fd as u32) / (64 * CHUNK as u32);
    let mut open = u64::from(first) * 64 * CHUNK as u64;
    for chunk in 0..CHUNKS {
        if (first + chunk) * CHUNK as u32 >= words {
            break;
        }
        let mut bits_of = [0u64; CHUNK];
        // SAFETY: the helper writes the chunk or nothing.
        let failed = unsafe {
            bpf_probe_read_kernel(
                bits_of.as_mut_ptr().cast(),
                size_of::<[u64; CHUNK]>() as u32,
                (bits + u64::from(first + chunk) * size_of::<[u64; CHUNK]>() as u64) as _,
            )
        };
        if failed != 0 {
            break;
        }
        // Not a loop: up to 6.1 the verifier knows none that begins behind another's last instruction.
        let [a, b, c, d] = bits_of;
        open += count_ones(a) + count_ones(b) + count_ones(c) + count_ones(d);
    }
    open
}

/// The instruction set has none of its own.
#[inline(always)]
fn count_ones(bits: u64) -> u64 {
    let pairs = bits - ((bits >> 1) & 0x5555_5555_5555_5555);
    let fours = (pairs & 0x3333_3333_3333_3333) + ((pairs >> 2) & 0x3333_3333_3333_3333);
    let eights = (fours + (fours >> 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    eights.wrapping_mul(0x0101_0101_0101_0101) >> 56
}
