//! Block devices: latency, bytes, errors and requests in flight by device and operation. The request carries its own
//! start; nothing is remembered between issue and completion.

use aya_ebpf::{
    helpers::bpf_ktime_get_ns,
    macros::{btf_map, btf_tracepoint},
    programs::BtfTracePointContext,
};

use crate::{
    kernel::{PerCpu, count_in, field, setting, this_cpu},
    ring::emit,
    wire::{BLOCK_SLOTS, BLOCK_TABLES, BlockCounters, BlockRecord, BlockSlot, Device, Emitter, Header, Kind},
};

/// All tables of the first CPU, then those of the next.
#[btf_map]
static BLOCK: PerCpu<BlockCounters> = PerCpu::new();

/// Slots looked at before a pair goes untold.
const PROBES: usize = 8;
/// `REQ_OP_MASK`.
const OPERATION_MASK: u32 = 0xff;

#[btf_tracepoint(function = "block_rq_issue")]
fn block_rq_issue(ctx: BtfTracePointContext) {
    let request: *const u8 = if setting!(issue_argument) == 1 { ctx.arg(1) } else { ctx.arg(0) };
    if let Some(slot) = slot_of(request) {
        // SAFETY: the slot belongs to this CPU.
        unsafe { (*slot).issued += 1 };
    }
}

/// The driver gave the request back, to be issued again.
#[btf_tracepoint(function = "block_rq_requeue")]
fn block_rq_requeue(ctx: BtfTracePointContext) {
    let request: *const u8 = if setting!(issue_argument) == 1 { ctx.arg(1) } else { ctx.arg(0) };
    if let Some(slot) = slot_of(request) {
        // SAFETY: the slot belongs to this CPU.
        unsafe { (*slot).completed += 1 };
    }
}

/// A request may complete in pieces; the last one takes all that was left of it.
#[btf_tracepoint(function = "block_rq_complete")]
fn block_rq_complete(ctx: BtfTracePointContext) {
    let request: *const u8 = ctx.arg(0);
    let error: i32 = ctx.arg(1);
    let bytes: u32 = ctx.arg(2);
    let Some(slot) = slot_of(request) else { return };
    // SAFETY: the slot belongs to this CPU.
    unsafe {
        (*slot).bytes += u64::from(bytes);
        (*slot).errors += u64::from(error != 0);
    }
    let mut latency_ns = 0;
    if bytes >= field!(request, request_data_len as u32) {
        // SAFETY: as above.
        unsafe { (*slot).completed += 1 };
        // The driver's own time where the queue keeps it, else the time since the request was made.
        let mut begun_ns = field!(request, request_io_start_time as u64);
        if begun_ns == 0 {
            begun_ns = field!(request, request_start_time as u64);
        }
        if begun_ns != 0 {
            // SAFETY: a helper without arguments.
            latency_ns = unsafe { bpf_ktime_get_ns() }.saturating_sub(begun_ns);
            // SAFETY: as above.
            count_in(unsafe { &raw mut (*slot).latency }.cast(), latency_ns);
        }
    }
    if error != 0 || latency_ns >= setting!(block_outlier_ns) {
        tell(request, latency_ns, bytes, error);
    }
}

/// Apart, as all that is rare: what it keeps in registers and on the stack is no cost of what is frequent.
#[inline(never)]
fn tell(request: *const u8, latency_ns: u64, bytes: u32, error: i32) {
    let Some((device, operation)) = identify(request) else { return };
    let kind = if error != 0 { Kind::BlockError } else { Kind::BlockOutlier };
    // SAFETY: a helper without arguments.
    let at_ns = unsafe { bpf_ktime_get_ns() };
    // A completion runs wherever the interrupt came: no process stands behind it.
    let header = Header { at_ns, kind: kind as u32, ..Header::default() };
    let record = BlockRecord { header, latency_ns, bytes: bytes.into(), device, operation, error };
    emit(Emitter::BlockIo, &record);
}

/// None for a request of no disk (a command to the device).
#[inline(always)]
pub(super) fn identify(request: *const u8) -> Option<(Device, u32)> {
    let disk = if setting!(disk_by_queue) == 1 {
        let queue = field!(request, request_queue as *const u8);
        field!(queue, queue_disk as *const u8)
    } else {
        field!(request, request_disk as *const u8)
    };
    if disk.is_null() {
        return None;
    }
    let device = Device { major: field!(disk, disk_major as u32), minor: field!(disk, disk_first_minor as u32) };
    Some((device, field!(request, request_flags as u32) & OPERATION_MASK))
}

/// This CPU's counters of the request's device and operation; none, and counted, when there is no room.
#[inline(always)]
fn slot_of(request: *const u8) -> Option<*mut BlockSlot> {
    let (device, operation) = identify(request)?;
    let disk = device.major.wrapping_mul(31) ^ device.minor;
    let counters = BLOCK.get_ptr_mut(this_cpu() * BLOCK_TABLES + (disk & (BLOCK_TABLES - 1)))?;
    let first = (disk.wrapping_mul(5) ^ operation) as usize;
    for probe in 0..PROBES {
        let index = (first + probe) & (BLOCK_SLOTS - 1);
        // SAFETY: the index is below BLOCK_SLOTS, and the slots belong to this CPU.
        unsafe {
            let slot = (&raw mut (*counters).slots).cast::<BlockSlot>().add(index);
            if (*slot).operation == operation + 1
                && (*slot).device.major == device.major
                && (*slot).device.minor == device.minor
            {
                return Some(slot);
            }
            if (*slot).operation == 0 {
                (*slot).device = device;
                (*slot).operation = operation + 1;
                return Some(slot);
            }
        }
    }
    // SAFETY: as above.
    unsafe { (*counters).untold += 1 };
    None
}
