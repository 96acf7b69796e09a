//! Every test of the agent: one binary, one module a part.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod cli;
mod cli_eyes;
mod docket;
mod door;
mod door_guard;
mod door_support;
mod kernel_load;
