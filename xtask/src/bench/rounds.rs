//! Alternated rounds: those that are compared take turns, so that what else the machine does falls on all of them.

use anyhow::Result;

/// One of those that are compared: each call is a round of it.
pub(super) type Turn<'a, T> = &'a mut dyn FnMut() -> Result<T>;

/// Has all take turns, `rounds` times each after one round of each that does not count; who goes first changes from
/// round to round. What each gave, in the order of the rounds.
pub(super) fn alternate<T, const N: usize>(rounds: usize, mut turns: [Turn<'_, T>; N]) -> Result<[Vec<T>; N]> {
    for turn in &mut turns {
        turn()?;
    }
    let mut gave = [const { Vec::new() }; N];
    for round in 0..rounds {
        for place in 0..N {
            let at = (round + place) % N;
            gave[at].push(turns[at]()?);
        }
    }
    Ok(gave)
}

/// One side over the other, round by round.
pub(super) fn ratios(of: &[f64], over: &[f64]) -> Vec<f64> {
    of.iter().zip(over).map(|(of, over)| of / over).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_take_turns_and_the_first_round_does_not_count() {
        let order = std::cell::RefCell::new(String::new());
        let turn = |name: char| {
            order.borrow_mut().push(name);
            Ok(order.borrow().len())
        };
        let [a, b, c] = alternate(2, [&mut || turn('a'), &mut || turn('b'), &mut || turn('c')]).expect("no failure");
        assert_eq!(order.borrow().as_str(), "abcabcbca");
        assert_eq!((a, b, c), (vec![4, 9], vec![5, 7], vec![6, 8]));
    }

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        assert_eq!(ratios(&[20.0, 200.0, 90.0], &[100.0, 1000.0, 300.0]), [0.2, 0.2, 0.3]);
    }
}
