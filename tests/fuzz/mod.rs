//! What is fuzzed. A target takes any bytes, and panics where what the agent makes of them is not what its oracle says.
//!
//! `tests/fuzz_replay.rs` runs them with each test, on the seeds of `fuzz/corpus` and on what it makes of those; `fuzz/`
//! runs them under libFuzzer.

mod config;
mod door;
mod frames;
mod gate;
mod mcp;
mod proposals;
mod records;
mod streams;

/// True when the agent took the bytes for what they are meant to be, false when it refused them.
type Check = fn(&[u8]) -> bool;

/// By the name of the binary and of the corpus.
pub(crate) const TARGETS: [(&str, Check); 7] = [
    ("records", records::check),
    ("frames", frames::check),
    ("mcp", mcp::check),
    ("config", config::check),
    ("gate", gate::check),
    ("proposals", proposals::check),
    ("streams", streams::check),
];

/// Runs the target of this name.
pub(crate) fn run(name: &str, bytes: &[u8]) -> bool {
    let (_, check) = TARGETS.iter().find(|(target, _)| *target == name).expect("a target is called so");
    check(bytes)
}

/// Nothing that a terminal, a log or a line takes for more than a character.
fn is_escaped(text: &str) -> bool {
    text.chars().all(|c| matches!(c, ' '..='~' | '…'))
}
