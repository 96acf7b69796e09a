//! How the providers beside Gemini say things, for a server that answers by a script; and what they are asked.

use std::{collections::BTreeMap, future::Future, time::Duration};

use kernelsight::llm::{
    ChoiceError, Conversation, Keys, Message, ModelChoice, Part, Places, Provider, ProviderError, Reply, ToolResult,
    ToolSpec, provider,
};
use serde_json::{Value, json};

use crate::llm_server::{Answer, Server};

pub(crate) const WITHIN: Duration = Duration::from_secs(20);
pub(crate) const SECRET: &str = "CANARY-key-7f3a";

/// How one of them says things.
pub(crate) struct Dialect {
    pub(crate) name: &'static str,
    /// What its address has behind the server's.
    pub(crate) base: &'static str,
    /// A piece of text.
    pub(crate) text: fn(&str) -> String,
    /// Pieces of a call.
    pub(crate) call: fn(place: usize, arguments: &[&str]) -> Vec<String>,
    /// Why it stopped, what it cost, and that this is all.
    pub(crate) end: fn(&str) -> Vec<String>,
    /// Its words for: it said all, it waits for answers, the most tokens were reached, it may not say that.
    pub(crate) reasons: [&'static str; 4],
}

pub(crate) const DIALECTS: [Dialect; 3] = [
    Dialect {
        name: "openai",
        base: "/v1/",
        text: |text| openai(json!({ "content": text })),
        call: |place, arguments| {
            let first = json!({ "name": "describe_process", "arguments": "" });
            let first = json!({ "index": place, "id": format!("call_{place}"), "type": "function", "function": first });
            let piece = |text: &&str| json!({ "index": place, "function": { "arguments": text } });
            let pieces = std::iter::once(first).chain(arguments.iter().map(piece));
            pieces.map(|piece| openai(json!({ "tool_calls": [piece] }))).collect()
        },
        end: |reason| {
            let details = json!({ "cached_tokens": 40 });
            let usage = json!({ "prompt_tokens": 100, "completion_tokens": 25, "total_tokens": 125, "prompt_tokens_details": details });
            let last = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }], "usage": null });
            let usage = json!({ "choices": [], "usage": usage });
            vec![format!("data: {last}\n\n"), format!("data: {usage}\n\n"), "data: [DONE]\n\n".to_owned()]
        },
        reasons: ["stop", "tool_calls", "length", "content_filter"],
    },
    Dialect {
        name: "anthropic",
        base: "/v1/",
        text: |text| {
            anthropic("content_block_delta", json!({ "index": 0, "delta": { "type": "text_delta", "text": text } }))
        },
        call: |place, arguments| {
            let block =
                json!({ "type": "tool_use", "id": format!("toolu_{place}"), "name": "describe_process", "input": {} });
            let piece = |text: &&str| {
                let delta = json!({ "type": "input_json_delta", "partial_json": text });
                anthropic("content_block_delta", json!({ "index": place + 1, "delta": delta }))
            };
            let mut all = vec![anthropic("content_block_start", json!({ "index": place + 1, "content_block": block }))];
            all.extend(arguments.iter().map(piece));
            all.push(anthropic("content_block_stop", json!({ "index": place + 1 })));
            all
        },
        end: |reason| {
            let delta = json!({ "stop_reason": reason, "stop_sequence": null });
            vec![
                anthropic("message_delta", json!({ "delta": delta, "usage": { "output_tokens": 25 } })),
                anthropic("message_stop", json!({})),
            ]
        },
        reasons: ["end_turn", "tool_use", "max_tokens", "refusal"],
    },
    Dialect {
        name: "ollama",
        base: "/",
        text: |text| ollama(json!({ "message": { "role": "assistant", "content": text }, "done": false })),
        call: |place, arguments| {
            let arguments: Value = serde_json::from_str(&arguments.concat()).unwrap();
            let call = json!({ "function": { "index": place, "name": "describe_process", "arguments": arguments } });
            let said = json!({ "role": "assistant", "content": "", "tool_calls": [call] });
            vec![ollama(json!({ "message": said, "done": false }))]
        },
        end: |reason| {
            vec![ollama(json!({
                "message": { "role": "assistant", "content": "" }, "done": true, "done_reason": reason,
                "prompt_eval_count": 100, "prompt_eval_cached_count": 40, "eval_count": 25,
            }))]
        },
        reasons: ["stop", "stop", "length", "unload"],
    },
];

