//! Programs that do nothing, for the benchmark to attach beside ours: what a program costs is its time less theirs.

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

// One a hook: a program is loaded for one only.
empty! {
    empty_sys_enter,
    empty_sys_exit,
    empty_sched_switch,
    empty_rss_stat,
    empty_page_fault_user,
    empty_page_fault_kernel,
    empty_mm_filemap_add_to_page_cache,
    empty_mm_filemap_delete_from_page_cache,
    empty_block_rq_issue,
    empty_block_rq_complete,
    empty_sched_process_fork,
    empty_sched_process_exit,
}
