//! Llm: whoever answers a conversation, one file a provider. A provider knows a wire format and a network, and nothing of
//! this node: what it is sent was covered and bounded before, and what it answers is untrusted.

mod anthropic;
mod breaker;
mod format;
mod gemini;
mod hearing;
mod http;
mod key;
mod ollama;
mod openai;
mod pause;
mod stream;

use std::{
    fmt::{self, Debug},
    future::Future,
    pin::Pin,
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use breaker::Breaker;
pub use key::{Key, KeyError, Keys, Places, variable as key_variable, variables as key_variables};
pub use pause::Pauses;

use crate::text::Text;

/// Whoever answers. One call is one turn: the whole conversation goes out, the next message comes back.
pub trait Provider: Debug + Send + Sync {
    /// As it is named in settings and traces: `gemini`, `openai`, …
    fn name(&self) -> &'static str;

    fn model(&self) -> &str;

    /// The reply, each piece of it told to `heard` as it comes. What takes longer than `within`, or is longer than
    /// [`REPLY_BYTES`], is an error.
    fn turn<'a>(
        &'a self,
        conversation: &'a Conversation,
        within: Duration,
        heard: &'a mut (dyn FnMut(&Part) + Send),
    ) -> Pin<Box<dyn Future<Output = Result<Reply, ProviderError>> + Send + 'a>>;
}

/// Most bytes of what a provider says in one turn, and of one message that brings it.
pub const REPLY_BYTES: usize = 256 << 10;
/// Most bytes of its words that an error keeps.
const ERROR_BYTES: usize = 16 << 10;

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelChoice {
    /// `gemini`, `openai`, `anthropic`, `ollama`.
    pub provider: String,
    pub model: String,
    /// None: the provider's own.
    pub base_url: Option<String>,
}

impl fmt::Display for ModelChoice {
    /// `gemini/gemini-3-pro-preview`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

/// Bytes of a token, about; less than most texts have, so that an estimate is rather too high.
const BYTES_PER_TOKEN: u64 = 3;

/// About how many tokens a text of that many bytes has.
#[must_use]
pub const fn estimate(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN)
}

/// The names of all providers.
pub const PROVIDERS: [&str; 4] = [gemini::NAME, "openai", "anthropic", "ollama"];

