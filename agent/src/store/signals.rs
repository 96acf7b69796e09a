//! `signal_metadata`: one row a signal, from its first sight to its end.

use rusqlite::{Connection, Row, ToSql, params};

use super::{
    Listed, Reader, StoreError,
    names::Names,
    rows::{cut, json_numbers, limit, parse, signed, unsigned},
};
use crate::observe::{Numbers, Severity, Signal, SignalType};

pub(super) const TABLE: &str = "signal_metadata";
/// Most characters of a sentence.
const SENTENCE_CHARS: usize = 512;
/// Most characters of the name of a measure.
const MEASURE_CHARS: usize = 128;
/// Most numbers of one signal.
const NUMBERS: usize = 64;

/// Which signals to read. The default is all of them, newest first, 1,000 at most.
#[derive(Clone, Debug, Default)]
pub struct SignalFilter {
    /// At least this severe: an open signal as it is now, a closed one at its worst.
    pub severity_min: Option<Severity>,
    /// Last seen at or after, Unix ms.
    pub since_ms: Option<i64>,
    /// First seen at or before, Unix ms.
    pub until_ms: Option<i64>,
    /// Of one of these types; empty for all.
    pub types: Vec<SignalType>,
    pub open_only: bool,
    /// About the entity of this key.
    pub entity_key: Option<String>,
    pub limit: Option<usize>,
}

/// Writes or brings up to date the row of a signal.
pub(super) fn write(connection: &Connection, names: &mut Names, signal: &Signal) -> rusqlite::Result<()> {
    let measure = names.measure(connection, signal.signal_type, &cut(&signal.measure, MEASURE_CHARS))?;
    let entity = names.entity(connection, &signal.entity)?;
    let numbers = &signal.numbers.0[..signal.numbers.0.len().min(NUMBERS)];
    let keys: Vec<&str> = numbers.iter().map(|(name, _)| name.as_ref()).collect();
    let json = |error: serde_json::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
    let number_names = names.number_names(connection, serde_json::to_string(&keys).map_err(json)?)?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO signal_metadata (id, measure_id, entity_id, severity, peak_severity, pressure, value, names_id,
             numbers, sentence, last_seen_ms, lasted_ms, closed_after_ms, count, lost_events)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
         ON CONFLICT (id) DO UPDATE SET measure_id = excluded.measure_id, entity_id = excluded.entity_id,
             severity = excluded.severity, peak_severity = excluded.peak_severity, pressure = excluded.pressure,
             value = excluded.value, names_id = excluded.names_id, numbers = excluded.numbers,
             sentence = excluded.sentence, last_seen_ms = excluded.last_seen_ms, lasted_ms = excluded.lasted_ms,
             closed_after_ms = excluded.closed_after_ms, count = excluded.count, lost_events = excluded.lost_events",
    )?;
    statement.execute(params![
        signal.id,
        measure,
        entity,
        signal.severity as i64,
        signal.peak_severity as i64,
        signal.pressure,
        signal.value,
        number_names,
        json_numbers(numbers.iter().map(|(_, value)| *value)),
        cut(&signal.sentence, SENTENCE_CHARS),
        signal.last_seen_ms,
        signal.last_seen_ms.wrapping_sub(signal.first_seen_ms),
        signal.closed_ms.map(|closed| closed.wrapping_sub(signal.last_seen_ms)),
        signed(signal.count),
        signed(signal.lost_events),
    ])?;
    Ok(())
}

impl Reader {
    /// The signals that pass the filter, newest (last seen) first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn signals(&self, filter: &SignalFilter) -> Result<Listed<Signal>, StoreError> {
        let (sql, values) = query(filter);
        let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
        self.list("read signals", &sql, values.as_slice(), read)
    }

    /// How many signals there are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn signal_count(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM signal_metadata";
        let count: Option<i64> =
            self.one("count the signals", sql, [], |row| row.get(0).map_err(StoreError::sqlite("read a count")))?;
        Ok(count.map_or(0, i64::unsigned_abs))
    }

    /// The id that the next new signal gets.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn next_signal_id(&self) -> Result<i64, StoreError> {
        let sql = "SELECT coalesce(max(id), 0) + 1 FROM signal_metadata";
        let next =
            self.one("read the last signal", sql, [], |row| row.get(0).map_err(StoreError::sqlite("read an id")))?;
        Ok(next.unwrap_or(1))
    }
}

