//! A load and its victim at work: started in their cgroups, their lines and their cost read once a second.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::{Pid, SysconfVar, sysconf},
};
use serde_json::Value;

use super::catalogue::Process;
use crate::{cgroup::Cgroup, load::disguise};

/// How long a load may take to say its first line; on a slow disk it writes its file first.
const START_WITHIN: Duration = Duration::from_secs(30);
/// A line that is older says nothing of now.
const FRESH: Duration = Duration::from_secs(3);

/// One process of the catalogue, running. Dropping it ends it and removes its cgroup.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    lines: Receiver<Value>,
    /// All it said.
    pub(crate) said: Vec<Value>,
    heard: Instant,
    latest: Value,
    pub(crate) culprits: Vec<u32>,
    /// None: it is where the runner is.
    pub(crate) cgroup: Option<Cgroup>,
    cost: Option<Cost>,
    measures: HashMap<&'static str, f64>,
}

/// What processes hold, and have used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    at: Instant,
    pub(super) rss_bytes: f64,
    cpu_s: f64,
}

impl Running {
    /// Starts a load of this binary, in `ROOT/group` if it is held within anything, and waits for its first line.
    pub(crate) fn start(process: &Process, group: &str, seconds: u64) -> Result<Self> {
        Self::start_beside(process, group, seconds, None)
    }

    /// The same, beside a filesystem that it may fill.
    pub(super) fn start_beside(
        process: &Process,
        group: &str,
        seconds: u64,
        filesystem: Option<&Path>,
    ) -> Result<Self> {
        let group =
            if process.disguised { format!("{group}_{}", disguise::directory(group.len())) } else { group.into() };
        let cgroup = process.cgroup.as_ref().map(|limits| Cgroup::create(&group, limits)).transpose()?;
        let mut command = Command::new("/proc/self/exe");
        command
            .args(["load", &process.name, &process.settings.to_string(), "--seconds", &seconds.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0);
        if let Some(path) = filesystem {
            command.env("KERNELSIGHT_FILESYSTEM", path);
        }
        if process.disguised {
            command
                .env(disguise::VARIABLE, "1")
                .args(["--said", disguise::ORDERS[group.len() % disguise::ORDERS.len()].text]);
        }
        if let Some(cgroup) = &cgroup {
            command.args(["--cgroup", cgroup.path()]);
        }
        let mut child = command.spawn().with_context(|| format!("the load {} cannot be started", process.name))?;
        let output = child.stdout.take().context("the load has no standard output")?;
        let mut running = Self {
            child,
            lines: read_lines(output),
            said: Vec::new(),
            heard: Instant::now(),
            latest: Value::Null,
            culprits: Vec::new(),
            cgroup,
            cost: None,
            measures: HashMap::new(),
        };
        let first = running.lines.recv_timeout(START_WITHIN);
        let first = first.with_context(|| format!("the load {} says nothing", process.name))?;
        let culprits =
            first["culprits"].as_array().with_context(|| format!("the load {} names no culprits", process.name))?;
        running.culprits = culprits.iter().filter_map(|pid| u32::try_from(pid.as_u64()?).ok()).collect();
        running.said.push(first);
        Ok(running)
    }

    /// Once a second: reads what it said and what it used.
    pub(crate) fn sample(&mut self) {
        while let Ok(line) = self.lines.try_recv() {
            self.heard = Instant::now();
            self.latest = line.clone();
            self.said.push(line);
        }
        let now = Cost::of(&self.processes());
        if let Some(before) = self.cost.replace(now) {
            self.measures.insert("rss_growth_mb_per_s", now.rss_growth_mb_per_s(&before));
            self.measures.insert("cpu_percent", now.cpu_percent(&before));
        }
        let oom_kills = self.cgroup.as_ref().map_or(0, Cgroup::oom_kills);
        self.measures.insert("oom_kills", oom_kills as f64);
    }

    /// A measure of now; none when there is none yet, or when its lines are old: it is frozen, or gone.
    pub(crate) fn measure(&self, name: &str) -> Option<f64> {
        let said = || self.latest.get(name).and_then(Value::as_f64).filter(|_| self.heard.elapsed() < FRESH);
        self.measures.get(name).copied().or_else(said)
    }

    /// Whether it said something lately.
    pub(crate) fn speaks(&self) -> bool {
        self.heard.elapsed() < FRESH
    }

    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The culprits that live on.
    pub(crate) fn culprits_alive(&self) -> usize {
        let lives =
            |pid: &&u32| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        self.culprits.iter().filter(lives).count()
    }

    /// Pids of all its processes.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mut pids = self.culprits.clone();
        pids.push(self.child.id());
        pids.extend(self.cgroup.iter().flat_map(Cgroup::processes));
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Asks it to end, then makes it.
    fn end(&mut self) -> Result<()> {
        let Ok(id) = i32::try_from(self.child.id()) else { bail!("no pid") };
        if self.runs() {
            kill(Pid::from_raw(id), Signal::SIGTERM)?;
            let asked = Instant::now();
            while self.runs() && asked.elapsed() < Duration::from_secs(2) {
                thread::sleep(Duration::from_millis(20));
            }
        }
        // What is paused hears no SIGTERM.
        let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        drop(self.cgroup.take());
        self.child.wait()?;
        Ok(())
    }
}

impl Cost {
    /// Of those that live.
    pub(super) fn of(pids: &[u32]) -> Self {
        let (mut rss_bytes, mut cpu_s) = (0.0, 0.0);
        let tick = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100) as f64;
        let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096) as f64;
        for pid in pids {
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            let fields: Vec<f64> = stat
                .rsplit_once(')')
                .map_or("", |(_, rest)| rest)
                .split_whitespace()
                .map(|field| field.parse().unwrap_or(0.0))
                .collect();
            if let (Some(user), Some(system), Some(pages)) = (fields.get(11), fields.get(12), fields.get(21)) {
                cpu_s += (user + system) / tick;
                rss_bytes += pages * page;
            }
        }
        Self { at: Instant::now(), rss_bytes, cpu_s }
    }

    pub(super) fn cpu_percent(&self, before: &Self) -> f64 {
        100.0 * (self.cpu_s - before.cpu_s).max(0.0) / self.seconds_since(before)
    }

    fn rss_growth_mb_per_s(&self, before: &Self) -> f64 {
        (self.rss_bytes - before.rss_bytes) / 1048576.0 / self.seconds_since(before)
    }

    fn seconds_since(&self, before: &Self) -> f64 {
        self.at.duration_since(before.at).as_secs_f64().max(0.001)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The cgroup's own drop has killed what would not end.
        let _ = self.end();
    }
}

/// Share of time that some task waited for a resource (`cpu`, `memory`, `io`), over the last ten seconds.
pub(crate) fn psi_percent(resource: &str) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/pressure/{resource}")).ok()?;
    let some = text.lines().find_map(|line| line.strip_prefix("some avg10="))?;
    some.split_whitespace().next()?.parse().ok()
}

/// Pages that came back from swap since the node started.
pub(super) fn swapped_in_pages() -> Option<f64> {
    let text = fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("pswpin ")?.trim().parse().ok())
}

fn read_lines(output: ChildStdout) -> Receiver<Value> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // A line that is no JSON is none of the load's own.
            if let Ok(value) = serde_json::from_str(&line)
                && send.send(value).is_err()
            {
                return;
            }
        }
    });
    receive
}
