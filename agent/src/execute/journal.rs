//! The undo journal: what is about to be done, with all that takes it back, on disk before the deed.

use std::fmt::{self, Debug};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ActionRequest, Undo};
use crate::explain::IncidentUid;

/// Where intents are kept. The store implements it; whatever it answers `Ok` to is on disk, synced.
pub trait Journal: Debug + Send + Sync {
    /// Writes and syncs the intent before the effect; answers the row's id. The row begins as [`JournalState::Intended`].
    fn intend(&self, intent: &Intent) -> Result<i64, JournalError>;

    /// Writes and syncs the next state of a row. `note` says in words what was found or done.
    fn advance(&self, id: i64, state: JournalState, note: &str, at_ms: i64) -> Result<(), JournalError>;

    fn get(&self, id: i64) -> Result<Option<JournalRow>, JournalError>;

    /// The last so many rows, whatever the clock says of them, and all whose story is not over; oldest first.
    fn latest(&self, count: u32) -> Result<Vec<JournalRow>, JournalError>;

    /// Rows whose story is not over, oldest first: those for which [`JournalRow::is_unsettled`] holds.
    fn unsettled(&self) -> Result<Vec<JournalRow>, JournalError>;

    /// Why some of [`Journal::latest`] cannot be read back, a sentence each; while there is one, that fails.
    fn unreadable(&self, _count: u32) -> Result<Vec<String>, JournalError> {
        Ok(Vec::new())
    }
}

/// What is about to be done, and all that is needed to take it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Intent {
    /// The incident it is for; none for an operator's order without one.
    pub incident: Option<IncidentUid>,
    /// Who proposed it: `rules`, a model's name, `operator`.
    pub author: String,
    /// The operator who approved it, where one had to.
    pub approved_by: Option<String>,
    /// The rule of the allowlist that permits the command.
    pub rule: String,
    pub action: ActionRequest,
    /// The argument vector, joined by single spaces: what the allowlist judged and the executor runs.
    pub command: String,
    /// For eyes: `python3 (pid 812)`, `cgroup /x`, `sysctl vm.swappiness`.
    pub target: String,
    /// Who or what that is, whatever it calls itself: `process:812@53412`, `cgroup:/x`, `node:reduce_swappiness`.
    #[serde(default)]
    pub target_key: String,
    /// The deed that it is part of: its actions are carried out and verified together.
    #[serde(default)]
    pub deed: String,
    /// The captured previous value and what the action writes.
    pub undo: Undo,
    /// `/proc/sys/kernel/random/boot_id`: a later boot voids the row, because nothing of it outlives the kernel.
    pub boot_id: String,
    /// Unix time, ms, when the change is taken back by itself; none: it stays once verified.
    pub lease_until_ms: Option<i64>,
    /// Unix time, ms.
    pub made_at_ms: i64,
    /// The same in time since boot, ms, which nobody can set.
    #[serde(default)]
    pub uptime_ms: i64,
}

/// How far a row's story is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JournalState {
    /// On disk; the effect may or may not have happened.
    Intended,
    /// The effect happened; no verdict yet.
    Done,
    /// The executor refused, failed or was stopped, and nothing of it stands.
    Failed,
    /// The verdict was good: it stays, until its lease ends if it has one.
    Kept,
    /// It is being taken back, or is to be and that failed: it is tried until it succeeds.
    Owed,
    /// The exact previous value stands again.
    Undone,
    /// Somebody else changed it since, so the undo did not touch it.
    LeftAlone,
    /// There is nothing to take back: the process or cgroup is gone, the machine was started anew, or the action never
    /// took effect.
    Void,
}

impl JournalState {
    pub const ALL: [Self; 8] =
        [Self::Intended, Self::Done, Self::Failed, Self::Kept, Self::Owed, Self::Undone, Self::LeftAlone, Self::Void];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Kept => "kept",
            Self::Owed => "owed",
            Self::Undone => "undone",
            Self::LeftAlone => "left_alone",
            Self::Void => "void",
        }
    }

    /// Whether its effect may stand, so that there is something to take back.
    #[must_use]
    pub const fn may_stand(self) -> bool {
        matches!(self, Self::Intended | Self::Done | Self::Kept | Self::Owed)
    }
}

impl fmt::Display for JournalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An intent and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JournalRow {
    pub id: i64,
    pub intent: Intent,
    pub state: JournalState,
    /// The note of the last [`Journal::advance`]; empty before.
    pub note: String,
    /// Unix time, ms, of the last change of state.
    pub changed_at_ms: i64,
}

impl JournalRow {
    /// Whether its story goes on: intended but not done, done but without a verdict, kept under a lease, or owed.
    #[must_use]
    pub const fn is_unsettled(&self) -> bool {
        match self.state {
            JournalState::Intended | JournalState::Done | JournalState::Owed => true,
            JournalState::Kept => self.intent.lease_until_ms.is_some(),
            JournalState::Failed | JournalState::Undone | JournalState::LeftAlone | JournalState::Void => false,
        }
    }
}

/// The journal could not be written or read; without it nothing is done.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("the journal could not {what}: {reason}")]
    Storage { what: &'static str, reason: String },
    #[error("the journal has no row {id}")]
    NoRow { id: i64 },
}
