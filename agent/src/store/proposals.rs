//! `proposals`: what waits for an operator, and how each ended. A proposal is settled once.

use std::fmt;

use rusqlite::{Connection, OptionalExtension, Row, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Listed, Reader, StoreError,
    rows::{json, limit, named, parse},
};
use crate::{
    decide::{Decision, Proposal},
    explain::IncidentUid,
};

const TABLE: &str = "proposals";

/// A proposal and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProposalRow {
    /// Given by the store; 0 before.
    pub id: i64,
    pub incident: IncidentUid,
    /// The trace that tells its story.
    pub trace_id: Option<i64>,
    pub proposal: Proposal,
    pub status: ProposalStatus,
    /// Unix time, ms.
    pub made_at_ms: i64,
    /// Unix time, ms, from which it can no longer be approved.
    pub expires_ms: i64,
    pub settled_ms: Option<i64>,
    /// Who settled it.
    pub by: Option<String>,
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProposalStatus {
    Pending,
    Approved,
    Denied,
    Expired,
    Executed,
    /// Approved, but the world had changed, or the action could not be carried out.
    Refused,
}

impl ProposalStatus {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Executed => "executed",
            Self::Refused => "refused",
        }
    }

    /// What a proposal must be to become this.
    const fn comes_after(self) -> Self {
        match self {
            Self::Executed | Self::Refused => Self::Approved,
            _ => Self::Pending,
        }
    }
}

impl fmt::Display for ProposalStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A proposal, ready to be written.
pub(super) struct Stored {
    row: ProposalRow,
    action_type: Option<String>,
    proposal: String,
}

impl Stored {
    pub(super) fn of(row: &ProposalRow) -> Result<Self, StoreError> {
        let action_type = match &row.proposal.decision {
            Decision::Act { actions, .. } => Some(super::rows::bounded(actions.action_type())),
            _ => None,
        };
        Ok(Self { row: row.clone(), action_type, proposal: json(TABLE, &row.proposal)? })
    }

    pub(super) fn write(&self, connection: &Connection) -> Result<i64, StoreError> {
        let Self { row, action_type, proposal } = self;
        let write = || {
            connection
                .prepare_cached(
                    "INSERT INTO proposals (incident, trace_id, action_type, proposal, status, made_at_ms, expires_ms,
                         settled_ms, settled_by, reason)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                )?
                .insert(params![
                    row.incident.0,
                    row.trace_id,
                    action_type,
                    proposal,
                    row.status.name(),
                    row.made_at_ms,
                    row.expires_ms,
                    row.settled_ms,
                    row.by,
                    row.reason,
                ])
        };
        write().map_err(StoreError::sqlite("write a proposal"))
    }
}

/// Settles the proposal if it is what it must be; the comparison and the change are one statement.
pub(super) fn settle(
    connection: &Connection,
    id: i64,
    wanted: ProposalStatus,
    by: &str,
    reason: &str,
    at_ms: i64,
) -> Result<(), StoreError> {
    let failed = StoreError::sqlite;
    let expected = wanted.comes_after();
    let changed = connection
        .prepare_cached(
            "UPDATE proposals SET status = ?1, settled_by = ?2, reason = ?3, settled_ms = ?4
             WHERE id = ?5 AND status = ?6",
        )
        .and_then(|mut update| update.execute(params![wanted.name(), by, reason, at_ms, id, expected.name()]))
        .map_err(failed("settle a proposal"))?;
    if changed == 1 {
        return Ok(());
    }
    let status: Option<String> = connection
        .query_row("SELECT status FROM proposals WHERE id = ?1", [id], |row| row.get(0))
        .optional()
        .map_err(failed("read a proposal"))?;
    match status {
        None => Err(StoreError::Absent { what: "proposal", id: id.to_string() }),
        Some(status) => Err(StoreError::Settled { id, status: named(TABLE, id, &status)?, expected, wanted }),
    }
}

const COLUMNS: &str =
    "id, incident, trace_id, proposal, status, made_at_ms, expires_ms, settled_ms, settled_by, reason";

impl Reader {
    /// Proposals, newest first, 1,000 at most.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn proposals(&self, pending_only: bool) -> Result<Listed<ProposalRow>, StoreError> {
        self.list("read proposals", &query(pending_only), [limit(None)], read)
    }

    /// The proposal of that id; none when there is none.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn proposal(&self, id: i64) -> Result<Option<ProposalRow>, StoreError> {
        self.one("read a proposal", &format!("SELECT {COLUMNS} FROM proposals WHERE id = ?1"), [id], read)
    }
}

pub(super) fn query(pending_only: bool) -> String {
    let pending = if pending_only { "WHERE status = 'pending' " } else { "" };
    format!("SELECT {COLUMNS} FROM proposals {pending}ORDER BY made_at_ms DESC LIMIT ?1")
}

fn read(row: &Row<'_>) -> Result<ProposalRow, StoreError> {
    let what = "read a proposal";
    let id: i64 = row.get(0).map_err(StoreError::sqlite(what))?;
    let text = |column: usize| row.get::<_, String>(column).map_err(StoreError::sqlite(what));
    Ok(ProposalRow {
        id,
        incident: IncidentUid(text(1)?),
        trace_id: row.get(2).map_err(StoreError::sqlite(what))?,
        proposal: parse(TABLE, id, &text(3)?)?,
        status: named(TABLE, id, &text(4)?)?,
        made_at_ms: row.get(5).map_err(StoreError::sqlite(what))?,
        expires_ms: row.get(6).map_err(StoreError::sqlite(what))?,
        settled_ms: row.get(7).map_err(StoreError::sqlite(what))?,
        by: row.get(8).map_err(StoreError::sqlite(what))?,
        reason: row.get(9).map_err(StoreError::sqlite(what))?,
    })
}
