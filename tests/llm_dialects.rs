//! The providers beside Gemini, asked of a server that answers by a script.

use std::{collections::BTreeMap, future::Future, time::Duration};

use kernelsight::llm::{
    ChoiceError, Conversation, Keys, Message, ModelChoice, Part, Places, Provider, ProviderError, Reply, ToolResult,
    ToolSpec, provider,
};
use serde_json::{Value, json};

use crate::llm_server::{Answer, Server};
pub(crate) use crate::llm_wire::{DIALECTS, Dialect, anthropic, ollama, openai};

pub(crate) const WITHIN: Duration = Duration::from_secs(20);
pub(crate) const SECRET: &str = "CANARY-key-7f3a";
/// What is called.
pub(crate) const LOOK: &str = "describe_process";

impl Dialect {
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
