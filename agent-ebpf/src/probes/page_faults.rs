//! Page faults, user's and kernel's. Which process, and major or minor, is in each task's own counters: see `tasks`.

use aya_ebpf::{
    macros::{btf_map, btf_tracepoint},
    programs::BtfTracePointContext,
};

use crate::{
    kernel::{PerCpu, own},
    wire::FaultCounters,
};

#[btf_map]
static PAGE_FAULTS: PerCpu<FaultCounters> = PerCpu::new();

#[btf_tracepoint(function = "page_fault_user")]
fn page_fault_user(_: BtfTracePointContext) {
    if let Some(counters) = own(&PAGE_FAULTS) {
        // SAFETY: the slot belongs to this CPU.
        unsafe { (*counters).user += 1 };
    }
}

#[btf_tracepoint(function = "page_fault_kernel")]
fn page_fault_kernel(_: BtfTracePointContext) {
    if let Some(counters) = own(&PAGE_FAULTS) {
        // SAFETY: the slot belongs to this CPU.
        unsafe { (*counters).kernel += 1 };
    }
}
