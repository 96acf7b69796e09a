//! The desk: all that a thought can reach. Behind it is the daemon's door; in a replay, the record.

use std::{future::Future, time::Duration};

use serde_json::{Map, Value};

use crate::{
    llm::Part,
    mind::brief::{Asking, Leave, Turn},
};

/// What a tool answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Answer(Value),
    /// In words that a model can act on.
    Refused(String),
}

/// Everything a thought does to the world outside of it.
pub trait Desk: Sync {
    fn may_ask(&self, asking: &Asking) -> impl Future<Output = Leave> + Send;

    /// Keeps a turn; `breaker` says that the provider is left alone after it, and why.
    fn record(&self, turn: &Turn, breaker: Option<String>) -> impl Future<Output = ()> + Send;

    /// Says that nothing is asked for so long, and why.
    fn waits(&self, pause: Duration, why: &str) -> impl Future<Output = ()> + Send;

    fn call(&self, tool: &str, params: &Map<String, Value>) -> impl Future<Output = Told> + Send;

    /// Answers in words, after so many turns. Refused: in words that a model can act on.
    fn conclude(&self, words: &str, turns: u32) -> impl Future<Output = Told> + Send;

    /// A piece of a reply, as it comes.
    fn heard(&self, voice: &str, part: &Part);
}
