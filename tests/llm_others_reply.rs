//! What is made of what the providers beside Gemini say.

use kernelsight::llm::{Finish, REPLY_BYTES, Usage};
use serde_json::json;

use crate::{
    llm_dialects::{
        DIALECTS, Dialect, LOOK, SECRET, WITHIN, anthropic, call, conversation, ollama, openai, run, text, thought,
        whole,
    },
    llm_server::{Answer, Server},
};

/// Text and a call, in pieces.
fn answer(dialect: &Dialect) -> Vec<String> {
    let said = ["I ", "l\u{f6}\u{f6}k", "."].map(dialect.text).to_vec();
    let pieces = [said, (dialect.call)(0, LOOK, &["{\"pid\"", ":", "812}"])].concat();
    dialect.says(pieces, dialect.reasons[1])
}

#[test]
fn a_reply_in_pieces_is_joined_and_each_piece_is_heard() {
    run(async {
        for (dialect, id) in DIALECTS.iter().zip(["call_0", "toolu_0", "call-1"]) {
            let server = Server::saying(whole(answer(dialect)));
            let mut heard = Vec::new();
            let model = dialect.model(&server, Some(SECRET));
            let reply = model.turn(&conversation(), WITHIN, &mut |part| heard.push(part.clone())).await.unwrap();
            let called = call(id, "describe_process", json!({ "pid": 812 }));
            assert_eq!(reply.parts, [text("I l\u{f6}\u{f6}k."), called.clone()], "{}", dialect.name);
            assert_eq!(heard, [text("I "), text("l\u{f6}\u{f6}k"), text("."), called], "{}", dialect.name);
            assert_eq!(reply.finish, Finish::Stop);
            let usage = Usage { input_tokens: 100, cached_tokens: 40, output_tokens: 25 };
            assert_eq!(reply.usage, usage, "{}", dialect.name);
            assert_eq!((model.name(), model.model()), (dialect.name, "scripted"));
        }
    });
}

#[test]
fn wherever_a_stream_is_cut_into_pieces_the_same_is_heard() {
    run(async {
        for dialect in &DIALECTS {
            let said = answer(dialect);
            let expected = dialect.turn(whole(said.clone())).await.unwrap();
            // As some servers end their lines.
            for said in [said.concat(), said.concat().replace('\n', "\r\n")] {
                for length in [1, 7, 64] {
                    let chars: Vec<char> = said.chars().collect();
                    let pieces = chars.chunks(length).map(|piece| piece.iter().collect()).collect();
                    assert_eq!(dialect.turn(whole(pieces)).await.unwrap(), expected, "{} by {length}", dialect.name);
                }
                assert_eq!(dialect.turn(Answer::Raw(said.into_bytes())).await.unwrap(), expected);
            }
        }
    });
}

#[test]
fn why_it_stopped_is_told_by_each_in_its_words() {
    run(async {
        for dialect in &DIALECTS {
            let finish = async |reason: &str| {
                let said = dialect.says(vec![(dialect.text)("x")], reason);
                dialect.turn(whole(said)).await.unwrap().finish
            };
            let [all, waits, length, kept] = dialect.reasons;
            assert_eq!((finish(all).await, finish(waits).await), (Finish::Stop, Finish::Stop), "{}", dialect.name);
            assert_eq!(finish(length).await, Finish::Length, "{}", dialect.name);
            for other in [kept, "a_reason_of_next_year"] {
                assert_eq!(finish(other).await, Finish::Refused { why: other.into() }, "{}", dialect.name);
            }
        }
        // In its own words, where it has some.
        let said = vec![openai(json!({ "refusal": "I can't " })), openai(json!({ "refusal": "do that." }))];
        let reply = DIALECTS[0].turn(whole(DIALECTS[0].says(said, "stop"))).await.unwrap();
        assert_eq!(reply.finish, Finish::Refused { why: "I can't do that.".into() });
    });
}

