//! What the benchmark compares the latency of block requests with: the common way, which remembers each request in a
//! hash by its address and keeps the histogram of its device and operation in another. Only the benchmark attaches it.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST},
    btf_maps::HashMap,
    helpers::bpf_ktime_get_ns,
    macros::{btf_map, btf_tracepoint},
    programs::BtfTracePointContext,
};

use super::block_io::identify;
use crate::{
    kernel::{add_one, log2_slot, setting},
    wire::{Histogram, ReferenceKey},
};

/// The benchmark gives both their size; with one entry they are as good as none.
#[btf_map]
static REFERENCE_STARTS: HashMap<u64, u64, 1> = HashMap::new();
#[btf_map]
static REFERENCE_LATENCY: HashMap<ReferenceKey, Histogram, 1> = HashMap::new();

const EMPTY: Histogram = [0; 32];

#[btf_tracepoint(function = "block_rq_issue")]
fn reference_block_rq_issue(ctx: BtfTracePointContext) {
    let request: u64 = if setting!(issue_argument) == 1 { ctx.arg(1) } else { ctx.arg(0) };
    // SAFETY: a helper without arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    // What does not fit goes unmeasured.
    _ = REFERENCE_STARTS.insert(request, now_ns, BPF_ANY.into());
}

#[btf_tracepoint(function = "block_rq_complete")]
fn reference_block_rq_complete(ctx: BtfTracePointContext) {
    let request: *const u8 = ctx.arg(0);
    let address = request as u64;
    let Some(begun_ns) = REFERENCE_STARTS.get_ptr_mut(address) else { return };
    // SAFETY: a value of the map, which stays allocated while a program runs, and a helper without arguments.
    let latency_ns = unsafe { bpf_ktime_get_ns().saturating_sub(*begun_ns) };
    // It may be gone.
    _ = REFERENCE_STARTS.remove(address);
    let Some((device, operation)) = identify(request) else { return };
    let key = ReferenceKey { device, operation };
    let histogram = match REFERENCE_LATENCY.get_ptr_mut(key) {
        Some(histogram) => histogram,
        None => {
            // Another CPU may have put it there meanwhile.
            _ = REFERENCE_LATENCY.insert(key, EMPTY, BPF_NOEXIST.into());
            let Some(histogram) = REFERENCE_LATENCY.get_ptr_mut(key) else { return };
            histogram
        }
    };
    // SAFETY: the histogram has 32 slots.
    add_one(unsafe { histogram.cast::<u64>().add(log2_slot(latency_ns) as usize & 31) });
}