pub(crate) fn openai(delta: Value) -> String {
    let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": null });
    let chunk = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_795_255_200, "model": "scripted",
        "choices": [choice], "usage": null,
    });
    format!("data: {chunk}\n\n")
}

pub(crate) fn anthropic(name: &str, mut event: Value) -> String {
    event["type"] = json!(name);
    format!("event: {name}\ndata: {event}\n\n")
}

pub(crate) fn ollama(mut line: Value) -> String {
    line["model"] = json!("scripted");
    line["created_at"] = json!("2026-11-21T10:00:00Z");
    format!("{line}\n")
}

/// How an answer of Anthropic's begins; the text is its first block.
fn beginning() -> Vec<String> {
    let usage = json!({ "input_tokens": 50, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 40, "output_tokens": 1 });
    let message = json!({ "id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": usage });
    vec![
        anthropic("message_start", json!({ "message": message })),
        anthropic("content_block_start", json!({ "index": 0, "content_block": { "type": "text", "text": "" } })),
        anthropic("ping", json!({})),
    ]
}

impl Dialect {
    /// A whole answer.
    pub(crate) fn says(&self, pieces: Vec<String>, reason: &str) -> Vec<String> {
        let before = if self.name == "anthropic" { beginning() } else { Vec::new() };
        [before, pieces, (self.end)(reason)].concat()
    }

    pub(crate) fn model(&self, server: &Server, key: Option<&str>) -> Box<dyn Provider> {
        named(self.name, "scripted", Some(format!("{}{}", server.url(), self.base)), key).unwrap()
    }

    pub(crate) async fn turn(&self, answer: Answer) -> Result<Reply, ProviderError> {
        let server = Server::saying(answer);
        self.model(&server, Some(SECRET)).turn(&conversation(), WITHIN, &mut |_| {}).await
    }
}

pub(crate) fn named(
    provider_name: &str,
    model: &str,
    base_url: Option<String>,
    key: Option<&str>,
) -> Result<Box<dyn Provider>, ChoiceError> {
    let choice = ModelChoice { provider: provider_name.to_owned(), model: model.to_owned(), base_url };
    provider(&choice, &keys(key), Some(provider_name))
}

pub(crate) fn run<T>(what: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(what)
}

/// That of whoever is asked; none: there is none.
fn keys(text: Option<&str>) -> Keys {
    let dir = tempfile::tempdir().unwrap();
    let file = text.map(|text| {
        let file = dir.path().join("key");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        file
    });
    Keys::find(&Places { file, files: BTreeMap::new(), credentials: None, variable: |_| None })
}

/// At once, and whole.
pub(crate) fn whole(said: Vec<String>) -> Answer {
    Answer::Pieces(said, Duration::ZERO, true)
}

pub(crate) fn call(id: &str, name: &str, arguments: Value) -> Part {
    let Value::Object(arguments) = arguments else { panic!("no object") };
    Part::Call { id: id.to_owned(), name: name.to_owned(), arguments, signature: None }
}

pub(crate) fn text(text: &str) -> Part {
    Part::Text { text: text.to_owned(), signature: None }
}

pub(crate) fn thought(text: &str) -> Part {
    Part::Thought { text: text.to_owned(), signature: None }
}

pub(crate) fn conversation() -> Conversation {
    let result = |id: &str, name: &str, answer, is_error| ToolResult {
        id: id.to_owned(),
        name: name.to_owned(),
        answer,
        is_error,
    };
    let described = call("call_1", "describe_process", json!({ "pid": 812 }));
    Conversation {
        system: "You diagnose.".to_owned(),
        messages: vec![
            Message::User { text: "What is wrong?".to_owned() },
            Message::Model {
                parts: vec![
                    thought("the leak first"),
                    text("I look."),
                    described,
                    call("call_2", "get_pressure", json!({})),
                ],
            },
            Message::Tools {
                results: vec![
                    result("call_1", "describe_process", json!({ "pid": 812 }), false),
                    result("call_2", "get_pressure", json!("nothing is known yet"), true),
                ],
            },
        ],
        tools: vec![ToolSpec {
            name: "describe_process".to_owned(),
            description: "One process.".to_owned(),
            parameters: json!({ "type": "object", "properties": { "pid": { "type": "integer" } } }),
        }],
        reply_tokens: 2048,
        thinks: true,
    }
}
