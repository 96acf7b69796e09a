//! How often each thing that was asked came true, beside its goal.

use serde::Serialize;

use super::score::{Mark, Score};

/// What share of the rounds each mark must be met in, percent. That nothing is left behind has no tolerance.
const GOALS: [Goal; 5] = [
    Goal { what: "detected", percent: 98.0, of: |score| score.detected },
    Goal { what: "blamed", percent: 95.0, of: |score| score.blamed },
    Goal { what: "explained", percent: 90.0, of: |score| score.explained },
    Goal { what: "resolved", percent: 85.0, of: |score| score.resolved },
    Goal { what: "undone", percent: 100.0, of: |score| score.undone },
];

struct Goal {
    what: &'static str,
    percent: f64,
    of: fn(&Score) -> Mark,
}

/// All goals against what came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Rates {
    /// Over the rounds of faults; those of controls have their own.
    pub(crate) faults: Vec<Rate>,
    pub(crate) control_rounds: usize,
    /// Rounds of controls in which something was done; the goal is none.
    pub(crate) controls_acted_on: usize,
    /// Rounds of controls that failed for this or anything else.
    pub(crate) controls_failed: usize,
    /// Whether all goals are met, of those that anything was asked of.
    pub(crate) met: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Rate {
    pub(crate) what: &'static str,
    pub(crate) yes: usize,
    /// Rounds that it was asked of.
    pub(crate) asked: usize,
    pub(crate) goal_percent: f64,
    /// None where it was asked of nobody.
    pub(crate) percent: Option<f64>,
    /// Where the true rate lies with a confidence of 95 %, percent: what so few rounds are worth.
    pub(crate) between_percent: Option<(f64, f64)>,
    pub(crate) met: Option<bool>,
}

impl Rates {
    /// Of every round, and whether it was of a control.
    pub(super) fn of<'a>(rounds: impl Iterator<Item = (bool, &'a Score)> + Clone) -> Self {
        let of_faults: Vec<&Score> = rounds.clone().filter(|(control, _)| !control).map(|(_, score)| score).collect();
        let of_controls: Vec<&Score> = rounds.filter(|(control, _)| *control).map(|(_, score)| score).collect();
        let faults: Vec<Rate> = GOALS.iter().map(|goal| Rate::of(goal, &of_faults)).collect();
        let controls_acted_on = of_controls.iter().filter(|score| !score.actions.is_empty()).count();
        Self {
            met: controls_acted_on == 0 && faults.iter().all(|rate| rate.met != Some(false)),
            faults,
            control_rounds: of_controls.len(),
            controls_acted_on,
            controls_failed: of_controls.iter().filter(|score| !score.passed).count(),
        }
    }
}

impl Rate {
    fn of(goal: &Goal, scores: &[&Score]) -> Self {
        let marks = || scores.iter().map(|score| (goal.of)(score));
        let asked = marks().filter(|mark| *mark != Mark::None).count();
        let yes = marks().filter(|mark| *mark == Mark::Yes).count();
        let percent = (asked > 0).then(|| 100.0 * yes as f64 / asked as f64);
        Self {
            what: goal.what,
            yes,
            asked,
            goal_percent: goal.percent,
            percent,
            between_percent: wilson(yes, asked),
            met: percent.map(|percent| percent >= goal.percent),
        }
    }
}

/// Wilson's score interval of a proportion, percent, z = 1.96 (Wilson 1927): it holds for few rounds and for shares near
/// 100 %, where the normal one does not.
fn wilson(yes: usize, asked: usize) -> Option<(f64, f64)> {
    const Z: f64 = 1.96;
    if asked == 0 {
        return None;
    }
    let (n, share) = (asked as f64, yes as f64 / asked as f64);
    let scale = 1.0 + Z * Z / n;
    let middle = (share + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    Some((100.0 * (middle - half).max(0.0), 100.0 * (middle + half).min(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(detected: Mark, actions: &[&str]) -> Score {
        let actions = actions.iter().map(|action| (*action).to_owned()).collect();
        Score { passed: true, detected, undone: Mark::Yes, actions, ..Score::blank("x") }
    }

    #[test]
    fn a_rate_below_its_goal_misses_all() {
        let rounds: Vec<Score> = (0..20).map(|n| round(if n == 0 { Mark::No } else { Mark::Yes }, &[])).collect();
        let rates = Rates::of(rounds.iter().map(|score| (false, score)));
        let detected = &rates.faults[0];
        assert_eq!((detected.yes, detected.asked, detected.percent, detected.met), (19, 20, Some(95.0), Some(false)));
        assert!(!rates.met);
    }

    #[test]
    fn what_is_asked_of_nobody_is_neither_met_nor_missed() {
        let rounds = [round(Mark::None, &[])];
        let rates = Rates::of(rounds.iter().map(|score| (false, score)));
        assert_eq!((rates.faults[0].percent, rates.faults[0].met, rates.faults[0].between_percent), (None, None, None));
        assert!(rates.met);
    }

    #[test]
    fn one_deed_to_a_control_misses_whatever_the_rates_are() {
        let rounds = [round(Mark::Yes, &["lower_process_priority"])];
        let rates = Rates::of(rounds.iter().map(|score| (true, score)));
        assert_eq!((rates.control_rounds, rates.controls_acted_on, rates.met), (1, 1, false));
        assert_eq!(rates.faults[0].asked, 0);
    }

    #[test]
    fn ten_of_ten_is_no_proof_of_98_percent() {
        let (low, high) = wilson(10, 10).expect("an interval");
        assert!((low - 72.2).abs() < 0.1 && (high - 100.0).abs() < 1e-9, "{low} {high}");
        let (low, high) = wilson(15, 20).expect("an interval");
        assert!((low - 53.1).abs() < 0.1 && (high - 88.8).abs() < 0.1, "{low} {high}");
    }
}
