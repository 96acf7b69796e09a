//! P14: from exec to the first answer that tells every probe on, and beside it a process that loads the same programs
//! and does nothing else.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::unistd::mkdtemp;
use serde::Deserialize;

use super::{Figure, Goal, ask, rounds::alternate};
use crate::{agent::Agent, client::Status, clock, place, say::Step};

const ROUNDS: usize = 9;
const LOOK_EVERY: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct Load {
    /// When all of them were attached, on the clock of the kernel's events.
    at_ns: i64,
}

pub(super) fn measure() -> Result<Vec<Figure>> {
    let mut step = Step::begin(format!("a start, {ROUNDS} rounds"));
    let mut probes = 0;
    let mut ours = || {
        step.tick();
        let (ms, live) = start()?;
        probes = live;
        Ok(ms)
    };
    let mut bare = || {
        let begun_ns = clock::monotonic_ns();
        Ok((ask::<Load>(&["bench-load", "--json"])?.at_ns - begun_ns) as f64 / 1e6)
    };
    let [ours, bare] = alternate(ROUNDS, [&mut ours, &mut bare])?;
    step.done("start");
    Ok(vec![
        Figure::median("P14", "exec to all probes live", Goal::AtMost(300.0), "ms", ours.clone())
            .beside("the agent, to its first answer", "ms", ours)
            .beside("loading and attaching alone", "ms", bare)
            .noting(format!(
                "{probes} probes; the answer tells each of them on, and takes a client's start of some ms"
            )),
    ])
}

/// How long it took, ms, and how many probes are on.
fn start() -> Result<(f64, usize)> {
    let home = mkdtemp(&std::env::temp_dir().join("kernelsight-start-XXXXXX"))?;
    let begun = Instant::now();
    let mut agent =
        Agent::spawn(&home, &["--quiet", "--autonomy", "advisor"], &place::target()?.join("bench/agent.log"))?;
    let status = loop {
        match agent.client.status().ok().filter(is_watching) {
            Some(status) => break status,
            None if begun.elapsed() > PATIENCE => bail!("the agent did not answer within {} s", PATIENCE.as_secs()),
            None => thread::sleep(LOOK_EVERY),
        }
        if let Some(ended) = agent.ended()? {
            bail!("the agent ended at its start ({ended})");
        }
    };
    let ms = begun.elapsed().as_secs_f64() * 1e3;
    agent.stop()?;
    std::fs::remove_dir_all(&home).with_context(|| format!("{} cannot be removed", home.display()))?;
    let probes = status.parts.iter().filter(|part| part.kind == "probe");
    let off: Vec<String> = probes.clone().filter(|part| part.state == "off").map(|part| part.name.clone()).collect();
    if !off.is_empty() {
        bail!("probes are off: {}", off.join(", "));
    }
    Ok((ms, probes.count()))
}

fn is_watching(status: &Status) -> bool {
    status.parts.iter().any(|part| part.kind == "probe")
}
