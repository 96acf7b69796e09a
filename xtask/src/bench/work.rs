//! Fixed pieces of work, in a process of their own, and the CPU time that they take.

use std::{
    io::{Read as _, Write as _},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};

#[derive(Debug, Args)]
pub(crate) struct Work {
    kind: Kind,
    count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// A system call that does next to nothing
    Getppid,
    /// One byte to a thread and back, through pipes
    PingPong,
    /// A page that is read and was never written: a fault that moves no memory
    ReadFaults,
    /// A page that is written for the first time
    WriteFaults,
}

/// Mapped and unmapped at once, and so not kept by the C library.
const MAPPING_PAGES: usize = 16_384;
const PAGE_BYTES: usize = 4096;

impl Work {
    pub(crate) fn run(&self) -> Result<()> {
        match self.kind {
            Kind::Getppid => {
                for _ in 0..self.count {
                    std::hint::black_box(nix::unistd::getppid());
                }
                Ok(())
            }
            Kind::PingPong => ping_pong(self.count),
            Kind::ReadFaults => fault(self.count, |byte| _ = std::hint::black_box(*byte)),
            Kind::WriteFaults => fault(self.count, |byte| *std::hint::black_box(byte) = 1),
        }
    }
}

/// CPU time, user and system, of that work in a process of its own.
pub(super) fn cpu_ms(kind: Kind, count: u64) -> Result<f64> {
    let name = kind.to_possible_value().context("a kind without a name")?;
    let before = children_cpu_ms()?;
    let status = Command::new("/proc/self/exe")
        .args(["work", name.get_name(), &count.to_string()])
        .stdin(Stdio::null())
        .status()
        .context("the work cannot be started")?;
    if !status.success() {
        bail!("the work {} failed ({status})", name.get_name());
    }
    Ok(children_cpu_ms()? - before)
}

/// Of all children that were waited for.
fn children_cpu_ms() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok((usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e3)
}

/// Touches at least `count` pages, each for the first time.
fn fault(count: u64, touch: fn(&mut u8)) -> Result<()> {
    // A huge page is one fault.
    nix::sys::prctl::set_thp_disable(true)?;
    for _ in 0..count.div_ceil(MAPPING_PAGES as u64) {
        let mut mapping = vec![0_u8; MAPPING_PAGES * PAGE_BYTES];
        mapping.iter_mut().step_by(PAGE_BYTES).for_each(touch);
        drop(std::hint::black_box(mapping));
    }
    Ok(())
}

fn ping_pong(count: u64) -> Result<()> {
    let ((mut far_in, mut near_out), (mut near_in, mut far_out)) = (std::io::pipe()?, std::io::pipe()?);
    let far = thread::spawn(move || {
        let mut byte = [0];
        while far_in.read(&mut byte).is_ok_and(|read| read == 1) && far_out.write_all(&byte).is_ok() {}
    });
    let mut byte = *b".";
    for _ in 0..count {
        near_out.write_all(&byte)?;
        near_in.read_exact(&mut byte)?;
    }
    drop(near_out);
    if far.join().is_err() {
        bail!("the far end panicked");
    }
    Ok(())
}
