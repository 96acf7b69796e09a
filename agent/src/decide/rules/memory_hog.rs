//! `memory_hog`: somebody takes memory faster than anybody can react, or holds so much that the others stall.

use super::{
    Rule,
    evidence::{Evidence, Finding, signal},
    memory_leak::HOG_FROM,
    remedy::{Remedies, Remedy, end, freeze, limit_memory, restartable},
};
use crate::{
    decide::FailureMode,
    explain::{
        Direction, Explanation, Suspect,
        figures::{figure, minutes},
    },
    observe::{Severity, SignalType},
    simulate::{Projection, project},
};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::MemoryHog, hypothesise, remedies };

/// Growth is an emergency when memory runs out sooner than this, minutes, and so much of it is in use already, 0 to 1: a
/// compiler grows as fast, and stops by itself long before.
const NEAR_MIN: f64 = 2.0;
const USED_FROM: f64 = 0.4;

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    signal(explanation, SignalType::MemoryPressure, &[])?;
    let culprit = explanation.culprit()?;
    let per_min = growth_per_min(explanation, culprit);
    let file = file_share(culprit);
    Some(
        Evidence::from(0.4)
            .weigh(Some(per_min >= HOG_FROM), 0.6, format!("it grows by {} a minute", figure("rss_bytes", per_min)))
            .weigh(
                Some(culprit.share >= 0.5),
                0.4,
                format!("{} has {:.0} % of the {}", culprit.entity, culprit.share * 100.0, culprit.of),
            )
            .weigh(
                culprit.number("rising_share").map(|share| share >= 0.8),
                0.3,
                format!("{:.0} % of its steps did not shrink", culprit.number("rising_share").unwrap_or(0.0) * 100.0),
            )
            .weigh(
                file.map(|share| share < 0.5),
                0.6,
                format!("{:.0} % of its cgroup's memory is cache, which can be had back", file.unwrap_or(0.0) * 100.0),
            )
            .says(format!("{} takes the memory, {} a minute", culprit.entity, figure("rss_bytes", per_min))),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let Some(culprit) = explanation.culprit() else { return Remedies::default() };
    let hold = match project(explanation).first() {
        _ if growth_per_min(explanation, culprit) <= 0.0 => None,
        Some(Projection { minutes: Some(left), current, threshold, .. }) => {
            let used = current / threshold.max(1.0);
            (*left > NEAR_MIN || used < USED_FROM).then(|| {
                format!(
                    "it grows, but {} are left and {:.0} % are in use: it may stop by itself",
                    minutes(*left),
                    used * 100.0
                )
            })
        }
        _ => Some("it grows, but nothing runs out soon".to_owned()),
    };
    Remedies {
        ladder: ladder(explanation, culprit),
        advice: format!("{} takes the memory; {} or give it a limit.", culprit.entity, restartable(culprit)),
        hold,
    }
}

/// A limit where there is cache to give back; then standing still, which keeps what it holds but ends the growth. A
/// limit on anonymous memory alone would have the kernel end a process: that is no milder than ending it.
pub(super) fn ladder(explanation: &Explanation, culprit: &Suspect) -> Vec<Remedy> {
    let last_resort = explanation.primary.severity == Severity::Critical;
    let milder = [limit_memory(culprit), freeze(culprit)].into_iter().flatten();
    milder.chain(if last_resort { end(culprit) } else { Vec::new() }).collect()
}

/// The part of the culprit's cgroup that is page cache, where the cgroup is its own.
pub(super) fn file_share(culprit: &Suspect) -> Option<f64> {
    culprit.own_cgroup()?;
    let (file, usage) = (culprit.number("cgroup_file_bytes")?, culprit.number("cgroup_usage_bytes")?);
    (usage > 0.0).then(|| (file / usage).clamp(0.0, 1.0))
}

/// By its line where there is one, else by its track.
fn growth_per_min(explanation: &Explanation, culprit: &Suspect) -> f64 {
    let line = explanation.growth.as_ref().filter(|growth| growth.direction == Direction::Rising);
    let track = culprit.number("growth_bytes_per_s").map(|per_s| per_s * 60.0);
    line.map(|growth| growth.slope_per_min).or(track).unwrap_or(0.0)
}
