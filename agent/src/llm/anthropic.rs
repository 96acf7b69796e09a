//! Anthropic: the Messages API.

use std::ops::ControlFlow;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Conversation, Finish, Key, Message, Part, ProviderError, ToolResult, ToolSpec, Usage,
    format::{Format, Hears, Speaks},
    hearing::{Begun, Heard, Hearing},
    http::{Http, by_status},
    malformed,
    stream::Framing,
};
use crate::text::Text;

pub(super) const NAME: &str = "anthropic";
const BASE_URL: &str = "https://api.anthropic.com/v1/";
const VERSION: &str = "2023-06-01";

#[derive(Debug)]
pub(super) struct Anthropic;

/// `base_url` ends before `messages`. Without a key nothing is said of who asks.
///
/// # Errors
/// When the key cannot be part of a header, or there is no TLS.
pub(super) fn speaks(
    base_url: Option<&str>,
    model: &str,
    key: Option<&Key>,
) -> Result<Speaks<Anthropic>, ProviderError> {
    let version = (HeaderName::from_static("anthropic-version"), HeaderValue::from_static(VERSION));
    let url = format!("{}/messages", base_url.unwrap_or(BASE_URL).trim_end_matches('/'));
    Ok(Speaks {
        http: Http::new(url, HeaderMap::from_iter([version]), HeaderName::from_static("x-api-key"), "", key)?,
        model: model.to_owned(),
        format: Anthropic,
    })
}

impl Format for Anthropic {
    const NAME: &'static str = NAME;
    const FRAMING: Framing = Framing::Events;
    type Hears = Answer;

    /// How a model is told to think differs by model, so none is.
    fn request(&self, model: &str, conversation: &Conversation) -> Result<Value, ProviderError> {
        let Conversation { system, messages, tools, reply_tokens, thinks: _ } = conversation;
        let mut body = json!({
            "model": model,
            "stream": true,
            "max_tokens": reply_tokens,
            "system": system,
            "messages": messages.iter().filter_map(message).collect::<Vec<_>>(),
        });
        if !tools.is_empty() {
            let declared = |ToolSpec { name, description, parameters }: &ToolSpec| json!({ "name": name, "description": description, "input_schema": parameters });
            body["tools"] = tools.iter().map(declared).collect();
        }
        Ok(body)
    }
}

/// A message without content is refused, so one in which only thoughts were is left out.
fn message(message: &Message) -> Option<Value> {
    let (role, content): (&str, Vec<Value>) = match message {
        Message::User { text } => return Some(json!({ "role": "user", "content": text })),
        Message::Model { parts } => ("assistant", parts.iter().filter_map(block).collect()),
        Message::Tools { results } => ("user", results.iter().map(result).collect()),
    };
    (!content.is_empty()).then(|| json!({ "role": role, "content": content }))
}

/// Thoughts come back only to who was told to think; blank text is refused.
fn block(part: &Part) -> Option<Value> {
    match part {
        Part::Text { text, .. } => (!text.trim().is_empty()).then(|| json!({ "type": "text", "text": text })),
        Part::Call { id, name, arguments, .. } => {
            Some(json!({ "type": "tool_use", "id": id, "name": name, "input": arguments }))
        }
        Part::Thought { .. } => None,
    }
}

fn result(result: &ToolResult) -> Value {
    let mut block = json!({ "type": "tool_result", "tool_use_id": result.id, "content": result.answer.to_string() });
    if result.is_error {
        block["is_error"] = json!(true);
    }
    block
}

/// What comes, and matters here; there may be more, and new kinds of it.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Value,
    },
    ContentBlockStart {
        content_block: Block,
    },
    ContentBlockDelta {
        delta: Delta,
    },
    ContentBlockStop,
    MessageDelta {
        delta: Change,
        #[serde(default)]
        usage: Value,
    },
    MessageStop,
    Error {
        error: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    ToolUse {
        id: String,
        name: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: String },
    #[serde(rename = "input_json_delta")]
    Input { partial_json: String },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Change {
    stop_reason: Option<String>,
}

/// What was heard so far. Blocks come one after the other.
#[derive(Debug, Default)]
pub(super) struct Answer {
    hearing: Hearing,
    call: Option<Begun>,
    counts: Counts,
}

/// What was read, without what the provider had or keeps in its cache, and those; what was written.
#[derive(Debug, Default)]
struct Counts {
    fresh: u64,
    kept: u64,
    cached: u64,
    output: u64,
}

impl Hears for Answer {
    fn take(&mut self, data: &str, heard: Heard<'_>) -> Result<ControlFlow<()>, ProviderError> {
        match serde_json::from_str(data).map_err(malformed)? {
            Event::MessageStart { message } => self.count(&message["usage"]),
            Event::ContentBlockStart { content_block: Block::ToolUse { id, name } } => {
                self.call = Some(self.hearing.begin_call(id, name)?);
            }
            Event::ContentBlockDelta { delta } => self.delta(delta, heard)?,
            Event::ContentBlockStop => self.end_call(heard),
            Event::MessageDelta { delta: Change { stop_reason }, usage } => {
                self.count(&usage);
                self.hearing.finish = stop_reason.as_deref().map(finish).or(self.hearing.finish.take());
            }
            Event::MessageStop => {
                // What was cut for its length may not have been ended.
                self.end_call(heard);
                return Ok(ControlFlow::Break(()));
            }
            Event::Error { error } => return Err(failed(&error)),
            Event::ContentBlockStart { content_block: Block::Other } | Event::Other => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    fn end(self, _: Heard<'_>) -> Hearing {
        self.hearing
    }
}

impl Answer {
    fn delta(&mut self, delta: Delta, heard: Heard<'_>) -> Result<(), ProviderError> {
        match (delta, &mut self.call) {
            (Delta::Text { text }, _) => self.hearing.text(text, None, heard),
            (Delta::Thinking { thinking }, _) => self.hearing.thought(thinking, None, heard),
            (Delta::Input { partial_json }, Some(call)) => self.hearing.extend_call(call, &partial_json),
            (Delta::Input { .. } | Delta::Other, _) => Ok(()),
        }
    }

    fn end_call(&mut self, heard: Heard<'_>) {
        if let Some(call) = self.call.take() {
            self.hearing.end_call(call, heard);
        }
    }

    /// Counts are of all that there was so far; what is not told again is as it was.
    fn count(&mut self, usage: &Value) {
        let counts = &mut self.counts;
        let told = [
            ("input_tokens", &mut counts.fresh),
            ("cache_creation_input_tokens", &mut counts.kept),
            ("cache_read_input_tokens", &mut counts.cached),
            ("output_tokens", &mut counts.output),
        ];
        for (name, count) in told {
            *count = usage[name].as_u64().unwrap_or(*count);
        }
        let input_tokens = counts.fresh.saturating_add(counts.kept).saturating_add(counts.cached);
        self.hearing.usage = Usage { input_tokens, cached_tokens: counts.cached, output_tokens: counts.output };
    }
}

fn finish(reason: &str) -> Finish {
    match reason {
        "end_turn" | "tool_use" | "stop_sequence" => Finish::Stop,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        other => Finish::Refused { why: Text::from(other) },
    }
}

/// An error in the middle of a stream, by the status that it has at the beginning of one.
fn failed(error: &Value) -> ProviderError {
    let status = match error["type"].as_str().unwrap_or_default() {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => 500,
    };
    by_status(status, None, error["message"].as_str().unwrap_or("no reason given"))
}
