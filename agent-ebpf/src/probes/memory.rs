//! Memory: processes whose anonymous memory grows past steps, time lost in direct reclaim, the OOM killer's victims,
//! pages that enter and leave the page cache.

use aya_ebpf::{
    bindings::BPF_ANY,
    btf_maps::{Array, LruHashMap},
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    macros::{btf_map, btf_tracepoint},
    programs::BtfTracePointContext,
};

use crate::{
    kernel::{PerCpu, current, field, header, own, pages, probe, setting},
    ring::{emit, emit_urgent},
    wire::{Emitter, Header, Kind, MemoryCounters, MemoryRecord, NumberRecord, RssMark, RssSeen, Start, THREADS},
};

#[btf_map]
static MEMORY: PerCpu<MemoryCounters> = PerCpu::new();
#[btf_map]
static RSS_SEEN: PerCpu<RssSeen> = PerCpu::new();
#[btf_map]
static RSS_MARKS: LruHashMap<u32, RssMark, 4096> = LruHashMap::new();
/// Threads in reclaim, and after it which kind it was. See `SYSCALL_STARTS`.
#[btf_map]
static RECLAIMS: Array<Start, THREADS> = Array::new();

/// `MM_ANONPAGES`, as the tracepoint numbers its members.
const ANONYMOUS: u32 = 1;

/// The leak watch. Nearly every update ends within its first lines; a step is looked up, and told, once.
#[btf_tracepoint(function = "rss_stat")]
fn rss_stat(ctx: BtfTracePointContext) {
    if ctx.arg::<u32>(1) != ANONYMOUS {
        return;
    }
    let mm: *const u8 = ctx.arg(0);
    let pages = pages!(mm, mm_anon_pages);
    if pages < setting!(rss_floor_pages) as i64 {
        return;
    }
    let step = pages as u64 >> setting!(rss_step_shift);
    let Some(seen) = own(&RSS_SEEN) else { return };
    // SAFETY: the slot belongs to this CPU.
    if unsafe { (*seen).mm == mm as u64 && (*seen).step == step } {
        return;
    }
    // SAFETY: as above.
    unsafe {
        (*seen).mm = mm as u64;
        (*seen).step = step;
    }
    crossed(mm, step);
}

/// Tells a step that is higher than any before. The mark sinks when memory shrinks by two steps or more.
#[inline(never)]
fn crossed(mm: *const u8, step: u64) {
    let task = current();
    let own = probe!(task, task_mm as u64);
    if own != mm as u64 {
        return; // Somebody else's memory, such as reclaim sees it.
    }
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    if let Some(mark) = RSS_MARKS.get_ptr_mut(tgid) {
        // SAFETY: a value of the map, which stays allocated while a program runs.
        let mark = unsafe { &mut *mark };
        if mark.mm == own && step <= mark.step {
            if step + 1 < mark.step {
                mark.step = step + 1;
            }
            return;
        }
        *mark = RssMark { mm: own, step };
    } else {
        _ = RSS_MARKS.insert(tgid, RssMark { mm: own, step }, BPF_ANY.into());
    }
    let pages = pages!(mm, mm_anon_pages) + pages!(mm, mm_file_pages) + pages!(mm, mm_shmem_pages);
    // SAFETY: a helper without arguments.
    let at_ns = unsafe { bpf_ktime_get_ns() };
    let record = NumberRecord {
        header: header(Kind::RssStep, at_ns, task),
        number: (pages as u64).wrapping_mul(setting!(page_bytes)),
    };
    emit_urgent(Emitter::LeakWatch, &record);
}

#[btf_tracepoint(function = "mm_vmscan_direct_reclaim_begin")]
fn direct_reclaim_begin(_: BtfTracePointContext) {
    begin_reclaim(0);
}

#[btf_tracepoint(function = "mm_vmscan_direct_reclaim_end")]
fn direct_reclaim_end(_: BtfTracePointContext) {
    end_reclaim();
}

#[btf_tracepoint(function = "mm_vmscan_memcg_reclaim_begin")]
fn memcg_reclaim_begin(_: BtfTracePointContext) {
    begin_reclaim(1);
}

#[btf_tracepoint(function = "mm_vmscan_memcg_reclaim_end")]
fn memcg_reclaim_end(_: BtfTracePointContext) {
    end_reclaim();
}

