//! P9: a task that wants a CPU is kept from it for 100 ms. From the begin of that to a client of the agent being told,
//! and beside it a bare loop that reads what the kernel says of pressure, ten ms after ten ms.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::{Pid, gettid},
};
use serde_json::Value;

use super::{Figure, Goal, reaction::Ears};
use crate::{agent::Agent, clock, place, say::Step};

const STALLS: usize = 20;
const STALL_MS: i64 = 100;
const GOAL: Goal = Goal::AtMost(160.0);
const SETTLE: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A stall of that length shows as at least so much; the rest is other tasks' moments on that CPU.
const SHARE_SEEN: f64 = 0.9;

/// From the begin of a stall to who saw it, ms.
struct Seen {
    told_ms: Option<f64>,
    bare_ms: Option<f64>,
}

pub(super) fn measure() -> Result<Vec<Figure>> {
    let mut step = Step::begin(format!("a stall of {STALL_MS} ms, {STALLS} times"));
    let (agent, _) = Agent::start("advisor", &place::target()?.join("bench/agent.log"))?;
    super::wait(&mut step, SETTLE);
    let ears = Ears::open(&agent)?;
    let victim = Victim::start()?;
    let seen = (0..STALLS).map(|_| stall(&ears, &mut step)).collect::<Result<Vec<_>>>();
    drop((victim, ears));
    agent.stop()?;
    step.done("stalls");
    Ok(figures(&seen?))
}

fn figures(seen: &[Seen]) -> Vec<Figure> {
    let of = |side: fn(&Seen) -> Option<f64>| seen.iter().filter_map(side).collect::<Vec<f64>>();
    let (told, bare) = (of(|seen| seen.told_ms), of(|seen| seen.bare_ms));
    let missed = seen.len() - told.len();
    let what = format!("begin of a {STALL_MS} ms stall to a client of the agent being told");
    let most = told.iter().copied().fold(0.0, f64::max);
    let slowest = Figure::once("P9", format!("{what}, slowest"), GOAL, "ms", most);
    vec![
        Figure { rounds: told.clone(), ..slowest }
            .beside("the agent", "ms", told)
            .beside("a bare loop over /proc/pressure/cpu", "ms", bare)
            .noting("a task is kept from its CPU by another of real-time priority"),
        Figure::once("P9", "stalls that no client was told of", Goal::AtMost(0.0), "", missed as f64)
            .noting(format!("of {}", seen.len())),
    ]
}

/// One stall, until both saw it or nobody will.
fn stall(ears: &Ears, step: &mut Step) -> Result<Seen> {
    // Not in step with the agent's own rhythm.
    super::wait(step, Duration::from_millis(230 + u64::try_from(clock::monotonic_ns() % 171)?));
    ears.forget();
    let bare = thread::spawn(bare_loop);
    let (mut hog, begun_ns) = hog()?;
    let told_ms = ears.until(PATIENCE, |at_ns, line| is_stall(line).then(|| (at_ns - begun_ns) as f64 / 1e6));
    hog.wait().context("what stalls cannot be waited for")?;
    let bare_ns = bare.join().map_err(|_| anyhow::anyhow!("the bare loop panicked"))?;
    Ok(Seen { told_ms, bare_ms: bare_ns.map(|bare_ns| (bare_ns - begun_ns) as f64 / 1e6) })
}

/// When it saw the stall, on the clock of the kernel's events.
fn bare_loop() -> Option<i64> {
    let (before_us, begun) = (total_us()?, Instant::now());
    while begun.elapsed() < PATIENCE {
        thread::sleep(LOOK_EVERY);
        if (total_us()? - before_us) as f64 >= SHARE_SEEN * STALL_MS as f64 * 1e3 {
            return Some(clock::monotonic_ns());
        }
    }
    None
}

/// Time in which some task waited for a CPU, us.
fn total_us() -> Option<i64> {
    let text = fs::read_to_string("/proc/pressure/cpu").ok()?;
    text.lines().find(|line| line.starts_with("some"))?.rsplit_once("total=")?.1.parse().ok()
}

/// Takes the first CPU for as long as the stall lasts, and says when it began. A shell's tools set its priority.
fn hog() -> Result<(Child, i64)> {
    let this = env::current_exe().context("the path of this binary is unknown")?;
    let mut hog = Command::new("chrt")
        .args(["--fifo", "1", "taskset", "--cpu-list", "0"])
        .arg(this)
        .args(["work", "stall", &STALL_MS.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("`chrt` cannot be started")?;
    let output = hog.stdout.take().context("what stalls has no standard output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let begun_ns = line.trim().parse().with_context(|| format!("what stalls says `{}`", line.trim()))?;
    Ok((hog, begun_ns))
}

/// An event that tells of a wait about as long.
fn is_stall(line: &Value) -> bool {
    let event = line.get("event").filter(|event| event.is_object()).unwrap_or(line);
    let least_ns = SHARE_SEEN * STALL_MS as f64 * 1e6;
    event["event"] == "run_queue_outlier"
        && event["process"]["pid"] == std::process::id()
        && event["latency_ns"].as_f64().is_some_and(|latency_ns| latency_ns >= least_ns)
}

/// A thread of this process that wants the first CPU a thousand times a second. Dropping it ends it.
struct Victim {
    over: Arc<AtomicBool>,
}

impl Victim {
    fn start() -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&over);
        let pinned = thread::spawn(move || {
            let mut first = CpuSet::new();
            first.set(0)?;
            sched_setaffinity(Pid::from_raw(gettid().as_raw()), &first)?;
            thread::spawn(move || {
                while !asked.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(1));
                }
            });
            Ok::<_, nix::Error>(())
        });
        match pinned.join() {
            Ok(pinned) => pinned.context("a thread cannot be held to the first CPU")?,
            Err(_) => bail!("the victim panicked"),
        }
        Ok(Self { over })
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stall_is_a_long_wait_of_this_process() {
        let event = |pid: u32, latency_ns: u64| json!({ "event": "run_queue_outlier", "process": { "pid": pid, "start_ticks": 1 }, "latency_ns": latency_ns });
        let own = std::process::id();
        assert!(is_stall(&json!({ "news": "raw", "event": event(own, 99_000_000) })));
        assert!(!is_stall(&event(own, 50_000_000)) && !is_stall(&event(own + 1, 99_000_000)));
    }

    #[test]
    fn a_stall_that_nobody_is_told_of_is_a_miss() {
        let seen = |told_ms| Seen { told_ms, bare_ms: Some(112.0) };
        let met = |seen: &[Seen]| figures(seen).iter().map(Figure::is_met).collect::<Vec<bool>>();
        assert_eq!(met(&[seen(Some(103.0)), seen(None)]), [true, false]);
        assert_eq!(met(&[seen(Some(103.0)), seen(Some(190.0))]), [false, true]);
    }
}
