//! The sandbox: the agent's own executable in a role that can do one thing, and not one thing more.
//!
//! The daemon spawns itself as `kernelsight executor` with the very argument vector that the allowlist judged. Between
//! fork and exec the child loses what the daemon is: its user, its capabilities but the one that this action needs, its
//! descriptors but the few that are passed, its environment, its session. Before it acts it shuts the door behind
//! itself: Landlock, resource limits, and a list of the system calls that this one command needs. Then it looks whether
//! the door is shut, and does nothing if it is not.

#[expect(unsafe_code, reason = "what somebody who took an executor over would call, as he would call it")]
mod attack;
mod child;
mod confine;
mod duty;
mod holdings;
mod inform;
mod kernel;
mod links;
mod members;
mod order;
mod probe;
mod proof;
mod restrain;
#[expect(unsafe_code, reason = "what the child loses between fork and exec is set by a closure that std calls unsafe")]
mod spawn;
mod status;
mod strip;
#[expect(unsafe_code, reason = "system calls that no crate wraps")]
pub(crate) mod sys;
mod top_io;

pub use attack::attacks;
pub use child::executor_main;
pub use kernel::{Confinement, NoLandlock, Unconfined};
pub use order::{ORDER_MAX, Order};
pub use probe::{Confined, Probe};
pub use spawn::{Finished, SandboxError};

pub(super) use probe::attacked;
pub(crate) use restrain::{Files, restrain};
pub(super) use spawn::{Launcher, Passed, Standing};
pub(crate) use status::Status;
pub(super) use strip::Station;
