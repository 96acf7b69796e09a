//! What an operator's words ask for: that something is told, found out, or done. It decides how much is looked at, and how
//! the answer is to be made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Why something is as it is. What is neither of the others is this: it looks at most.
    #[default]
    Diagnostic,
    /// How something is.
    Informational,
    /// That something is done.
    Action,
}

/// What is said before an order out of courtesy.
const COURTESIES: [&str; 7] = ["please", "can", "could", "would", "you", "now", "just"];
/// Orders by their first word.
const ORDERS: [&str; 22] = [
    "restart",
    "kill",
    "terminate",
    "end",
    "stop",
    "freeze",
    "thaw",
    "limit",
    "throttle",
    "renice",
    "raise",
    "lower",
    "undo",
    "pause",
    "resume",
    "set",
    "free",
    "clear",
    "drop",
    "reclaim",
    "fix",
    "prioritise",
];
/// Whoever asks with one of these wants to be told.
const ASKING: [&str; 14] =
    ["what", "which", "who", "how", "list", "show", "is", "are", "does", "do", "has", "have", "when", "tell"];
/// With one of these something is wrong, and he wants to know why.
const TROUBLES: [&str; 30] = [
    "why", "wrong", "slow", "slower", "cause", "causes", "caused", "reason", "explain", "leak", "leaks", "leaking",
    "stuck", "hang", "hangs", "high", "fail", "fails", "failed", "failing", "error", "errors", "oom", "crash",
    "crashes", "crashed", "down", "problem", "broken", "culprit",
];

/// By its words alone: no model is asked for it.
#[must_use]
pub fn route(question: &str) -> Route {
    let words: Vec<String> =
        question.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    let is_one = |of: &[&str], word: &String| of.contains(&word.as_str());
    let first = words.iter().find(|word| !is_one(&COURTESIES, word));
    if first.is_some_and(|word| is_one(&ORDERS, word)) {
        return Route::Action;
    }
    let asks = first.is_some_and(|word| is_one(&ASKING, word));
    if asks && !words.iter().any(|word| is_one(&TROUBLES, word)) { Route::Informational } else { Route::Diagnostic }
}
