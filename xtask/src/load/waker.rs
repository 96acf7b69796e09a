//! `waker`: a victim. It wakes a hundred times a second, works for a moment, and measures how late it was done.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "waker", check: check_as::<Settings>, run };

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    period_ms: u64,
    /// CPU time of one piece of work.
    work_us: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { period_ms: 10, work_us: 2000 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let period = Duration::from_millis(settings.period_ms.max(1));
    let rounds = calibrate(settings.work_us);
    ground.started(&[])?;
    let (mut wake_ms, mut done_ms) = (Vec::new(), Vec::new());
    let mut due = Instant::now();
    while !ground.over() {
        due += period;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        wake_ms.push(due.elapsed().as_secs_f64() * 1e3);
        work(rounds);
        done_ms.push(due.elapsed().as_secs_f64() * 1e3);
        // One that fell behind by a second starts afresh: what it missed is not served later.
        if due.elapsed() > Duration::from_secs(1) {
            due = Instant::now();
        }
        ground.report(|seconds| {
            let line = json!({
                "served_per_s": (done_ms.len() as f64 / seconds).round(),
                "wake_p50_ms": percentile(&mut wake_ms, 0.50),
                "wake_p99_ms": percentile(&mut wake_ms, 0.99),
                "done_p50_ms": percentile(&mut done_ms, 0.50),
                "done_p99_ms": percentile(&mut done_ms, 0.99),
            });
            wake_ms.clear();
            done_ms.clear();
            line
        })?;
    }
    Ok(())
}

/// Rounds of [`work`] in that much time: the best of five, as of a machine that nobody else uses.
fn calibrate(work_us: u64) -> u64 {
    const TRIAL: u64 = 200_000;
    let trial = |_| {
        let begun = Instant::now();
        work(TRIAL);
        begun.elapsed()
    };
    let best = (0..5).map(trial).min().unwrap_or(Duration::from_millis(1));
    (TRIAL as f64 * work_us as f64 / (best.as_secs_f64() * 1e6)) as u64
}

fn work(rounds: u64) {
    let mut number = 1_u64;
    for _ in 0..rounds {
        number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).rotate_left(7) | 1);
    }
}

/// The value below which that share of them lies; it sorts them. None of none: who did nothing was not quick.
pub(super) fn percentile(values: &mut [f64], share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let at = ((values.len() as f64 * share) as usize).min(values.len().saturating_sub(1));
    values.get(at).map(|value| (value * 1e3).round() / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_in_which_nothing_was_done_has_no_latency() {
        assert_eq!(percentile(&mut [], 0.5), None);
        assert_eq!(percentile(&mut [3.0, 1.0, 2.0004], 0.5), Some(2.0));
        assert_eq!(percentile(&mut [3.0, 1.0, 2.0], 0.99), Some(3.0));
    }
}
