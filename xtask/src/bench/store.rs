//! P11: what the store takes in, beside bare rusqlite, and how soon it answers.

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{Figure, Goal};
use crate::{place, say};

#[derive(Deserialize)]
struct Answer {
    rows: u64,
    ours_per_s: f64,
    bare_per_s: f64,
    ratio: f64,
    bytes_per_signal: f64,
    percentiles_10k_ms: f64,
    percentiles_1m_ms: f64,
    lost: u64,
}

pub(super) fn measure() -> Result<Vec<Figure>> {
    let directory = place::target()?.join("bench/store");
    // What an earlier run left would be measured with it.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    let mut command = Command::new(place::agent()?);
    command.args(["bench-store", "--json", "--dir"]).arg(&directory).stdin(Stdio::null());
    let step = say::Step::begin("ingest and percentiles");
    let done = command.output().context("the agent cannot be started")?;
    if !done.status.success() {
        bail!("`kernelsight bench-store` failed: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    step.done("store");
    let _ = fs::remove_dir_all(&directory);
    let answer: Answer = serde_json::from_slice(&done.stdout).context("what `kernelsight bench-store` answers")?;
    Ok(figures(&answer))
}

fn figures(answer: &Answer) -> Vec<Figure> {
    let figure =
        |what: &str, figure, goal, unit, note| Figure { id: "P11", what: what.to_owned(), figure, goal, unit, note };
    let rates =
        format!("{:.0} over {:.0} signals/s, {} rows a round", answer.ours_per_s, answer.bare_per_s, answer.rows);
    let growth = answer.percentiles_1m_ms / answer.percentiles_10k_ms;
    vec![
        figure("ingest over bare rusqlite", answer.ratio, Goal::AtLeast(0.5), "x", rates),
        figure("a signal on disk", answer.bytes_per_signal, Goal::AtMost(200.0), "B", String::new()),
        figure(
            "percentiles of an hour, 1,000,000 rows",
            answer.percentiles_1m_ms,
            Goal::AtMost(5.0),
            "ms",
            String::new(),
        ),
        figure(
            "the same, over 10,000 rows",
            growth,
            Goal::AtMost(1.5),
            "x",
            format!("{:.2} ms", answer.percentiles_10k_ms),
        ),
        figure("signals lost", answer.lost as f64, Goal::AtMost(0.0), "", String::new()),
    ]
}
