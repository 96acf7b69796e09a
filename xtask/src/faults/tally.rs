//! All rounds of one fault: how many passed, and how soon things came.

use serde::Serialize;

use super::score::Score;
use crate::figure;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Tally {
    pub(crate) rounds: usize,
    pub(crate) passed: usize,
    /// Share of the rounds that passed: what a single try is worth.
    pub(crate) pass_at_1: f64,
    /// Whether every round passed, which is what one relies on; none before the last round, if none failed yet.
    pub(crate) pass_every_round: Option<bool>,
    pub(crate) detect: Option<Spread>,
    pub(crate) decide: Option<Spread>,
    pub(crate) act: Option<Spread>,
    pub(crate) relief: Option<Spread>,
}

/// Seconds over the rounds in which there were any.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median_s: f64,
    pub(crate) min_s: f64,
    pub(crate) max_s: f64,
    pub(crate) rounds: usize,
}

impl Tally {
    /// Of the rounds so far, of so many that are planned.
    pub(super) fn of(scores: &[&Score], planned: usize) -> Self {
        let passed = scores.iter().filter(|score| score.passed).count();
        let spread =
            |at: usize| Spread::of(&scores.iter().filter_map(|score| score.times.named()[at].1).collect::<Vec<f64>>());
        let failed = scores.len() - passed;
        Self {
            rounds: scores.len(),
            passed,
            pass_at_1: if scores.is_empty() { 0.0 } else { passed as f64 / scores.len() as f64 },
            pass_every_round: (failed > 0 || scores.len() >= planned).then_some(failed == 0),
            detect: spread(0),
            decide: spread(1),
            act: spread(2),
            relief: spread(3),
        }
    }
}

impl Spread {
    fn of(seconds: &[f64]) -> Option<Self> {
        let figure::Spread { median, least, most, rounds, .. } = figure::Spread::of(seconds)?;
        Some(Self { median_s: median, min_s: least, max_s: most, rounds })
    }

    /// `3.2`, or `3.2 (2.9–3.5)` of more than one round.
    pub(crate) fn words(&self) -> String {
        let Self { median_s, min_s, max_s, rounds } = self;
        if *rounds > 1 { format!("{median_s:.1} ({min_s:.1}–{max_s:.1})") } else { format!("{median_s:.1}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::score::Times;

    fn round(passed: bool, detect_s: Option<f64>) -> Score {
        Score { passed, times: Times { detect_s, ..Times::default() }, ..Score::blank("x") }
    }

    #[test]
    fn one_round_that_fails_fails_all_of_them_and_only_its_share_of_the_single_try() {
        let rounds = [round(true, Some(2.0)), round(false, None), round(true, Some(5.0)), round(true, Some(3.0))];
        let tally = Tally::of(&rounds.iter().collect::<Vec<_>>(), 4);
        assert_eq!((tally.pass_at_1, tally.pass_every_round), (0.75, Some(false)));
        let detect = tally.detect.expect("three rounds saw it");
        assert_eq!((detect.rounds, detect.words().as_str()), (3, "3.0 (2.0–5.0)"));
    }

    #[test]
    fn that_every_round_passed_is_said_after_the_last_of_them() {
        let passed = round(true, Some(1.0));
        assert_eq!(Tally::of(&[&passed], 2).pass_every_round, None);
        assert_eq!(Tally::of(&[&passed, &passed], 2).pass_every_round, Some(true));
        assert_eq!(Tally::of(&[&round(false, None)], 2).pass_every_round, Some(false));
    }

    #[test]
    fn of_an_even_number_of_rounds_the_median_lies_between_the_middle_two() {
        let spread = Spread::of(&[4.0, 1.0, 2.0, 9.0]).expect("a spread");
        assert_eq!(spread, Spread { median_s: 3.0, min_s: 1.0, max_s: 9.0, rounds: 4 });
        assert_eq!(Spread::of(&[]), None);
    }
}
