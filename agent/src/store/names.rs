//! What rows share, said once: measures, entities, classes and the names of numbers, each under a small number.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    observe::{Entity, ProcessId, SignalType},
    text::Text,
};

/// Names remembered of each kind; then they are looked up again.
const REMEMBERED: usize = 4096;

/// The ids of names, remembered by the writer. Whoever rolls a transaction back forgets them all.
#[derive(Debug, Default)]
pub(super) struct Names {
    measures: HashMap<SignalType, HashMap<String, i64>>,
    /// Processes, of which there are many, by what costs no allocation.
    processes: HashMap<ProcessId, (i64, Text)>,
    entities: HashMap<String, i64>,
    classes: HashMap<String, i64>,
    number_names: HashMap<String, i64>,
}

impl Names {
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(super) fn measure(
        &mut self,
        connection: &Connection,
        signal_type: SignalType,
        measure: &str,
    ) -> rusqlite::Result<i64> {
        if let Some(id) = self.measures.get(&signal_type).and_then(|known| known.get(measure)) {
            return Ok(*id);
        }
        let id = find_or_insert(
            connection,
            "SELECT id FROM measures WHERE signal_type = ?1 AND measure = ?2",
            "INSERT INTO measures (signal_type, measure) VALUES (?1, ?2)",
            params![signal_type.name(), measure],
        )?;
        remember(self.measures.entry(signal_type).or_default(), measure.to_owned(), id);
        Ok(id)
    }

    /// The id of an entity; its name of now (a process may change it) replaces the one before.
    pub(super) fn entity(&mut self, connection: &Connection, entity: &Entity) -> rusqlite::Result<i64> {
        if let Entity::Process { id, comm } = entity
            && let Some((known, known_comm)) = self.processes.get(id)
            && known_comm == comm
        {
            return Ok(*known);
        }
        let key = entity.key();
        if entity.process().is_none()
            && let Some(known) = self.entities.get(&key)
        {
            return Ok(*known);
        }
        let json =
            serde_json::to_string(entity).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let mut statement = connection.prepare_cached(
            "INSERT INTO entities (key, entity) VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET entity = excluded.entity RETURNING id",
        )?;
        let row = statement.query_row(params![key, json], |row| row.get(0))?;
        match entity {
            Entity::Process { id, comm } => remember(&mut self.processes, *id, (row, comm.clone())),
            _ => remember(&mut self.entities, key, row),
        }
        Ok(row)
    }

    pub(super) fn class(&mut self, connection: &Connection, class: &str) -> rusqlite::Result<i64> {
        if let Some(id) = self.classes.get(class) {
            return Ok(*id);
        }
        let id = find_or_insert(
            connection,
            "SELECT id FROM classes WHERE class = ?1",
            "INSERT INTO classes (class) VALUES (?1)",
            params![class],
        )?;
        remember(&mut self.classes, class.to_owned(), id);
        Ok(id)
    }

    /// The id of a JSON array of names.
    pub(super) fn number_names(&mut self, connection: &Connection, names: String) -> rusqlite::Result<i64> {
        if let Some(id) = self.number_names.get(&names) {
            return Ok(*id);
        }
        let id = find_or_insert(
            connection,
            "SELECT id FROM number_names WHERE names = ?1",
            "INSERT INTO number_names (names) VALUES (?1)",
            params![names],
        )?;
        remember(&mut self.number_names, names, id);
        Ok(id)
    }
}

fn find_or_insert(
    connection: &Connection,
    find: &str,
    insert: &str,
    name: impl rusqlite::Params + Copy,
) -> rusqlite::Result<i64> {
    let found = connection.prepare_cached(find)?.query_row(name, |row| row.get(0)).optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    connection.prepare_cached(insert)?.execute(name)?;
    Ok(connection.last_insert_rowid())
}

fn remember<K: std::hash::Hash + Eq, V>(known: &mut HashMap<K, V>, key: K, value: V) {
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(key, value);
}
