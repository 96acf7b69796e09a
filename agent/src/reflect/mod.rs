//! Reflect: the whole story of one incident as a row, what it teaches, and what is believed because of it.

mod beliefs;
mod outcome;
mod story;
mod trace;

pub use beliefs::{Experience, beliefs, next_confidence};
pub use outcome::{Accuracy, accuracy, lesson, lesson_of_test};
pub(crate) use story::in_line;
pub use story::story;
pub use trace::Part;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    decide::Proposal,
    execute::{Denial, Outcome},
    explain::{Explanation, IncidentUid},
    simulate::Forecast,
    verify::Verification,
};

/// The story of one pass of the loop over one incident, as an auditor reads it.
///
/// The first columns are those the ledger names (KS-81, 82); the parts below hold the same in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// Given by the store; 0 before.
    pub trace_id: i64,
    pub incident: IncidentUid,
    /// Unix time, ms.
    pub timestamp: i64,
    pub observation: String,
    pub hypothesis: String,
    pub evidence: String,
    pub predicted_outcome: String,
    pub recommended_action: String,
    /// 0 to 1.
    pub confidence: f64,
    pub actual_outcome: Option<String>,
    pub prediction_accurate: Option<bool>,
    /// 0 to 1: how near the predicted change the actual one came.
    pub accuracy: Option<f64>,
    pub lessons_learned: Option<String>,
    /// Autonomy level under which it ran.
    pub autonomy: String,
    pub closed_ms: Option<i64>,
    pub steps: Vec<TraceStep>,
    pub explanation: Option<Explanation>,
    pub forecast: Option<Forecast>,
    pub proposal: Option<Proposal>,
    pub denial: Option<Denial>,
    /// How each action went; empty where none was carried out.
    pub outcomes: Vec<Outcome>,
    pub verification: Option<Verification>,
    /// How each undo ended, where there was one.
    pub undone: Vec<Outcome>,
}

/// One of the seven steps as it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TraceStep {
    pub phase: Phase,
    /// Unix time, ms.
    pub at_ms: i64,
    /// One or more plain sentences.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Observe,
    Explain,
    Simulate,
    Decide,
    Execute,
    Verify,
    Reflect,
}

/// What the past says of one action on one kind of incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Belief {
    pub action_type: String,
    /// Failure mode, snake_case.
    pub failure_mode: String,
    pub attempts: u32,
    pub successes: u32,
    /// Mean relative change of the measure, such as -0.22.
    pub mean_effect: f64,
    /// Mean of actual over predicted change: the factor for the next prediction.
    pub effect_factor: f64,
}
