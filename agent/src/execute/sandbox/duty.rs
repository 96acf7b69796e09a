//! Throttling: a process is stopped when it has used its share, and continued when it has saved up for more.

use std::{
    io::{self, Write},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::{
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{child::Held, order::THROTTLING, sys};
use crate::execute::process::Stat;

/// Time between two looks.
const STEP: Duration = Duration::from_millis(10);
/// CPU time that can be saved up, s: the longest burst.
const SAVED_MAX_S: f64 = 0.1;
/// Ticks of `/proc` in a second; the kernel's interface has had 100 for ever.
const TICKS_PER_S: f64 = 100.0;

/// Holds the process to `percent` of one CPU until standard input ends, that is until the daemon says so or is gone.
/// However it ends, the process runs.
pub(super) fn throttle(held: &mut Held, percent: u32) -> Result<String, String> {
    let silent = |error: io::Error| format!("nobody listens: {error}");
    writeln!(io::stdout(), "{THROTTLING}").and_then(|()| io::stdout().flush()).map_err(silent)?;
    let ended = turn_by_turn(held, f64::from(percent) / 100.0);
    let resumed = sys::pidfd_send_signal(held.pidfd.as_fd(), libc::SIGCONT);
    match (ended, resumed) {
        (Ok(()), Ok(())) => Ok(format!("process {} runs freely", held.pid)),
        (Err(reason), _) => Err(reason),
        (_, Err(error)) => Err(format!("process {} could not be continued: {error}", held.pid)),
    }
}

fn turn_by_turn(held: &mut Held, share: f64) -> Result<(), String> {
    held.check()?;
    let used = |held: &mut Held| Stat::read_open(&mut held.stat).map(|stat| stat.cpu_ticks as f64 / TICKS_PER_S);
    let gone = |pid| format!("process {pid} has ended");
    let mut saved_s = SAVED_MAX_S;
    let mut stopped = false;
    let mut looked = Instant::now();
    let mut used_before_s = used(held).map_err(|_| gone(held.pid))?;
    while !told_to_end()? {
        held.check()?;
        let used_now_s = used(held).map_err(|_| gone(held.pid))?;
        let earned_s = looked.elapsed().as_secs_f64() * share;
        looked = Instant::now();
        saved_s = (saved_s + earned_s - (used_now_s - used_before_s)).min(SAVED_MAX_S);
        used_before_s = used_now_s;
        // One tick is the least that can be seen used, so it is the least that is let go.
        let stop = if stopped { saved_s < 1.0 / TICKS_PER_S } else { saved_s < 0.0 };
        if stop != stopped {
            let signal = if stop { libc::SIGSTOP } else { libc::SIGCONT };
            sys::pidfd_send_signal(held.pidfd.as_fd(), signal)
                .map_err(|error| format!("process {} could not be signalled: {error}", held.pid))?;
            stopped = stop;
        }
    }
    Ok(())
}

/// Waits for a step; true when the order has ended.
fn told_to_end() -> Result<bool, String> {
    let stdin = io::stdin();
    let mut waiting = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(STEP).unwrap_or(PollTimeout::ZERO);
    match poll(&mut waiting, timeout) {
        Ok(ready) => Ok(ready > 0),
        Err(nix::Error::EINTR) => Ok(false),
        Err(error) => Err(format!("the order cannot be waited for: {error}")),
    }
}
