//! `incidents`: one row an incident, the whole of it beside what it is found by.

use rusqlite::{Connection, Row, params};

use super::{
    Listed, Reader, StoreError,
    rows::{bounded, json, limit, name_of, parse},
};
use crate::explain::Incident;

pub(super) const TABLE: &str = "incidents";

/// Which incidents to read, newest first.
#[derive(Clone, Debug, Default)]
pub struct IncidentFilter {
    pub open_only: bool,
    /// Opened at or after, Unix ms.
    pub since_ms: Option<i64>,
    /// Of the same kind: [`Incident::fingerprint`].
    pub fingerprint: Option<String>,
    pub limit: Option<usize>,
}

/// An incident, ready to be written.
pub(super) struct IncidentRow {
    uid: String,
    opened_ms: i64,
    closed_ms: Option<i64>,
    status: String,
    severity: i64,
    title: String,
    fingerprint: String,
    primary_signal: i64,
    incident: String,
}

impl IncidentRow {
    pub(super) fn of(incident: &Incident) -> Result<Self, StoreError> {
        Ok(Self {
            uid: incident.uid.0.clone(),
            opened_ms: incident.opened_ms,
            closed_ms: incident.closed_ms,
            status: name_of(TABLE, &incident.status)?,
            severity: incident.severity as i64,
            title: bounded(&incident.title),
            fingerprint: bounded(&incident.fingerprint),
            primary_signal: incident.primary.id,
            incident: json(TABLE, incident)?,
        })
    }

    pub(super) fn write(&self, connection: &Connection) -> Result<(), StoreError> {
        let write = || {
            connection
                .prepare_cached(
                    "INSERT INTO incidents (uid, opened_ms, closed_ms, status, severity, title, fingerprint,
                         primary_signal, incident)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                     ON CONFLICT (uid) DO UPDATE SET opened_ms = excluded.opened_ms, closed_ms = excluded.closed_ms,
                         status = excluded.status, severity = excluded.severity, title = excluded.title,
                         fingerprint = excluded.fingerprint, primary_signal = excluded.primary_signal,
                         incident = excluded.incident",
                )?
                .execute(params![
                    self.uid,
                    self.opened_ms,
                    self.closed_ms,
                    self.status,
                    self.severity,
                    self.title,
                    self.fingerprint,
                    self.primary_signal,
                    self.incident,
                ])
        };
        write().map(drop).map_err(StoreError::sqlite("write an incident"))
    }
}

pub(super) const BY_PREFIX: &str =
    "SELECT uid, incident FROM incidents WHERE uid >= ?1 AND uid < ?1 || '~' ORDER BY uid LIMIT 2";

impl Reader {
    /// The incidents that pass the filter, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn incidents(&self, filter: &IncidentFilter) -> Result<Listed<Incident>, StoreError> {
        let since = filter.since_ms.unwrap_or(i64::MIN);
        let values = params![since, limit(filter.limit), filter.fingerprint];
        self.list("read incidents", &query(filter), &values[..2 + usize::from(filter.fingerprint.is_some())], read)
    }

    /// The incident whose uid begins with `uid_prefix`; none when there is none.
    ///
    /// # Errors
    /// [`StoreError::Ambiguous`] when there is more than one.
    pub fn incident(&self, uid_prefix: &str) -> Result<Option<Incident>, StoreError> {
        let mut found = self.rows("read an incident", BY_PREFIX, [uid_prefix], read)?;
        match found.len() {
            0 | 1 => Ok(found.pop()),
            matches => Err(StoreError::Ambiguous { prefix: uid_prefix.escape_default().to_string(), matches }),
        }
    }
}

pub(super) fn query(filter: &IncidentFilter) -> String {
    let open = if filter.open_only { " AND closed_ms IS NULL" } else { "" };
    let alike = if filter.fingerprint.is_some() { " AND fingerprint = ?3" } else { "" };
    format!("SELECT uid, incident FROM incidents WHERE opened_ms >= ?1{open}{alike} ORDER BY opened_ms DESC LIMIT ?2")
}

fn read(row: &Row<'_>) -> Result<Incident, StoreError> {
    let text = |column: usize| row.get::<_, String>(column).map_err(StoreError::sqlite("read an incident"));
    parse(TABLE, text(0)?, &text(1)?)
}
