//! How the providers beside Gemini say things, for a server that answers by a script.

use serde_json::{Value, json};

/// What an answer cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokens {
    /// All that was read, and not less than what is [`CACHED`] and [`KEPT`].
    pub(crate) input: u64,
    pub(crate) output: u64,
}

/// Of the input, what was kept from before, and what was kept for later.
const CACHED: u64 = 40;
const KEPT: u64 = 10;
const TOKENS: Tokens = Tokens { input: 100, output: 25 };

/// How one of them says things.
pub(crate) struct Dialect {
    pub(crate) name: &'static str,
    /// What its address has behind the server's.
    pub(crate) base: &'static str,
    /// A piece of text.
    pub(crate) text: fn(&str) -> String,
    /// Pieces of a call.
    pub(crate) call: fn(place: usize, name: &str, arguments: &[&str]) -> Vec<String>,
    /// Why it stopped, what it cost, and that this is all.
    pub(crate) end: fn(reason: &str, tokens: Tokens) -> Vec<String>,
    /// Its words for: it said all, it waits for answers, the most tokens were reached, it may not say that.
    pub(crate) reasons: [&'static str; 4],
}

pub(crate) const DIALECTS: [Dialect; 3] = [
    Dialect {
        name: "openai",
        base: "/v1/",
        text: |text| openai(json!({ "content": text })),
        call: |place, name, arguments| {
            let first = json!({ "name": name, "arguments": "" });
            let first = json!({ "index": place, "id": format!("call_{place}"), "type": "function", "function": first });
            let piece = |text: &&str| json!({ "index": place, "function": { "arguments": text } });
            let pieces = std::iter::once(first).chain(arguments.iter().map(piece));
            pieces.map(|piece| openai(json!({ "tool_calls": [piece] }))).collect()
        },
        end: |reason, Tokens { input, output }| {
            let details = json!({ "cached_tokens": CACHED });
            let usage = json!({ "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output, "prompt_tokens_details": details });
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
        call: |place, name, arguments| {
            let block = json!({ "type": "tool_use", "id": format!("toolu_{place}"), "name": name, "input": {} });
            let piece = |text: &&str| {
                let delta = json!({ "type": "input_json_delta", "partial_json": text });
                anthropic("content_block_delta", json!({ "index": place + 1, "delta": delta }))
            };
            let mut all = vec![anthropic("content_block_start", json!({ "index": place + 1, "content_block": block }))];
            all.extend(arguments.iter().map(piece));
            all.push(anthropic("content_block_stop", json!({ "index": place + 1 })));
            all
        },
        end: |reason, Tokens { output, .. }| {
            let delta = json!({ "stop_reason": reason, "stop_sequence": null });
            vec![
                anthropic("message_delta", json!({ "delta": delta, "usage": { "output_tokens": output } })),
                anthropic("message_stop", json!({})),
            ]
        },
        reasons: ["end_turn", "tool_use", "max_tokens", "refusal"],
    },
    Dialect {
        name: "ollama",
        base: "/",
        text: |text| ollama(json!({ "message": { "role": "assistant", "content": text }, "done": false })),
        call: |place, name, arguments| {
            let arguments: Value = serde_json::from_str(&arguments.concat()).expect("arguments that are JSON");
            let call = json!({ "function": { "index": place, "name": name, "arguments": arguments } });
            let said = json!({ "role": "assistant", "content": "", "tool_calls": [call] });
            vec![ollama(json!({ "message": said, "done": false }))]
        },
        end: |reason, Tokens { input, output }| {
            vec![ollama(json!({
                "message": { "role": "assistant", "content": "" }, "done": true, "done_reason": reason,
                "prompt_eval_count": input, "prompt_eval_cached_count": CACHED, "eval_count": output,
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
fn beginning(Tokens { input, .. }: Tokens) -> Vec<String> {
    let usage = json!({
        "input_tokens": input - CACHED - KEPT, "cache_creation_input_tokens": KEPT, "cache_read_input_tokens": CACHED,
        "output_tokens": 1,
    });
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
        self.says_for(pieces, reason, TOKENS)
    }

    /// The same, which cost that.
    pub(crate) fn says_for(&self, pieces: Vec<String>, reason: &str, tokens: Tokens) -> Vec<String> {
        let before = if self.name == "anthropic" { beginning(tokens) } else { Vec::new() };
        [before, pieces, (self.end)(reason, tokens)].concat()
    }
}
