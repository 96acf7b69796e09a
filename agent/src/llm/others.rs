//! Providers beside Gemini, by one crate that knows their wire formats: OpenAI and what is compatible with it, Anthropic,
//! Ollama.

use std::{future::Future, pin::Pin, time::Duration};

use futures_util::StreamExt;
use genai::{
    Client, Error, ModelIden, ServiceTarget,
    adapter::AdapterKind,
    chat::{
        ChatMessage, ChatOptions, ChatRequest, ChatStreamEvent, ContentPart, MessageContent, StopReason, Tool,
        ToolCall, ToolResponse,
    },
    resolver::{AuthData, Endpoint},
    webc,
};
use reqwest::header::HeaderMap;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::{Conversation, Finish, Key, Message, Part, Provider, ProviderError, REPLY_BYTES, Reply, Usage, http};
use crate::text::Text;

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub name: &'static str,
    adapter: AdapterKind,
    /// Where it is asked when nobody says otherwise; its paths are appended.
    pub base_url: &'static str,
    pub needs_key: bool,
}

/// All of them.
pub const KINDS: [Kind; 3] = [
    Kind { name: "openai", adapter: AdapterKind::OpenAI, base_url: "https://api.openai.com/v1/", needs_key: true },
    Kind {
        name: "anthropic",
        adapter: AdapterKind::Anthropic,
        base_url: "https://api.anthropic.com/v1/",
        needs_key: true,
    },
    Kind { name: "ollama", adapter: AdapterKind::Ollama, base_url: "http://localhost:11434/", needs_key: false },
];

#[derive(Debug)]
pub struct Other {
    kind: Kind,
    client: Client,
    target: ServiceTarget,
    model: String,
}

impl Other {
    /// # Errors
    /// When there is no TLS.
    pub fn new(kind: Kind, base_url: Option<&str>, model: &str, key: Option<&Key>) -> Result<Self, ProviderError> {
        let base_url = format!("{}/", base_url.unwrap_or(kind.base_url).trim_end_matches('/'));
        let auth = key.map_or(AuthData::None, |key| AuthData::from_single(key.reveal()));
        Ok(Self {
            kind,
            client: Client::builder().with_reqwest(http::client(HeaderMap::new())?).build().map_err(failed)?,
            target: ServiceTarget {
                endpoint: Endpoint::from_owned(base_url),
                auth,
                model: ModelIden::new(kind.adapter, model.to_owned()),
            },
            model: model.to_owned(),
        })
    }
}

impl Provider for Other {
    fn name(&self) -> &'static str {
        self.kind.name
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn turn<'a>(
        &'a self,
        conversation: &'a Conversation,
        within: Duration,
        heard: &'a mut (dyn FnMut(&Part) + Send),
    ) -> Pin<Box<dyn Future<Output = Result<Reply, ProviderError>> + Send + 'a>> {
        let asked = async move {
            let options = ChatOptions::default()
                .with_max_tokens(conversation.reply_tokens)
                .with_capture_usage(true)
                .with_capture_tool_calls(true);
            let asked = self.client.exec_chat_stream(self.target.clone(), request(conversation), Some(&options)).await;
            let mut stream = asked.map_err(failed)?.stream;
            let mut hearing = Hearing::default();
            while let Some(event) = stream.next().await {
                hearing.take(event.map_err(failed)?, heard)?;
            }
            hearing.reply()
        };
        Box::pin(async move { timeout(within, asked).await.map_err(|_| ProviderError::Late { within })? })
    }
}

fn request(conversation: &Conversation) -> ChatRequest {
    let declare = |tool: &super::ToolSpec| {
        Tool::new(tool.name.as_str()).with_description(tool.description.as_str()).with_schema(tool.parameters.clone())
    };
    let messages = conversation.messages.iter().flat_map(message).collect();
    let request = ChatRequest::from_messages(messages).with_system(conversation.system.as_str());
    if conversation.tools.is_empty() { request } else { request.with_tools(conversation.tools.iter().map(declare)) }
}

fn message(message: &Message) -> Vec<ChatMessage> {
    match message {
        Message::User { text } => vec![ChatMessage::user(text.as_str())],
        Message::Model { parts } => {
            // Thoughts are for those who keep them; the wire formats have no common place for one that comes back.
            let parts: Vec<ContentPart> = parts.iter().filter_map(said).collect();
            vec![ChatMessage::assistant(MessageContent::from_parts(parts))]
        }
        Message::Tools { results } => {
            let response = |result: &super::ToolResult| {
                ToolResponse::new(result.id.as_str(), result.answer.to_string()).with_fn_name(result.name.as_str())
            };
            results.iter().map(|result| ChatMessage::from(response(result))).collect()
        }
    }
}

