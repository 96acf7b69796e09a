//! Simulate: what happens if nothing is done, and what each action would change. Arithmetic that shows its inputs.

mod disk;
pub mod effect;
pub mod projection;
mod relief;

pub use effect::{effects, targets};
pub use projection::{project, reach};
pub use relief::cpu_wanted;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{execute::Actions, explain::Explanation};

/// What comes if nothing is done, and what each of `candidates` would change, in their order.
#[must_use]
pub fn simulate(explanation: &Explanation, candidates: &[Actions]) -> Forecast {
    let projections = project(explanation);
    Forecast {
        if_nothing_is_done: projection::in_words(explanation, &projections),
        effects: effects(explanation, candidates),
        projections,
    }
}

/// What is to come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Forecast {
    /// One plain sentence: "OOM in 21 min if nothing is done", or why nothing can be said.
    pub if_nothing_is_done: String,
    pub projections: Vec<Projection>,
    /// What each candidate action is expected to change, mildest first.
    pub effects: Vec<Effect>,
}

/// One line carried on to a threshold: minutes = (threshold - current) / slope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Projection {
    /// What is reached: "limit of cgroup /x", "node memory".
    pub what: String,
    pub current: f64,
    pub slope_per_min: f64,
    pub threshold: f64,
    pub unit: String,
    /// None when the line never meets the threshold.
    pub minutes: Option<f64>,
    pub r_squared: f64,
    pub points: usize,
    /// The arithmetic in words: "35.2 % + 1.18 %/min reaches 60 % in 21.0 min, r² 0.92, 30 points".
    pub formula: String,
}

/// What actions would change together, before they are done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Effect {
    pub actions: Actions,
    /// The primary measure now and as expected after it.
    pub before: f64,
    pub after: f64,
    /// Whether `after` is well below medium (above, where less is worse).
    pub suffices: bool,
    /// How `after` was reckoned, with its inputs.
    pub formula: String,
    /// Who else feels it.
    pub cost: String,
}
