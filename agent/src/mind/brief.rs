//! What passes between the daemon and the reasoner: the brief, and each turn before and after it is taken.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{route::Route, settings::Provider};
use crate::llm::{Message, ModelChoice, Reply, ToolSpec, Usage};

/// What the daemon gives a reasoner to think about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Brief {
    pub case: i64,
    pub about: About,
    pub model: ModelChoice,
    /// The provider that the settings name, whose the key without a name is; none: nobody's.
    #[serde(default)]
    pub configured: Option<Provider>,
    /// All that is known, names veiled.
    pub packet: Value,
    /// The functions that a model may call.
    pub tools: Vec<ToolSpec>,
    /// Turns of one voice, at most.
    pub turns: u32,
    pub reply_tokens: u32,
    pub thinks: bool,
    /// Whether specialists are heard before the director.
    pub specialists: bool,
    pub left_ms: u64,
    /// What was said before, when a thought goes on that was interrupted.
    pub recorded: Vec<Turn>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum About {
    /// An incident that is open.
    Incident,
    /// What an operator asks in his own words.
    Question {
        text: String,
        #[serde(default)]
        route: Route,
    },
}

/// One turn of one voice, as it is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Turn {
    /// `director`, `cpu`, `memory`, `storage`, `network`.
    pub voice: String,
    pub number: u32,
    /// SHA-256 of who is asked and of all that is sent, hexadecimal.
    pub digest: String,
    /// What was sent beyond the turn before: the question, or answers to its calls.
    pub sent: Vec<Message>,
    pub reply: Option<Reply>,
    /// Why there is none, by kind.
    pub failed: Option<String>,
    pub took_ms: u64,
    /// Whether the reply came from the record of an earlier one to the same question.
    pub cached: bool,
}

/// A turn that is about to be taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asking {
    pub voice: String,
    pub number: u32,
    /// SHA-256 of who is asked and of all that is sent, hexadecimal.
    pub digest: String,
    /// What it will take, about.
    pub estimate: Usage,
}

/// Whether a turn may be taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "leave", rename_all = "snake_case")]
pub enum Leave {
    Go,
    /// The same was asked before; this is what was said.
    Cached {
        reply: Reply,
    },
    /// Nothing more is to be asked: the budget, the deadline, or an operator.
    Stop {
        why: String,
    },
}

/// All that is told to whoever thinks about a case, by its turns: what it says must be in here.
#[must_use]
pub fn read(about: &About, packet: &Value, turns: &[&Turn]) -> Vec<Value> {
    let mut read = vec![packet.clone()];
    if let About::Question { text, .. } = about {
        read.push(Value::String(text.clone()));
    }
    let results = turns.iter().flat_map(|turn| &turn.sent).filter_map(|message| match message {
        Message::Tools { results } => Some(results),
        Message::User { .. } | Message::Model { .. } => None,
    });
    read.extend(results.flatten().map(|result| result.answer.clone()));
    read
}
