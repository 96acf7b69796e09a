//! An hour in minutes: as many signals as a bad hour has, through the rooms that keep them; and as many ticks, at five a
//! second, of the whole agent beside processes that come and go. What grows is told by a line through the last two thirds.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::unistd::mkdtemp;
use serde_json::{Value, json};

use super::{Figure, Goal};
use crate::{
    agent::Agent,
    cgroup::Limits,
    faults::{catalogue::Process, inject::Running},
    place,
    say::Step,
};

const SIGNALS: u64 = 100_000;
const TICKS: u64 = 3600;
const TICK: Duration = Duration::from_millis(200);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What is taken while it warms up says nothing of what it grows by.
const WARM: f64 = 1.0 / 3.0;
const LOAD_S: u64 = 120;

/// What a process had at one look.
#[derive(Clone, Copy)]
struct Look {
    /// From 0 at the begin to 1 at the end.
    at: f64,
    rss_mb: f64,
    descriptors: f64,
}

pub(super) fn measure() -> Result<Vec<Figure>> {
    let mut figures = signals()?;
    figures.extend(ticks()?);
    Ok(figures)
}

fn signals() -> Result<Vec<Figure>> {
    let mut step = Step::begin(format!("{SIGNALS} signals"));
    let directory = mkdtemp(&std::env::temp_dir().join("kernelsight-soak-XXXXXX"))?;
    let mut command = Command::new(place::agent()?);
    command.args(["bench-signals", "--json", "--signals", &SIGNALS.to_string(), "--dir"]).arg(&directory);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("the agent cannot be started")?;
    let (begun, mut looks) = (Instant::now(), Vec::new());
    while child.try_wait()?.is_none() {
        step.tick();
        // The last look may come when it is gone.
        looks.extend(look(child.id(), begun.elapsed().as_secs_f64()).ok());
        thread::sleep(Duration::from_millis(50));
    }
    if !child.wait()?.success() {
        bail!("`kernelsight bench-signals` failed");
    }
    let database_mb = size_mb(&directory)?;
    fs::remove_dir_all(&directory)?;
    step.done("signals");
    let seconds = begun.elapsed().as_secs_f64();
    looks.iter_mut().for_each(|look| look.at /= seconds);
    Ok(vec![
        growth("an hour's 100,000 signals, without probes", &looks, 4.0, format!("in {seconds:.0} s"))?,
        database(database_mb, "after them"),
    ])
}

fn ticks() -> Result<Vec<Figure>> {
    let lasts = TICK * u32::try_from(TICKS)?;
    let mut step = Step::begin(format!("{TICKS} ticks in {} s", lasts.as_secs()));
    let home = mkdtemp(&std::env::temp_dir().join("kernelsight-soak-XXXXXX"))?;
    let tick_ms = TICK.as_millis().to_string();
    let arguments = ["--quiet", "--autonomy", "agent", "--tick-ms", &tick_ms];
    let mut agent = Agent::spawn(&home, &arguments, &place::target()?.join("bench/soak.log"))?;
    agent.wait_until_ready()?;
    let (begun, mut looks, mut load, mut turn) = (Instant::now(), Vec::new(), None::<Running>, 0);
    while begun.elapsed() < lasts {
        step.tick();
        if !load.as_mut().is_some_and(Running::runs) {
            // Its cgroup goes before the next one comes.
            drop(load.take());
            load = Some(next_load(turn)?);
            turn += 1;
        }
        looks.push(look(agent.pid(), begun.elapsed().as_secs_f64() / lasts.as_secs_f64())?);
        thread::sleep(LOOK_EVERY);
    }
    drop(load);
    let database_mb = size_mb(&home.join("state"))?;
    agent.stop()?;
    fs::remove_dir_all(&home)?;
    step.done("ticks");
    let how = format!("{turn} loads after each other, of which the agent treats what it may");
    let warm: Vec<&Look> = looks.iter().filter(|look| look.at >= WARM).collect();
    let most = |of: fn(&Look) -> f64, looks: &[&Look]| looks.iter().map(|look| of(look)).fold(0.0, f64::max);
    let descriptors = |look: &Look| look.descriptors;
    let early = most(descriptors, &looks.iter().filter(|look| look.at < WARM).collect::<Vec<_>>());
    Ok(vec![
        growth("an hour's 3,600 ticks under load", &looks, 4.0, how)?,
        Figure::once(
            "proof",
            "descriptors, the most of the last two thirds over the most before",
            Goal::AtMost(8.0),
            "",
            most(descriptors, &warm) - early,
        )
        .noting(format!("{early} before")),
        database(database_mb, "after them"),
    ])
}

/// One load after the other, so that signals of all kinds open and close.
fn next_load(turn: usize) -> Result<Running> {
    let kinds: [(&str, Value, u64); 4] = [
        ("fork_storm", json!({ "rate_per_s": 200 }), 40),
        ("anon_hog", json!({ "base_mb": 64, "rate_mb_per_s": 40.0, "bound_mb": 420 }), 20),
        ("cpu_hog", json!({}), 30),
        ("hostile_names", json!({}), LOAD_S.min(20)),
    ];
    let (name, settings, seconds) = kinds[turn % kinds.len()].clone();
    let cgroup = Some(Limits { memory_mb: Some(512), ..Limits::default() });
    Running::start(&Process::new(name, settings, cgroup), &format!("failure/soak-{turn}"), seconds)
}

/// What resident memory grows by over the whole, by the line through the last two thirds.
fn growth(what: &str, looks: &[Look], most: f64, how: String) -> Result<Figure> {
    let warm: Vec<(f64, f64)> =
        looks.iter().filter(|look| look.at >= WARM).map(|look| (look.at, look.rss_mb)).collect();
    let (Some(first), Some(last)) = (warm.first(), warm.last()) else { bail!("it was over before it was looked at") };
    let what = format!("resident memory, growth by {what}");
    Ok(Figure::once("proof", what, Goal::AtMost(most), "MB", slope(&warm)).noting(format!(
        "{:.1} MB to {:.1} MB, {} looks; {how}",
        first.1,
        last.1,
        warm.len()
    )))
}

fn database(figure: f64, when: &str) -> Figure {
    Figure::once("proof", format!("the database with its log, {when}"), Goal::AtMost(512.0), "MB", figure)
}

/// Least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (x_mean, y_mean) =
        (points.iter().map(|(x, _)| x).sum::<f64>() / count, points.iter().map(|(_, y)| y).sum::<f64>() / count);
    let spread: f64 = points.iter().map(|(x, _)| (x - x_mean).powi(2)).sum();
    let together: f64 = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    if spread > 0.0 { together / spread } else { 0.0 }
}

fn look(pid: u32, at: f64) -> Result<Look> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the agent is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the agent has ended")?;
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count() as f64;
    Ok(Look { at, rss_mb: line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0, descriptors })
}

fn size_mb(directory: &Path) -> Result<f64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)?.flatten() {
        bytes += entry.metadata()?.len();
    }
    Ok(bytes as f64 / 1_048_576.0)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn what_grows_is_told_from_what_sways() {
        let line: Vec<(f64, f64)> = (0..100).map(|n| (f64::from(n) / 100.0, 20.0 + f64::from(n) * 0.05)).collect();
        assert!((slope(&line) - 5.0).abs() < 1e-9);
        let sways: Vec<(f64, f64)> = (0..100).map(|n| (f64::from(n) / 100.0, 20.0 + f64::from(n % 2))).collect();
        assert!(slope(&sways).abs() < 0.1);
    }
}
