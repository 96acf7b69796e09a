//! The C library's allocator, told to keep little of what it does not use.

#![expect(unsafe_code, reason = "the allocator is set by functions of the C library")]

/// All threads allocate from one heap. By default each thread that finds it busy gets one of its own, which keeps what
/// was freed in it, though nobody may ask it again: 7 of 16 MB in an agent that just began, more later. To be called
/// while there is one thread.
pub(crate) fn keep_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the allocator's own function; it moves nothing.
    unsafe {
        nix::libc::mallopt(nix::libc::M_ARENA_MAX, 1);
    }
}

/// Gives back to the system what is not used.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: as above.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
