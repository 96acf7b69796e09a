//! What somebody who took an executor over would try, a row each. Whoever runs one is confined before it, and each is
//! harmless even where it worked: it names nothing that is there, or asks for what is so already.

mod files;
mod identity;
mod machine;
mod memory;
mod network;
mod processes;

use std::{ffi::CStr, os::fd::RawFd};

use nix::{errno::Errno, libc};

/// One try, and how the kernel refused it.
pub(super) type Attack = fn(&Ground) -> Result<(), Errno>;
type Row = (&'static str, Attack);

/// What an attacker finds.
#[derive(Debug)]
pub(super) struct Ground {
    /// A process that is not the target.
    pub(super) stranger: u32,
    /// The files that may be written.
    pub(super) files: Vec<RawFd>,
    pub(super) pidfd: Option<RawFd>,
    pub(super) task: Option<RawFd>,
    pub(super) stat: Option<RawFd>,
    pub(super) descriptors: Option<RawFd>,
}

/// Names of all attacks.
pub fn attacks() -> impl Iterator<Item = &'static str> {
    rows().map(|(name, _)| *name)
}

pub(super) fn find(name: &str) -> Option<Attack> {
    rows().find(|(known, _)| *known == name).map(|(_, attack)| *attack)
}

fn rows() -> impl Iterator<Item = &'static Row> {
    [
        files::ATTACKS,
        processes::ATTACKS,
        identity::ATTACKS,
        memory::ATTACKS,
        network::ATTACKS,
        machine::ATTACKS,
        machine::OF_THIS_ARCHITECTURE,
    ]
    .into_iter()
    .flatten()
}

impl Ground {
    /// A descriptor that was not passed under this number.
    fn is_strange(&self, fd: RawFd) -> bool {
        let passed = [self.pidfd, self.task, self.stat, self.descriptors].contains(&Some(fd));
        fd > 2 && !passed && !self.files.contains(&fd)
    }

    fn file(&self) -> usize {
        self.files.first().copied().unwrap_or(-1) as usize
    }
}

/// Calls the kernel as code would that nobody wrote.
fn call<const N: usize>(number: libc::c_long, given: [usize; N]) -> Result<usize, Errno> {
    let mut arguments = [0; 6];
    arguments[..N].copy_from_slice(&given);
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: pointers among the arguments are of buffers of the row that live through the call, or null, and the
    // kernel writes no more into one than the length beside it says. No row maps over or unmaps memory that is in use.
    let returned = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if returned < 0 { Err(Errno::last()) } else { Ok(returned as usize) }
}

/// The same, where what comes back is of no use.
fn attempt<const N: usize>(number: libc::c_long, given: [usize; N]) -> Result<(), Errno> {
    call(number, given).map(drop)
}

fn text(text: &CStr) -> usize {
    text.as_ptr() as usize
}

fn buffer<T>(buffer: &mut [T]) -> usize {
    buffer.as_mut_ptr() as usize
}

/// A descriptor or a number below 0, as the kernel takes it.
const fn below_zero(number: i32) -> usize {
    number as isize as usize
}
