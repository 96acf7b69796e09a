//! What a model may cost: tokens by incident, hour and month, and money by month. What would exceed it is not asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::ConfigError,
    llm::{Usage, estimate},
};

pub const HOUR_MS: i64 = 3_600_000;
/// Thirty days: what is spent slides out of it, so that no month begins with a rush.
pub const MONTH_MS: i64 = 30 * 24 * HOUR_MS;
/// Bytes from which on a conversation is shortened.
pub const LONG_BYTES: usize = 320 << 10;
/// The context that we allow ourselves: about the tokens of a conversation that is not shortened yet. What is sent with
/// each, the role of who speaks and what it may call, is not among them, so a turn may have some more.
pub const CONTEXT_TOKENS: u64 = estimate(LONG_BYTES as u64);

/// `[model.budget]`. A limit that is none is not there.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    pub incident_tokens: Option<u64>,
    pub hour_tokens: Option<u64>,
    pub month_tokens: Option<u64>,
    /// US dollars in thirty days; needs `price`.
    pub month_usd: Option<f64>,
    pub price: Option<Price>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            incident_tokens: Some(200_000),
            hour_tokens: Some(1_000_000),
            month_tokens: Some(20_000_000),
            month_usd: None,
            price: None,
        }
    }
}

/// US dollars for a million tokens, as the provider asks them.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    pub input: f64,
    pub output: f64,
    /// Of input that the provider has in its cache; as other input when it is not told.
    pub cached: Option<f64>,
}

impl Price {
    #[must_use]
    pub fn of(&self, usage: &Usage) -> f64 {
        let fresh = usage.input_tokens.saturating_sub(usage.cached_tokens);
        let cached = self.cached.unwrap_or(self.input);
        (fresh as f64 * self.input + usage.cached_tokens as f64 * cached + usage.output_tokens as f64 * self.output)
            / 1e6
    }
}

/// What was spent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spent {
    pub incident_tokens: u64,
    pub hour_tokens: u64,
    pub month_tokens: u64,
    pub month_usd: f64,
}

/// What is left of each limit; none: there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Left {
    pub hour_tokens: Option<u64>,
    pub month_tokens: Option<u64>,
    pub month_usd: Option<f64>,
}

/// A limit would be exceeded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the budget of {what} is spent: {spent} of {limit}, and this would take about {asked} more")]
pub struct OverBudget {
    pub what: &'static str,
    pub spent: String,
    pub limit: String,
    pub asked: String,
}

impl Budget {
    /// # Errors
    /// [`ConfigError::Range`] where a sum is no sum, or there is a bound of money and no price.
    pub fn check(&self) -> Result<(), ConfigError> {
        let sums = [
            ("model.budget.month_usd", self.month_usd),
            ("model.budget.price.input", self.price.map(|price| price.input)),
            ("model.budget.price.output", self.price.map(|price| price.output)),
            ("model.budget.price.cached", self.price.and_then(|price| price.cached)),
        ];
        let is_no_sum = |(_, sum): &(&str, Option<f64>)| sum.is_some_and(|sum| !sum.is_finite() || sum < 0.0);
        if let Some((key, sum)) = sums.into_iter().find(is_no_sum) {
            let given = sum.map(|sum| sum.to_string()).unwrap_or_default();
            return Err(ConfigError::Range { key, given, expected: "a number of US dollars, 0 or more" });
        }
        if self.month_usd.is_some() && self.price.is_none() {
            let expected = "given, because model.budget.month_usd is";
            return Err(ConfigError::Range { key: "model.budget.price", given: "missing".to_owned(), expected });
        }
        Ok(())
    }

    /// Whether a turn of that estimated usage still fits.
    ///
    /// # Errors
    /// The first limit that it would exceed.
    pub fn admit(&self, spent: &Spent, estimate: &Usage) -> Result<(), OverBudget> {
        let asked = estimate.tokens();
        for (what, spent, limit) in [
            ("this incident", spent.incident_tokens, self.incident_tokens),
            ("this hour", spent.hour_tokens, self.hour_tokens),
            ("thirty days", spent.month_tokens, self.month_tokens),
        ] {
            if let Some(limit) = limit.filter(|limit| spent.saturating_add(asked) > *limit) {
                let tokens = |count: u64| format!("{count} tokens");
                return Err(OverBudget { what, spent: tokens(spent), limit: tokens(limit), asked: tokens(asked) });
            }
        }
        let Some((limit, price)) = self.month_usd.zip(self.price) else { return Ok(()) };
        let asked = price.of(estimate);
        if spent.month_usd + asked > limit {
            let usd = |amount: f64| format!("${amount:.2}");
            return Err(OverBudget {
                what: "thirty days",
                spent: usd(spent.month_usd),
                limit: usd(limit),
                asked: usd(asked),
            });
        }
        Ok(())
    }

    /// What is left beside what is spent on all incidents.
    #[must_use]
    pub fn left(&self, spent: &Spent) -> Left {
        Left {
            hour_tokens: self.hour_tokens.map(|limit| limit.saturating_sub(spent.hour_tokens)),
            month_tokens: self.month_tokens.map(|limit| limit.saturating_sub(spent.month_tokens)),
            month_usd: self.month_usd.map(|limit| (limit - spent.month_usd).max(0.0)),
        }
    }

    /// US dollars; none where no price is known.
    #[must_use]
    pub fn cost_usd(&self, usage: &Usage) -> Option<f64> {
        self.price.map(|price| price.of(usage))
    }
}
