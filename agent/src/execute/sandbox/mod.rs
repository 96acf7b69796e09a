//! The sandbox: the agent's own executable in a role that can do one thing, and not one thing more.
//!
//! The daemon spawns itself as `kernelsight executor` with the very argument vector that the allowlist judged. Between
//! fork and exec the child loses what the daemon is: its user, its capabilities but the one that this action needs, its
//! descriptors but the few that are passed, its environment, its session. Before it acts it shuts the door behind
//! itself: Landlock, resource limits, and a list of the system calls that this one command needs.

mod child;
mod confine;
mod duty;
mod holdings;
mod inform;
mod order;
#[expect(unsafe_code, reason = "what the child loses between fork and exec is set by a closure that std calls unsafe")]
mod spawn;
#[expect(unsafe_code, reason = "system calls that no crate wraps")]
pub(super) mod sys;

pub use child::executor_main;
pub use spawn::{Confined, Probe, SandboxError};

pub(super) use spawn::{Finished, Launcher, Passed, Standing};
