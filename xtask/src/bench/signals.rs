//! P12: the memory that many signals leave behind. A node has no 100,000 true signals to give in a minute, so they go
//! through gate, history, correlator and store in a process without probes.

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{Figure, Goal};
use crate::{place, say};

const SIGNALS: u64 = 100_000;

#[derive(Deserialize)]
struct Answer {
    signals: u64,
    before_bytes: u64,
    after_bytes: u64,
    peak_bytes: u64,
    lost: u64,
}

pub(super) fn measure() -> Result<Vec<Figure>> {
    let directory = place::target()?.join("bench/signals");
    // What an earlier run left would be measured with it.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    let mut command = Command::new(place::agent()?);
    command.args(["bench-signals", "--json", "--signals", &SIGNALS.to_string(), "--dir"]).arg(&directory);
    let step = say::Step::begin(format!("{SIGNALS} signals"));
    let done = command.stdin(Stdio::null()).output().context("the agent cannot be started")?;
    if !done.status.success() {
        bail!("`kernelsight bench-signals` failed: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    step.done("signals");
    let _ = fs::remove_dir_all(&directory);
    let answer: Answer = serde_json::from_slice(&done.stdout).context("what `kernelsight bench-signals` answers")?;
    let mb = |bytes: u64| bytes as f64 / 1_048_576.0;
    let figure = |what: String, figure, goal, unit, note| Figure { id: "P12", what, figure, goal, unit, note };
    Ok(vec![
        figure(
            format!("resident memory after {} signals, without probes", answer.signals),
            mb(answer.after_bytes),
            Goal::AtMost(40.0),
            "MB",
            format!(
                "gate, history, correlator and store in one process, {:.1} MB before the first, {:.1} MB at most",
                mb(answer.before_bytes),
                mb(answer.peak_bytes)
            ),
        ),
        figure("rows lost of them".into(), answer.lost as f64, Goal::AtMost(0.0), "", String::new()),
    ])
}
