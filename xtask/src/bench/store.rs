//! P11: what the store takes in, beside bare rusqlite, and how soon it answers.

use std::fs;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{Figure, Goal, ask, rounds::ratios};
use crate::{place, say};

/// Each list has a value for each round.
#[derive(Deserialize)]
struct Answer {
    rows: u64,
    ours_per_s: Vec<f64>,
    bare_per_s: Vec<f64>,
    ours_bytes: Vec<f64>,
    bare_bytes: Vec<f64>,
    percentiles_10k_ms: Vec<f64>,
    percentiles_1m_ms: Vec<f64>,
    lost: u64,
}

pub(super) fn measure() -> Result<Vec<Figure>> {
    let directory = place::target()?.join("bench/store");
    // What an earlier run left would be measured with it.
    _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    let step = say::Step::begin("ingest and percentiles");
    let answer = ask(&["bench-store", "--json", "--dir", &directory.to_string_lossy()]);
    _ = fs::remove_dir_all(&directory);
    let answer: Answer = answer?;
    step.done("store");
    Ok(figures(answer))
}

fn figures(answer: Answer) -> Vec<Figure> {
    let Answer { rows, ours_per_s, bare_per_s, ours_bytes, bare_bytes, .. } = answer;
    let (few_ms, many_ms) = (answer.percentiles_10k_ms, answer.percentiles_1m_ms);
    let figure = |what: &str, goal, unit, rounds| Figure::median("P11", what, goal, unit, rounds);
    vec![
        figure("ingest over bare rusqlite", Goal::AtLeast(0.5), "x", ratios(&ours_per_s, &bare_per_s))
            .beside("ours", "signals/s", ours_per_s)
            .beside("bare rusqlite", "signals/s", bare_per_s)
            .noting(format!("{rows} signals a round, in batches of the same size")),
        figure("a signal on disk", Goal::AtMost(200.0), "B", ours_bytes.clone())
            .beside("ours", "B", ours_bytes)
            .beside("bare rusqlite", "B", bare_bytes)
            .noting("bare: the same facts in one table, by text"),
        figure("percentiles of an hour, 1,000,000 rows", Goal::AtMost(5.0), "ms", many_ms.clone()),
        figure("the same, over 10,000 rows", Goal::AtMost(1.5), "x", ratios(&many_ms, &few_ms))
            .beside("1,000,000 rows", "ms", many_ms)
            .beside("10,000 rows", "ms", few_ms)
            .noting(
                "sixty histograms are read for either; more values fill more of their buckets. The limit would take \
                 buckets of a fixed number, which cost ten thousand rows as much as a million",
            ),
        Figure::once("P11", "signals lost", Goal::AtMost(0.0), "", answer.lost as f64),
    ]
}
