//! Gemini's wire format, spoken to a server on loopback that answers by a script.

use std::time::Duration;

use kernelsight::llm::{
    Conversation, Finish, Message, Part, Provider, ProviderError, Reply, ToolResult, ToolSpec, Usage,
};
use serde_json::{Value, json};

use crate::{
    llm_dialects::{SECRET, WITHIN, named, run},
    llm_server::{Answer, Server, gemini},
};

fn model(server: &Server) -> Box<dyn Provider> {
    named("gemini", "scripted", Some(format!("{}/v1beta/", server.url())), Some(SECRET)).unwrap()
}

fn call(id: &str, name: &str, arguments: Value) -> Part {
    let Value::Object(arguments) = arguments else { panic!("no object") };
    Part::Call { id: id.to_owned(), name: name.to_owned(), arguments, signature: Some("c2ln".to_owned()) }
}

fn conversation() -> Conversation {
    let thought = Part::Thought { text: "the leak first".to_owned(), signature: None };
    let text = Part::Text { text: "I look.".to_owned(), signature: None };
    let result = |id: &str, is_error| ToolResult {
        id: id.to_owned(),
        name: "describe_process".to_owned(),
        answer: json!({ "pid": 812 }),
        is_error,
    };
    Conversation {
        system: "You diagnose.".to_owned(),
        messages: vec![
            Message::User { text: "What is wrong?".to_owned() },
            Message::Model { parts: vec![thought, text, call("call-1", "describe_process", json!({ "pid": 812 }))] },
            Message::Tools { results: vec![result("call-1", false), result("call-2", true)] },
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

async fn turn(server: &Server, within: Duration) -> Result<Reply, ProviderError> {
    model(server).turn(&conversation(), within, &mut |_| {}).await
}

fn failing(answer: Answer) -> ProviderError {
    run(async { turn(&Server::saying(answer), WITHIN).await.unwrap_err() })
}

#[test]
fn the_body_of_a_request_is_as_the_api_documents_it() {
    run(async {
        let server = Server::saying(Answer::Events(vec![gemini(&json!([{ "text": "ok" }]), true)]));
        turn(&server, WITHIN).await.unwrap();
        let asked = &server.asked()[0];
        assert_eq!(asked.line, "POST /v1beta/models/scripted:streamGenerateContent?alt=sse HTTP/1.1");
        assert_eq!(asked.header("x-goog-api-key"), Some("CANARY-key-7f3a"));
        assert_eq!(asked.header("content-type"), Some("application/json"));
        let described =
            json!({ "functionResponse": { "name": "describe_process", "response": { "output": { "pid": 812 } } } });
        let failed =
            json!({ "functionResponse": { "name": "describe_process", "response": { "error": { "pid": 812 } } } });
        assert_eq!(
            asked.body,
            json!({
                "systemInstruction": { "parts": [{ "text": "You diagnose." }] },
                "contents": [
                    { "role": "user", "parts": [{ "text": "What is wrong?" }] },
                    { "role": "model", "parts": [
                        { "text": "the leak first", "thought": true },
                        { "text": "I look." },
                        { "functionCall": { "name": "describe_process", "args": { "pid": 812 } }, "thoughtSignature": "c2ln" },
                    ] },
                    { "role": "user", "parts": [described, failed] },
                ],
                "tools": [{ "functionDeclarations": [{
                    "name": "describe_process",
                    "description": "One process.",
                    "parametersJsonSchema": { "type": "object", "properties": { "pid": { "type": "integer" } } },
                }] }],
                "generationConfig": { "maxOutputTokens": 2048, "thinkingConfig": { "includeThoughts": true } },
            })
        );
    });
}

#[test]
fn a_reply_in_pieces_is_joined_and_each_piece_is_heard() {
    run(async {
        let server = Server::saying(Answer::Events(vec![
            gemini(&json!([{ "text": "It ", "thought": true }]), false),
            gemini(&json!([{ "text": "leaks.", "thought": true }, { "text": "I " }]), false),
            gemini(&json!([{ "text": "look." }]), false),
            gemini(
                &json!([{ "functionCall": { "name": "get_pressure", "args": {} }, "thoughtSignature": "c2ln" }]),
                true,
            ),
        ]));
        let mut heard = 0;
        let reply = model(&server).turn(&conversation(), WITHIN, &mut |_| heard += 1).await.unwrap();
        let text = |text: &str| text.to_owned();
        assert_eq!(
            reply.parts,
            [
                Part::Thought { text: text("It leaks."), signature: None },
                Part::Text { text: text("I look."), signature: None },
                call("call-1", "get_pressure", json!({})),
            ]
        );
        assert_eq!((heard, reply.finish), (5, Finish::Stop));
        assert_eq!(reply.usage, Usage { input_tokens: 100, cached_tokens: 0, output_tokens: 25 });
    });
}

#[test]
fn who_is_asked_to_wait_is_told_for_how_long() {
    let limited = |headers, body: &str| match failing(Answer::Status(429, headers, body.to_owned())) {
        ProviderError::RateLimited { after } => after.map(|after| after.as_secs_f64()),
        other => panic!("{other:?}"),
    };
    assert_eq!(limited(vec![("retry-after", "7".to_owned())], ""), Some(7.0));
    let date = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(90);
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&date).unwrap();
    let by_date = limited(vec![("retry-after", date)], "").unwrap();
    assert!((85.0..=91.0).contains(&by_date), "{by_date}");
    let past = "Sun, 06 Nov 1994 08:49:37 GMT".to_owned();
    assert_eq!(limited(vec![("retry-after", past)], ""), Some(0.0));
    let info =
        r#"{"error": {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]}}"#;
    assert_eq!(limited(vec![], info), Some(34.5));
    assert_eq!(limited(vec![], "slow down"), None);
    assert_eq!(limited(vec![("retry-after", "soon".to_owned())], ""), None);
}

#[test]
fn every_failure_is_told_by_its_kind() {
    let kind = |answer| failing(answer).kind();
    assert_eq!(kind(Answer::Status(500, vec![], "oops".to_owned())), "failed");
    assert_eq!(kind(Answer::Status(400, vec![], "no such model".to_owned())), "refused");
    assert_eq!(
        kind(Answer::Status(302, vec![("location", "http://127.0.0.1:1/".to_owned())], String::new())),
        "refused"
    );
    assert_eq!(kind(Answer::Cut(vec![gemini(&json!([{ "text": "It" }]), false)])), "cut");
    assert_eq!(kind(Answer::Events(vec![gemini(&json!([{ "text": "It" }]), false)])), "cut");
    assert_eq!(kind(Answer::Events(vec![])), "cut");
    assert_eq!(kind(Answer::Raw(b"data: {\"candidates\": [\r\n\r\n".to_vec())), "malformed");
    assert_eq!(kind(Answer::Raw(b"data: 7\r\n\r\n".to_vec())), "malformed");
    assert_eq!(kind(Answer::Raw(b"data: {\"candidates\": [{\"content\": {\"parts\": [{\"functionCall\": {\"name\": \"x\", \"args\": 7}}]}}]}\r\n\r\n".to_vec())), "malformed");
    assert_eq!(kind(Answer::Raw([b"data: ".to_vec(), vec![b'x'; 10 << 20]].concat())), "too_long");
    assert_eq!(kind(Answer::Events(vec![json!({ "error": { "code": 503, "message": "overloaded" } })])), "failed");
    let nobody = run(async {
        let gone = Server::saying(Answer::Silence);
        let model = model(&gone);
        drop(gone);
        model.turn(&conversation(), WITHIN, &mut |_| {}).await.unwrap_err()
    });
    assert_eq!(nobody.kind(), "unreachable");
}

#[test]
fn a_refusal_of_the_provider_is_an_answer() {
    run(async {
        let blocked = json!({ "promptFeedback": { "blockReason": "PROHIBITED_CONTENT" } });
        let reply = turn(&Server::saying(Answer::Events(vec![blocked])), WITHIN).await.unwrap();
        assert!(matches!(reply.finish, Finish::Refused { .. }), "{reply:?}");
        let mut newer = gemini(&json!([{ "text": "x" }]), true);
        newer["candidates"][0]["finishReason"] = json!("A_REASON_OF_NEXT_YEAR");
        let reply = turn(&Server::saying(Answer::Events(vec![newer])), WITHIN).await.unwrap();
        assert!(matches!(reply.finish, Finish::Refused { .. }), "{reply:?}");
    });
}

#[test]
fn who_drips_or_says_nothing_is_not_waited_for_longer_than_was_said() {
    run(async {
        let drops = (0..1000).map(|_| gemini(&json!([{ "text": "." }]), false)).collect();
        let within = Duration::from_millis(300);
        for answer in [Answer::Silence, Answer::Dripping(drops, Duration::from_millis(50))] {
            let server = Server::saying(answer);
            assert_eq!(turn(&server, within).await.unwrap_err(), ProviderError::Late { within });
        }
    });
}

#[test]
fn no_error_tells_the_key() {
    for answer in [
        Answer::Status(500, vec![], "CANARY".to_owned()),
        Answer::Status(302, vec![("location", "http://127.0.0.1:1/".to_owned())], String::new()),
        Answer::Raw(b"data: {".to_vec()),
    ] {
        let error = failing(answer);
        assert!(!format!("{error} {error:?}").contains("7f3a"), "{error:?}");
    }
    let debugged = format!("{:?}", model(&Server::saying(Answer::Silence)));
    assert!(debugged.contains("key: Some(Key)") && !debugged.contains("7f3a"), "{debugged}");
}
