//! How long tasks stand ready before they run, without remembering any of them; forks by parent, execs, exits.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    btf_maps::HashMap,
    helpers::bpf_ktime_get_ns,
    macros::{btf_map, btf_tracepoint},
    programs::BtfTracePointContext,
};

use crate::{
    kernel::{PerCpu, add_one, count_in, field, header, own, probe, setting},
    ring::emit,
    wire::{Emitter, Kind, NumberRecord, SchedulerCounters},
};

#[btf_map]
static SCHEDULER: PerCpu<SchedulerCounters> = PerCpu::new();
/// Processes forked, by thread group of the parent.
#[btf_map]
static FORKS: HashMap<u32, u64, 1024> = HashMap::new();

/// When `next` goes on, its run queue's clock has just been read, and `last_queued` says when it became ready.
#[btf_tracepoint(function = "sched_switch")]
fn sched_switch(ctx: BtfTracePointContext) {
    let next: *const u8 = ctx.arg(2);
    let queued_ns = field!(next, task_last_queued as u64);
    if queued_ns == 0 {
        return; // Not from a queue, as the idle task.
    }
    let cfs_rq = field!(next, task_cfs_rq as *const u8);
    let run_queue = field!(cfs_rq, cfs_rq_rq as *const u8);
    let now_ns = field!(run_queue, rq_clock as u64);
    if now_ns < queued_ns {
        return; // Queued by the clock of another CPU that runs ahead.
    }
    let latency_ns = now_ns - queued_ns;
    let Some(counters) = own(&SCHEDULER) else { return };
    // SAFETY: the slot belongs to this CPU.
    count_in(unsafe { &raw mut (*counters).run_queue }.cast(), latency_ns);
    if latency_ns >= setting!(run_queue_outlier_ns) {
        waited_long(next, latency_ns);
    }
}

/// Apart, as all that is rare: what it keeps in registers and on the stack is no cost of what is frequent.
#[inline(never)]
fn waited_long(task: *const u8, latency_ns: u64) {
    // SAFETY: a helper without arguments.
    let at_ns = unsafe { bpf_ktime_get_ns() };
    let header = header(Kind::RunQueueOutlier, at_ns, task as u64);
    emit(Emitter::RunQueue, &NumberRecord { header, number: latency_ns });
}

#[btf_tracepoint(function = "sched_process_fork")]
fn sched_process_fork(ctx: BtfTracePointContext) {
    let parent: *const u8 = ctx.arg(0);
    let child: *const u8 = ctx.arg(1);
    let child_pid = field!(child, task_pid as u32);
    if child_pid != field!(child, task_tgid as u32) {
        return; // A thread.
    }
    let Some(counters) = own(&SCHEDULER) else { return };
    // SAFETY: the slot belongs to this CPU.
    unsafe { (*counters).forks += 1 };
    if !count_fork(field!(parent, task_tgid as u32)) {
        // SAFETY: as above.
        unsafe { (*counters).forks_untold += 1 };
    }
    if setting!(lifecycle_records) != 0 {
        lifecycle(Kind::Fork, parent as u64, child_pid.into());
    }
}

#[btf_tracepoint(function = "sched_process_exec")]
fn sched_process_exec(ctx: BtfTracePointContext) {
    let Some(counters) = own(&SCHEDULER) else { return };
    // SAFETY: the slot belongs to this CPU.
    unsafe { (*counters).execs += 1 };
    if setting!(lifecycle_records) != 0 {
        lifecycle(Kind::Exec, ctx.arg::<*const u8>(0) as u64, 0);
    }
}

/// A process ends with its leader; one that a signal ended is told at once.
#[btf_tracepoint(function = "sched_process_exit")]
fn sched_process_exit(ctx: BtfTracePointContext) {
    let task: *const u8 = ctx.arg(0);
    if field!(task, task_pid as u32) != field!(task, task_tgid as u32) {
        return;
    }
    let Some(counters) = own(&SCHEDULER) else { return };
    // SAFETY: the slot belongs to this CPU.
    unsafe { (*counters).exits += 1 };
    let exit_code: u32 = probe!(task, task_exit_code as u32);
    if setting!(lifecycle_records) != 0 || exit_code & 0x7f != 0 {
        lifecycle(Kind::Exit, task as u64, exit_code.into());
    }
}

#[inline(always)]
fn lifecycle(kind: Kind, task: u64, number: u64) {
    // SAFETY: a helper without arguments.
    let at_ns = unsafe { bpf_ktime_get_ns() };
    emit(Emitter::Lifecycle, &NumberRecord { header: header(kind, at_ns, task), number });
}

/// False when the map has no room.
#[inline(always)]
fn count_fork(parent_tgid: u32) -> bool {
    if let Some(forks) = FORKS.get_ptr_mut(parent_tgid) {
        add_one(forks);
        return true;
    }
    if FORKS.insert(parent_tgid, 1u64, BPF_NOEXIST.into()).is_ok() {
        return true;
    }
    // Another CPU may have put it there meanwhile.
    match FORKS.get_ptr_mut(parent_tgid) {
        Some(forks) => {
            add_one(forks);
            true
        }
        None => false,
    }
}
