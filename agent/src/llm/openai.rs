//! OpenAI: chat completions, as many other servers speak them, too.

use std::{mem, ops::ControlFlow};

use reqwest::header::{AUTHORIZATION, HeaderMap};
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

pub(super) const NAME: &str = "openai";
const BASE_URL: &str = "https://api.openai.com/v1/";
/// What comes last.
const DONE: &str = "[DONE]";

#[derive(Debug)]
pub(super) struct OpenAi {
    /// What the most tokens of a reply are called.
    limit: &'static str,
}

/// `base_url` ends before `chat/completions`. Without a key nothing is said of who asks.
///
/// # Errors
/// When the key cannot be part of a header, or there is no TLS.
pub(super) fn speaks(base_url: Option<&str>, model: &str, key: Option<&Key>) -> Result<Speaks<OpenAi>, ProviderError> {
    let url = format!("{}/chat/completions", base_url.unwrap_or(BASE_URL).trim_end_matches('/'));
    Ok(Speaks {
        http: Http::new(url, HeaderMap::new(), AUTHORIZATION, "Bearer ", key)?,
        model: model.to_owned(),
        format: OpenAi { limit: limit(base_url, model) },
    })
}

/// OpenAI's later models refuse the name that servers which are compatible know.
fn limit(base_url: Option<&str>, model: &str) -> &'static str {
    let is_later = |name: &str, from: u32| {
        let digit = model.strip_prefix(name).and_then(|rest| rest.chars().next()?.to_digit(10));
        digit.is_some_and(|digit| digit >= from)
    };
    if base_url.is_none() || is_later("gpt-", 5) || is_later("o", 1) { "max_completion_tokens" } else { "max_tokens" }
}

impl Format for OpenAi {
    const NAME: &'static str = NAME;
    const FRAMING: Framing = Framing::Events;
    type Hears = Answer;

    /// Whether it thinks first is the model's own affair: those that cannot refuse to be told.
    fn request(&self, model: &str, conversation: &Conversation) -> Result<Value, ProviderError> {
        let Conversation { system, messages, tools, reply_tokens, thinks: _ } = conversation;
        let mut said = vec![json!({ "role": "system", "content": system })];
        said.extend(messages.iter().flat_map(message));
        let mut body = json!({
            "model": model,
            "stream": true,
            "stream_options": { "include_usage": true },
            self.limit: reply_tokens,
            "messages": said,
        });
        if !tools.is_empty() {
            body["tools"] = tools.iter().map(function).collect();
        }
        Ok(body)
    }
}

/// How a function is declared; Ollama's way is the same.
pub(super) fn function(tool: &ToolSpec) -> Value {
    let ToolSpec { name, description, parameters } = tool;
    json!({ "type": "function", "function": { "name": name, "description": description, "parameters": parameters } })
}

/// What a call was answered. The format has no place for that it failed.
pub(super) fn content(result: &ToolResult) -> String {
    if result.is_error { json!({ "error": result.answer }).to_string() } else { result.answer.to_string() }
}

fn message(message: &Message) -> Vec<Value> {
    match message {
        Message::User { text } => vec![json!({ "role": "user", "content": text })],
        Message::Model { parts } => vec![assistant(parts)],
        Message::Tools { results } => {
            let answer =
                |result: &ToolResult| json!({ "role": "tool", "tool_call_id": result.id, "content": content(result) });
            results.iter().map(answer).collect()
        }
    }
}

/// Thoughts do not come back: the format has no place for them.
fn assistant(parts: &[Part]) -> Value {
    let text = parts.iter().filter_map(|part| match part {
        Part::Text { text, .. } => Some(text.as_str()),
        Part::Thought { .. } | Part::Call { .. } => None,
    });
    let calls = parts.iter().filter_map(|part| match part {
        Part::Call { id, name, arguments, .. } => {
            let arguments = Value::Object(arguments.clone()).to_string();
            Some(json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } }))
        }
        Part::Text { .. } | Part::Thought { .. } => None,
    });
    let (text, calls): (String, Vec<Value>) = (text.collect(), calls.collect());
    let mut said = json!({ "role": "assistant", "content": text });
    if !calls.is_empty() {
        said["tool_calls"] = Value::Array(calls);
    }
    said
}

