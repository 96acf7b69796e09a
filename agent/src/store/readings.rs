//! Readings: histograms a minute and an hour, baselines made of them, and each entity's mean of the minute.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Reader, StoreError,
    histogram::Histogram,
    names::Names,
    rows::{cut, parse},
};
use crate::{
    explain::Baseline,
    observe::{Entity, SignalType, history::Point},
};

pub(super) const FAMILY: &str = "readings";
/// The class that stands for all entities of a measure.
pub const ALL_ENTITIES: &str = "";
/// Series gathered between two writes; a reading of one more is refused.
const SERIES: usize = 8192;
/// Most characters of the name of a measure.
const MEASURE_CHARS: usize = 128;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

/// What was read since the last write.
#[derive(Debug, Default)]
pub(super) struct Readings {
    histograms: HashMap<Series, Histogram>,
    means: HashMap<EntitySeries, Mean>,
    newest_ms: i64,
}

/// A measure of a class in one minute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Series {
    signal_type: SignalType,
    measure: String,
    class: String,
    minute: i64,
}

/// A measure of an entity in one minute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct EntitySeries {
    signal_type: SignalType,
    measure: String,
    entity: Entity,
    minute: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    samples: i64,
}

impl Readings {
    /// Whether the value was taken in.
    pub(super) fn keep(
        &mut self,
        at_ms: i64,
        signal_type: SignalType,
        measure: &str,
        entity: &Entity,
        value: f64,
    ) -> bool {
        let minute = at_ms.div_euclid(MINUTE_MS);
        let measure = cut(measure, MEASURE_CHARS);
        let series = Series { signal_type, measure: measure.clone(), class: entity.class(), minute };
        let of_entity = EntitySeries { signal_type, measure, entity: entity.clone(), minute };
        let room = |len: usize, known: bool| known || len < SERIES;
        if !Histogram::takes(value)
            || !room(self.histograms.len(), self.histograms.contains_key(&series))
            || !room(self.means.len(), self.means.contains_key(&of_entity))
        {
            return false;
        }
        self.newest_ms = self.newest_ms.max(at_ms);
        let mean = self.means.entry(of_entity).or_default();
        mean.sum += value;
        mean.samples += 1;
        self.histograms.entry(series).or_default().add(value)
    }

    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Takes back what could not be written, and answers how many readings found no room.
    pub(super) fn put_back(&mut self, taken: Self) -> u64 {
        let mut lost = 0;
        for (series, histogram) in taken.histograms {
            if self.histograms.len() >= SERIES && !self.histograms.contains_key(&series) {
                lost += histogram.samples();
            } else {
                self.histograms.entry(series).or_default().merge(&histogram);
            }
        }
        for (series, mean) in taken.means {
            if self.means.len() < SERIES || self.means.contains_key(&series) {
                let ours = self.means.entry(series).or_default();
                ours.sum += mean.sum;
                ours.samples += mean.samples;
            }
        }
        self.newest_ms = self.newest_ms.max(taken.newest_ms);
        lost
    }

    pub(super) fn is_empty(&self) -> bool {
        self.histograms.is_empty()
    }

    pub(super) fn newest_ms(&self) -> i64 {
        self.newest_ms
    }
}

/// Merges what was read into the rows of its minutes and hours, and brings the baselines it touches up to date.
pub(super) fn write(
    connection: &Connection,
    names: &mut Names,
    readings: &Readings,
    baseline_hours: u32,
) -> rusqlite::Result<u64> {
    let mut minutes: HashMap<(i64, i64, i64), Histogram> = HashMap::new();
    let all = names.class(connection, ALL_ENTITIES)?;
    for (series, histogram) in &readings.histograms {
        let measure = names.measure(connection, series.signal_type, &series.measure)?;
        let class = names.class(connection, &series.class)?;
        minutes.entry((measure, class, series.minute)).or_default().merge(histogram);
        minutes.entry((measure, all, series.minute)).or_default().merge(histogram);
    }
    let mut hours: HashMap<(i64, i64, i64), Histogram> = HashMap::new();
    for ((measure, class, minute), histogram) in &minutes {
        merge_row(connection, MINUTE, (*measure, *class, *minute), histogram)?;
        hours.entry((*measure, *class, minute.div_euclid(60))).or_default().merge(histogram);
    }
    for (key, histogram) in &hours {
        merge_row(connection, HOUR, *key, histogram)?;
    }
    let touched: HashSet<(i64, i64)> = hours.keys().map(|(measure, class, _)| (*measure, *class)).collect();
    for (measure, class) in &touched {
        write_baseline(connection, *measure, *class, readings.newest_ms, baseline_hours)?;
    }
    for (series, mean) in &readings.means {
        write_point(connection, names, series, *mean)?;
    }
    Ok((minutes.len() + hours.len() + touched.len() + readings.means.len()) as u64)
}

