//! The two rings and what did not fit in them.
//!
//! Records of `EVENTS` wait until the agent looks; one in `URGENT` wakes it. A flood in the one cannot hide the other.

use aya_ebpf::{
    bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    btf_maps::{PerCpuArray, RingBuf},
    macros::btf_map,
};

use crate::wire::{Dropped, Emitter};

#[btf_map]
static EVENTS: RingBuf<u8, { 256 << 10 }> = RingBuf::new();
#[btf_map]
static URGENT: RingBuf<u8, { 64 << 10 }> = RingBuf::new();
#[btf_map]
static DROPPED: PerCpuArray<Dropped, 1> = PerCpuArray::new();

#[inline(always)]
pub(crate) fn emit<T: 'static>(emitter: Emitter, record: &T) {
    if EVENTS.output_untyped::<T>(record, BPF_RB_NO_WAKEUP.into()).is_err() {
        dropped(emitter);
    }
}

#[inline(always)]
pub(crate) fn emit_urgent<T: 'static>(emitter: Emitter, record: &T) {
    if URGENT.output_untyped::<T>(record, BPF_RB_FORCE_WAKEUP.into()).is_err() {
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
