//! `actions`: the undo journal. An intent is on disk, whole and synced, before the deed.

use rusqlite::{Connection, Row, params};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Listed, Reader, Store, StoreError, chain,
    rows::{bounded, limit, named, parse},
};
use crate::execute::journal::{Intent, Journal, JournalError, JournalRow, JournalState};

const TABLE: &str = "actions";
/// Most bytes of an intent: an undo that names 100,000 threads. It is never cut: half an undo is none.
const INTENT_BYTES: usize = 16 << 20;

/// Which actions to read, newest first.
#[derive(Clone, Debug, Default)]
pub struct ActionFilter {
    /// Intended at or after, Unix ms.
    pub since_ms: Option<i64>,
    /// Of the incident of this uid.
    pub incident: Option<String>,
    pub limit: Option<usize>,
}

impl Journal for Store {
    fn intend(&self, intent: &Intent) -> Result<i64, JournalError> {
        let json = whole(intent).map_err(storage("keep the intent"))?;
        let intent = intent.clone();
        self.journalled(move |connection| insert(connection, &intent, &json)).map_err(storage("keep the intent"))
    }

    fn advance(&self, id: i64, state: JournalState, note: &str, at_ms: i64) -> Result<(), JournalError> {
        let note = bounded(note);
        let advanced = self.journalled(move |connection| advance(connection, id, state, &note, at_ms));
        advanced.map_err(|error| match error {
            StoreError::Absent { .. } => JournalError::NoRow { id },
            other => storage("keep the state")(other),
        })
    }

    fn get(&self, id: i64) -> Result<Option<JournalRow>, JournalError> {
        self.reader().and_then(|reader| reader.action(id)).map_err(storage("read the row"))
    }

    fn latest(&self, count: u32) -> Result<Vec<JournalRow>, JournalError> {
        self.reader().and_then(|reader| reader.latest_actions(count)).map_err(storage("read what was done"))
    }

    fn unsettled(&self) -> Result<Vec<JournalRow>, JournalError> {
        self.reader().and_then(|reader| reader.unsettled_actions()).map_err(storage("read what is unsettled"))
    }

    fn unreadable(&self, count: u32) -> Result<Vec<String>, JournalError> {
        self.reader().and_then(|reader| reader.unreadable_actions(count)).map_err(storage("read what is unsettled"))
    }
}

fn storage(what: &'static str) -> impl FnOnce(StoreError) -> JournalError {
    move |error| JournalError::Storage { what, reason: error.to_string() }
}

/// JSON with nothing cut, certain to read back.
fn whole<T: Serialize + DeserializeOwned>(intent: &T) -> Result<String, StoreError> {
    let unstorable = |why: String| StoreError::Unstorable { table: TABLE, why };
    let json = serde_json::to_string(intent).map_err(|error| unstorable(error.to_string()))?;
    if json.len() > INTENT_BYTES {
        return Err(unstorable(format!("it has {} bytes as JSON; {INTENT_BYTES} at most are kept", json.len())));
    }
    serde_json::from_str::<T>(&json).map_err(|error| unstorable(error.to_string()))?;
    Ok(json)
}

fn insert(connection: &Connection, intent: &Intent, json: &str) -> Result<i64, StoreError> {
    let write = || {
        let id = connection
            .prepare_cached(
                "INSERT INTO actions (incident, author, approved_by, rule, action_type, command, target, intent,
                     lease_until_ms, made_at_ms, state, note, changed_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, '', ?10)",
            )?
            .insert(params![
                intent.incident.as_ref().map(|uid| &uid.0),
                bounded(&intent.author),
                intent.approved_by.as_deref().map(bounded),
                bounded(&intent.rule),
                bounded(&intent.action.action_type),
                bounded(&intent.command),
                bounded(&intent.target),
                json,
                intent.lease_until_ms,
                intent.made_at_ms,
                JournalState::Intended.name(),
            ])?;
        step(connection, id, JournalState::Intended, "", intent.made_at_ms)?;
        Ok(id)
    };
    write().map_err(StoreError::sqlite("write an intent"))
}

fn advance(connection: &Connection, id: i64, state: JournalState, note: &str, at_ms: i64) -> Result<(), StoreError> {
    let write = || {
        let changed = connection
            .prepare_cached("UPDATE actions SET state = ?1, note = ?2, changed_at_ms = ?3 WHERE id = ?4")?
            .execute(params![state.name(), note, at_ms, id])?;
        if changed > 0 {
            step(connection, id, state, note, at_ms)?;
        }
        Ok(changed)
    };
    match write().map_err(StoreError::sqlite("advance an action"))? {
        0 => Err(StoreError::Absent { what: "action", id: id.to_string() }),
        _ => Ok(()),
    }
}

