//! The two rings and what did not fit in them.
//!
//! Records of `EVENTS` wait until the agent looks; one in `URGENT` wakes it. A flood in the one cannot hide the other.

use aya_ebpf::{
    bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    btf_maps::PerCpuArray,
    macros::{btf_map, map},
    maps::RingBuf,
};

use crate::{
    kernel::setting,
    wire::{Dropped, EVENTS_BYTES, Emitter, URGENT_BYTES},
};

// Declared in the older way, as plain numbers: where the kernel refuses rings, the loader writes other maps there.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(EVENTS_BYTES, 0);
#[map]
static URGENT: RingBuf = RingBuf::with_byte_size(URGENT_BYTES, 0);
#[btf_map]
static DROPPED: PerCpuArray<Dropped, 1> = PerCpuArray::new();

#[inline(always)]
pub(crate) fn emit<T: 'static>(emitter: Emitter, record: &T) {
    if setting!(rings) != 0 && EVENTS.output::<T>(record, BPF_RB_NO_WAKEUP.into()).is_err() {
        dropped(emitter);
    }
}

#[inline(always)]
pub(crate) fn emit_urgent<T: 'static>(emitter: Emitter, record: &T) {
    if setting!(rings) != 0 && URGENT.output::<T>(record, BPF_RB_FORCE_WAKEUP.into()).is_err() {
        dropped(emitter);
    }
}

#[inline(always)]
fn dropped(emitter: Emitter) {
    if let Some(counts) = DROPPED.get_ptr_mut(0) {
        // SAFETY: the slot belongs to this CPU, and an emitter is an index of it.
        unsafe { (*counts)[emitter as usize] += 1 };
    }
}
