//! System calls: all counted by number, errors by cgroup, a sample by process, and the latency of those calls that
//! never wait idly. One program at the exit, one at the entry that only the timed calls keep busy.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST},
    btf_maps::{Array, HashMap, LruHashMap},
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns, generated::bpf_get_current_cgroup_id},
    macros::{btf_map, btf_tracepoint},
    programs::BtfTracePointContext,
};

use crate::{
    constants::Settings,
    kernel::{PerCpu, add_one, count_in, current, field, header, own, probe, probe_read, setting, table},
    ring::emit,
    wire::{
        Emitter, ErrorKey, ErrorValue, Kind, SYSCALLS, SampleKey, Start, SyscallCounts, SyscallLatency, SyscallRecord,
        THREADS, TIMED,
    },
};

#[btf_map]
static SYSCALL_COUNTS: PerCpu<SyscallCounts> = PerCpu::new();
#[btf_map]
static SYSCALL_LATENCY: PerCpu<SyscallLatency> = PerCpu::new();
#[btf_map]
static SYSCALL_ERRORS: HashMap<ErrorKey, ErrorValue, 1024> = HashMap::new();
#[btf_map]
static SYSCALL_SAMPLES: LruHashMap<SampleKey, u64, 1024> = LruHashMap::new();
/// Begun calls by the low bits of the thread's id: cheaper than a hash or task storage, and there since 5.8. Two
/// threads of one slot are told apart; the one that was overwritten goes untimed.
#[btf_map]
static SYSCALL_STARTS: Array<Start, THREADS> = Array::new();
/// Since when these programs have been attached without a pause, `CLOCK_MONOTONIC`, ns. Of what began before, they may
/// have missed the end, and the beginning of what ended since.
#[btf_map]
static SYSCALLS_SINCE: Array<u64, 1> = Array::new();

/// Errors that the kernel keeps to itself: it restarts the call.
const RESTARTS: core::ops::RangeInclusive<u64> = 512..=516;
const LARGEST_ERRNO: u64 = 4095;
/// What a call fails with for want of room: `ENOSPC`, `EDQUOT`.
const NO_ROOM: [u64; 2] = [28, 122];
const S_IFMT: u16 = 0o170_000;
const S_IFIFO: u16 = 0o010_000;

#[btf_tracepoint(function = "sys_enter")]
fn sys_enter(ctx: BtfTracePointContext) {
    let syscall: u64 = ctx.arg(1);
    if syscall >= SYSCALLS as u64 || table!(timed, syscall as usize) == 0 {
        return;
    }
    let tid = bpf_get_current_pid_tgid() as u32;
    if let Some(start) = SYSCALL_STARTS.get_ptr_mut(tid % THREADS as u32) {
        // SAFETY: a slot of the array; a torn one fails the check of its thread's id.
        unsafe { *start = Start { begun_ns: bpf_ktime_get_ns(), tid, what: syscall as u32 } };
    }
}

#[btf_tracepoint(function = "sys_exit")]
fn sys_exit(ctx: BtfTracePointContext) {
    let regs: *const u8 = ctx.arg(0);
    let syscall = field!(regs, regs_syscall as u32);
    if syscall >= SYSCALLS as u32 {
        return;
    }
    let Some(counts) = own(&SYSCALL_COUNTS) else { return };
    if is_agent(counts, regs) {
        return;
    }
    // SAFETY: the slot belongs to this CPU, and the number was checked.
    let calls = unsafe {
        let calls = (&raw mut (*counts).calls).cast::<u64>().add(syscall as usize);
        *calls += 1;
        *calls
    };
    let result: i64 = ctx.arg(1);
    if result < 0 {
        let errno = result.unsigned_abs();
        if errno <= LARGEST_ERRNO && !RESTARTS.contains(&errno) {
            let device = device_without_room(regs, syscall, errno);
            if !count_error(syscall, errno as u32, device) {
                // SAFETY: as above.
                unsafe { (*counts).errors_untold += 1 };
            }
        }
    }
    if calls & u64::from(setting!(sample_mask)) == 0 {
        sample(syscall);
    }
    let slot = table!(timed, syscall as usize);
    if slot != 0 && !time(syscall, slot, result) {
        // SAFETY: as above.
        unsafe { (*counts).untimed += 1 };
    }
}

/// Whether the agent itself made the call. Who the registers belong to is asked once, not at every call of a thread:
/// they lie at the same place of its stack, and a helper costs as much as all else here.
#[inline(always)]
fn is_agent(counts: *mut SyscallCounts, regs: *const u8) -> bool {
    // SAFETY: the slot belongs to this CPU.
    let counts = unsafe { &mut *counts };
    if counts.last_regs != regs as u64 {
        counts.last_regs = regs as u64;
        counts.last_is_agent = u64::from(tgid() == setting!(agent_tgid));
    }
    counts.last_is_agent != 0
}

