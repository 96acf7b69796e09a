//! Alternated rounds: A and B take turns, so that what else the machine does falls on both.

use anyhow::Result;
use serde::Serialize;

/// Values of one side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Side {
    pub(super) median: f64,
    /// Half the distance between the quartiles over the median, per cent.
    pub(super) spread_percent: f64,
    pub(super) rounds: usize,
}

/// Measures both, alternated, `rounds` times each after one round of each that does not count; who goes first changes
/// from round to round.
pub(super) fn alternate(
    rounds: usize,
    mut a: impl FnMut() -> Result<f64>,
    mut b: impl FnMut() -> Result<f64>,
) -> Result<(Side, Side)> {
    a()?;
    b()?;
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        if round % 2 == 0 {
            of_a.push(a()?);
            of_b.push(b()?);
        } else {
            of_b.push(b()?);
            of_a.push(a()?);
        }
    }
    Ok((Side::of(of_a), Side::of(of_b)))
}

impl Side {
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| quantile(&values, share);
        let median = at(0.5);
        let spread_percent = if median == 0.0 { 0.0 } else { 50.0 * (at(0.75) - at(0.25)) / median };
        Self { median, spread_percent, rounds: values.len() }
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
    fn one_wild_round_does_not_move_the_median() {
        let side = Side::of(vec![1.0, 1.1, 50.0, 0.9, 1.0]);
        assert_eq!((side.median, side.rounds), (1.0, 5));
        assert!(side.spread_percent < 6.0, "{}", side.spread_percent);
    }

    #[test]
    fn sides_take_turns_and_the_first_round_does_not_count() {
        let order = std::cell::RefCell::new(String::new());
        let turn = |name: char| {
            order.borrow_mut().push(name);
            Ok(1.0)
        };
        let (a, _) = alternate(2, || turn('a'), || turn('b')).expect("no failure");
        assert_eq!((order.borrow().as_str(), a.rounds), ("ababba", 2));
    }
}
