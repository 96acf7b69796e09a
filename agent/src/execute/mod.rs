//! Execute: the one room with an effect. A proposal is judged, a permit is spent, an undo is on disk before the deed.

pub mod action;
pub mod actor;
mod cgroup_file;
mod cgroup_tree;
mod claims;
pub mod command;
mod dry_run;
mod errand;
pub mod guard;
mod handed;
mod hands;
pub mod journal;
pub mod limits;
pub mod line;
pub mod link_speed;
mod manager;
mod netlink;
mod open;
mod own_cgroup;
mod owned;
pub mod policy;
mod process;
pub mod qdisc;
mod release;
mod request;
mod restore;
mod run;
pub mod sandbox;
pub mod scheduling;
mod setting;
mod settle;
pub mod sysctl;
pub mod undo;
pub mod value;

pub use action::{ActionType, CatalogueEntry, On, Power, Predicts, Raises, Risk, catalogue};
pub use dry_run::{Company, DryRun, Member, Planned};
pub use errand::Errand;
pub use guard::{Barred, Guard, Hold, HoldKind};
pub use journal::{Intent, Journal, JournalError, JournalRow, JournalState};
pub use limits::{Limits, LimitsError, Over};
pub use manager::{Invocation, Limit as UnitLimit, ManagerError, Property};
pub use own_cgroup::{Home, NotOwn, OwnLimit, Tree};
pub use policy::{Approval, CommandVerdict, Denied, Judging, Permit, Policy, PolicyError};
pub use process::{Process, ProcessError, Thread};
pub use request::{ActionRequest, Actions, ActionsError};
pub use run::{ExecuteError, Executor, TIMEOUT, boot_id};
pub use setting::SettingError;
pub use undo::{ProcessSetting, Setting, ThreadBefore, Undo, UndoError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why something was not done: a row of its own, part of the trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Denial {
    pub reason: String,
    /// The rule that said no: `protected.comm`, `commands.renice`, `autonomy.advisor`, `schema`, …
    pub rule: String,
}

/// How an action (or an undo) went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// Row of the journal; none for information actions, which change nothing.
    pub action_id: Option<i64>,
    pub action: ActionRequest,
    /// The line that the allowlist judged and the executor ran.
    pub command: String,
    pub status: OutcomeStatus,
    /// What the executor printed, bounded.
    pub output: String,
    pub duration_ms: u64,
    /// What was found before and what stands now, in words: "nice 0 -> 10".
    pub change: String,
    /// Unix time, ms, when the change is taken back by itself; none for no lease.
    pub lease_until_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeStatus {
    Done,
    /// It ran and said no; nothing was changed.
    Failed,
    TimedOut,
    /// An undo that left the setting alone, because somebody else changed it since.
    LeftAlone,
}