/// Every state that an action was in stays readable, and is a link of the chain.
fn step(connection: &Connection, id: i64, state: JournalState, note: &str, at_ms: i64) -> rusqlite::Result<()> {
    let step = connection
        .prepare_cached(
            "INSERT INTO action_steps (action_id, step, state, note, at_ms)
             SELECT ?1, coalesce(max(step), 0) + 1, ?2, ?3, ?4 FROM action_steps WHERE action_id = ?1 RETURNING step",
        )?
        .query_row(params![id, state.name(), note, at_ms], |row| row.get(0))?;
    chain::append(connection, id, step)
}

const COLUMNS: &str = "id, intent, state, note, changed_at_ms";

pub(super) const UNSETTLED: &str = "SELECT id, intent, state, note, changed_at_ms FROM actions
    WHERE state IN ('intended', 'done', 'owed') OR (state = 'kept' AND lease_until_ms IS NOT NULL) ORDER BY id";

pub(super) const STANDING: &str = "SELECT id, intent, state, note, changed_at_ms FROM actions
    WHERE state IN ('kept', 'owed') ORDER BY id DESC";

pub(super) const LATEST: &str = "SELECT id, intent, state, note, changed_at_ms FROM actions
    WHERE id > (SELECT coalesce(max(id), 0) FROM actions) - ?1
    UNION SELECT id, intent, state, note, changed_at_ms FROM actions
    WHERE state IN ('intended', 'done', 'owed') OR (state = 'kept' AND lease_until_ms IS NOT NULL) ORDER BY id";

impl Reader {
    /// The actions that pass the filter, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn actions(&self, filter: &ActionFilter) -> Result<Listed<JournalRow>, StoreError> {
        let values = params![filter.since_ms.unwrap_or(i64::MIN), limit(filter.limit), filter.incident];
        let given = 2 + usize::from(filter.incident.is_some());
        self.list("read actions", &query(filter), &values[..given], read)
    }

    /// The action of that id; none when there is none.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn action(&self, id: i64) -> Result<Option<JournalRow>, StoreError> {
        self.one("read an action", &format!("SELECT {COLUMNS} FROM actions WHERE id = ?1"), [id], read)
    }

    /// The actions whose story is not over, oldest first. One that cannot be read back must not keep the others from
    /// being taken back: it is in [`Reader::unreadable_actions`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn unsettled_actions(&self) -> Result<Vec<JournalRow>, StoreError> {
        Ok(self.list("read unsettled actions", UNSETTLED, [], read)?.rows)
    }

    /// Why some of [`Reader::latest_actions`] cannot be read back, a sentence each.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn unreadable_actions(&self, count: u32) -> Result<Vec<String>, StoreError> {
        Ok(self.list("read the latest actions", LATEST, [count], read)?.unread)
    }

    /// The actions that stand: kept, or owed an undo; the last first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn standing_actions(&self) -> Result<Listed<JournalRow>, StoreError> {
        self.list("read what stands", STANDING, [], read)
    }

    /// The last so many actions by number, and all whose story is not over, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn latest_actions(&self, count: u32) -> Result<Vec<JournalRow>, StoreError> {
        self.rows("read the latest actions", LATEST, [count], read)
    }

    /// Every state that an action was in, oldest first: state, note, Unix ms.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn action_steps(&self, id: i64) -> Result<Vec<(JournalState, String, i64)>, StoreError> {
        let what = "read the steps of an action";
        let sql = "SELECT state, note, at_ms FROM action_steps WHERE action_id = ?1 ORDER BY step";
        self.rows(what, sql, [id], |row| {
            let state: String = row.get(0).map_err(StoreError::sqlite(what))?;
            Ok((
                named("action_steps", id, &state)?,
                row.get(1).map_err(StoreError::sqlite(what))?,
                row.get(2).map_err(StoreError::sqlite(what))?,
            ))
        })
    }
}

pub(super) fn query(filter: &ActionFilter) -> String {
    let (of, by) = match filter.incident {
        Some(_) => (" AND incident = ?3", "id"),
        None => ("", "made_at_ms"),
    };
    format!("SELECT {COLUMNS} FROM actions WHERE made_at_ms >= ?1{of} ORDER BY {by} DESC LIMIT ?2")
}

fn read(row: &Row<'_>) -> Result<JournalRow, StoreError> {
    let what = "read an action";
    let id: i64 = row.get(0).map_err(StoreError::sqlite(what))?;
    let text = |column: usize| row.get::<_, String>(column).map_err(StoreError::sqlite(what));
    Ok(JournalRow {
        id,
        intent: parse(TABLE, id, &text(1)?)?,
        state: named(TABLE, id, &text(2)?)?,
        note: text(3)?,
        changed_at_ms: row.get(4).map_err(StoreError::sqlite(what))?,
    })
}