#[derive(Debug, Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Value>,
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Delta {
    content: Option<String>,
    refusal: Option<String>,
    /// Thoughts, of servers that tell them: by one of two names, or by both.
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    tool_calls: Option<Vec<Piece>>,
}

/// Of a call.
#[derive(Debug, Deserialize)]
struct Piece {
    index: Option<u64>,
    id: Option<String>,
    function: Option<Function>,
}

#[derive(Debug, Default, Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<String>,
}

/// What was heard so far. Calls come in pieces, several at once.
#[derive(Debug, Default)]
pub(super) struct Answer {
    hearing: Hearing,
    calls: Vec<(Option<u64>, Begun)>,
    refusal: String,
}

impl Hears for Answer {
    fn take(&mut self, data: &str, heard: Heard<'_>) -> Result<ControlFlow<()>, ProviderError> {
        if data == DONE {
            return Ok(ControlFlow::Break(()));
        }
        let Chunk { choices, usage, error } = serde_json::from_str(data).map_err(malformed)?;
        if let Some(error) = error {
            return Err(failed(&error));
        }
        if let Some(usage) = usage {
            self.hearing.usage = counted(&usage);
        }
        let Some(Choice { delta, finish_reason }) = choices.into_iter().flatten().next() else {
            return Ok(ControlFlow::Continue(()));
        };
        let Delta { content, refusal, reasoning_content, reasoning, tool_calls } = delta.unwrap_or_default();
        self.hearing.thought(reasoning_content.or(reasoning).unwrap_or_default(), None, heard)?;
        self.hearing.text(content.unwrap_or_default(), None, heard)?;
        let refusal = refusal.unwrap_or_default();
        self.hearing.count(refusal.len())?;
        self.refusal.push_str(&refusal);
        for piece in tool_calls.into_iter().flatten() {
            self.piece(piece)?;
        }
        if let Some(reason) = finish_reason.filter(|reason| !reason.is_empty()) {
            self.hearing.finish = Some(match reason.as_str() {
                "stop" | "tool_calls" | "function_call" => Finish::Stop,
                "length" => Finish::Length,
                other => Finish::Refused { why: Text::from(other) },
            });
        }
        Ok(ControlFlow::Continue(()))
    }

    fn end(mut self, heard: Heard<'_>) -> Hearing {
        if self.hearing.finish.is_some() {
            for (_, call) in mem::take(&mut self.calls) {
                self.hearing.end_call(call, heard);
            }
            if !self.refusal.is_empty() {
                self.hearing.finish = Some(Finish::Refused { why: Text::from(self.refusal.as_str()) });
            }
        }
        self.hearing
    }
}

impl Answer {
    /// A piece goes on with the last call of its place, unless it has an id of its own: some servers give all calls one
    /// place, or none.
    fn piece(&mut self, piece: Piece) -> Result<(), ProviderError> {
        let Piece { index, id, function } = piece;
        let (id, Function { name, arguments }) = (id.unwrap_or_default(), function.unwrap_or_default());
        let name = name.unwrap_or_default();
        let goes_on = |(place, call): &(Option<u64>, Begun)| {
            (index.is_none() || *place == index) && (id.is_empty() || call.id == id)
        };
        let at = match self.calls.iter().rposition(goes_on) {
            Some(at) => at,
            None => {
                self.calls.push((index, self.hearing.begin_call(id, name.clone())?));
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at].1;
        if call.name.is_empty() {
            self.hearing.count(name.len())?;
            call.name = name;
        }
        self.hearing.extend_call(call, &arguments.unwrap_or_default())
    }
}

fn counted(usage: &Value) -> Usage {
    let count = |count: &Value| count.as_u64().unwrap_or(0);
    Usage {
        input_tokens: count(&usage["prompt_tokens"]),
        cached_tokens: count(&usage["prompt_tokens_details"]["cached_tokens"]),
        output_tokens: count(&usage["completion_tokens"]),
    }
}

/// An error in the middle of a stream; some gateways tell its status.
fn failed(error: &Value) -> ProviderError {
    let status = error["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
    let said = error["message"].as_str().or(error.as_str()).unwrap_or("no reason given");
    by_status(status, None, said)
}
