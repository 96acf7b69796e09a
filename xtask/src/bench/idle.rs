//! P12, P13: CPU time and memory of the agent while the node is calm.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};

use super::{Figure, Goal};
use crate::{agent::Agent, place, say::Step};

const SETTLE: Duration = Duration::from_secs(5);
const WINDOW: Duration = Duration::from_secs(60);

pub(super) fn measure() -> Result<Vec<Figure>> {
    let mut step = Step::begin(format!("an agent with nothing to do, {} s", WINDOW.as_secs()));
    let (agent, _) = Agent::start("advisor", &place::target()?.join("bench/agent.log"))?;
    super::wait(&mut step, SETTLE);
    let (before_s, begun) = (cpu_s(agent.pid())?, Instant::now());
    super::wait(&mut step, WINDOW);
    let seconds = begun.elapsed().as_secs_f64();
    let percent = 100.0 * (cpu_s(agent.pid())? - before_s) / seconds;
    let (rss_mb, peak_mb) = (status_mb(agent.pid(), "VmRSS:")?, status_mb(agent.pid(), "VmHWM:")?);
    agent.stop()?;
    step.done("idle");
    let taken = format!("over {seconds:.0} s, one sample a second");
    Ok(vec![
        Figure {
            id: "P13",
            what: "CPU of the agent, idle".into(),
            figure: percent,
            goal: Goal::AtMost(0.3),
            unit: "% of a core",
            note: taken,
        },
        Figure {
            id: "P12",
            what: "resident memory, idle".into(),
            figure: rss_mb,
            goal: Goal::AtMost(40.0),
            unit: "MB",
            note: String::new(),
        },
        Figure {
            id: "P12",
            what: "resident memory, peak at start".into(),
            figure: peak_mb,
            goal: Goal::AtMost(48.0),
            unit: "MB",
            note: String::new(),
        },
    ])
}

fn cpu_s(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the agent is gone")?;
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    let ticks = ticks(11).zip(ticks(12)).context("/proc/PID/stat has no CPU times")?;
    Ok((ticks.0 + ticks.1) / sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100) as f64)
}

fn status_mb(pid: u32, field: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the agent is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).with_context(|| format!("no {field}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>().with_context(|| format!("{field} is {line}"))? / 1024.0)
}
