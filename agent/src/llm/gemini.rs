//! Gemini: `streamGenerateContent` of the Generative Language API, v1beta.

use std::ops::ControlFlow;

#[expect(
    deprecated,
    reason = "the crate prefers its Interactions API, which keeps what is said on the provider's side"
)]
use gemini_rust::{
    Content, FinishReason, FunctionCall, FunctionDeclaration, FunctionResponse, GenerateContentRequest,
    GenerationConfig, GenerationResponse, Part as Said, Role, ThinkingConfig, Tool,
};
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::{Value, json};

use super::{
    Conversation, Finish, Key, Message, Part, ProviderError, ToolResult, ToolSpec, Usage,
    format::{Format, Hears, Speaks},
    hearing::{Heard, Hearing},
    http::Http,
    malformed,
    stream::Framing,
};
use crate::text::Text;

pub(super) const NAME: &str = "gemini";
pub(super) const BASE_URL: &str = "https://generativelanguage.googleapis.com/v1beta/";
pub(super) const MODEL: &str = "gemini-3-pro-preview";

#[derive(Debug)]
pub(super) struct Gemini;

/// `base_url` ends before `models/`.
///
/// # Errors
/// When the key cannot be part of a header, or there is no TLS.
pub(super) fn speaks(base_url: Option<&str>, model: &str, key: &Key) -> Result<Speaks<Gemini>, ProviderError> {
    let base_url = base_url.unwrap_or(BASE_URL).trim_end_matches('/');
    let model = model.trim_start_matches("models/");
    let url = format!("{base_url}/models/{model}:streamGenerateContent?alt=sse");
    Ok(Speaks {
        http: Http::new(url, HeaderMap::new(), HeaderName::from_static("x-goog-api-key"), "", Some(key))?,
        model: model.to_owned(),
        format: Gemini,
    })
}

impl Format for Gemini {
    const NAME: &'static str = NAME;
    const FRAMING: Framing = Framing::Events;
    type Hears = Answer;

    fn request(&self, _: &str, conversation: &Conversation) -> Result<Value, ProviderError> {
        request(conversation)
    }
}

/// What was heard so far.
#[derive(Debug, Default)]
pub(super) struct Answer(Hearing);

impl Hears for Answer {
    fn take(&mut self, data: &str, heard: Heard<'_>) -> Result<ControlFlow<()>, ProviderError> {
        take(&mut self.0, data, heard).map(ControlFlow::Continue)
    }

    fn end(self, _: Heard<'_>) -> Hearing {
        self.0
    }
}

/// The body of a request, as the API documents it.
#[expect(deprecated, reason = "as above")]
fn request(conversation: &Conversation) -> Result<Value, ProviderError> {
    let Conversation { system, messages, tools, reply_tokens, thinks } = conversation;
    let thinking = thinks.then(|| ThinkingConfig::new().with_thoughts_included(true));
    let request = GenerateContentRequest {
        contents: messages.iter().map(content).collect(),
        generation_config: Some(GenerationConfig {
            max_output_tokens: Some(i32::try_from(*reply_tokens).unwrap_or(i32::MAX)),
            thinking_config: thinking,
            ..GenerationConfig::default()
        }),
        safety_settings: None,
        tools: (!tools.is_empty()).then(|| declared(tools)).transpose()?,
        tool_config: None,
        system_instruction: Some(Content::text(system.as_str())),
        cached_content: None,
    };
    let mut body = serde_json::to_value(request).map_err(malformed)?;
    // The crate writes this one name as the protocol's own files do, and not as its JSON is documented.
    let tools = body.get_mut("tools").and_then(Value::as_array_mut);
    for tool in tools.into_iter().flatten().filter_map(Value::as_object_mut) {
        if let Some(declared) = tool.remove("function_declarations") {
            tool.insert("functionDeclarations".to_owned(), declared);
        }
    }
    Ok(body)
}

fn declared(tools: &[ToolSpec]) -> Result<Vec<Tool>, ProviderError> {
    let declare = |tool: &ToolSpec| {
        let ToolSpec { name, description, parameters } = tool;
        let declaration = json!({ "name": name, "description": description, "parametersJsonSchema": parameters });
        serde_json::from_value::<FunctionDeclaration>(declaration).map_err(malformed)
    };
    Ok(vec![Tool::with_functions(tools.iter().map(declare).collect::<Result<_, _>>()?)])
}

