//! Programs that do nothing, for the benchmark to attach beside ours: what a program costs is its time less theirs.
//!
//! Two a hook, for one runs ahead of ours and pays for what is cold, whoever comes first; the one behind is compared.

use core::ffi::c_void;

macro_rules! empty {
    ($($name:ident),+ $(,)?) => {
        $(
            #[unsafe(no_mangle)]
            #[unsafe(link_section = "tp_btf")]
            fn $name(_: *mut c_void) -> i32 {
                0
            }
        )+
    };
}

// A program is loaded for one hook only.
empty! {
    ahead_sys_enter,
    empty_sys_enter,
    ahead_sys_exit,
    empty_sys_exit,
    ahead_sched_switch,
    empty_sched_switch,
    ahead_rss_stat,
    empty_rss_stat,
    ahead_page_fault_user,
    empty_page_fault_user,
    ahead_page_fault_kernel,
    empty_page_fault_kernel,
    ahead_mm_filemap_add_to_page_cache,
    empty_mm_filemap_add_to_page_cache,
    ahead_mm_filemap_delete_from_page_cache,
    empty_mm_filemap_delete_from_page_cache,
    ahead_block_rq_issue,
    empty_block_rq_issue,
    ahead_block_rq_complete,
    empty_block_rq_complete,
    ahead_sched_process_fork,
    empty_sched_process_fork,
    ahead_sched_process_exit,
    empty_sched_process_exit,
}
