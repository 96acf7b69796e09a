//! How the programs read the kernel: constants set at load, and fields of structures at offsets that are constants.

use core::{arch::asm, mem::MaybeUninit, ptr};

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    btf_maps::Array,
    helpers::{bpf_get_current_task, bpf_get_smp_processor_id, generated::bpf_probe_read_kernel},
};

use crate::{
    constants::{Offsets, Settings},
    wire::{Header, Kind},
};

/// A read-only global that the loader fills; never folded by the compiler, always by the verifier.
#[repr(transparent)]
pub(crate) struct Constant<T>(MaybeUninit<T>);

impl<T> Constant<T> {
    const fn new(value: T) -> Self {
        Self(MaybeUninit::new(value))
    }

    pub(crate) const fn as_ptr(&self) -> *const T {
        self.0.as_ptr()
    }
}

#[unsafe(no_mangle)]
pub(crate) static OFFSETS: Constant<Offsets> = Constant::new(Offsets::NONE);
#[unsafe(no_mangle)]
pub(crate) static SETTINGS: Constant<Settings> = Constant::new(Settings::NONE);

/// One field of [`Settings`].
macro_rules! setting {
    ($field:ident) => {
        // SAFETY: the global is initialised, by its default or by the loader.
        unsafe { core::ptr::read_volatile(&raw const (*$crate::kernel::SETTINGS.as_ptr()).$field) }
    };
}
pub(crate) use setting;

/// One byte of a table of [`Settings`].
macro_rules! table {
    ($field:ident, $index:expr) => {
        // SAFETY: the caller checked the index against SYSCALLS.
        unsafe {
            core::ptr::read_volatile((&raw const (*$crate::kernel::SETTINGS.as_ptr()).$field).cast::<u8>().add($index))
        }
    };
}
pub(crate) use table;

/// The offset of a field, as bytes.
macro_rules! offset {
    ($field:ident) => {
        // SAFETY: as for settings.
        unsafe { core::ptr::read_volatile(&raw const (*$crate::kernel::OFFSETS.as_ptr()).$field) as usize }
    };
}
pub(crate) use offset;

/// Reads a field directly. The pointer must be one that the verifier knows the type of.
macro_rules! field {
    ($pointer:expr, $field:ident as $type:ty) => {
        $crate::kernel::read_field::<$type>($pointer, $crate::kernel::offset!($field))
    };
}
pub(crate) use field;

#[inline(always)]
pub(crate) fn read_field<T>(structure: *const u8, offset: usize) -> T {
    // SAFETY: the verifier checks pointer, offset and size; a fault reads as zero.
    unsafe { ptr::read(structure.add(offset).cast::<T>()) }
}

/// Resident pages of one kind; directly where the kernel keeps them so that it can be.
macro_rules! pages {
    ($mm:expr, $field:ident) => {
        if $crate::kernel::setting!(rss_by_probe) == 0 {
            $crate::kernel::field!($mm, $field as i64)
        } else {
            $crate::kernel::probe!($mm, $field as i64)
        }
    };
}
pub(crate) use pages;

/// Reads a field of any address, slowly; zero where it cannot be read.
macro_rules! probe {
    ($address:expr, $field:ident as $type:ty) => {
        $crate::kernel::probe_read::<$type>($address as u64 + $crate::kernel::offset!($field) as u64)
    };
}
pub(crate) use probe;

#[inline(always)]
pub(crate) fn probe_read<T: Copy + Default>(address: u64) -> T {
    let mut value = T::default();
    // SAFETY: the helper writes size_of::<T>() bytes or none.
    let failed =
        unsafe { bpf_probe_read_kernel(ptr::from_mut(&mut value).cast(), size_of::<T>() as u32, address as _) };
    if failed == 0 { value } else { T::default() }
}

/// The header of a record about `task`.
#[inline(always)]
pub(crate) fn header(kind: Kind, at_ns: u64, task: u64) -> Header {
    let leader: u64 = probe!(task, task_group_leader as u64);
    let css_set: u64 = probe!(task, task_cgroups as u64);
    let cgroup: u64 = probe!(css_set, css_set_dfl_cgrp as u64);
    let kn: u64 = probe!(cgroup, cgroup_kn as u64);
    Header {
        at_ns,
        start_boottime_ns: probe!(leader, task_start_boottime as u64),
        cgroup_id: probe!(kn, kernfs_id as u64),
        kind: kind as u32,
        tgid: probe!(task, task_tgid as u32),
        // The name of the process, not of the thread.
        comm: probe!(leader, task_comm as [u8; 16]),
    }
}

#[inline(always)]
pub(crate) fn current() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_get_current_task() }
}

/// A value for each CPU; as many as the machine has, which the loader says.
///
/// It is an array indexed by the CPU's number, not one of the kernel's per-CPU arrays: those look each address up in
/// a list of their own, one more line of the cache at each event.
pub(crate) type PerCpu<T> = Array<T, 1, { BPF_F_MMAPABLE as usize }>;

#[inline(always)]
pub(crate) fn this_cpu() -> u32 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_get_smp_processor_id() }
}

/// This CPU's value.
#[inline(always)]
pub(crate) fn own<T>(values: &PerCpu<T>) -> Option<*mut T> {
    values.get_ptr_mut(this_cpu())
}

/// floor(log2(value)), at most 31. The instruction set counts no leading zeros, and the values of a histogram are what
/// a branch predictor cannot know: so first the highest byte is found, then its highest bit, each by adding up the
/// sign bits of differences that do not wait for one another.
#[inline(always)]
pub(crate) fn log2_slot(value: u64) -> u64 {
    if value >> 32 != 0 {
        return 31;
    }
    let bytes = is_above(0xff, value) + is_above(0xffff, value) + is_above(0xff_ffff, value);
    let byte = value >> (8 * bytes);
    let bits = is_above(1, byte)
        + is_above(3, byte)
        + is_above(7, byte)
        + is_above(15, byte)
        + is_above(31, byte)
        + is_above(63, byte)
        + is_above(127, byte);
    8 * bytes + bits
}

/// 1 when `value` is above `limit`, without a branch, which the compiler would make of anything it understands.
#[inline(always)]
fn is_above(limit: u64, value: u64) -> u64 {
    let mut sign = limit;
    // SAFETY: arithmetic on registers.
    unsafe {
        asm!("{sign} -= {value}", "{sign} >>= 63", sign = inout(reg) sign, value = in(reg) value, options(pure, nomem, nostack));
    }
    sign
}

/// Adds one to the slot of `value`.
#[inline(always)]
pub(crate) fn count_in(histogram: *mut u64, value: u64) {
    // SAFETY: the histogram has 32 slots; it belongs to this CPU.
    unsafe { *histogram.add(log2_slot(value) as usize & 31) += 1 };
}

/// Adds one, whatever other CPUs do to the same value. `core` has no such operation for this target.
#[inline(always)]
pub(crate) fn add_one(value: *mut u64) {
    // SAFETY: the caller has the value from a map, where it stays allocated while a program runs.
    unsafe { asm!("lock *(u64 *)({value} + 0) += {one}", value = in(reg) value, one = in(reg) 1u64) };
}
