//! P12, P13: CPU time and memory of the agent while the node is calm.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::{time::ClockId, unistd::Pid};

use super::{Figure, Goal};
use crate::{agent::Agent, place, say::Step};

const SETTLE: Duration = Duration::from_secs(5);
const WINDOWS: usize = 6;
const WINDOW: Duration = Duration::from_secs(10);
/// Peaks at the start are of agents of their own.
const STARTS: usize = 5;

pub(super) fn measure() -> Result<Vec<Figure>> {
    let log = place::target()?.join("bench/agent.log");
    let mut step = Step::begin(format!("an agent with nothing to do, {WINDOWS} times {} s", WINDOW.as_secs()));
    let (agent, _) = Agent::start("advisor", &log)?;
    super::wait(&mut step, SETTLE);
    let mut percent = Vec::new();
    let mut rss_mb = Vec::new();
    for _ in 0..WINDOWS {
        percent.push(busy_percent(&[agent.pid()], &mut step)?);
        rss_mb.push(status_mb(agent.pid(), "VmRSS:")?);
    }
    agent.stop()?;
    let mut peaks_mb = Vec::new();
    for _ in 0..STARTS {
        let (agent, _) = Agent::start("advisor", &log)?;
        peaks_mb.push(status_mb(agent.pid(), "VmHWM:")?);
        agent.stop()?;
    }
    step.done("idle");
    Ok(vec![
        Figure::median("P13", "CPU of the agent, idle", Goal::AtMost(0.3), "% of a core", percent)
            .noting(format!(
                "windows of {} s, one sample a second. By a profile of it, a fifth is files of the kernel, a seventh each the \
                 table of tasks, the database and waking up, a tenth the maps of the programs. The limit would take fewer \
                 measures, or a sample every two seconds",
                WINDOW.as_secs()
            )),
        Figure::median("P12", "resident memory, idle", Goal::AtMost(40.0), "MB", rss_mb),
        Figure::median("P12", "resident memory, peak at start", Goal::AtMost(48.0), "MB", peaks_mb),
    ])
}

/// CPU time of the processes over one window, per cent of one CPU.
pub(super) fn busy_percent(pids: &[u32], step: &mut Step) -> Result<f64> {
    let used = || pids.iter().map(|pid| cpu_time(*pid)).sum::<Result<Duration>>();
    let (before, begun) = (used()?, Instant::now());
    super::wait(step, WINDOW);
    Ok(100.0 * (used()? - before).as_secs_f64() / begun.elapsed().as_secs_f64())
}

/// Of all its threads, those that ended included.
fn cpu_time(pid: u32) -> Result<Duration> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(i32::try_from(pid)?)).context("the agent is gone")?;
    Ok(clock.now().context("the agent's clock cannot be read")?.into())
}

fn status_mb(pid: u32, field: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the agent is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).with_context(|| format!("no {field}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>().with_context(|| format!("{field} is {line}"))? / 1024.0)
}
