//! `fork_storm`: a shell that forks a child which exits at once, at a steady rate.
//!
//! The shell reads one line for each fork, so the rate is this process's, and it ends when this process does.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    os::fd::AsFd as _,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::fcntl;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "fork_storm", check: check_as::<Settings>, run };

/// The parentheses are a subshell: a fork, nothing executed, an exit.
const SHELL: &str = "while read -r _; do (:); echo; done";
/// Lines that the shell may be behind; more are not written, so a pause is not made up for.
const AHEAD: u64 = 200;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    rate_per_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { rate_per_s: 1000 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SHELL]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let shell = ground.adopt(&mut command)?;
    let parent = shell.id();
    let mut orders = shell.stdin.take().context("the shell has no standard input")?;
    let mut answers = shell.stdout.take().context("the shell has no standard output")?;
    // A shell that somebody froze must not freeze this process in a write.
    fcntl::fcntl(orders.as_fd(), fcntl::FcntlArg::F_SETFL(fcntl::OFlag::O_NONBLOCK))?;
    ground.started(&[parent])?;

    let forked = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&forked);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = answers.read(&mut buffer) {
            counter.fetch_add(read as u64, Ordering::Relaxed);
        }
    });
    let (mut asked, mut owed, mut reported, mut last) = (0, 0.0, 0, Instant::now());
    while !ground.stop().nap(Duration::from_millis(10)) {
        let done = forked.load(Ordering::Relaxed);
        owed += last.elapsed().as_secs_f64() * settings.rate_per_s as f64;
        last = Instant::now();
        let room = AHEAD.saturating_sub(asked - done);
        let lines = (owed as u64).min(room);
        owed = (owed - owed.floor()).max(0.0);
        match orders.write(&vec![b'\n'; usize::try_from(lines)?]) {
            Ok(written) => asked += written as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // The shell was ended by somebody; so is the load.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            Err(error) => return Err(error).context("the shell cannot be written to"),
        }
        ground.report(|seconds| {
            let rate = (done - reported) as f64 / seconds;
            reported = done;
            json!({ "forks": done, "forks_per_s": rate.round() })
        })?;
    }
    Ok(())
}
