//! What every load stands on: its bound, its end by signal or with its parent, its JSON lines, its helpers.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::{
        prctl,
        signal::{self, SigSet, Signal},
    },
    unistd,
};
use serde_json::{Map, Value, json};

use super::disguise;
use crate::place;

pub(super) struct Ground {
    name: &'static str,
    helper: bool,
    begun: Instant,
    reported: Instant,
    stop: Stop,
    /// How long it goes on once it has started; until it has, no longer than that either.
    lasts: Duration,
    helpers: Vec<Child>,
    directory: Option<PathBuf>,
}

/// Whether it is time to end: for the threads of a load.
#[derive(Clone)]
pub(super) struct Stop {
    asked: Arc<AtomicBool>,
    until: Instant,
}

impl Ground {
    /// Takes the name as its own, ties itself to its parent, and turns SIGTERM and SIGINT into the stop flag.
    pub(super) fn enter(name: &'static str, seconds: u64, helper: bool) -> Result<Self> {
        prctl::set_pdeathsig(Signal::SIGTERM)?;
        if !helper {
            // One group for all that it starts, so that one signal reaches the whole of it.
            unistd::setpgid(unistd::Pid::from_raw(0), unistd::Pid::from_raw(0))?;
        }
        if unistd::getppid().as_raw() == 1 {
            // The parent left before the tie; only pid 1 of a container is a parent with that number.
            crate::say::note("this load's parent is pid 1: it ends by its bound only");
        }
        call_itself(name)?;
        let begun = Instant::now();
        let lasts = Duration::from_secs(seconds);
        let stop = Stop { asked: Arc::default(), until: begun + lasts };
        let signals = ends();
        // Before any thread, so that all inherit it and only the one below is woken.
        signals.thread_block()?;
        let asked = Arc::clone(&stop.asked);
        thread::spawn(move || {
            if signals.wait().is_ok() {
                asked.store(true, Ordering::Relaxed);
            }
        });
        Ok(Self { name, helper, begun, reported: begun, stop, lasts, helpers: Vec::new(), directory: None })
    }

    pub(super) fn stop(&self) -> Stop {
        self.stop.clone()
    }

    pub(super) fn over(&self) -> bool {
        self.stop.over()
    }

    /// The first line: whose fault it is. Its time counts from now on.
    pub(super) fn started(&mut self, culprits: &[u32]) -> Result<()> {
        self.stop.until = Instant::now() + self.lasts;
        self.line(json!({ "culprits": culprits }))
    }

    /// Prints the progress, at most once a second; `progress` is asked with the seconds since it was last.
    pub(super) fn report(&mut self, progress: impl FnOnce(f64) -> Value) -> Result<()> {
        let since = self.reported.elapsed();
        if since < Duration::from_secs(1) {
            return Ok(());
        }
        self.reported = Instant::now();
        self.line(progress(since.as_secs_f64()))
    }

