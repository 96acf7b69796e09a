//! The six kinds of work whose CPU time is compared, and the files that they read.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::work::{self, Kind};
use crate::{load, place};

/// Enough that one piece of work takes some tenths of a second.
const CALLS: u64 = 2_000_000;
const TURNS: u64 = 40_000;
const MESSAGES: u64 = 2_000;
const FUNCTIONS: usize = 60;
const FILES: u64 = 4_000;
const READS: u64 = 5_000;
const BLOCK_BYTES: u64 = 4096;

/// One kind of work: what it is called, and what does so many pieces of it, one command after the other.
pub(super) struct Workload {
    pub(super) what: &'static str,
    commands: Box<dyn Fn(u64) -> Result<Vec<Command>>>,
}

impl Workload {
    /// CPU time of so many pieces, ms.
    pub(super) fn cpu_ms(&self, pieces: u64) -> Result<f64> {
        (self.commands)(pieces)?.iter_mut().map(|command| work::cpu_ms_of(command).context(self.what)).sum()
    }

    /// How many pieces take at least that long.
    pub(super) fn pieces_for(&self, long: Duration) -> Result<u64> {
        // The first finds nothing in the page cache.
        self.cpu_ms(1)?;
        let begun = Instant::now();
        self.cpu_ms(1)?;
        Ok((long.as_secs_f64() / begun.elapsed().as_secs_f64()).ceil() as u64)
    }
}

/// Files that the works read, gone at the end.
pub(super) struct Ground {
    directory: PathBuf,
}

impl Ground {
    pub(super) fn make() -> Result<Self> {
        let directory = place::target()?.join("bench/work");
        // What an earlier run left is of another size.
        _ = fs::remove_dir_all(&directory);
        let ground = Self { directory };
        for number in 0..FILES {
            let below = ground.directory.join(format!("tree/d{}", number % 64));
            fs::create_dir_all(&below).with_context(|| format!("{} cannot be made", below.display()))?;
            fs::write(below.join(format!("f{number}")), vec![b'.'; 2048])?;
        }
        fs::write(ground.directory.join("program.c"), load::c_program(FUNCTIONS))?;
        // Written, not only long: a hole is read without a request.
        fs::write(ground.directory.join("disk"), vec![1; usize::try_from(READS * BLOCK_BYTES)?])?;
        Ok(ground)
    }

    pub(super) fn works(&self) -> [Workload; 6] {
        let of = |what, kind: Kind, count| Workload {
            what,
            commands: Box::new(move |pieces| Ok(vec![work::command(kind, pieces * count)?])),
        };
        let path = |name: &str| self.directory.join(name).to_string_lossy().into_owned();
        let host = |what, program: &'static str, arguments: Vec<String>| Workload {
            what,
            commands: Box::new(move |pieces| {
                let piece = |_| {
                    let mut command = Command::new(program);
                    command.args(&arguments);
                    command
                };
                Ok((0..pieces).map(piece).collect())
            }),
        };
        let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
        [
            of("getppid loop", Kind::Getppid, CALLS),
            of("pipe ping-pong", Kind::PingPong, TURNS),
            of("messaging", Kind::Messaging, MESSAGES),
            host("gcc", "cc", text(&["-O2", "-w", "-c", "-o", "/dev/null", &path("program.c")])),
            host("tar", "tar", text(&["-C", &path(""), "-cf", &path("tree.tar"), "tree"])),
            host(
                "dd 4K direct",
                "dd",
                text(&[&format!("if={}", path("disk")), "of=/dev/null", &format!("bs={BLOCK_BYTES}"), "iflag=direct"]),
            ),
        ]
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.directory);
    }
}
