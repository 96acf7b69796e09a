//! What the providers beside Gemini are asked, whole: path, headers and body.

use kernelsight::llm::{Conversation, Message};
use serde_json::{Value, json};

use crate::{
    llm_dialects::{DIALECTS, Dialect, SECRET, WITHIN, conversation, named, run, text, thought, whole},
    llm_server::{Asked, Server},
};

/// What a turn asks for.
fn asked(dialect: &Dialect, model: &str, conversation: &Conversation, key: Option<&str>) -> Asked {
    run(async {
        let server = Server::saying(whole(dialect.says(vec![(dialect.text)("ok")], dialect.reasons[0])));
        let base = format!("{}{}", server.url(), dialect.base);
        let model = named(dialect.name, model, Some(base), key).unwrap();
        model.turn(conversation, WITHIN, &mut |_| {}).await.unwrap();
        server.asked().remove(0)
    })
}

fn schema() -> Value {
    json!({ "type": "object", "properties": { "pid": { "type": "integer" } } })
}

#[test]
fn what_openai_is_asked_is_as_documented() {
    let asked = asked(&DIALECTS[0], "scripted", &conversation(), Some(SECRET));
    assert_eq!(asked.line, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(asked.header("authorization"), Some("Bearer CANARY-key-7f3a"));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    let described = json!({ "name": "describe_process", "arguments": "{\"pid\":812}" });
    let pressure = json!({ "name": "get_pressure", "arguments": "{}" });
    assert_eq!(
        asked.body,
        json!({
            "model": "scripted",
            "stream": true,
            "stream_options": { "include_usage": true },
            "max_tokens": 2048,
            "messages": [
                { "role": "system", "content": "You diagnose." },
                { "role": "user", "content": "What is wrong?" },
                { "role": "assistant", "content": "I look.", "tool_calls": [
                    { "id": "call_1", "type": "function", "function": described },
                    { "id": "call_2", "type": "function", "function": pressure },
                ] },
                { "role": "tool", "tool_call_id": "call_1", "content": "{\"pid\":812}" },
                { "role": "tool", "tool_call_id": "call_2", "content": "{\"error\":\"nothing is known yet\"}" },
            ],
            "tools": [{ "type": "function", "function": {
                "name": "describe_process", "description": "One process.", "parameters": schema(),
            } }],
        })
    );
}

#[test]
fn openais_later_models_know_the_limit_by_its_newer_name() {
    let limit = |model: &str| {
        let body = asked(&DIALECTS[0], model, &Conversation { reply_tokens: 99, ..Conversation::default() }, None).body;
        let names = ["max_tokens", "max_completion_tokens"];
        names.into_iter().filter(|name| body[name] == 99).collect::<Vec<_>>()
    };
    for later in ["gpt-5-mini", "gpt-6", "o1", "o4-mini"] {
        assert_eq!(limit(later), ["max_completion_tokens"], "{later}");
    }
    for other in ["gpt-4o", "gpt-35-turbo", "gpt-oss-20b", "olmo-3", "llama3.2"] {
        assert_eq!(limit(other), ["max_tokens"], "{other}");
    }
}

#[test]
fn what_anthropic_is_asked_is_as_documented() {
    let asked = asked(&DIALECTS[1], "scripted", &conversation(), Some(SECRET));
    assert_eq!(asked.line, "POST /v1/messages HTTP/1.1");
    assert_eq!(asked.header("x-api-key"), Some("CANARY-key-7f3a"));
    assert_eq!(asked.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.header("authorization"), None);
    assert_eq!(
        asked.body,
        json!({
            "model": "scripted",
            "stream": true,
            "max_tokens": 2048,
            "system": "You diagnose.",
            "messages": [
                { "role": "user", "content": "What is wrong?" },
                { "role": "assistant", "content": [
                    { "type": "text", "text": "I look." },
                    { "type": "tool_use", "id": "call_1", "name": "describe_process", "input": { "pid": 812 } },
                    { "type": "tool_use", "id": "call_2", "name": "get_pressure", "input": {} },
                ] },
                { "role": "user", "content": [
                    { "type": "tool_result", "tool_use_id": "call_1", "content": "{\"pid\":812}" },
                    { "type": "tool_result", "tool_use_id": "call_2", "content": "\"nothing is known yet\"", "is_error": true },
                ] },
            ],
            "tools": [{ "name": "describe_process", "description": "One process.", "input_schema": schema() }],
        })
    );
}

#[test]
fn anthropic_is_sent_no_message_without_content() {
    let said = |parts| Message::Model { parts };
    let question = |text: &str| Message::User { text: text.to_owned() };
    let messages = vec![question("And?"), said(vec![thought("hm"), text(" \n")]), said(vec![]), question("Go on.")];
    let body = asked(&DIALECTS[1], "scripted", &Conversation { messages, ..Conversation::default() }, None).body;
    assert_eq!(
        body["messages"],
        json!([{ "role": "user", "content": "And?" }, { "role": "user", "content": "Go on." }])
    );
    assert_eq!(body.get("tools"), None);
}

#[test]
fn what_ollama_is_asked_is_as_documented() {
    let asked = asked(&DIALECTS[2], "scripted", &conversation(), Some(SECRET));
    assert_eq!(asked.line, "POST /api/chat HTTP/1.1");
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert!(!format!("{asked:?}").contains("7f3a"), "it wants no key, and gets none: {asked:?}");
    let described = json!({ "index": 0, "name": "describe_process", "arguments": { "pid": 812 } });
    let pressure = json!({ "index": 1, "name": "get_pressure", "arguments": {} });
    assert_eq!(
        asked.body,
        json!({
            "model": "scripted",
            "stream": true,
            "options": { "num_predict": 2048, "num_ctx": 8192 },
            "messages": [
                { "role": "system", "content": "You diagnose." },
                { "role": "user", "content": "What is wrong?" },
                { "role": "assistant", "content": "I look.", "thinking": "the leak first", "tool_calls": [
                    { "type": "function", "function": described },
                    { "type": "function", "function": pressure },
                ] },
                { "role": "tool", "tool_name": "describe_process", "content": "{\"pid\":812}" },
                { "role": "tool", "tool_name": "get_pressure", "content": "{\"error\":\"nothing is known yet\"}" },
            ],
            "tools": [{ "type": "function", "function": {
                "name": "describe_process", "description": "One process.", "parameters": schema(),
            } }],
        })
    );
}

#[test]
fn ollama_is_asked_for_room_for_all_of_it_in_few_sizes() {
    let room = |bytes: usize, reply_tokens: u32| {
        let messages = vec![Message::User { text: "x".repeat(bytes) }];
        let long = Conversation { messages, reply_tokens, ..Conversation::default() };
        asked(&DIALECTS[2], "scripted", &long, None).body["options"]["num_ctx"].as_u64().unwrap()
    };
    let all = [(0, 256), (20_000, 1024), (30_000, 1024), (60_000, 8192), (400_000, 8192)];
    let rooms = all.map(|(bytes, reply)| room(bytes, reply));
    assert_eq!(rooms, [8192, 8192, 16_384, 32_768, 131_072]);
}

#[test]
fn without_a_key_a_compatible_server_is_asked_and_a_provider_is_not() {
    for dialect in &DIALECTS[..2] {
        let asked = asked(dialect, "scripted", &conversation(), None);
        assert!(asked.header("authorization").or(asked.header("x-api-key")).is_none(), "{asked:?}");
        let error = named(dialect.name, "scripted", None, None).unwrap_err();
        let wanted = format!("{} needs a key; give it as model.keys.{}", dialect.name, dialect.name);
        assert!(error.to_string().starts_with(&wanted), "{error}");
    }
    assert!(named("ollama", "scripted", None, None).is_ok());
    let error = named("gemini", "scripted", Some("http://127.0.0.1:1/".to_owned()), None).unwrap_err();
    assert!(error.to_string().starts_with("gemini needs a key; give it as model.keys.gemini"), "{error}");
    let error = named("\u{1b}[2J", "scripted", None, None).unwrap_err();
    assert!(error.to_string().starts_with(r"\x1b[2J is no provider"), "{error}");
}
