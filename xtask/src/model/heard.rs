//! What a request holds, as a model reads it.

use serde_json::Value;

use super::{
    Answer, Asked,
    wire::{Request, Saying, Wire},
};

/// Who it is to be, and what it was told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Heard {
    pub(super) voice: Voice,
    /// What the agent measured and reckoned.
    pub(super) data: Value,
    /// Its own turns so far.
    pub(super) turns: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    Director,
    /// Of this field.
    Specialist(&'static str),
    /// Somebody asks something.
    Question,
}

/// By what a specialist is told which one it is.
const FIELDS: [(&str, &str); 4] =
    [("CPU time", "cpu"), ("resident memory", "memory"), ("block devices", "storage"), ("TCP", "network")];

impl Heard {
    /// None where it is no request of the agent's.
    pub(super) fn of(asked: &Asked) -> Option<Self> {
        let Request { system, opening, turns, .. } = Wire::of(asked)?.read(&asked.body)?;
        let (_, data) = opening.split_once("<data>\n")?;
        let (data, _) = data.split_once("\n</data>")?;
        let field = FIELDS.into_iter().find(|(about, _)| system.contains(&format!("specialist for {about}")));
        let voice = match field {
            Some((_, field)) => Voice::Specialist(field),
            None if opening.starts_with("The question: ") => Voice::Question,
            None => Voice::Director,
        };
        Some(Self { voice, data: serde_json::from_str(data).ok()?, turns })
    }
}

/// A thought, then the call of a function.
pub(super) fn call(asked: &Asked, thought: &str, function: &str, arguments: &Value) -> Answer {
    said(asked, Saying::Call { thought, function, arguments })
}

pub(super) fn say(asked: &Asked, text: &str) -> Answer {
    said(asked, Saying::Text(text))
}

/// As whoever asked would be answered.
fn said(asked: &Asked, saying: Saying<'_>) -> Answer {
    match Wire::of(asked) {
        Some(wire) => wire.answer(asked, saying),
        None => Answer::Status(404, Vec::new(), format!("nobody answers at `{}`", asked.line)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    const LINE: &str = "POST /v1beta/models/scripted:streamGenerateContent?alt=sse HTTP/1.1";

    /// A request as the agent sends it, with these turns of the model's before.
    pub(crate) fn asked(system: &str, data: &Value, turns: usize) -> Asked {
        let opening =
            json!({ "role": "user", "parts": [{ "text": format!("The incident:\n<data>\n{data}\n</data>") }] });
        let turn = json!({ "role": "model", "parts": [{ "text": "…" }] });
        let contents: Vec<Value> = std::iter::once(opening).chain(std::iter::repeat_n(turn, turns)).collect();
        let body = json!({ "systemInstruction": { "parts": [{ "text": system }] }, "contents": contents });
        Asked { line: LINE.to_owned(), headers: Vec::new(), body }
    }

    #[test]
    fn a_request_is_read_as_who_and_what() {
        let heard = Heard::of(&asked("You are its specialist for resident memory, leaks", &json!({ "a": 1 }), 2));
        let expected = Heard { voice: Voice::Specialist("memory"), data: json!({ "a": 1 }), turns: 2 };
        assert_eq!(heard, Some(expected));
        assert_eq!(Heard::of(&asked("You say what is wrong", &json!({}), 0)).map(|h| h.voice), Some(Voice::Director));
        let body = json!({ "contents": [] });
        assert_eq!(Heard::of(&Asked { line: LINE.to_owned(), headers: Vec::new(), body }), None);
    }
}
