//! What several rounds come to.

use serde::Serialize;

use crate::page::short;

/// Of the values of some rounds, in their unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) lower_quartile: f64,
    pub(crate) upper_quartile: f64,
    pub(crate) most: f64,
    pub(crate) rounds: usize,
}

impl Spread {
    /// None of no rounds.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            median: quantile(&sorted, 0.5),
            least: *sorted.first()?,
            lower_quartile: quantile(&sorted, 0.25),
            upper_quartile: quantile(&sorted, 0.75),
            most: *sorted.last()?,
            rounds: sorted.len(),
        })
    }

    /// `214 ns (210–221)`: the median, and the least and the most.
    pub(crate) fn words(&self, unit: &str) -> String {
        let median = [short(self.median), unit.to_owned()].join(" ");
        if self.rounds > 1 { format!("{} ({})", median.trim_end(), self.range()) } else { median.trim_end().to_owned() }
    }

    /// `210–221`.
    pub(crate) fn range(&self) -> String {
        format!("{}–{}", short(self.least), short(self.most))
    }
}

/// Of sorted values, between neighbours in proportion.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * sorted.len().saturating_sub(1) as f64;
    let (below, above) = (position.floor() as usize, position.ceil() as usize);
    match (sorted.get(below), sorted.get(above)) {
        (Some(below), Some(above)) => below + (above - below) * position.fract(),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wild_round_moves_the_most_and_not_the_median() {
        let spread = Spread::of(&[1.0, 1.1, 50.0, 0.9, 1.0]).expect("rounds");
        assert_eq!((spread.median, spread.least, spread.most, spread.rounds), (1.0, 0.9, 50.0, 5));
        assert_eq!((spread.lower_quartile, spread.upper_quartile), (1.0, 1.1));
        assert_eq!(spread.words("ms"), "1 ms (0.9–50)");
    }

    #[test]
    fn of_no_rounds_there_is_nothing_to_tell() {
        assert_eq!(Spread::of(&[]), None);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn between_two_values_a_quantile_is_in_proportion() {
        assert_eq!(quantile(&[1.0, 2.0], 0.25), 1.25);
        assert_eq!(Spread::of(&[3.0]).map(|spread| spread.words("")), Some("3".to_owned()));
    }
}
