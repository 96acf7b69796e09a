//! `memory_leak`: a process grows steadily and slowly; there is time, and it is told.

use super::{
    Rule,
    evidence::{Evidence, Finding, signal},
    memory_hog,
    remedy::{Remedies, restart, restartable},
};
use crate::{
    decide::FailureMode,
    explain::{
        Direction, Explanation,
        figures::{figure, minutes},
    },
    observe::SignalType,
    simulate::project,
};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::MemoryLeak, hypothesise, remedies };

/// Slower growth is a leak, faster is a hog, bytes/min.
pub(super) const HOG_FROM: f64 = 20.0 * 1_048_576.0 * 60.0;
/// What leaks is not looked at again: below so many pages a second that come back from swap, it is left there.
const LEFT_IN_SWAP: f64 = 50.0;
/// A leak is held up only when its limit is as near as this, minutes.
const NEAR_MIN: f64 = 3.0;

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    signal(explanation, SignalType::MemoryPressure, &[])?;
    let culprit = explanation.culprit()?;
    let growth = explanation.growth.as_ref().filter(|growth| growth.direction == Direction::Rising)?;
    let per_min = figure("rss_bytes", growth.slope_per_min);
    let file = memory_hog::file_share(culprit);
    let in_swap = culprit.number("swap_bytes").filter(|bytes| *bytes > 0.0);
    let back = in_swap.and_then(|_| culprit.number("major_faults_per_s"));
    Some(
        Evidence::from(0.4)
            .weigh(Some(growth.slope_per_min < HOG_FROM), 0.6, format!("it grows by {per_min} a minute"))
            .weigh(
                Some(growth.r_squared >= 0.9),
                0.4,
                format!("it grows along a line: r² {:.2} over {} points", growth.r_squared, growth.points),
            )
            .weigh(
                culprit.number("rising_share").map(|share| share >= 0.8),
                0.3,
                format!("{:.0} % of its steps did not shrink", culprit.number("rising_share").unwrap_or(0.0) * 100.0),
            )
            .weigh(
                Some(culprit.share >= 0.5),
                0.3,
                format!("{} has {:.0} % of the {}", culprit.entity, culprit.share * 100.0, culprit.of),
            )
            .weigh(
                file.map(|share| share < 0.5),
                0.6,
                format!("{:.0} % of its cgroup's memory is cache, which can be had back", file.unwrap_or(0.0) * 100.0),
            )
            .weigh(
                back.map(|back| back < LEFT_IN_SWAP),
                0.8,
                format!("{:.0} of its pages a second come back from swap or a file", back.unwrap_or(0.0)),
            )
            .says(format!("{} leaks memory, {per_min} a minute", culprit.entity)),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let Some(culprit) = explanation.culprit() else { return Remedies::default() };
    let first = project(explanation).into_iter().next();
    let left = first.as_ref().and_then(|projection| projection.minutes);
    let told = match (&first, left) {
        (Some(projection), Some(in_minutes)) => {
            format!("{} is reached in {}: {}", projection.what, minutes(in_minutes), projection.formula)
        }
        _ => "no limit is known that it would meet".to_owned(),
    };
    let hold = match left {
        Some(left) if left <= NEAR_MIN => None,
        Some(left) => Some(format!("there are {} left, so a person can choose the moment", minutes(left))),
        None => Some("nothing runs out as it moves now".to_owned()),
    };
    let anew = restart(culprit);
    // An operator is asked before a restart, and chooses the moment, where there is an end to it.
    let (ladder, hold) = match (hold, anew) {
        (Some(_), Some(anew)) if left.is_some() => (vec![anew], None),
        (hold, anew) => (memory_hog::ladder(explanation, culprit).into_iter().chain(anew).collect(), hold),
    };
    Remedies {
        ladder,
        advice: format!("Memory leak in {}; {told}. {} before that.", culprit.entity, capital(&restartable(culprit))),
        hold,
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
