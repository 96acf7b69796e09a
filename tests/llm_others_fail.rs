//! How the providers beside Gemini fail: each failure by its kind, in time, within bounds, and without a word of the key.

use std::time::Duration;

use kernelsight::llm::{ProviderError, REPLY_BYTES};
use serde_json::json;

use crate::{
    llm_dialects::{DIALECTS, Dialect, LOOK, SECRET, WITHIN, anthropic, conversation, ollama, openai, run, whole},
    llm_server::{Answer, Server},
};

fn failing(dialect: &Dialect, answer: Answer) -> ProviderError {
    run(dialect.turn(answer)).unwrap_err()
}

fn status(status: u16, said: &str) -> Answer {
    Answer::Status(status, vec![], said.to_owned())
}

#[test]
fn every_failure_is_told_by_its_kind() {
    for dialect in &DIALECTS {
        let kind = |answer| failing(dialect, answer).kind();
        let said = dialect.says(vec![(dialect.text)("It ")], dialect.reasons[0]);
        let begun = || said[..said.len() - 1].to_vec();
        assert_eq!(kind(status(500, "oops")), "failed", "{}", dialect.name);
        assert_eq!(kind(status(529, "overloaded")), "failed", "{}", dialect.name);
        assert_eq!(kind(status(401, "no such key")), "refused", "{}", dialect.name);
        assert_eq!(kind(status(400, "no such model")), "refused", "{}", dialect.name);
        // The connection ends before the stream does; the stream ends before the answer does.
        assert_eq!(kind(Answer::Pieces(begun(), Duration::ZERO, false)), "cut", "{}", dialect.name);
        assert_eq!(kind(whole(vec![(dialect.text)("It ")])), "cut", "{}", dialect.name);
        assert_eq!(kind(whole(vec![])), "cut", "{}", dialect.name);
        for wrong in [
            "{\"choices\": [",
            "7",
            "[]",
            "{\"choices\": 7, \"type\": \"content_block_delta\", \"delta\": 7, \"message\": 7}",
            "\u{1}",
        ] {
            let framed = if dialect.name == "ollama" { format!("{wrong}\n") } else { format!("data: {wrong}\n\n") };
            assert_eq!(kind(whole(vec![framed])), "malformed", "{}: {wrong}", dialect.name);
        }
        assert_eq!(kind(Answer::Raw(b"data: \xff\xfe\n\n".to_vec())), "malformed", "{}", dialect.name);
    }
}

#[test]
fn a_key_goes_nowhere_else() {
    run(async {
        for dialect in &DIALECTS {
            let elsewhere = Server::saying(whole(dialect.says(vec![], dialect.reasons[0])));
            let there = vec![("location", format!("{}{}", elsewhere.url(), dialect.base))];
            let error = dialect.turn(Answer::Status(307, there, String::new())).await.unwrap_err();
            assert_eq!((error.kind(), elsewhere.asked().len()), ("refused", 0), "{}", dialect.name);
        }
    });
}

#[test]
fn arguments_that_are_no_object_are_no_call() {
    for dialect in &DIALECTS {
        let said = dialect.says((dialect.call)(0, LOOK, &["[", "7]"]), dialect.reasons[1]);
        let error = failing(dialect, whole(said));
        assert_eq!(error.to_string(), "its answer is not as it should be: arguments of a call are no object");
    }
}

#[test]
fn nobody_at_the_address_is_told() {
    run(async {
        for dialect in &DIALECTS {
            let gone = Server::saying(Answer::Silence);
            let model = dialect.model(&gone, Some(SECRET));
            drop(gone);
            // The port is nobody's any more once the task that held it is gone.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let error = model.turn(&conversation(), WITHIN, &mut |_| {}).await.unwrap_err();
            assert_eq!(error.kind(), "unreachable", "{}", dialect.name);
        }
    });
}

