//! P6: what decoding a record costs over a bare loop on the same ring, and that every record is told or counted.

use anyhow::Result;
use serde::Deserialize;

use super::{Figure, Goal, ask};
use crate::say::Step;

#[derive(Deserialize)]
struct Answer {
    /// CPU time of a record in each round, ns.
    ours_ns: Vec<f64>,
    bare_ns: Vec<f64>,
    records: u64,
    record_bytes: usize,
    /// Of a flood that the ring cannot take.
    produced: u64,
    told: u64,
    lost: u64,
}

pub(super) fn measure() -> Result<Vec<Figure>> {
    let step = Step::begin("records, decoded and by a bare loop");
    let answer: Answer = ask(&["bench-ring", "--json"])?;
    step.done("ring");
    Ok(figures(answer))
}

fn figures(answer: Answer) -> Vec<Figure> {
    let Answer { ours_ns, bare_ns, records, record_bytes, produced, told, lost } = answer;
    let unaccounted = produced.abs_diff(told + lost);
    vec![
        Figure::median(
            "P6",
            "decoding a record, over a bare loop",
            Goal::AtMost(1.5),
            "x",
            super::rounds::ratios(&ours_ns, &bare_ns),
        )
        .beside("ours, a record", "ns", ours_ns)
        .beside("a bare loop that copies each out", "ns", bare_ns)
        .noting(format!(
            "CPU time; {records} records of {record_bytes} B a round, the ring filled before each; ours is a bare loop, \
             and a check of each number, and an event of a type of its own"
        )),
        Figure::once("P6", "records neither consumed nor counted", Goal::AtMost(0.0), "", unaccounted as f64)
            .noting(format!("{produced} produced = {told} consumed + {lost} counted as dropped")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_too_many_is_as_wrong_as_one_too_few() {
        let missing = |told| {
            let (ours_ns, bare_ns) = (vec![30.0, 40.0], vec![25.0, 25.0]);
            let answer = Answer { ours_ns, bare_ns, records: 5, record_bytes: 88, produced: 100, told, lost: 60 };
            figures(answer)
        };
        assert_eq!(missing(40)[0].figure, Some(1.4));
        assert!(missing(40)[1].is_met());
        assert!(!missing(39)[1].is_met() && !missing(41)[1].is_met());
    }
}
