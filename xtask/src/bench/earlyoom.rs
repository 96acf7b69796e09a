//! earlyoom beside a leak: when the node's available memory crosses its line, and when it decides. It only says what it
//! would do.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// How often the watch of the line looks at `/proc/meminfo`.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// What it says when it decides.
const DECIDES: &str = "low memory!";

/// An earlyoom at work. Dropping it ends it.
pub(super) struct Earlyoom {
    child: Child,
    /// When the line was crossed, and when it first decided after.
    crossed: Arc<OnceLock<Instant>>,
    decided: Arc<OnceLock<Instant>>,
    over: Arc<AtomicBool>,
}

/// What its percentages are of: all memory up to 1.7, what user space may have of it since.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Of {
    All,
    Users,
}

impl Of {
    /// As it says itself at its start.
    pub(super) fn program(program: &Path) -> Result<Self> {
        let (mut child, said) = spawn(program, 1.0)?;
        let mut lines = BufReader::new(said).lines().map_while(Result::ok);
        let line = lines.find(|line| line.starts_with("mem total:"));
        // One that ended by itself has nothing left to end.
        _ = child.kill();
        _ = child.wait();
        let line = line.context("earlyoom does not say what memory there is")?;
        Ok(if line.contains("user mem total:") { Self::Users } else { Self::All })
    }

    /// Memory that is available, per cent, and what one per cent is, kB.
    fn available(self, meminfo: &str) -> Option<(f64, f64)> {
        let field = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()
        };
        let available = field("MemAvailable:")?;
        let all = match self {
            Self::All => field("MemTotal:")?,
            Self::Users => available + field("AnonPages:")?,
        };
        Some((100.0 * available / all, all / 100.0))
    }

    fn available_now(self) -> Option<(f64, f64)> {
        self.available(&fs::read_to_string("/proc/meminfo").ok()?)
    }
}

impl Earlyoom {
    /// Starts it with its line that far below what is available now.
    pub(super) fn start(program: &Path, of: Of, room_mb: u64) -> Result<Self> {
        let (now, percent_kb) = of.available_now().context("/proc/meminfo does not tell what is available")?;
        let line = now - (room_mb * 1024) as f64 / percent_kb;
        let (child, said) = spawn(program, line)?;
        let running = Self { child, crossed: Arc::default(), decided: Arc::default(), over: Arc::default() };
        let (crossed, decided) = (Arc::clone(&running.crossed), Arc::clone(&running.decided));
        thread::spawn(move || {
            for said in BufReader::new(said).lines().map_while(Result::ok) {
                if said.contains(DECIDES) && crossed.get().is_some() {
                    decided.get_or_init(Instant::now);
                }
            }
        });
        let (crossed, over) = (Arc::clone(&running.crossed), Arc::clone(&running.over));
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) && crossed.get().is_none() {
                if of.available_now().is_some_and(|(now, _)| now <= line) {
                    crossed.get_or_init(Instant::now);
                }
                thread::sleep(LOOK_EVERY);
            }
        });
        Ok(running)
    }

    /// From the crossing to its decision, ms; none where either did not come.
    pub(super) fn decided_after_ms(&self) -> Option<f64> {
        let (crossed, decided) = (self.crossed.get()?, self.decided.get()?);
        Some(decided.saturating_duration_since(*crossed).as_secs_f64() * 1e3)
    }
}

impl Drop for Earlyoom {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// One that decides below so many per cent, and kills nobody. Its line of swap is met with and without any.
fn spawn(program: &Path, percent: f64) -> Result<(Child, ChildStderr)> {
    let line = format!("{percent:.4},{:.4}", percent / 2.0);
    let mut child = Command::new(program)
        .args(["--dryrun", "-r", "0", "-s", "100", "-m", &line])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("earlyoom cannot be started")?;
    let said = child.stderr.take().context("earlyoom has no standard error")?;
    Ok((child, said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_available_is_a_share_of_what_that_version_counts() {
        let meminfo = "MemTotal: 1500 kB\nMemAvailable:     750 kB\nAnonPages:        250 kB\n";
        assert_eq!(Of::All.available(meminfo), Some((50.0, 15.0)));
        assert_eq!(Of::Users.available(meminfo), Some((75.0, 10.0)));
        assert_eq!(Of::Users.available("MemAvailable: 750 kB\n"), None);
    }
}