/// Why nobody can be asked.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    #[error("{name} is no provider; there are {known}", known = PROVIDERS.join(", "))]
    Unknown { name: Text },
    #[error(
        "{provider} needs a key; give it as model.keys.{provider} in the settings, as /etc/kernelsight/model-{provider}.key \
         where systemd starts the agent, or as {variable}",
        variable = key_variable(provider)
    )]
    NoKey { provider: &'static str },
    #[error("{provider} has a key that cannot be used: {problem}")]
    Key { provider: &'static str, problem: String },
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

/// Whoever was chosen, with the key that is its own. `configured` is the provider that the settings name, whose the key
/// without a name is: no other is sent it.
///
/// # Errors
/// When there is none of that name, it needs a key and there is none, its key cannot be used, or there is no TLS.
pub fn provider(choice: &ModelChoice, keys: &Keys, configured: Option<&str>) -> Result<Box<dyn Provider>, ChoiceError> {
    let (base_url, model) = (choice.base_url.as_deref(), choice.model.as_str());
    let known = PROVIDERS.into_iter().find(|known| *known == choice.provider);
    let Some(provider) = known else {
        return Err(ChoiceError::Unknown { name: Text::from(choice.provider.as_str()) });
    };
    let key =
        keys.of(provider, configured).map_err(|error| ChoiceError::Key { provider, problem: error.to_string() })?;
    let no_key = || ChoiceError::NoKey { provider };
    if key.is_none() && needs_key(choice) {
        return Err(no_key());
    }
    Ok(match provider {
        openai::NAME => Box::new(openai::speaks(base_url, model, key)?),
        anthropic::NAME => Box::new(anthropic::speaks(base_url, model, key)?),
        ollama::NAME => Box::new(ollama::speaks(base_url, model)?),
        _ => Box::new(gemini::speaks(base_url, model, key.ok_or_else(no_key)?)?),
    })
}

/// The reply that a provider's bytes are, in the pieces in which they came, as [`Provider::turn`] reads it; none where there
/// is no such provider.
#[must_use]
pub fn read(
    provider: &str,
    pieces: &[&[u8]],
    heard: &mut (dyn FnMut(&Part) + Send),
) -> Option<Result<Reply, ProviderError>> {
    match provider {
        gemini::NAME => Some(format::read::<gemini::Gemini>(pieces, heard)),
        openai::NAME => Some(format::read::<openai::OpenAi>(pieces, heard)),
        anthropic::NAME => Some(format::read::<anthropic::Anthropic>(pieces, heard)),
        ollama::NAME => Some(format::read::<ollama::Ollama>(pieces, heard)),
        _ => None,
    }
}

/// Whether it cannot be asked without a key. What only speaks as one of them does, at a URL of its own, may need none.
#[must_use]
pub fn needs_key(choice: &ModelChoice) -> bool {
    match choice.provider.as_str() {
        ollama::NAME => false,
        openai::NAME | anthropic::NAME => choice.base_url.is_none(),
        _ => true,
    }
}

/// The model of a provider where nobody names one.
#[must_use]
pub fn usual_model(provider: &str) -> Option<&'static str> {
    (provider == gemini::NAME).then_some(gemini::MODEL)
}

/// What is sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// Who the model is to be, and its rules.
    pub system: String,
    pub messages: Vec<Message>,
    /// What it may call.
    pub tools: Vec<ToolSpec>,
    /// Most tokens of the reply.
    pub reply_tokens: u32,
    /// Whether it is to think first, where it can.
    pub thinks: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Message {
    User {
        text: String,
    },
    Model {
        parts: Vec<Part>,
    },
    /// The answers to the calls of the message before, in their order.
    Tools {
        results: Vec<ToolResult>,
    },
}

/// A piece of what a model says. A signature is the provider's own, and goes back as it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "part", rename_all = "snake_case")]
pub enum Part {
    Thought { text: String, signature: Option<String> },
    Text { text: String, signature: Option<String> },
    Call { id: String, name: String, arguments: Map<String, Value>, signature: Option<String> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolResult {
    /// Of the call.
    pub id: String,
    pub name: String,
    pub answer: Value,
    pub is_error: bool,
}

/// A function that a model may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolSpec {
    pub name: String,
    pub description: String,
    /// JSON Schema of an object.
    pub parameters: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reply {
    pub parts: Vec<Part>,
    pub finish: Finish,
    pub usage: Usage,
}

/// Why it stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "finish", rename_all = "snake_case")]
pub enum Finish {
    /// It said what it wanted to, or waits for answers to its calls.
    Stop,
    /// The most tokens were reached.
    Length,
    /// The provider kept it from answering.
    Refused { why: Text },
}

/// Tokens of one turn, as the provider counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    pub input_tokens: u64,
    /// Of these, those that the provider had in its cache.
    pub cached_tokens: u64,
    /// Thoughts included.
    pub output_tokens: u64,
}

impl Usage {
    /// All of them.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    #[error("it cannot be reached: {reason}")]
    Unreachable { reason: String },
    #[error("it did not answer within {} s", within.as_secs_f64())]
    Late { within: Duration },
    #[error("it takes no more requests just now{}", after.map_or_else(String::new, |after| format!(", and asks to be left alone for {:.0} s", after.as_secs_f64())))]
    RateLimited { after: Option<Duration> },
    #[error("it failed with status {status}: {said}")]
    Failed { status: u16, said: Text },
    #[error("it refuses the request with status {status}: {said}")]
    Refused { status: u16, said: Text },
    #[error("its answer broke off")]
    Cut,
    #[error("its answer is not as it should be: {problem}")]
    Malformed { problem: String },
    #[error("its answer is longer than {REPLY_BYTES} bytes")]
    TooLong,
}

impl ProviderError {
    /// The kind, for programs and metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Late { .. } => "late",
            Self::RateLimited { .. } => "rate_limited",
            Self::Failed { .. } => "failed",
            Self::Refused { .. } => "refused",
            Self::Cut => "cut",
            Self::Malformed { .. } => "malformed",
            Self::TooLong => "too_long",
        }
    }

    /// Whether the same request may fare better a little later.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::RateLimited { .. } | Self::Failed { .. } | Self::Cut => true,
            Self::Late { .. } | Self::Refused { .. } | Self::Malformed { .. } | Self::TooLong => false,
        }
    }
}

fn malformed(error: serde_json::Error) -> ProviderError {
    ProviderError::Malformed { problem: Text::from(error.to_string().as_str()).to_string() }
}
