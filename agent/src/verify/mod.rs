//! Verify: the same measure of the same entity, before and after.

mod compare;
mod settle;

pub use compare::{Observed, verify};
pub use settle::settle_s;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::observe::Severity;

/// How an action ended for its incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The signal is gone or below medium.
    Resolved,
    /// Clearly better, not gone.
    Improved,
    Unchanged,
    Worse,
}

impl Verdict {
    /// Whether the action is taken back: everything that did not help is.
    #[must_use]
    pub const fn calls_for_undo(self) -> bool {
        matches!(self, Self::Unchanged | Self::Worse)
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::Improved => "improved",
            Self::Unchanged => "unchanged",
            Self::Worse => "worse",
        }
    }
}

/// The comparison behind a verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    pub verdict: Verdict,
    pub before: f64,
    /// Median of the values of the last seconds of the settle time; none when the entity is gone.
    pub after: Option<f64>,
    pub severity_before: Severity,
    pub severity_after: Severity,
    /// Values that `after` is the median of.
    pub samples: usize,
    pub settled_s: f64,
    /// In words, with the numbers.
    pub statement: String,
}