fn said(part: &Part) -> Option<ContentPart> {
    match part {
        Part::Thought { .. } => None,
        Part::Text { text, .. } => Some(ContentPart::from_text(text.as_str())),
        Part::Call { id, name, arguments, .. } => Some(ContentPart::ToolCall(ToolCall {
            call_id: id.clone(),
            fn_name: name.clone(),
            fn_arguments: Value::Object(arguments.clone()),
            thought_signatures: None,
        })),
    }
}

#[derive(Debug, Default)]
struct Hearing {
    parts: Vec<Part>,
    bytes: usize,
    finish: Option<Finish>,
    usage: Usage,
}

impl Hearing {
    fn take(&mut self, event: ChatStreamEvent, heard: &mut (dyn FnMut(&Part) + Send)) -> Result<(), ProviderError> {
        match event {
            ChatStreamEvent::Chunk(piece) => {
                self.text(&piece.content, heard, |text| Part::Text { text, signature: None })
            }
            ChatStreamEvent::ReasoningChunk(piece) => {
                self.text(&piece.content, heard, |text| Part::Thought { text, signature: None })
            }
            ChatStreamEvent::End(end) => {
                for call in end.captured_content.map(MessageContent::into_tool_calls).unwrap_or_default() {
                    let part = called(call)?;
                    heard(&part);
                    self.parts.push(part);
                }
                if let Some(usage) = end.captured_usage {
                    let count = |tokens: Option<i32>| u64::try_from(tokens.unwrap_or(0)).unwrap_or(0);
                    let cached = usage.prompt_tokens_details.and_then(|details| details.cached_tokens);
                    self.usage = Usage {
                        input_tokens: count(usage.prompt_tokens),
                        cached_tokens: count(cached),
                        output_tokens: count(usage.completion_tokens),
                    };
                }
                self.finish = Some(match end.captured_stop_reason {
                    Some(StopReason::MaxTokens(_)) => Finish::Length,
                    Some(StopReason::ContentFilter(why) | StopReason::Other(why)) => {
                        Finish::Refused { why: Text::from(why.as_str()) }
                    }
                    _ => Finish::Stop,
                });
                Ok(())
            }
            ChatStreamEvent::Start
            | ChatStreamEvent::ThoughtSignatureChunk(_)
            | ChatStreamEvent::ToolCallChunk(_)
            | ChatStreamEvent::Heartbeat => Ok(()),
        }
    }

    fn text(
        &mut self,
        piece: &str,
        heard: &mut (dyn FnMut(&Part) + Send),
        part: fn(String) -> Part,
    ) -> Result<(), ProviderError> {
        self.bytes += piece.len();
        if self.bytes > REPLY_BYTES {
            return Err(ProviderError::TooLong);
        }
        let new = part(piece.to_owned());
        heard(&new);
        super::keep(&mut self.parts, new);
        Ok(())
    }

    fn reply(self) -> Result<Reply, ProviderError> {
        let finish = self.finish.ok_or(ProviderError::Cut)?;
        Ok(Reply { parts: self.parts, finish, usage: self.usage })
    }
}

fn called(call: ToolCall) -> Result<Part, ProviderError> {
    let arguments = match call.fn_arguments {
        Value::Object(arguments) => arguments,
        Value::Null => Map::new(),
        _ => return Err(ProviderError::Malformed { problem: "arguments of a call are no object".to_owned() }),
    };
    Ok(Part::Call { id: call.call_id, name: call.fn_name, arguments, signature: None })
}

/// The crate's errors may hold whole requests, so only their kind and what the provider said goes on.
fn failed(error: Error) -> ProviderError {
    let words = |text: &str| Text::from(text);
    match error {
        Error::HttpError { status, body, headers, .. }
        | Error::WebModelCall { webc_error: webc::Error::ResponseFailedStatus { status, body, headers }, .. } => {
            let header = headers.get("retry-after").and_then(|value| value.to_str().ok());
            http::by_status(status.as_u16(), header, &body)
        }
        Error::WebModelCall { webc_error: webc::Error::Reqwest(error), .. } => {
            ProviderError::Unreachable { reason: words(&error.without_url().to_string()).to_string() }
        }
        Error::WebStream { error, .. } => match error.downcast_ref::<genai::Error>() {
            Some(Error::HttpError { status, body, headers, .. }) => {
                let header = headers.get("retry-after").and_then(|value| value.to_str().ok());
                http::by_status(status.as_u16(), header, body)
            }
            _ => ProviderError::Cut,
        },
        Error::ChatResponse { body, .. } => ProviderError::Failed { status: 500, said: words(&body.to_string()) },
        Error::StreamParse { serde_error, .. } => {
            ProviderError::Malformed { problem: words(&serde_error.to_string()).to_string() }
        }
        _ => ProviderError::Malformed { problem: "it cannot be made sense of".to_owned() },
    }
}