#[inline(always)]
fn tgid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// False when the start of the call is not known.
#[inline(never)]
fn time(syscall: u32, slot: u8, result: i64) -> bool {
    let tid = bpf_get_current_pid_tgid() as u32;
    let Some(start) = SYSCALL_STARTS.get_ptr_mut(tid % THREADS as u32) else { return false };
    // SAFETY: a slot of the array.
    let begun = unsafe { *start };
    let since_ns = SYSCALLS_SINCE.get(0).copied().unwrap_or(u64::MAX);
    if begun.tid != tid || begun.what != syscall || begun.begun_ns <= since_ns {
        return false;
    }
    // SAFETY: as above, and a helper without arguments.
    let now_ns = unsafe {
        (*start).begun_ns = 0;
        bpf_ktime_get_ns()
    };
    let latency_ns = now_ns.saturating_sub(begun.begun_ns);
    let slow = latency_ns >= setting!(syscall_outlier_ns);
    let opens = || table!(descriptors, syscall as usize & (SYSCALLS - 1)) == Settings::OPENS;
    if slow && setting!(fifo_check) != 0 && opens() && opened_fifo(result) {
        return true; // It waited for the other end, idly.
    }
    let Some(latency) = own(&SYSCALL_LATENCY) else { return false };
    // SAFETY: the slot is below TIMED, and belongs to this CPU.
    count_in(
        unsafe { (&raw mut (*latency).slots).cast::<[u64; 32]>().add(slot as usize & (TIMED - 1)) }.cast(),
        latency_ns,
    );
    if slow {
        tell_slow(now_ns, latency_ns, syscall);
    }
    true
}

#[inline(never)]
fn tell_slow(now_ns: u64, latency_ns: u64, syscall: u32) {
    let header = header(Kind::SyscallOutlier, now_ns, current());
    emit(Emitter::Syscalls, &SyscallRecord { header, latency_ns, syscall: syscall.into() });
}

/// Whether the descriptor that was just opened is a FIFO, whose opening waits for a peer.
#[inline(never)]
fn opened_fifo(descriptor: i64) -> bool {
    descriptor >= 0 && probe!(inode_of(descriptor as u64), inode_mode as u16) & S_IFMT == S_IFIFO
}

/// The filesystem that had no room, where the call names the file by a descriptor.
#[inline(always)]
fn device_without_room(regs: *const u8, syscall: u32, errno: u64) -> u32 {
    let writes = || table!(descriptors, syscall as usize) == Settings::WRITES;
    if setting!(device_check) == 0 || !NO_ROOM.contains(&errno) || !writes() {
        return 0;
    }
    device_of(field!(regs, regs_first as u32))
}

#[inline(never)]
fn device_of(descriptor: u32) -> u32 {
    let filesystem: u64 = probe!(inode_of(descriptor.into()), inode_filesystem as u64);
    probe!(filesystem, filesystem_device as u32)
}

/// Of the file that the current process has open under that number.
#[inline(always)]
fn inode_of(descriptor: u64) -> u64 {
    let files: u64 = probe!(current(), task_files as u64);
    let table: u64 = probe!(files, files_fdt as u64);
    let descriptors: u64 = probe!(table, fdt_fd as u64);
    let file: u64 = probe_read(descriptors + 8 * descriptor);
    probe!(file, file_inode as u64)
}

/// False when the map has no room.
#[inline(never)]
fn count_error(syscall: u32, errno: u32, device: u32) -> bool {
    let tgid = tgid();
    // SAFETY: a helper without arguments.
    let key = ErrorKey { cgroup_id: unsafe { bpf_get_current_cgroup_id() }, syscall, errno, device, unused: 0 };
    if let Some(value) = SYSCALL_ERRORS.get_ptr_mut(key) {
        vote(value, tgid);
        return true;
    }
    if SYSCALL_ERRORS.insert(key, ErrorValue { count: 1, tgid, lead: 1 }, BPF_NOEXIST.into()).is_ok() {
        return true;
    }
    // Another CPU may have put it there meanwhile.
    match SYSCALL_ERRORS.get_ptr_mut(key) {
        Some(value) => {
            vote(value, tgid);
            true
        }
        None => false,
    }
}

/// Counts, and keeps the thread group that most of the errors came from (Boyer and Moore's majority vote). CPUs may
/// race on the vote, not on the count.
#[inline(always)]
fn vote(value: *mut ErrorValue, tgid: u32) {
    // SAFETY: a value of the map, which stays allocated while a program runs.
    unsafe {
        add_one(&raw mut (*value).count);
        if (*value).tgid == tgid {
            (*value).lead = (*value).lead.saturating_add(1);
        } else if (*value).lead == 0 {
            (*value).tgid = tgid;
            (*value).lead = 1;
        } else {
            (*value).lead -= 1;
        }
    }
}

#[inline(never)]
fn sample(syscall: u32) {
    let key = SampleKey { tgid: tgid(), syscall };
    match SYSCALL_SAMPLES.get_ptr_mut(key) {
        Some(samples) => add_one(samples),
        // The least recently sampled leaves; it is a sample, nothing is told of what left.
        None => _ = SYSCALL_SAMPLES.insert(key, 1u64, BPF_ANY.into()),
    }
}