    /// Starts another load of this binary as a helper, ended with this one.
    pub(super) fn helper(&mut self, name: &str, settings: &Value) -> Result<&mut Child> {
        let seconds = self.stop.until.saturating_duration_since(Instant::now()).as_secs().max(1);
        let mut command = Command::new("/proc/self/exe");
        command
            .args(["load", name, &settings.to_string(), "--seconds", &seconds.to_string(), "--helper"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        if disguise::is_asked() {
            command.args(["--said", disguise::ORDERS[self.helpers.len() % disguise::ORDERS.len()].text]);
        }
        self.adopt(&mut command)
    }

    /// Starts a program of the host as a helper.
    pub(super) fn adopt(&mut self, command: &mut Command) -> Result<&mut Child> {
        // A child inherits what is blocked here, and one that is not of this binary would then not hear SIGTERM.
        let signals = ends();
        signals.thread_unblock()?;
        let spawned = command.spawn();
        signals.thread_block()?;
        let child =
            spawned.with_context(|| format!("`{}` cannot be started", command.get_program().to_string_lossy()))?;
        self.helpers.push(child);
        self.helpers.last_mut().context("a helper that was just kept is gone")
    }

    /// Asks all that runs for this load to end; this process takes the same signal as its own stop.
    pub(super) fn dismiss(&self) {
        if !self.helper {
            // A group without other members is as good.
            let _ = signal::killpg(unistd::getpgrp(), Signal::SIGTERM);
        }
    }

    /// How a helper ended, if it did; it is then forgotten.
    pub(super) fn wait_for(&mut self, id: u32) -> Result<Option<ExitStatus>> {
        let Some(at) = self.helpers.iter().position(|helper| helper.id() == id) else {
            bail!("process {id} is no helper of this load");
        };
        let status = self.helpers[at].try_wait()?;
        if status.is_some() {
            drop(self.helpers.swap_remove(at));
        }
        Ok(status)
    }

    /// A directory of this load's own, removed when it leaves.
    pub(super) fn directory(&mut self) -> Result<PathBuf> {
        self.directory_in(&std::env::temp_dir())
    }

    /// The same on a disk: where `KERNELSIGHT_DISK` says, else beside what was built.
    pub(super) fn disk_directory(&mut self) -> Result<PathBuf> {
        let disk = std::env::var_os("KERNELSIGHT_DISK").map_or_else(place::target, |disk| Ok(disk.into()))?;
        self.directory_in(&disk)
    }

    /// The one that there is already, or one in `parent`.
    fn directory_in(&mut self, parent: &Path) -> Result<PathBuf> {
        if let Some(directory) = &self.directory {
            return Ok(directory.clone());
        }
        let name = if disguise::is_asked() { disguise::directory(own_number()) } else { self.name.to_owned() };
        let template = parent.join(format!("kernelsight-{name}-XXXXXX"));
        let directory = unistd::mkdtemp(&template).with_context(|| format!("{} cannot be made", template.display()))?;
        self.directory = Some(directory.clone());
        Ok(directory)
    }

    /// The last line: why it ended.
    pub(super) fn leave(&self) {
        let why = if Instant::now() < self.stop.until { "asked" } else { "bound" };
        // The reader may be gone; the load ends all the same.
        let _ = self.line(json!({ "ended": why }));
    }

    fn line(&self, what: Value) -> Result<()> {
        let mut line = Map::new();
        line.insert("load".to_owned(), self.name.into());
        line.insert("at_s".to_owned(), ((self.begun.elapsed().as_secs_f64() * 1e3).round() / 1e3).into());
        if let Value::Object(what) = what {
            line.extend(what);
        }
        writeln!(std::io::stdout(), "{}", Value::Object(line)).context("standard output went away")
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.dismiss();
        // Those who ask back what they were doing are not waited for longer than a moment.
        let patience = Instant::now() + Duration::from_millis(300);
        while Instant::now() < patience
            && self.helpers.iter_mut().any(|helper| !matches!(helper.try_wait(), Ok(Some(_))))
        {
            thread::sleep(Duration::from_millis(5));
        }
        for helper in &mut self.helpers {
            // One that ended already is as good.
            let _ = helper.kill();
            let _ = helper.wait();
        }
        if let Some(directory) = &self.directory {
            let _ = fs::remove_dir_all(directory);
        }
    }
}

impl Stop {
    pub(super) fn over(&self) -> bool {
        self.asked.load(Ordering::Relaxed) || Instant::now() >= self.until
    }

    /// Sleeps, and wakes early when it is time to end. True when it is.
    pub(super) fn nap(&self, nap: Duration) -> bool {
        let until = Instant::now() + nap;
        while !self.over() && Instant::now() < until {
            thread::sleep(until.saturating_duration_since(Instant::now()).min(Duration::from_millis(50)));
        }
        self.over()
    }
}

/// Takes a name as this process's own, or an order to whoever reads it where that is asked for.
pub(super) fn call_itself(name: &str) -> Result<()> {
    let name = if disguise::is_asked() { disguise::name(own_number()) } else { name };
    Ok(prctl::set_name(&std::ffi::CString::new(name)?)?)
}

fn own_number() -> usize {
    std::process::id() as usize
}

/// The signals that ask a load to end.
fn ends() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT].into_iter().collect()
}

/// Memory that the node could give without swapping.
pub(super) fn available_mb() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo").context("/proc/meminfo cannot be read")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kb = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    Ok(kb.context("/proc/meminfo has no MemAvailable in kB")? / 1024)
}

/// Resident memory of this process.
pub(super) fn rss_mb() -> f64 {
    let pages = |text: String| text.split_whitespace().nth(1)?.parse::<f64>().ok();
    fs::read_to_string("/proc/self/statm").ok().and_then(pages).unwrap_or(0.0) * page_kb() / 1024.0
}

fn page_kb() -> f64 {
    unistd::sysconf(unistd::SysconfVar::PAGE_SIZE).ok().flatten().map_or(4.0, |bytes| bytes as f64 / 1024.0)
}

/// A path of this load's own directory as an argument of a program.
pub(super) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
