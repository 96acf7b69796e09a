//! `settings` and `notes`: what outlives the daemon, and what an operator should find later.

use rusqlite::{Connection, params};

use super::{Reader, StoreError, rows::limit};

/// A setting, who made it, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub value: String,
    /// Unix time, ms.
    pub changed_ms: i64,
    pub changed_by: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Unix time, ms.
    pub at_ms: i64,
    pub note: String,
}

pub(super) fn write(connection: &Connection, key: &str, value: &str, by: &str, at_ms: i64) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT INTO settings (key, value, changed_ms, changed_by) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value, changed_ms = excluded.changed_ms,
                 changed_by = excluded.changed_by",
            params![key, value, at_ms, by],
        )
        .map(drop)
        .map_err(StoreError::sqlite("write a setting"))
}

pub(super) fn write_note(connection: &Connection, note: &str, at_ms: i64) -> Result<(), StoreError> {
    connection
        .execute("INSERT INTO notes (at_ms, note) VALUES (?1, ?2)", params![at_ms, note])
        .map(drop)
        .map_err(StoreError::sqlite("write a note"))
}

impl Reader {
    /// The setting of that key; none when it was never made.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn setting(&self, key: &str) -> Result<Option<Setting>, StoreError> {
        let what = "read a setting";
        self.one(what, "SELECT value, changed_ms, changed_by FROM settings WHERE key = ?1", [key], |row| {
            Ok(Setting {
                value: row.get(0).map_err(StoreError::sqlite(what))?,
                changed_ms: row.get(1).map_err(StoreError::sqlite(what))?,
                changed_by: row.get(2).map_err(StoreError::sqlite(what))?,
            })
        })
    }

    /// The newest notes, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn notes(&self, most: usize) -> Result<Vec<Note>, StoreError> {
        let what = "read notes";
        self.rows(
            what,
            "SELECT at_ms, note FROM notes ORDER BY at_ms DESC, id DESC LIMIT ?1",
            [limit(Some(most))],
            |row| {
                Ok(Note {
                    at_ms: row.get(0).map_err(StoreError::sqlite(what))?,
                    note: row.get(1).map_err(StoreError::sqlite(what))?,
                })
            },
        )
    }
}