#[inline(always)]
fn begin_reclaim(in_cgroup: u32) {
    let tid = bpf_get_current_pid_tgid() as u32;
    if let Some(start) = RECLAIMS.get_ptr_mut(tid % THREADS as u32) {
        // SAFETY: a slot of the array; a torn one fails the check of its thread's id.
        unsafe { *start = Start { begun_ns: bpf_ktime_get_ns(), tid, what: in_cgroup } };
    }
}

#[inline(always)]
fn end_reclaim() {
    let tid = bpf_get_current_pid_tgid() as u32;
    let Some(start) = RECLAIMS.get_ptr_mut(tid % THREADS as u32) else { return };
    // SAFETY: a slot of the array.
    let begun = unsafe { *start };
    if begun.tid != tid || begun.begun_ns == 0 {
        return;
    }
    // SAFETY: as above, and a helper without arguments.
    let now_ns = unsafe {
        (*start).begun_ns = 0;
        bpf_ktime_get_ns()
    };
    let stall_ns = now_ns.saturating_sub(begun.begun_ns);
    if let Some(counters) = own(&MEMORY) {
        // SAFETY: the slot belongs to this CPU.
        unsafe {
            (*counters).reclaim_stalls += 1;
            (*counters).reclaim_stall_ns += stall_ns;
        }
    }
    if stall_ns >= setting!(reclaim_outlier_ns) {
        let header = header(Kind::ReclaimStall, now_ns, current());
        emit(Emitter::Reclaim, &MemoryRecord { header, number: stall_ns, in_cgroup: begun.what.into() });
    }
}

/// Since 6.8 the tracepoint hands over the victim itself.
#[btf_tracepoint(function = "mark_victim")]
fn mark_victim(ctx: BtfTracePointContext) {
    let task: *const u8 = ctx.arg(0);
    let mm = field!(task, task_mm as *const u8);
    let pages = pages!(mm, mm_anon_pages) + pages!(mm, mm_file_pages) + pages!(mm, mm_shmem_pages);
    // SAFETY: a helper without arguments.
    let at_ns = unsafe { bpf_ktime_get_ns() };
    victim(header(Kind::OomKill, at_ns, task as u64), (pages as u64).wrapping_mul(setting!(page_bytes)));
}

/// Before 6.8 it tells only the pid.
#[btf_tracepoint(function = "mark_victim")]
fn mark_victim_pid(ctx: BtfTracePointContext) {
    // SAFETY: a helper without arguments.
    let at_ns = unsafe { bpf_ktime_get_ns() };
    victim(Header { at_ns, kind: Kind::OomKill as u32, tgid: ctx.arg(0), ..Header::default() }, 0);
}

/// The killer is the thread that could not get memory: what it reclaimed last says whose limit it met.
#[inline(always)]
fn victim(header: Header, rss_bytes: u64) {
    let tid = bpf_get_current_pid_tgid() as u32;
    let in_cgroup = match RECLAIMS.get(tid % THREADS as u32) {
        Some(last) if last.tid == tid => last.what.into(),
        _ => 0,
    };
    if let Some(counters) = own(&MEMORY) {
        // SAFETY: the slot belongs to this CPU.
        unsafe { (*counters).oom_kills += 1 };
    }
    emit_urgent(Emitter::OomVictim, &MemoryRecord { header, number: rss_bytes, in_cgroup });
}

#[btf_tracepoint(function = "mm_filemap_add_to_page_cache")]
fn page_cache_add(ctx: BtfTracePointContext) {
    let pages = folio_pages(ctx.arg(0));
    if let Some(counters) = own(&MEMORY) {
        // SAFETY: the slot belongs to this CPU.
        unsafe { (*counters).page_cache_added += pages };
    }
}

#[btf_tracepoint(function = "mm_filemap_delete_from_page_cache")]
fn page_cache_delete(ctx: BtfTracePointContext) {
    let pages = folio_pages(ctx.arg(0));
    if let Some(counters) = own(&MEMORY) {
        // SAFETY: the slot belongs to this CPU.
        unsafe { (*counters).page_cache_removed += pages };
    }
}

/// One where the kernel does not tell how many.
#[inline(always)]
fn folio_pages(folio: *const u8) -> u64 {
    let large_bit = setting!(folio_large_bit);
    if large_bit >= 64 || field!(folio, folio_flags as u64) >> large_bit & 1 == 0 {
        return 1;
    }
    u64::from(field!(folio, folio_pages as u32))
}
