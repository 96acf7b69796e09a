//! The third power: who acts, where the daemon may not.
//!
//! A daemon that is user 0 with every capability makes its executors itself. Under systemd it has no power but to watch,
//! and asks an actor for each executor: one process an action, started by the socket of its power, with exactly that
//! power and without any network. The actor believes the daemon nothing. It judges the line again by its own copy of the
//! policy, finds the target again, opens the file itself, and says that it is ready; only then is the intent written and
//! the word given. When the daemon goes, whatever the actor began goes too.

mod ask;
mod keep;
pub mod message;
mod probe;
mod serve;

pub use probe::ProbingActor;
pub use serve::actor_main;

pub(super) use ask::{Actors, Ready, Standing};
