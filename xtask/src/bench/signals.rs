//! P12 and P15: what many signals cost in memory and in CPU time, and that each is kept or counted. A node has no so
//! many true signals to give in a minute, so they go through gate, history, correlator and store in a process without
//! probes.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{Figure, Goal, ask};
use crate::{place, say};

const MANY: u64 = 1_000_000;
/// 100,000 an hour, by the second.
const USUAL_PER_S: u64 = 28;
const BURST: u64 = 100;
const ROUNDS: usize = 5;
const ROUND_S: u64 = 10;
/// The goal names 60 s.
const BURST_S: u64 = 60;

#[derive(Deserialize)]
struct Answer {
    signals: u64,
    seconds: f64,
    cpu_s: f64,
    before_bytes: u64,
    after_bytes: u64,
    peak_bytes: u64,
    lost: u64,
    /// Signals of which the database has a row.
    rows: u64,
}

/// P12.
pub(super) fn memory() -> Result<Vec<Figure>> {
    let step = say::Step::begin(format!("{MANY} signals"));
    let answer = signals(MANY, None)?;
    step.done("signals");
    let what = format!("resident memory after {} signals, without probes", answer.signals);
    Ok(vec![
        Figure::once("P12", what, Goal::AtMost(40.0), "MB", mb(answer.after_bytes)).noting(format!(
            "gate, history, correlator and store in one process, {:.1} MB before the first, {:.1} MB at most; once, in {:.0} s",
            mb(answer.before_bytes),
            mb(answer.peak_bytes),
            answer.seconds
        )),
        Figure::once("P12", "rows lost of them", Goal::AtMost(0.0), "", answer.lost as f64),
    ])
}

/// P15: rounds at the rate of a bad hour, and a burst.
pub(super) fn rates() -> Result<Vec<Figure>> {
    let step = say::Step::begin(format!("{USUAL_PER_S} signals a second, {ROUNDS} times {ROUND_S} s"));
    let usual = (0..ROUNDS).map(|_| signals(USUAL_PER_S * ROUND_S, Some(USUAL_PER_S))).collect::<Result<Vec<_>>>()?;
    step.done("an hour's rate");
    let per_s = BURST * USUAL_PER_S;
    let step = say::Step::begin(format!("{per_s} signals a second, {BURST_S} s"));
    let burst = signals(per_s * BURST_S, Some(per_s))?;
    step.done("a burst");
    Ok(figures(&usual, &burst))
}

fn figures(usual: &[Answer], burst: &Answer) -> Vec<Figure> {
    let percent = usual.iter().map(|answer| 100.0 * answer.cpu_s / answer.seconds).collect();
    let lost: u64 = usual.iter().map(|answer| answer.lost).sum();
    let seconds = usual.iter().map(|answer| answer.seconds).sum::<f64>();
    let scale = format!(
        "{:.0} a second in {} rounds of {ROUND_S} s, a {:.0}th of an hour",
        USUAL_PER_S,
        usual.len(),
        3600.0 / seconds.max(1.0)
    );
    let growth = mb(burst.peak_bytes.saturating_sub(burst.before_bytes));
    vec![
        Figure::median("P15", "100,000 signals an hour: CPU", Goal::AtMost(0.5), "% of a core", percent)
            .noting(format!("gate, history, correlator and store, without probes and sources; {scale}")),
        Figure::once("P15", "the same: signals lost", Goal::AtMost(0.0), "", lost as f64),
        Figure::once(
            "P15",
            format!("a burst of {BURST}x for {:.0} s: resident memory at its most", burst.seconds),
            Goal::AtMost(48.0),
            "MB",
            mb(burst.peak_bytes),
        )
        .noting(format!(
            "{} signals, {growth:.1} MB more than before; bounded is read as within the peak that P12 allows; {:.1} % of a core",
            burst.signals,
            100.0 * burst.cpu_s / burst.seconds
        )),
        Figure::once("P15", "the same: signals neither kept nor counted", Goal::AtMost(0.0), "", untold(burst) as f64)
            .noting(format!("{} kept, {} counted as lost of {}", burst.rows, burst.lost, burst.signals)),
    ]
}

/// Each signal has a row, or is counted; it is told twice, when it opens and when it closes, and either may be lost.
fn untold(answer: &Answer) -> u64 {
    answer.signals.saturating_sub(answer.rows).saturating_sub(answer.lost)
}

/// Opens and closes so many signals, so many a second or as fast as the store takes them.
fn signals(count: u64, per_s: Option<u64>) -> Result<Answer> {
    let directory = place::target()?.join("bench/signals");
    // What an earlier run left would be measured with it.
    _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    let answer = ask_for(count, per_s, &directory);
    _ = fs::remove_dir_all(&directory);
    answer
}

fn ask_for(count: u64, per_s: Option<u64>, directory: &Path) -> Result<Answer> {
    let (count, directory) = (count.to_string(), directory.to_string_lossy());
    let per_s = per_s.map(|per_s| per_s.to_string());
    let mut arguments = vec!["bench-signals", "--json", "--signals", &count, "--dir", &directory];
    arguments.extend(per_s.iter().flat_map(|per_s| ["--per-s", per_s.as_str()]));
    ask(&arguments)
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rows: u64, lost: u64) -> Answer {
        let (before_bytes, after_bytes, peak_bytes) = (10 << 20, 12 << 20, 20 << 20);
        Answer { signals: 100, seconds: 10.0, cpu_s: 0.02, before_bytes, after_bytes, peak_bytes, lost, rows }
    }

    #[test]
    fn what_is_counted_as_lost_is_not_missing_and_what_is_not_is() {
        let missing = |rows, lost| figures(&[answer(100, 0)], &answer(rows, lost))[3].figure;
        assert_eq!(missing(100, 0), Some(0.0));
        assert_eq!(missing(90, 10), Some(0.0));
        assert_eq!(missing(90, 4), Some(6.0));
    }

    #[test]
    fn each_round_of_the_usual_rate_is_a_share_of_a_core() {
        let figure = &figures(&[answer(100, 0), answer(100, 0)], &answer(100, 0))[0];
        assert_eq!(figure.rounds, [0.2, 0.2]);
        assert!(figure.is_met());
    }
}