/// The filter as SQL: names and values stay values.
pub(super) fn query(filter: &SignalFilter) -> (String, Vec<Box<dyn ToSql>>) {
    let mut sql = "SELECT s.id, m.signal_type, m.measure, e.entity, s.severity, s.peak_severity, s.pressure, s.value,
        n.names, s.numbers, s.sentence, s.last_seen_ms, s.lasted_ms, s.closed_after_ms, s.count, s.lost_events
        FROM signal_metadata s
        CROSS JOIN measures m ON m.id = s.measure_id
        CROSS JOIN entities e ON e.id = s.entity_id
        CROSS JOIN number_names n ON n.id = s.names_id
        WHERE s.last_seen_ms >= ?"
        .to_owned();
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(filter.since_ms.unwrap_or(i64::MIN))];
    if filter.open_only {
        sql.push_str(" AND s.closed_after_ms IS NULL");
    }
    if let Some(key) = &filter.entity_key {
        sql.push_str(" AND s.entity_id = (SELECT id FROM entities WHERE key = ?)");
        values.push(Box::new(key.clone()));
    }
    if !filter.types.is_empty() {
        let marks = vec!["?"; filter.types.len()].join(", ");
        sql.push_str(&format!(" AND s.measure_id IN (SELECT id FROM measures WHERE signal_type IN ({marks}))"));
        values.extend(filter.types.iter().map(|kind| Box::new(kind.name()) as Box<dyn ToSql>));
    }
    if let Some(until) = filter.until_ms {
        sql.push_str(" AND s.last_seen_ms - s.lasted_ms <= ?");
        values.push(Box::new(until));
    }
    if let Some(severity) = filter.severity_min {
        sql.push_str(" AND iif(s.closed_after_ms IS NULL, s.severity, s.peak_severity) >= ?");
        values.push(Box::new(severity as i64));
    }
    sql.push_str(" ORDER BY s.last_seen_ms DESC LIMIT ?");
    values.push(Box::new(limit(filter.limit)));
    (sql, values)
}

fn read(row: &Row<'_>) -> Result<Signal, StoreError> {
    let sqlite = StoreError::sqlite;
    let what = "read a signal";
    let id: i64 = row.get(0).map_err(sqlite(what))?;
    let text = |column: usize| row.get::<_, String>(column).map_err(sqlite(what));
    let number = |column: usize| row.get::<_, i64>(column).map_err(sqlite(what));
    // SQLite keeps "not a number" as null.
    let real = |column: usize| Ok(row.get::<_, Option<f64>>(column).map_err(sqlite(what))?.unwrap_or(f64::NAN));
    let last_seen_ms = number(11)?;
    let closed_after_ms: Option<i64> = row.get(13).map_err(sqlite(what))?;
    let keys: Vec<String> = parse(TABLE, id, &text(8)?)?;
    let values: Vec<Option<f64>> = parse(TABLE, id, &text(9)?)?;
    Ok(Signal {
        id,
        signal_type: text(1)?.parse().map_err(|error: crate::observe::signal::UnknownName| damaged(id, error))?,
        measure: text(2)?.into(),
        entity: parse(TABLE, id, &text(3)?)?,
        severity: severity(TABLE, id, number(4)?)?,
        peak_severity: severity(TABLE, id, number(5)?)?,
        pressure: real(6)?,
        value: real(7)?,
        numbers: Numbers(
            keys.into_iter().map(Into::into).zip(values.into_iter().map(|value| value.unwrap_or(f64::NAN))).collect(),
        ),
        sentence: text(10)?,
        first_seen_ms: last_seen_ms.wrapping_sub(number(12)?),
        last_seen_ms,
        count: unsigned(number(14)?),
        closed_ms: closed_after_ms.map(|after| last_seen_ms.wrapping_add(after)),
        lost_events: unsigned(number(15)?),
    })
}

pub(super) fn severity(table: &'static str, id: impl std::fmt::Display, stored: i64) -> Result<Severity, StoreError> {
    let known = usize::try_from(stored).ok().and_then(|at| Severity::ALL.get(at).copied());
    known.ok_or_else(|| StoreError::Damaged { table, id: id.to_string(), why: format!("{stored} is no severity") })
}

fn damaged(id: i64, why: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged { table: TABLE, id: id.to_string(), why: why.to_string() }
}
