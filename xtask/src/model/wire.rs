//! The wire formats of the providers, as a server of each reads a request and says an answer.

use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{
    Answer, Asked,
    llm_server::gemini,
    llm_wire::{DIALECTS, Dialect, Tokens},
};

/// Bytes of a token, about.
const BYTES_PER_TOKEN: usize = 4;
/// What Gemini's address has behind the server's.
const GEMINI_BASE: &str = "/v1beta/";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wire {
    #[default]
    Gemini,
    Openai,
    Anthropic,
    Ollama,
}

/// A request, whatever its format.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Request<'a> {
    /// Who the model is to be.
    pub(super) system: &'a str,
    /// What it was told first.
    pub(super) opening: &'a str,
    /// All that was said, with its own turns.
    pub(super) said: &'a Value,
    /// Its own turns so far.
    pub(super) turns: usize,
}

/// What a model says in one turn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Saying<'a> {
    Text(&'a str),
    /// A thought, then a call.
    Call {
        thought: &'a str,
        function: &'a str,
        arguments: &'a Value,
    },
}

impl Wire {
    /// As an agent's settings call it.
    pub(crate) const fn provider(self) -> &'static str {
        match self {
            Self::Gemini => "gemini",
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
            Self::Ollama => "ollama",
        }
    }

    /// What its address has behind the server's.
    pub(super) fn base(self) -> &'static str {
        self.dialect().map_or(GEMINI_BASE, |dialect| dialect.base)
    }

    fn dialect(self) -> Option<&'static Dialect> {
        DIALECTS.iter().find(|dialect| dialect.name == self.provider())
    }

    /// By the path of a request.
    pub(super) fn of(asked: &Asked) -> Option<Self> {
        let path = asked.line.split_whitespace().nth(1)?;
        match path {
            "/v1/chat/completions" => Some(Self::Openai),
            "/v1/messages" => Some(Self::Anthropic),
            "/api/chat" => Some(Self::Ollama),
            _ => path.starts_with(GEMINI_BASE).then_some(Self::Gemini),
        }
    }

    pub(super) fn read(self, body: &Value) -> Option<Request<'_>> {
        let own =
            |said: &Value, role: &str| said.as_array().map(|all| all.iter().filter(|m| m["role"] == role).count());
        let first = |said: &'_ Value| said.as_array()?.iter().position(|message| message["role"] == "user");
        let (system, said, role) = match self {
            Self::Gemini => (&body["systemInstruction"]["parts"][0]["text"], &body["contents"], "model"),
            Self::Anthropic => (&body["system"], &body["messages"], "assistant"),
            Self::Openai | Self::Ollama => (&body["messages"][0]["content"], &body["messages"], "assistant"),
        };
        let opening = &said[first(said)?];
        let opening = if self == Self::Gemini { &opening["parts"][0]["text"] } else { &opening["content"] };
        Some(Request { system: system.as_str()?, opening: opening.as_str()?, said, turns: own(said, role)? })
    }

    pub(super) fn answer(self, asked: &Asked, saying: Saying<'_>) -> Answer {
        let tokens = |text: &str| u64::try_from(text.len() / BYTES_PER_TOKEN).unwrap_or(u64::MAX);
        let input = tokens(&asked.body.to_string());
        let Some(dialect) = self.dialect() else { return of_gemini(saying, input, tokens) };
        let [whole, waits, ..] = dialect.reasons;
        let (pieces, reason) = match saying {
            Saying::Text(text) => (vec![(dialect.text)(text)], whole),
            Saying::Call { thought, function, arguments } => {
                let call = (dialect.call)(0, function, &[&arguments.to_string()]);
                ([vec![(dialect.text)(thought)], call].concat(), waits)
            }
        };
        let output = tokens(&pieces.concat());
        let said = dialect.says_for(pieces, reason, Tokens { input, output });
        Answer::Pieces(said, Duration::ZERO, true)
    }
}

fn of_gemini(saying: Saying<'_>, input: u64, tokens: impl Fn(&str) -> u64) -> Answer {
    let parts = match saying {
        Saying::Text(text) => json!([{ "text": text }]),
        Saying::Call { thought, function, arguments } => json!([
            { "text": thought, "thought": true },
            { "functionCall": { "name": function, "args": arguments } },
        ]),
    };
    let output = tokens(&parts.to_string());
    let mut event = gemini(&parts, true);
    event["usageMetadata"] =
        json!({ "promptTokenCount": input, "candidatesTokenCount": output, "totalTokenCount": input + output });
    Answer::Events(vec![event])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str, body: Value) -> Asked {
        Asked { line: format!("POST {path} HTTP/1.1"), headers: Vec::new(), body }
    }

    #[test]
    fn each_format_is_known_by_its_path_and_read_the_same() {
        let message = |role: &str, text: &str| json!({ "role": role, "content": text });
        let gemini = json!({
            "systemInstruction": { "parts": [{ "text": "be" }] },
            "contents": [{ "role": "user", "parts": [{ "text": "hear" }] }, { "role": "model", "parts": [] }],
        });
        let anthropic = json!({ "system": "be", "messages": [message("user", "hear"), message("assistant", "so")] });
        let messages = [message("system", "be"), message("user", "hear"), message("assistant", "so")];
        let others = json!({ "messages": messages });
        let all = [
            ("/v1beta/models/x:streamGenerateContent?alt=sse", gemini, Wire::Gemini),
            ("/v1/messages", anthropic, Wire::Anthropic),
            ("/v1/chat/completions", others.clone(), Wire::Openai),
            ("/api/chat", others, Wire::Ollama),
        ];
        for (path, body, wire) in all {
            let asked = asked(path, body);
            assert_eq!(Wire::of(&asked), Some(wire));
            let Request { system, opening, turns, .. } = wire.read(&asked.body).expect("a request");
            assert_eq!((system, opening, turns), ("be", "hear", 1), "{wire:?}");
        }
        assert_eq!(Wire::of(&asked("/", Value::Null)), None);
    }
}
