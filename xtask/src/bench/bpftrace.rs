//! bpftrace, counting and timing what the agent does, as one would by its own tools.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};

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
        fs::write(&file, PROGRAM).with_context(|| format!("{} cannot be written", file.display()))?;
        let log = file.with_extension("log");
        let said = File::create(&log).with_context(|| format!("{} cannot be written", log.display()))?;
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", LINE])
            .args([program, file.as_path()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(said)
            .spawn()
            .context("bpftrace cannot be started")?;
        let output = child.stdout.take().context("bpftrace has no standard output")?;
        let running = Self { child };
        let (send, ready) = mpsc::channel();
        thread::spawn(move || {
            // Read to the end, so that it never waits for its reader.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if line == "ready" && send.send(()).is_err() {
                    return;
                }
            }
        });
        if ready.recv_timeout(READY_WITHIN).is_err() {
            bail!("bpftrace did not attach its programs; what it said is in {}", log.display());
        }
        Ok(running)
    }

    /// Without grace: a signal that comes just before it waits for events is not heard before the next one. Its
    /// programs go with it all the same.
    pub(super) fn stop(mut self) -> Result<()> {
        self.child.kill().context("bpftrace cannot be ended")?;
        self.child.wait().context("bpftrace cannot be waited for")?;
        Ok(())
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
