//! Figures beside what is wanted of them: taken one measurement after the other, what is missed first.

mod spread;
mod table;
mod take;

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

pub(crate) use spread::{Spread, quantile};
pub(crate) use table::{json, print};
#[cfg(test)]
pub(crate) use take::Course;
pub(crate) use take::{Measurement, Taken, take};

/// One figure beside its goal.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// As the goals are numbered: `P12`.
    pub(crate) id: &'static str,
    pub(crate) what: String,
    /// None: it was not taken, and the note says why. Such a figure neither meets its goal nor misses it.
    pub(crate) figure: Option<f64>,
    pub(crate) goal: Goal,
    pub(crate) unit: &'static str,
    /// How it was taken, and what it is relative to.
    pub(crate) note: String,
    /// The figure as each round has it, in the order of the rounds; empty where it was taken once.
    pub(crate) rounds: Vec<f64>,
    /// What was measured in those rounds, ours first.
    pub(crate) sides: Vec<Side>,
}

/// What one of those that are compared took, round by round.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Side {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) rounds: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

/// Worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    Missed,
    NotTaken,
    Met,
}

/// What a verb calls its measurements, and a figure that is as wanted or not.
pub(crate) struct Words {
    /// One of the measurements.
    pub(crate) one: &'static str,
    pub(crate) met: &'static str,
    pub(crate) missed: &'static str,
}

impl Figure {
    /// A figure that was taken once.
    pub(crate) fn once(id: &'static str, what: impl Into<String>, goal: Goal, unit: &'static str, figure: f64) -> Self {
        let (note, rounds, sides) = Default::default();
        Self { id, what: what.into(), figure: Some(figure), goal, unit, note, rounds, sides }
    }

    /// The median over the rounds.
    pub(crate) fn median(
        id: &'static str,
        what: impl Into<String>,
        goal: Goal,
        unit: &'static str,
        rounds: Vec<f64>,
    ) -> Self {
        let Some(spread) = Spread::of(&rounds) else {
            return Self::not_taken(id, what, goal, unit, "no round gave a figure");
        };
        Self { rounds, ..Self::once(id, what, goal, unit, spread.median) }
    }

    pub(crate) fn not_taken(
        id: &'static str,
        what: impl Into<String>,
        goal: Goal,
        unit: &'static str,
        why: impl Into<String>,
    ) -> Self {
        Self { figure: None, note: why.into(), ..Self::once(id, what, goal, unit, f64::NAN) }
    }

    pub(crate) fn noting(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// Adds what was measured in the rounds, of ours or of what it is compared with.
    pub(crate) fn beside(mut self, name: impl Into<String>, unit: &'static str, rounds: Vec<f64>) -> Self {
        self.sides.push(Side { name: name.into(), unit, rounds });
        self
    }

    pub(crate) fn standing(&self) -> Standing {
        let Some(figure) = self.figure else { return Standing::NotTaken };
        let met = match self.goal {
            Goal::AtMost(bound) => figure <= bound,
            Goal::AtLeast(bound) => figure >= bound,
        };
        if met { Standing::Met } else { Standing::Missed }
    }

    pub(crate) fn is_met(&self) -> bool {
        self.standing() == Standing::Met
    }

    /// As data: all rounds, and what they come to.
    pub(crate) fn json(&self) -> Value {
        let sides: Vec<Value> = self.sides.iter().map(Side::json).collect();
        json!({
            "id": self.id, "standing": self.standing(), "what": self.what, "figure": self.figure, "goal": self.goal,
            "unit": self.unit, "spread": Spread::of(&self.rounds), "rounds": self.rounds, "sides": sides,
            "note": self.note,
        })
    }
}

impl Side {
    /// `ours 214 ns (210–221)`.
    pub(crate) fn words(&self) -> String {
        let spread = Spread::of(&self.rounds);
        spread.map_or_else(
            || format!("{}: none", self.name),
            |spread| format!("{} {}", self.name, spread.words(self.unit)),
        )
    }

    fn json(&self) -> Value {
        json!({ "name": self.name, "unit": self.unit, "spread": Spread::of(&self.rounds), "rounds": self.rounds })
    }
}

impl Goal {
    pub(crate) const fn bound(self) -> f64 {
        match self {
            Self::AtMost(bound) | Self::AtLeast(bound) => bound,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bound) => write!(f, "at most {bound}"),
            Self::AtLeast(bound) => write!(f, "at least {bound}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_was_not_taken_neither_meets_nor_misses() {
        let figure = Figure::not_taken("P10", "the loop", Goal::AtMost(250.0), "ms", "no model yet");
        assert_eq!(figure.standing(), Standing::NotTaken);
        assert!(!figure.is_met());
        assert_eq!(figure.json()["figure"], Value::Null);
        assert_eq!(Figure::median("P1", "x", Goal::AtMost(1.0), "x", Vec::new()).standing(), Standing::NotTaken);
    }

    #[test]
    fn what_is_no_number_is_never_met() {
        assert_eq!(Figure::once("P1", "x", Goal::AtMost(1.0), "x", f64::NAN).standing(), Standing::Missed);
        assert_eq!(Figure::once("P1", "x", Goal::AtLeast(1.0), "x", f64::NAN).standing(), Standing::Missed);
    }

    #[test]
    fn rounds_and_sides_are_in_the_data_with_their_spread() {
        let figure = Figure::median("P5", "x", Goal::AtMost(1.05), "x", vec![1.0, 3.0, 2.0])
            .beside("with", "ms", vec![10.0, 30.0, 20.0])
            .beside("without", "ms", vec![10.0, 10.0, 10.0]);
        let json = figure.json();
        assert_eq!(json["figure"], 2.0);
        assert_eq!(json["rounds"], json!([1.0, 3.0, 2.0]));
        assert_eq!(json["spread"]["least"], 1.0);
        assert_eq!(json["sides"][0]["spread"]["most"], 30.0);
        assert_eq!(json["standing"], "missed");
    }
}