/// The statements that read and replace a row of one of the two tables.
struct Table {
    read: &'static str,
    write: &'static str,
}

const MINUTE: Table = Table {
    read: "SELECT histogram FROM minute_histograms WHERE measure_id = ?1 AND class_id = ?2 AND minute = ?3",
    write: "INSERT OR REPLACE INTO minute_histograms (measure_id, class_id, minute, histogram) VALUES (?1, ?2, ?3, ?4)",
};
const HOUR: Table = Table {
    read: "SELECT histogram FROM hour_histograms WHERE measure_id = ?1 AND class_id = ?2 AND hour = ?3",
    write: "INSERT OR REPLACE INTO hour_histograms (measure_id, class_id, hour, histogram) VALUES (?1, ?2, ?3, ?4)",
};

fn merge_row(
    connection: &Connection,
    table: Table,
    (measure, class, at): (i64, i64, i64),
    histogram: &Histogram,
) -> rusqlite::Result<()> {
    let stored: Option<Vec<u8>> =
        connection.prepare_cached(table.read)?.query_row(params![measure, class, at], |row| row.get(0)).optional()?;
    // A row that is no histogram (nobody but us writes it) is written anew.
    let mut whole = stored.and_then(|bytes| Histogram::decode(&bytes)).unwrap_or_default();
    whole.merge(histogram);
    connection.prepare_cached(table.write)?.execute(params![measure, class, at, whole.encode()])?;
    Ok(())
}

fn write_baseline(
    connection: &Connection,
    measure: i64,
    class: i64,
    now_ms: i64,
    baseline_hours: u32,
) -> rusqlite::Result<()> {
    let hour = now_ms.div_euclid(HOUR_MS);
    let mut statement = connection.prepare_cached(
        "SELECT histogram FROM hour_histograms WHERE measure_id = ?1 AND class_id = ?2 AND hour BETWEEN ?3 AND ?4",
    )?;
    let mut rows = statement.query(params![measure, class, hour - i64::from(baseline_hours), hour])?;
    let mut whole = Histogram::default();
    while let Some(row) = rows.next()? {
        if let Some(histogram) = Histogram::decode(row.get_ref(0)?.as_blob()?) {
            whole.merge(&histogram);
        }
    }
    let Some(baseline) = whole.baseline() else {
        return Ok(());
    };
    let json =
        serde_json::to_string(&baseline).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO baselines (measure_id, class_id, updated_ms, baseline) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![measure, class, now_ms, json])?;
    Ok(())
}

fn write_point(connection: &Connection, names: &mut Names, series: &EntitySeries, mean: Mean) -> rusqlite::Result<()> {
    let measure = names.measure(connection, series.signal_type, &series.measure)?;
    let entity = names.entity(connection, &series.entity)?;
    connection
        .prepare_cached(
            "INSERT INTO points (entity_id, measure_id, minute, mean, samples) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (entity_id, measure_id, minute) DO UPDATE SET
                 mean = (mean * samples + excluded.mean * excluded.samples) / (samples + excluded.samples),
                 samples = samples + excluded.samples",
        )?
        .execute(params![entity, measure, series.minute, mean.sum / mean.samples as f64, mean.samples])?;
    Ok(())
}

pub(super) const PERCENTILES: &str = "SELECT histogram FROM minute_histograms
    WHERE measure_id = (SELECT id FROM measures WHERE signal_type = ?1 AND measure = ?2)
      AND class_id = (SELECT id FROM classes WHERE class = ?3) AND minute BETWEEN ?4 AND ?5";
