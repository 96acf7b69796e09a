//! bpftrace, counting and timing what the agent does, as one would by its own tools.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::place;

const PROGRAM: &str = include_str!("equivalents.bt");
/// Tracepoints in the program, its `BEGIN` not counted.
pub(super) const PROBES: usize = 18;
const READY_WITHIN: Duration = Duration::from_secs(60);
/// It looks for events below the mount of tracefs, which not every node has: it gets one of its own then.
const LINE: &str = "[ -e /sys/kernel/tracing/events ] || mount -t tracefs none /sys/kernel/tracing; exec \"$0\" \"$1\"";

/// A bpftrace at work. Dropping it ends it without grace.
pub(super) struct Bpftrace {
    child: Child,
}

impl Bpftrace {
    /// Starts it, and waits until its programs are attached.
    pub(super) fn start(program: &Path) -> Result<Self> {
        let file = place::target()?.join("bench/equivalents.bt");
        std::fs::write(&file, PROGRAM).with_context(|| format!("{} cannot be written", file.display()))?;
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", LINE])
            .args([program, file.as_path()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("bpftrace cannot be started")?;
        let output = child.stdout.take().context("bpftrace has no standard output")?;
        let mut running = Self { child };
        let (send, ready) = mpsc::channel();
        thread::spawn(move || {
            // Read to the end: it prints all that it counted as it leaves.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if line == "ready" && send.send(()).is_err() {
                    return;
                }
            }
        });
        if ready.recv_timeout(READY_WITHIN).is_err() {
            bail!("bpftrace did not attach its programs: {}", running.complaint());
        }
        Ok(running)
    }

    pub(super) fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGINT)?;
        self.child.wait().context("bpftrace cannot be waited for")?;
        Ok(())
    }

    /// What it said, once it is ended.
    fn complaint(&mut self) -> String {
        // One that ended by itself has nothing left to end.
        _ = self.child.kill();
        let mut said = String::new();
        if let Some(mut errors) = self.child.stderr.take() {
            _ = errors.read_to_string(&mut said);
        }
        said.trim().replace('\n', "; ")
    }
}

impl Drop for Bpftrace {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_has_as_many_tracepoints_as_it_is_said_to() {
        assert_eq!(PROGRAM.matches("tracepoint:").count(), PROBES);
    }
}