#[test]
fn who_is_asked_to_wait_is_told_for_how_long() {
    for dialect in &DIALECTS {
        let limited = |headers| match failing(dialect, Answer::Status(429, headers, "slow down".to_owned())) {
            ProviderError::RateLimited { after } => after.map(|after| after.as_secs_f64()),
            other => panic!("{other:?}"),
        };
        assert_eq!(limited(vec![("retry-after", "7".to_owned())]), Some(7.0));
        let date = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(90);
        let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&date).unwrap();
        let by_date = limited(vec![("retry-after", date)]).unwrap();
        assert!((80.0..=91.0).contains(&by_date), "{by_date}");
        assert_eq!(limited(vec![]), None);
        assert_eq!(limited(vec![("retry-after", "soon".to_owned())]), None);
    }
}

#[test]
fn an_error_in_the_middle_of_a_stream_is_told_by_its_kind() {
    let openai = |error| vec![openai(json!({ "content": "It " })), format!("data: {error}\n\n")];
    let anthropic =
        |kind: &str| anthropic("error", json!({ "error": { "type": kind, "message": "told in the middle" } }));
    let of = |at: usize, said| failing(&DIALECTS[at], whole(said));
    let errors = [
        of(0, openai(json!({ "error": { "message": "told in the middle", "type": "server_error", "code": null } }))),
        of(0, openai(json!({ "error": { "message": "told in the middle", "code": 502 } }))),
        of(0, openai(json!({ "error": "told in the middle" }))),
        of(1, vec![anthropic("overloaded_error")]),
        of(1, vec![anthropic("api_error")]),
        of(1, vec![anthropic("an_error_of_next_year")]),
        of(2, vec![ollama(json!({ "error": "told in the middle" }))]),
    ];
    for error in errors {
        assert!(error.kind() == "failed" && error.to_string().contains("told in the middle"), "{error:?}");
    }
    assert_eq!(of(0, openai(json!({ "error": { "message": "", "code": 429 } }))).kind(), "rate_limited");
    assert_eq!(of(1, vec![anthropic("rate_limit_error")]).kind(), "rate_limited");
    assert_eq!(of(1, vec![anthropic("invalid_request_error")]).kind(), "refused");
}

#[test]
fn an_answer_is_bounded_while_it_is_read() {
    for dialect in &DIALECTS {
        let too_long = |what: &str, answer| {
            assert_eq!(failing(dialect, answer), ProviderError::TooLong, "{}: {what}", dialect.name);
        };
        let framed = |line: &str| match dialect.name {
            "ollama" => format!("{line}\n"),
            _ => format!("data: {line}\n"),
        };
        too_long("a line without end", Answer::Raw(vec![b'x'; 10 << 20]));
        too_long("a message without end", Answer::Raw(framed(&"x".repeat(10 << 20)).into_bytes()));
        let many = REPLY_BYTES / 64 + 2;
        let said = vec![(dialect.text)(&"x".repeat(100)); many];
        too_long("text", whole(dialect.says(said, dialect.reasons[0])));
        let said = (0..many).flat_map(|place| (dialect.call)(place, LOOK, &["{}"])).collect();
        too_long("calls", whole(dialect.says(said, dialect.reasons[1])));
        let arguments = format!("{{\"pid\": \"{}\"}}", "8".repeat(REPLY_BYTES));
        let said = (dialect.call)(0, LOOK, &[&arguments]);
        too_long("one call", whole(dialect.says(said, dialect.reasons[1])));
        let nothing = format!("{}{}\n", if dialect.name == "ollama" { "" } else { ":" }, " ".repeat(1000));
        too_long("nothing", Answer::Raw(nothing.repeat(40 << 10).into_bytes()));
        let words = failing(dialect, status(500, &"oops ".repeat(2 << 20))).to_string();
        assert!(words.starts_with("it failed with status 500: oops ") && words.len() < 400, "{words}");
    }
    // What is said but never ends as an event.
    let lines = "data: x\n".repeat(2 << 20);
    for dialect in &DIALECTS[..2] {
        assert_eq!(failing(dialect, Answer::Raw(lines.clone().into_bytes())), ProviderError::TooLong);
    }
    let refusals = vec![openai(json!({ "refusal": "x".repeat(1000) })); 300];
    assert_eq!(failing(&DIALECTS[0], whole(refusals)), ProviderError::TooLong);
}

