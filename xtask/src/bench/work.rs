//! Fixed pieces of work, in a process of their own, and the CPU time that they take.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};

use crate::{clock, say};

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
    /// A message of a hundred bytes, from each of several threads to each of several others
    Messaging,
    /// A page that is read and was never written: a fault that moves no memory
    ReadFaults,
    /// A page that is written for the first time
    WriteFaults,
    /// A millisecond in which nobody else has this CPU
    Stall,
}

/// Threads that send, and threads that receive.
const SENDERS: usize = 8;
const RECEIVERS: usize = 8;
const MESSAGE_BYTES: usize = 100;

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
            Kind::Messaging => messaging(self.count),
            Kind::ReadFaults => fault(self.count, |byte| _ = std::hint::black_box(*byte)),
            Kind::WriteFaults => fault(self.count, |byte| *std::hint::black_box(byte) = 1),
            Kind::Stall => {
                stall(self.count);
                Ok(())
            }
        }
    }
}

/// CPU time, user and system, of that work in a process of its own.
pub(super) fn cpu_ms(kind: Kind, count: u64) -> Result<f64> {
    cpu_ms_of(&mut command(kind, count)?)
}

/// What does that work.
pub(super) fn command(kind: Kind, count: u64) -> Result<Command> {
    let name = kind.to_possible_value().context("a kind without a name")?;
    let mut command = Command::new("/proc/self/exe");
    command.args(["work", name.get_name(), &count.to_string()]);
    Ok(command)
}

/// CPU time, user and system, of that command and all that it waits for.
pub(super) fn cpu_ms_of(command: &mut Command) -> Result<f64> {
    let line = say::line_of(command);
    let before = children_cpu_ms()?;
    let done = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let done = done.with_context(|| format!("`{line}` cannot be started"))?;
    if !done.status.success() {
        bail!("`{line}` failed ({}): {}", done.status, String::from_utf8_lossy(&done.stderr).trim());
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

/// Each sender writes `count` messages to each receiver, each of which reads from its one end of a pair of sockets.
fn messaging(count: u64) -> Result<()> {
    let mut writing = Vec::new();
    let mut reading = Vec::new();
    for _ in 0..RECEIVERS {
        let (write, read) = UnixStream::pair()?;
        writing.push(write);
        reading.push(read);
    }
    let expected = usize::try_from(count)? * SENDERS * MESSAGE_BYTES;
    thread::scope(|scope| {
        let receivers = reading.iter().map(|read| scope.spawn(move || receive(read, expected))).collect::<Vec<_>>();
        let senders = (0..SENDERS).map(|_| scope.spawn(|| send(&writing, count))).collect::<Vec<_>>();
        for thread in senders.into_iter().chain(receivers) {
            thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        Ok(())
    })
}

fn send(receivers: &[UnixStream], count: u64) -> Result<()> {
    for _ in 0..count {
        for mut receiver in receivers {
            receiver.write_all(&[b'.'; MESSAGE_BYTES])?;
        }
    }
    Ok(())
}

fn receive(mut from: &UnixStream, expected: usize) -> Result<()> {
    let (mut message, mut received) = ([0; MESSAGE_BYTES], 0);
    while received < expected {
        match from.read(&mut message)? {
            0 => bail!("the senders are gone"),
            read => received += read,
        }
    }
    Ok(())
}

/// Says when it begins, on the clock of the kernel's events, and computes for so many milliseconds.
fn stall(milliseconds: u64) {
    println!("{}", clock::monotonic_ns());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(milliseconds) {
        std::hint::spin_loop();
    }
}