fn content(message: &Message) -> Content {
    let (role, parts) = match message {
        Message::User { text } => (Role::User, vec![said(text.clone(), None, None)]),
        Message::Model { parts } => (Role::Model, parts.iter().map(part).collect()),
        Message::Tools { results } => (Role::User, results.iter().map(result).collect()),
    };
    Content { parts: Some(parts), role: Some(role) }
}

fn said(text: String, thought: Option<bool>, thought_signature: Option<String>) -> Said {
    Said::Text { text, thought, thought_signature }
}

fn part(part: &Part) -> Said {
    match part.clone() {
        Part::Thought { text, signature } => said(text, Some(true), signature),
        Part::Text { text, signature } => said(text, None, signature),
        Part::Call { name, arguments, signature, .. } => Said::FunctionCall {
            function_call: FunctionCall::new(name, Value::Object(arguments)),
            thought_signature: signature,
        },
    }
}

fn result(result: &ToolResult) -> Said {
    let key = if result.is_error { "error" } else { "output" };
    let response = json!({ key: result.answer });
    Said::FunctionResponse { function_response: FunctionResponse::new(result.name.as_str(), response) }
}

/// Text comes in pieces; a call comes whole.
#[expect(deprecated, reason = "as above")]
fn take(hearing: &mut Hearing, data: &str, heard: Heard<'_>) -> Result<(), ProviderError> {
    let mut event: Value = serde_json::from_str(data).map_err(malformed)?;
    if let Some(error) = event.get("error") {
        let said = Text::from(error["message"].as_str().unwrap_or("no reason given"));
        let status = error["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
        return Err(ProviderError::Failed { status, said });
    }
    know_reason(&mut event);
    let event: GenerationResponse = serde_json::from_value(event).map_err(malformed)?;
    if let Some(usage) = event.usage_metadata {
        let count = |tokens: Option<i32>| u64::try_from(tokens.unwrap_or(0)).unwrap_or(0);
        hearing.usage = Usage {
            input_tokens: count(usage.prompt_token_count),
            cached_tokens: count(usage.cached_content_token_count),
            output_tokens: count(usage.candidates_token_count) + count(usage.thoughts_token_count),
        };
    }
    if let Some(reason) = event.prompt_feedback.and_then(|feedback| feedback.block_reason) {
        hearing.finish = Some(Finish::Refused { why: Text::from(format!("{reason:?}").as_str()) });
    }
    let Some(candidate) = event.candidates.into_iter().next() else { return Ok(()) };
    for said in candidate.content.parts.into_iter().flatten() {
        hear(hearing, said, heard)?;
    }
    if let Some(reason) = candidate.finish_reason {
        hearing.finish = Some(match reason {
            FinishReason::Stop => Finish::Stop,
            FinishReason::MaxTokens => Finish::Length,
            other => Finish::Refused { why: Text::from(format!("{other:?}").as_str()) },
        });
    }
    Ok(())
}

fn hear(hearing: &mut Hearing, said: Said, heard: Heard<'_>) -> Result<(), ProviderError> {
    match said {
        Said::Text { text, thought: Some(true), thought_signature } => hearing.thought(text, thought_signature, heard),
        Said::Text { text, thought_signature, .. } => hearing.text(text, thought_signature, heard),
        Said::FunctionCall { function_call, thought_signature } => {
            let FunctionCall { name, args, thought_signature: inner } = function_call;
            hearing.call(None, name, args, thought_signature.or(inner), heard)
        }
        // What nobody asked it for.
        _ => Ok(()),
    }
}

/// A reason to finish that the crate does not know is `OTHER` to it.
fn know_reason(event: &mut Value) {
    let candidates = event.get_mut("candidates").and_then(Value::as_array_mut);
    for reason in candidates.into_iter().flatten().filter_map(|candidate| candidate.get_mut("finishReason")) {
        if serde_json::from_value::<FinishReason>(reason.clone()).is_err() {
            *reason = json!("OTHER");
        }
    }
}