#[test]
fn a_place_of_a_call_is_not_taken_at_its_word() {
    // One that made room for all places before it would want more memory than there is.
    let function = json!({ "name": "get_pressure", "arguments": "{}" });
    let said = [u64::MAX, u64::from(u32::MAX)]
        .map(|place| openai(json!({ "tool_calls": [{ "index": place, "id": "call_a", "function": function }] })));
    let reply = run(DIALECTS[0].turn(whole(DIALECTS[0].says(said.to_vec(), "tool_calls")))).unwrap();
    assert_eq!(reply.parts.len(), 2);
}

#[test]
fn who_drips_or_says_nothing_is_not_waited_for_longer_than_was_said() {
    run(async {
        let within = Duration::from_millis(300);
        for dialect in &DIALECTS {
            let drops = (0..1000).map(|_| (dialect.text)(".")).collect();
            let crumbs = (dialect.text)("crumbs").chars().map(String::from).collect();
            for answer in [
                Answer::Silence,
                Answer::Pieces(drops, Duration::from_millis(50), true),
                Answer::Pieces(crumbs, Duration::from_millis(50), true),
            ] {
                let server = Server::saying(answer);
                let model = dialect.model(&server, Some(SECRET));
                let error = model.turn(&conversation(), within, &mut |_| {}).await.unwrap_err();
                assert_eq!(error, ProviderError::Late { within }, "{}", dialect.name);
            }
        }
    });
}

#[test]
fn who_said_all_is_not_waited_for_although_the_connection_stays() {
    run(async {
        for dialect in &DIALECTS {
            let said = dialect.says(vec![(dialect.text)("It leaks.")], dialect.reasons[0]).concat();
            let pieces = vec![said, "\n".to_owned()];
            let server = Server::saying(Answer::Pieces(pieces, 3 * WITHIN, true));
            let model = dialect.model(&server, None);
            model.turn(&conversation(), WITHIN, &mut |_| {}).await.unwrap();
        }
    });
}

#[test]
fn no_error_tells_the_key() {
    let repeats = format!("Incorrect API key provided: {SECRET}. You can find yours elsewhere.");
    let cut = format!("{}{SECRET}", "x".repeat(240));
    for dialect in &DIALECTS[..2] {
        let middle = if dialect.name == "openai" {
            format!("data: {}\n\n", json!({ "error": { "message": repeats } }))
        } else {
            anthropic("error", json!({ "error": { "type": "api_error", "message": repeats } }))
        };
        let answers = [
            status(500, &repeats),
            status(401, &repeats),
            status(400, &cut),
            status(429, &repeats),
            Answer::Status(302, vec![("location", format!("http://127.0.0.1:1/{SECRET}"))], String::new()),
            whole(vec![middle]),
            whole(vec![format!("data: {{\"choices\": \"{SECRET}\", \"type\": \"{SECRET}\"}}\n\n")]),
            whole(vec![format!("data: {SECRET}\n\n")]),
        ];
        for answer in answers {
            let error = failing(dialect, answer.clone());
            let told = format!("{error} {error:?}");
            assert!(!told.contains("CANARY-key-7"), "{}: {answer:?}: {told}", dialect.name);
        }
        let refused = failing(dialect, status(401, &repeats)).to_string();
        assert_eq!(refused, "it refuses the request with status 401: Incorrect API key provided: ");
        // A word that stands for a key, where none is wanted, is no secret.
        let refused = run(async {
            let server = Server::saying(status(404, "the local model is not loaded"));
            let model = dialect.model(&server, Some("local"));
            model.turn(&conversation(), WITHIN, &mut |_| {}).await.unwrap_err().to_string()
        });
        assert_eq!(refused, "it refuses the request with status 404: the local model is not loaded");
        let server = Server::saying(Answer::Silence);
        assert!(!format!("{:?}", dialect.model(&server, Some(SECRET))).contains("7f3a"));
    }
}
