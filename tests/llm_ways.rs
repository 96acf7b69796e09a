//! Ways in which a model fails, each as what its server answers.

use serde_json::{Value, json};
use std::time::Duration;

use super::llm_server::{Answer, Asked, gemini};

pub(crate) type Way = (&'static str, fn(&Asked, usize) -> Answer);

pub(crate) const WAYS: [Way; 14] = [
    ("timeout", |_, _| Answer::Silence),
    ("refused", |_, _| Answer::Status(400, vec![], "no such model".to_owned())),
    ("429 with a date", |_, _| {
        let date = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3600);
        let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&date).expect("a date");
        Answer::Status(429, vec![("retry-after", date)], String::new())
    }),
    ("429 without a date", |_, _| Answer::Status(429, vec![], "slow down".to_owned())),
    ("500", |_, _| Answer::Status(500, vec![], "oops".to_owned())),
    ("cut stream", |_, _| Answer::Cut(vec![gemini(&json!([{ "text": "It is" }]), false)])),
    ("invalid JSON", |_, _| Answer::Raw(b"data: {\"candidates\": [{\"content\": \r\n\r\n".to_vec())),
    ("unknown function", |_, _| says("I end it.", "terminate_process", json!({ "pid": 1 }))),
    ("a tool that is not a model's", |_, _| says("I may.", "set_autonomy", json!({ "level": "agent" }))),
    ("wrong types", |_, _| {
        says("So.", "draft_recommendation", json!({ "draft": { "hypotheses": "three", "option": "all of them" } }))
    }),
    ("endless tool loop", |_, before| says("Again.", "top_processes", json!({ "by": "cpu", "most": before % 7 + 1 }))),
    ("10 MB", |_, _| Answer::Raw([b"data: ".to_vec(), vec![b'x'; 10 << 20]].concat())),
    ("slow drip", |_, _| {
        let drops = (0..1000).map(|_| gemini(&json!([{ "text": "." }]), false)).collect();
        Answer::Dripping(drops, Duration::from_millis(20))
    }),
    ("claims of things that are not", |_, _| {
        let idle = json!({ "kind": "node_number", "number": "cpu_busy_percent", "at_most": -1.0 });
        let one = |mode: &str, verdict: &str, claims: Value| {
            json!({
                "failure_mode": mode, "statement": format!("it is {mode}"), "would_confirm": "x", "would_refute": "y",
                "verdict": verdict, "claims": claims,
            })
        };
        let hypotheses = [
            one("cpu_hog", "confirmed", json!([idle])),
            one("memory_leak", "rejected", json!([])),
            one("network_loss", "rejected", json!([])),
        ];
        let draft = json!({
            "hypotheses": hypotheses, "timeline": [1], "option": 1, "advice": "It idles.", "confidence": 1.0,
        });
        says("It idles.", "draft_recommendation", json!({ "draft": draft }))
    }),
];

fn says(thought: &str, tool: &str, arguments: Value) -> Answer {
    let parts = json!([{ "text": thought }, { "functionCall": { "name": tool, "args": arguments } }]);
    Answer::Events(vec![gemini(&parts, true)])
}
