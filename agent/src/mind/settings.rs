//! `[model]`: who is asked, about what, and at what cost.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::budget::Budget;
use crate::{
    config::ConfigError,
    llm::{self, ModelChoice},
};

/// Without `provider` nobody is asked.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSettings {
    pub provider: Option<Provider>,
    /// None: the provider's own, where it has one.
    pub model: Option<String>,
    pub base_url: Option<String>,
    /// The key of `provider`: a file of one line, for its owner alone; none: a credential of the unit, or
    /// `KERNELSIGHT_MODEL_KEY`. No other provider is sent it.
    pub key_file: Option<PathBuf>,
    /// The same of each provider that may be asked.
    pub keys: BTreeMap<Provider, PathBuf>,
    pub decide: Decide,
    pub consult: Consult,
    /// Whether specialists are heard before a recommendation.
    pub specialists: bool,
    /// A model is waited for so long, s, 1 to 600.
    pub deadline_s: u64,
    /// Turns of one voice, 1 to 50.
    pub turns: u32,
    /// Most tokens of one reply, 256 to 65536.
    pub reply_tokens: u32,
    pub budget: Budget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    Gemini,
    Openai,
    Anthropic,
    Ollama,
}

/// Who decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decide {
    Rules,
    /// What the model says holds; the rules are heard where it says nothing.
    Model,
    /// Where they disagree, the milder holds.
    #[default]
    Both,
}

/// When a model is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consult {
    /// Where the rules would do nothing, or nothing by themselves.
    #[default]
    Unsure,
    Always,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            provider: None,
            model: None,
            base_url: None,
            key_file: None,
            keys: BTreeMap::new(),
            decide: Decide::default(),
            consult: Consult::default(),
            specialists: true,
            deadline_s: 90,
            turns: 12,
            reply_tokens: 8192,
            budget: Budget::default(),
        }
    }
}

impl Provider {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gemini => "gemini",
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
            Self::Ollama => "ollama",
        }
    }

    /// The setting that names the file of its key.
    #[must_use]
    pub const fn key_setting(self) -> &'static str {
        match self {
            Self::Gemini => "model.keys.gemini",
            Self::Openai => "model.keys.openai",
            Self::Anthropic => "model.keys.anthropic",
            Self::Ollama => "model.keys.ollama",
        }
    }
}

impl ModelSettings {
    /// Who is asked; none: nobody.
    #[must_use]
    pub fn choice(&self) -> Option<ModelChoice> {
        let provider = self.provider?.name();
        let model = self.model.clone().or_else(|| llm::usual_model(provider).map(str::to_owned))?;
        Some(ModelChoice { provider: provider.to_owned(), model, base_url: self.base_url.clone() })
    }

    /// # Errors
    /// [`ConfigError::Range`] for the first value that is not in its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let range = |key, given: String, expected, good: bool| {
            if good { Ok(()) } else { Err(ConfigError::Range { key, given, expected }) }
        };
        let has_model = self.provider.is_none() || self.choice().is_some();
        range("model.model", "missing".to_owned(), "the name of a model of that provider", has_model)?;
        let deadline = 1..=600;
        range("model.deadline_s", self.deadline_s.to_string(), "1 to 600", deadline.contains(&self.deadline_s))?;
        range("model.turns", self.turns.to_string(), "1 to 50", (1..=50).contains(&self.turns))?;
        let tokens = 256..=65_536;
        range(
            "model.reply_tokens",
            self.reply_tokens.to_string(),
            "256 to 65536",
            tokens.contains(&self.reply_tokens),
        )?;
        let is_web = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        let base_url = self.base_url.clone().unwrap_or_default();
        range("model.base_url", base_url, "a URL of https or http", self.base_url.as_ref().is_none_or(is_web))?;
        self.budget.check()
    }

    #[must_use]
    pub const fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_s)
    }
}