#[test]
fn thoughts_are_heard_as_thoughts() {
    let said: [Vec<String>; 4] = [
        ["It ", "leaks."].map(|piece| openai(json!({ "reasoning_content": piece }))).to_vec(),
        ["It ", "leaks."].map(|piece| openai(json!({ "reasoning": piece, "reasoning_content": piece }))).to_vec(),
        ["It ", "leaks."]
            .map(|piece| {
                let delta = json!({ "type": "thinking_delta", "thinking": piece });
                anthropic("content_block_delta", json!({ "index": 0, "delta": delta }))
            })
            .to_vec(),
        ["It ", "leaks."]
            .map(|piece| {
                ollama(json!({ "message": { "role": "assistant", "content": "", "thinking": piece }, "done": false }))
            })
            .to_vec(),
    ];
    run(async {
        for (dialect, said) in [0, 0, 1, 2].map(|at| &DIALECTS[at]).into_iter().zip(said) {
            let said = [said, vec![(dialect.text)("So it is.")]].concat();
            let reply = dialect.turn(whole(dialect.says(said, dialect.reasons[0]))).await.unwrap();
            assert_eq!(reply.parts, [thought("It leaks."), text("So it is.")], "{}", dialect.name);
        }
    });
}

#[test]
fn calls_that_come_at_once_are_kept_apart() {
    let piece = |index: Option<u32>, id: Option<&str>, name: Option<&str>, arguments: &str| {
        let function = json!({ "name": name, "arguments": arguments });
        openai(json!({ "tool_calls": [{ "index": index, "id": id, "type": "function", "function": function }] }))
    };
    let (first, second) = (Some("call_a"), Some("call_b"));
    let (name, other) = (Some("describe_process"), Some("get_pressure"));
    let streams = [
        // As documented; the second begins before the first ends.
        vec![
            piece(Some(0), first, name, ""),
            piece(Some(1), second, other, ""),
            piece(Some(0), None, None, "{\"pid\":"),
            piece(Some(1), None, None, "{}"),
            piece(Some(0), None, None, "812}"),
        ],
        // As some servers do: all in one place, in none, or with the id in each piece.
        vec![piece(Some(0), first, name, "{\"pid\":812}"), piece(Some(0), second, other, "{}")],
        vec![piece(None, first, name, "{\"pid\":"), piece(None, None, None, "812}"), piece(None, second, other, "")],
        vec![
            piece(Some(0), first, name, "{\"pid\":"),
            piece(Some(0), first, name, "812}"),
            piece(Some(1), second, other, "{}"),
        ],
    ];
    let expected =
        [call("call_a", "describe_process", json!({ "pid": 812 })), call("call_b", "get_pressure", json!({}))];
    run(async {
        for said in streams {
            let reply = DIALECTS[0].turn(whole(DIALECTS[0].says(said.clone(), "tool_calls"))).await.unwrap();
            assert_eq!(reply.parts, expected, "{said:?}");
        }
        // A call of no arguments, and one without an id.
        let said = vec![piece(Some(0), None, other, ""), piece(Some(1), None, name, "null")];
        let reply = DIALECTS[0].turn(whole(DIALECTS[0].says(said, "tool_calls"))).await.unwrap();
        let expected = [call("call-1", "get_pressure", json!({})), call("call-2", "describe_process", json!({}))];
        assert_eq!(reply.parts, expected);
    });
}

#[test]
fn a_call_that_was_cut_for_the_length_of_the_reply_is_left_out() {
    run(async {
        for dialect in &DIALECTS[..2] {
            let said = |reason| {
                let pieces = [vec![(dialect.text)("I look.")], (dialect.call)(0, LOOK, &["{\"pid\": 81"])].concat();
                dialect.says(pieces, reason)
            };
            let reply = dialect.turn(whole(said(dialect.reasons[2]))).await.unwrap();
            assert_eq!((reply.parts, reply.finish), (vec![text("I look.")], Finish::Length), "{}", dialect.name);
            let error = dialect.turn(whole(said(dialect.reasons[1]))).await.unwrap_err();
            assert_eq!(error.kind(), "malformed", "{}", dialect.name);
        }
    });
}

#[test]
fn what_frames_the_pieces_of_a_long_reply_does_not_make_it_too_long() {
    run(async {
        for dialect in &DIALECTS {
            let said: Vec<String> = (0..8000).map(|_| (dialect.text)("word ")).collect();
            assert!(said.iter().map(String::len).sum::<usize>() > REPLY_BYTES);
            let reply = dialect.turn(whole(dialect.says(said, dialect.reasons[0]))).await.unwrap();
            assert_eq!(reply.parts, [text(&"word ".repeat(8000))], "{}", dialect.name);
        }
    });
}
