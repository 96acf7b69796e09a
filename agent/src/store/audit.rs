//! `permits` and `denials`: who was allowed or refused what, by which rule.

use rusqlite::{Connection, Row, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Listed, Reader, StoreError,
    rows::{bounded, json, limit, parse},
};
use crate::{execute::ActionRequest, explain::IncidentUid};

/// Leave that was given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PermitRow {
    /// Given by the store; 0 before.
    pub id: i64,
    /// Unix time, ms.
    pub at_ms: i64,
    pub incident: Option<IncidentUid>,
    pub trace_id: Option<i64>,
    /// Who asked: `rules`, a model's name, an operator's.
    pub who: String,
    pub action: ActionRequest,
    /// The line that the allowlist judged.
    pub command: String,
    pub rule: String,
    pub reason: String,
}

/// Leave that was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DenialRow {
    /// Given by the store; 0 before.
    pub id: i64,
    /// Unix time, ms.
    pub at_ms: i64,
    pub incident: Option<IncidentUid>,
    pub trace_id: Option<i64>,
    /// Who asked: `rules`, a model's name, an operator's.
    pub who: String,
    pub action: ActionRequest,
    pub rule: String,
    pub reason: String,
}

/// Which permits or denials to read, newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// At or after, Unix ms.
    pub since_ms: Option<i64>,
    /// Of the incident of this uid.
    pub incident: Option<String>,
    pub limit: Option<usize>,
}

pub(super) fn write_permit(connection: &Connection, permit: &PermitRow) -> Result<i64, StoreError> {
    let action = json("permits", &permit.action)?;
    connection
        .prepare_cached(
            "INSERT INTO permits (at_ms, incident, trace_id, who, action, command, rule, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .and_then(|mut insert| {
            insert.insert(params![
                permit.at_ms,
                permit.incident.as_ref().map(|uid| &uid.0),
                permit.trace_id,
                bounded(&permit.who),
                action,
                bounded(&permit.command),
                bounded(&permit.rule),
                bounded(&permit.reason),
            ])
        })
        .map_err(StoreError::sqlite("write a permit"))
}

pub(super) fn write_denial(connection: &Connection, denial: &DenialRow) -> Result<i64, StoreError> {
    let action = json("denials", &denial.action)?;
    connection
        .prepare_cached(
            "INSERT INTO denials (at_ms, incident, trace_id, who, action, rule, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut insert| {
            insert.insert(params![
                denial.at_ms,
                denial.incident.as_ref().map(|uid| &uid.0),
                denial.trace_id,
                bounded(&denial.who),
                action,
                bounded(&denial.rule),
                bounded(&denial.reason),
            ])
        })
        .map_err(StoreError::sqlite("write a denial"))
}

impl Reader {
    /// The permits that pass the filter, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn permits(&self, filter: &AuditFilter) -> Result<Listed<PermitRow>, StoreError> {
        let (what, table) = ("read permits", "permits");
        self.audit(what, table, "command", filter, |row| {
            Ok(PermitRow {
                id: row.get(0).map_err(StoreError::sqlite(what))?,
                at_ms: row.get(1).map_err(StoreError::sqlite(what))?,
                incident: row.get::<_, Option<String>>(2).map_err(StoreError::sqlite(what))?.map(IncidentUid),
                trace_id: row.get(3).map_err(StoreError::sqlite(what))?,
                who: row.get(4).map_err(StoreError::sqlite(what))?,
                action: action(table, row)?,
                rule: row.get(6).map_err(StoreError::sqlite(what))?,
                reason: row.get(7).map_err(StoreError::sqlite(what))?,
                command: row.get(8).map_err(StoreError::sqlite(what))?,
            })
        })
    }

    /// The denials that pass the filter, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn denials(&self, filter: &AuditFilter) -> Result<Listed<DenialRow>, StoreError> {
        let (what, table) = ("read denials", "denials");
        self.audit(what, table, "NULL", filter, |row| {
            Ok(DenialRow {
                id: row.get(0).map_err(StoreError::sqlite(what))?,
                at_ms: row.get(1).map_err(StoreError::sqlite(what))?,
                incident: row.get::<_, Option<String>>(2).map_err(StoreError::sqlite(what))?.map(IncidentUid),
                trace_id: row.get(3).map_err(StoreError::sqlite(what))?,
                who: row.get(4).map_err(StoreError::sqlite(what))?,
                action: action(table, row)?,
                rule: row.get(6).map_err(StoreError::sqlite(what))?,
                reason: row.get(7).map_err(StoreError::sqlite(what))?,
            })
        })
    }

    fn audit<T>(
        &self,
        what: &'static str,
        table: &'static str,
        command: &'static str,
        filter: &AuditFilter,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Listed<T>, StoreError> {
        let values = params![filter.since_ms.unwrap_or(i64::MIN), limit(filter.limit), filter.incident];
        let given = 2 + usize::from(filter.incident.is_some());
        self.list(what, &query(table, command, filter), &values[..given], read)
    }
}

pub(super) fn query(table: &str, command: &str, filter: &AuditFilter) -> String {
    let of = if filter.incident.is_some() { " AND incident = ?3" } else { "" };
    format!(
        "SELECT id, at_ms, incident, trace_id, who, action, rule, reason, {command} FROM {table}
         WHERE at_ms >= ?1{of} ORDER BY at_ms DESC LIMIT ?2"
    )
}

fn action(table: &'static str, row: &Row<'_>) -> Result<ActionRequest, StoreError> {
    let failed = StoreError::sqlite;
    let id: i64 = row.get(0).map_err(failed("read an id"))?;
    parse(table, id, &row.get::<_, String>(5).map_err(failed("read an action"))?)
}
