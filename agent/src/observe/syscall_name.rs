//! System calls and errors by name, for sentences that a person reads.

use nix::errno::Errno;
use syscalls::Sysno;

/// The name of a system call by its number on this architecture, `syscall 999` where it has none.
#[must_use]
pub fn syscall_name(number: u32) -> String {
    Sysno::new(number as usize).map_or_else(|| format!("syscall {number}"), |call| call.name().to_owned())
}

/// The symbol of an errno, such as `EMFILE`; `errno 999` where it has none.
#[must_use]
pub fn errno_name(errno: u32) -> String {
    match i32::try_from(errno).map(Errno::from_raw) {
        Ok(known) if known != Errno::UnknownErrno => format!("{known:?}"),
        _ => format!("errno {errno}"),
    }
}