pub(super) const BASELINE: &str = "SELECT baseline FROM baselines
    WHERE measure_id = (SELECT id FROM measures WHERE signal_type = ?1 AND measure = ?2)
      AND class_id = (SELECT id FROM classes WHERE class = ?3)";
pub(super) const POINTS: &str = "SELECT minute, mean FROM points
    WHERE entity_id = (SELECT id FROM entities WHERE key = ?1)
      AND measure_id = (SELECT id FROM measures WHERE signal_type = ?2 AND measure = ?3) AND minute >= ?4
    ORDER BY minute";

impl Reader {
    /// What was usual of late for a measure of a class of entities, or of all of them ([`ALL_ENTITIES`]); none when it
    /// was never read. At most 15 s old.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn baseline(
        &self,
        signal_type: SignalType,
        measure: &str,
        class: &str,
    ) -> Result<Option<Baseline>, StoreError> {
        let what = "read a baseline";
        self.one(what, BASELINE, params![signal_type.name(), measure, class], |row| {
            parse("baselines", measure, &row.get::<_, String>(0).map_err(StoreError::sqlite(what))?)
        })
    }

    /// Every baseline: signal type, measure, class, and what was usual.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn baselines(&self) -> Result<Vec<(SignalType, String, String, Baseline)>, StoreError> {
        let what = "read the baselines";
        let sql = "SELECT m.signal_type, m.measure, c.class, b.baseline FROM baselines b
            JOIN measures m ON m.id = b.measure_id JOIN classes c ON c.id = b.class_id
            ORDER BY b.measure_id, b.class_id";
        let read = |row: &rusqlite::Row<'_>| {
            let text = |column: usize| row.get::<_, String>(column).map_err(StoreError::sqlite(what));
            let measure = text(1)?;
            let signal_type = text(0)?.parse().map_err(|error: crate::observe::signal::UnknownName| {
                StoreError::Damaged { table: "measures", id: measure.clone(), why: error.to_string() }
            })?;
            let baseline = parse("baselines", &measure, &text(3)?)?;
            Ok((signal_type, measure, text(2)?, baseline))
        };
        let listed = self.list(what, sql, [], read)?;
        // It is written anew with its next value.
        listed.unread.iter().for_each(|why| tracing::warn!("a baseline: {why}"));
        Ok(listed.rows)
    }

    /// What a measure of all entities was like between two instants (whole minutes); none when it was never read.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn percentiles(
        &self,
        signal_type: SignalType,
        measure: &str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Option<Baseline>, StoreError> {
        let what = "read histograms";
        let (from, to) = (from_ms.div_euclid(MINUTE_MS), to_ms.div_euclid(MINUTE_MS));
        let histograms =
            self.rows(what, PERCENTILES, params![signal_type.name(), measure, ALL_ENTITIES, from, to], |row| {
                let bytes: Vec<u8> = row.get(0).map_err(StoreError::sqlite(what))?;
                Histogram::decode(&bytes).ok_or_else(|| StoreError::Damaged {
                    table: "minute_histograms",
                    id: measure.to_owned(),
                    why: format!("{} bytes that are no histogram", bytes.len()),
                })
            })?;
        let mut whole = Histogram::default();
        histograms.iter().for_each(|histogram| whole.merge(histogram));
        Ok(whole.baseline())
    }

    /// The means of each minute of a measure of one entity, oldest first; the time is the minute's middle.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn points(
        &self,
        signal_type: SignalType,
        measure: &str,
        entity_key: &str,
        since_ms: i64,
    ) -> Result<Vec<Point>, StoreError> {
        let what = "read points";
        let values = params![entity_key, signal_type.name(), measure, since_ms.div_euclid(MINUTE_MS)];
        self.rows(what, POINTS, values, |row| {
            let minute: i64 = row.get(0).map_err(StoreError::sqlite(what))?;
            let value = row.get(1).map_err(StoreError::sqlite(what))?;
            Ok(Point { at_ms: minute * MINUTE_MS + MINUTE_MS / 2, value })
        })
    }
}
