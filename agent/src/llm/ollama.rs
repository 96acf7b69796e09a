//! Ollama: `api/chat`, its own, of a server that needs no key.

use std::ops::ControlFlow;

use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Conversation, Finish, Message, Part, ProviderError, ToolResult, Usage, estimate,
    format::{Format, Hears, Speaks},
    hearing::{Heard, Hearing},
    http::{Http, by_status},
    malformed,
    openai::{content, function},
    stream::Framing,
};
use crate::text::Text;

pub(super) const NAME: &str = "ollama";
const BASE_URL: &str = "http://localhost:11434/";
/// The context that is asked for, tokens: at least that, and at most. What does not fit is dropped from the beginning, without
/// a word of it, and without being asked the server may keep only 4096.
const CONTEXT: [u64; 2] = [8192, 131_072];

#[derive(Debug)]
pub(super) struct Ollama;

/// `base_url` ends before `api/chat`.
///
/// # Errors
/// When there is no TLS.
pub(super) fn speaks(base_url: Option<&str>, model: &str) -> Result<Speaks<Ollama>, ProviderError> {
    let url = format!("{}/api/chat", base_url.unwrap_or(BASE_URL).trim_end_matches('/'));
    Ok(Speaks {
        http: Http::new(url, HeaderMap::new(), AUTHORIZATION, "", None)?,
        model: model.to_owned(),
        format: Ollama,
    })
}

impl Format for Ollama {
    const NAME: &'static str = NAME;
    const FRAMING: Framing = Framing::Lines;
    type Hears = Answer;

    /// A model that can think does so unless it is told otherwise; one that cannot refuses to be told.
    fn request(&self, model: &str, conversation: &Conversation) -> Result<Value, ProviderError> {
        let Conversation { system, messages, tools, reply_tokens, thinks: _ } = conversation;
        let mut said = vec![json!({ "role": "system", "content": system })];
        said.extend(messages.iter().flat_map(message));
        let mut body = json!({
            "model": model,
            "stream": true,
            "options": { "num_predict": reply_tokens },
            "messages": said,
        });
        if !tools.is_empty() {
            body["tools"] = tools.iter().map(function).collect();
        }
        body["options"]["num_ctx"] = json!(context(body.to_string().len(), *reply_tokens));
        Ok(body)
    }
}

/// Room for so many bytes and a reply. The server loads a model anew for another size, so there are few of them.
fn context(bytes: usize, reply_tokens: u32) -> u64 {
    let [least, most] = CONTEXT;
    let tokens = estimate(bytes as u64).saturating_add(reply_tokens.into());
    tokens.next_power_of_two().clamp(least, most)
}

fn message(message: &Message) -> Vec<Value> {
    match message {
        Message::User { text } => vec![json!({ "role": "user", "content": text })],
        Message::Model { parts } => vec![assistant(parts)],
        Message::Tools { results } => {
            let answer =
                |result: &ToolResult| json!({ "role": "tool", "tool_name": result.name, "content": content(result) });
            results.iter().map(answer).collect()
        }
    }
}

fn assistant(parts: &[Part]) -> Value {
    let (mut text, mut thinking, mut calls) = (String::new(), String::new(), Vec::new());
    for part in parts {
        match part {
            Part::Text { text: piece, .. } => text.push_str(piece),
            Part::Thought { text: piece, .. } => thinking.push_str(piece),
            Part::Call { name, arguments, .. } => {
                let function = json!({ "index": calls.len(), "name": name, "arguments": arguments });
                calls.push(json!({ "type": "function", "function": function }));
            }
        }
    }
    let mut said = json!({ "role": "assistant", "content": text });
    if !thinking.is_empty() {
        said["thinking"] = json!(thinking);
    }
    if !calls.is_empty() {
        said["tool_calls"] = Value::Array(calls);
    }
    said
}

#[derive(Debug, Deserialize)]
struct Line {
    message: Option<Said>,
    #[serde(default)]
    done: bool,
    done_reason: Option<String>,
    prompt_eval_count: Option<u64>,
    prompt_eval_cached_count: Option<u64>,
    eval_count: Option<u64>,
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Said {
    content: Option<String>,
    thinking: Option<String>,
    tool_calls: Option<Vec<Call>>,
}

#[derive(Debug, Deserialize)]
struct Call {
    id: Option<String>,
    function: Function,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: Value,
}

/// What was heard so far.
#[derive(Debug, Default)]
pub(super) struct Answer(Hearing);

impl Hears for Answer {
    fn take(&mut self, line: &str, heard: Heard<'_>) -> Result<ControlFlow<()>, ProviderError> {
        take(&mut self.0, line, heard)
    }

    fn end(self, _: Heard<'_>) -> Hearing {
        self.0
    }
}

/// Text comes in pieces; a call comes whole. The last line says that it is.
fn take(hearing: &mut Hearing, line: &str, heard: Heard<'_>) -> Result<ControlFlow<()>, ProviderError> {
    let line: Line = serde_json::from_str(line).map_err(malformed)?;
    if let Some(error) = line.error {
        return Err(by_status(500, None, error.as_str().unwrap_or("no reason given")));
    }
    if let Some(Said { content, thinking, tool_calls }) = line.message {
        hearing.thought(thinking.unwrap_or_default(), None, heard)?;
        hearing.text(content.unwrap_or_default(), None, heard)?;
        for Call { id, function: Function { name, arguments } } in tool_calls.into_iter().flatten() {
            hearing.call(id, name, arguments, None, heard)?;
        }
    }
    if !line.done {
        return Ok(ControlFlow::Continue(()));
    }
    hearing.usage = Usage {
        input_tokens: line.prompt_eval_count.unwrap_or(0),
        cached_tokens: line.prompt_eval_cached_count.unwrap_or(0),
        output_tokens: line.eval_count.unwrap_or(0),
    };
    hearing.finish = Some(match line.done_reason.as_deref() {
        None | Some("stop") => Finish::Stop,
        Some("length") => Finish::Length,
        Some(other) => Finish::Refused { why: Text::from(other) },
    });
    Ok(ControlFlow::Break(()))
}
