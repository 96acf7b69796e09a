//! Retention: what is too old goes; when the database is too large the oldest metrics go, then the oldest closed
//! signals. In small steps, each a transaction of its own. What tells a story (incidents, traces, actions, permits,
//! denials) goes by age alone.

use rusqlite::{Connection, OptionalExtension, Params, params};

use super::{
    Limits, chain,
    families::Family,
    names::Names,
    queue::Row,
    schema::{PAGE_BYTES, wal_bytes},
};

/// Rows of one table removed in one step.
const STEP: i64 = 2000;
/// Ticks removed in one step for want of room.
const STEP_TICKS: i64 = 200;
/// Steps for want of room in one go, so that others get their turn.
const STEPS_AT_ONCE: usize = 8;
/// Names looked at in one step.
const SWEEP: i64 = 1000;
/// Room left for what is written between two looks.
const SLACK_BYTES: u64 = 3 << 19;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

#[derive(Debug)]
pub(super) struct Retention {
    limits: Limits,
    /// Time of the newest row written since the start: age is counted from it, not from the clock, so that a store
    /// that is only read, or whose clock is wrong at boot, removes nothing.
    newest_ms: i64,
    behind: bool,
    full: bool,
    /// Whether the last look removed something for want of room.
    was_large: bool,
    /// The last entity and class looked at.
    swept: (i64, i64),
}

impl Retention {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, newest_ms: 0, behind: false, full: false, was_large: false, swept: (0, 0) }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn saw(&mut self, row: &Row) {
        self.saw_time(match row {
            Row::Signal(signal) => signal.last_seen_ms,
            Row::Metrics(rows) => rows.iter().map(super::metrics::MetricRow::at_ms).max().unwrap_or(0),
        });
    }

    pub(super) fn saw_time(&mut self, at_ms: i64) {
        self.newest_ms = self.newest_ms.max(at_ms);
    }

    /// Whether there is more to remove than one step did.
    pub(super) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Whether the bound is reached and nothing is left that may go for it.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// One step; answers how many rows went.
    pub(super) fn trim(&mut self, connection: &mut Connection, names: &mut Names) -> rusqlite::Result<u64> {
        let mut removed = 0;
        self.behind = false;
        if self.newest_ms > 0 {
            removed += self.trim_old(connection)?;
        }
        removed += self.trim_large(connection, names)?;
        let mut swept = self.sweep(connection, names)?;
        // Rows that went for want of room leave names behind as fast as they came.
        for _ in 0..if self.was_large { STEPS_AT_ONCE } else { 0 } {
            swept += self.sweep(connection, names)?;
        }
        self.give_back(connection)?;
        Ok(removed + swept)
    }

    fn trim_old(&mut self, connection: &mut Connection) -> rusqlite::Result<u64> {
        let now = self.newest_ms;
        let metrics = now - i64::from(self.limits.metrics_hours) * HOUR_MS;
        let signals = now - i64::from(self.limits.signals_days) * DAY_MS;
        let traces = now - i64::from(self.limits.traces_days) * DAY_MS;
        let mut removed = 0;
        let transaction = connection.transaction()?;
        for family in Family::ALL {
            removed += self.step(&transaction, &oldest(family.table, "at_ms"), params![metrics, STEP])?;
        }
        for (sql, bound) in [
            (oldest("minute_histograms", "minute"), metrics.div_euclid(MINUTE_MS)),
            (oldest("points", "minute"), signals.div_euclid(MINUTE_MS)),
            (oldest("hour_histograms", "hour"), signals.div_euclid(HOUR_MS)),
            ("DELETE FROM baselines WHERE updated_ms < ?1 AND ?2 > 0".to_owned(), signals),
            (closed_signals(), signals),
            (by_id("incidents", "rowid", "opened_ms < ?1 AND closed_ms IS NOT NULL", "opened_ms"), traces),
            (by_id("reasoning_traces", "trace_id", "timestamp < ?1", "timestamp"), traces),
            (by_id("proposals", "id", "made_at_ms < ?1 AND status <> 'pending'", "made_at_ms"), traces),
            (by_id("permits", "id", "at_ms < ?1", "at_ms"), traces),
            (by_id("denials", "id", "at_ms < ?1", "at_ms"), traces),
            (by_id("notes", "id", "at_ms < ?1", "at_ms"), traces),
            // Conversations are large; a trace tells without them what was decided.
            (by_id("cases", "case_id", "begun_ms < ?1", "begun_ms"), signals),
            (by_id("turns", "turn_id", "at_ms < ?1", "at_ms"), signals),
            ("DELETE FROM refuted WHERE at_ms < ?1 AND ?2 > 0".to_owned(), traces),
            (old_actions(), traces),
        ] {
            removed += self.step(&transaction, &sql, params![bound, STEP])?;
        }
        transaction
            .execute("DELETE FROM action_steps WHERE action_id < (SELECT coalesce(min(id), 0) FROM actions)", [])?;
        chain::prune(&transaction)?;
        transaction.commit()?;
        Ok(removed)
    }

    fn step(&mut self, connection: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<u64> {
        let removed = connection.prepare_cached(sql)?.execute(values)?;
        self.behind |= removed as i64 >= STEP;
        Ok(removed as u64)
    }

    fn trim_large(&mut self, connection: &mut Connection, names: &mut Names) -> rusqlite::Result<u64> {
        let mut removed = 0;
        self.full = false;
        self.was_large = false;
        for _ in 0..STEPS_AT_ONCE {
            if used_bytes(connection)? <= self.room() {
                return Ok(removed);
            }
            self.was_large = true;
            let transaction = connection.transaction()?;
            let mut step = remove_oldest_ticks(&transaction)?;
            if step == 0 {
                step = transaction.prepare_cached(&closed_signals())?.execute(params![i64::MAX, STEP])? as u64;
            }
            if step == 0 {
                step = remove_oldest_hours(&transaction)?;
            }
            transaction.commit()?;
            if step == 0 {
                step = self.sweep_all(connection, names)?;
            }
            removed += step;
            if step == 0 {
                self.full = true;
                return Ok(removed);
            }
        }
        self.behind = true;
        Ok(removed)
    }

    /// Bytes that the tables may use: the bound without the log and what is written between two looks.
    fn room(&self) -> u64 {
        self.limits.max_bytes.saturating_sub(wal_bytes(&self.limits) + SLACK_BYTES)
    }

    /// Removes entities and classes that no row names any more, a few at a time.
    fn sweep(&mut self, connection: &mut Connection, names: &mut Names) -> rusqlite::Result<u64> {
        let transaction = connection.transaction()?;
        let last = |table: &str, after: i64| -> rusqlite::Result<i64> {
            let sql = format!("SELECT max(id) FROM (SELECT id FROM {table} WHERE id > ?1 ORDER BY id LIMIT ?2)");
            let last: Option<i64> =
                transaction.prepare_cached(&sql)?.query_row(params![after, SWEEP], |row| row.get(0))?;
            Ok(last.unwrap_or(0))
        };
        let (entity, class) = (last("entities", self.swept.0)?, last("classes", self.swept.1)?);
        let entities = transaction
            .prepare_cached(
                "DELETE FROM entities WHERE id > ?1 AND id <= ?2
                 AND NOT EXISTS (SELECT 1 FROM signal_metadata s WHERE s.entity_id = entities.id)
                 AND NOT EXISTS (SELECT 1 FROM points p WHERE p.entity_id = entities.id)",
            )?
            .execute(params![self.swept.0, entity])?;
        let classes = transaction
            .prepare_cached(
                "DELETE FROM classes WHERE id > ?1 AND id <= ?2
                 AND NOT EXISTS (SELECT 1 FROM measures m CROSS JOIN hour_histograms h
                     ON h.measure_id = m.id AND h.class_id = classes.id)
                 AND NOT EXISTS (SELECT 1 FROM measures m CROSS JOIN minute_histograms h
                     ON h.measure_id = m.id AND h.class_id = classes.id)
                 AND NOT EXISTS (SELECT 1 FROM measures m CROSS JOIN baselines b
                     ON b.measure_id = m.id AND b.class_id = classes.id)",
            )?
            .execute(params![self.swept.1, class])?;
        transaction.commit()?;
        if entities + classes > 0 {
            // An id that is remembered may be one that is gone.
            names.forget();
        }
        self.swept = (entity, class);
        Ok((entities + classes) as u64)
    }

    fn sweep_all(&mut self, connection: &mut Connection, names: &mut Names) -> rusqlite::Result<u64> {
        let mut swept = 0;
        self.swept = (0, 0);
        loop {
            swept += self.sweep(connection, names)?;
            if self.swept == (0, 0) {
                return Ok(swept);
            }
        }
    }

    /// Gives free pages back to the file system when the file is larger than it may be, or a quarter of it is free.
    fn give_back(&self, connection: &Connection) -> rusqlite::Result<()> {
        let (pages, free) = (pragma(connection, "page_count")?, pragma(connection, "freelist_count")?);
        let over = (pages * PAGE_BYTES).saturating_sub(self.room()).div_ceil(PAGE_BYTES);
        let spare = if free > pages / 4 { free } else { over.min(free) };
        if spare > 0 {
            // One page is freed a step of the statement.
            let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({})", spare.min(4096)))?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
        }
        Ok(())
    }
}

/// Removes the oldest ticks of all families together, with the histograms and points of their time.
fn remove_oldest_ticks(connection: &Connection) -> rusqlite::Result<u64> {
    let mut until: Option<i64> = None;
    for family in Family::ALL {
        let sql = format!(
            "SELECT max(at_ms) FROM (SELECT at_ms FROM {table} ORDER BY at_ms LIMIT {STEP_TICKS})",
            table = family.table
        );
        let found: Option<i64> = connection.prepare_cached(&sql)?.query_row([], |row| row.get(0)).optional()?.flatten();
        until = [until, found].into_iter().flatten().min();
    }
    let Some(until) = until else {
        return Ok(0);
    };
    let mut removed = 0;
    for family in Family::ALL {
        removed += connection.prepare_cached(&oldest(family.table, "at_ms"))?.execute(params![until + 1, STEP])?;
    }
    for table in ["minute_histograms", "points"] {
        let minute = until.div_euclid(MINUTE_MS);
        removed += connection.prepare_cached(&oldest(table, "minute"))?.execute(params![minute, STEP])?;
    }
    Ok(removed as u64)
}

/// What is left to give when metrics and closed signals are gone: histograms and points, oldest first.
fn remove_oldest_hours(connection: &Connection) -> rusqlite::Result<u64> {
    let mut removed = 0;
    for (table, time) in [("minute_histograms", "minute"), ("points", "minute"), ("hour_histograms", "hour")] {
        if removed == 0 {
            removed = connection.prepare_cached(&oldest(table, time))?.execute(params![i64::MAX, STEP])?;
        }
    }
    Ok(removed as u64)
}

/// Deletes rows of a table that is ordered by time below `?1`, about `?2` of them: the oldest, whole instants only.
fn oldest(table: &str, time: &str) -> String {
    format!(
        "DELETE FROM {table} WHERE {time} < ?1 AND {time} <=
             (SELECT max({time}) FROM (SELECT {time} FROM {table} ORDER BY {time} LIMIT ?2))"
    )
}

/// Deletes the `?2` oldest rows for which `which` (of `?1`) holds.
fn by_id(table: &str, id: &str, which: &str, time: &str) -> String {
    format!("DELETE FROM {table} WHERE {id} IN (SELECT {id} FROM {table} WHERE {which} ORDER BY {time} LIMIT ?2)")
}

/// The journal goes from its beginning on, up to the first that is not so old, or whose story is not over; the newest
/// action stays whatever its age. What is missing elsewhere was taken out.
fn old_actions() -> String {
    "DELETE FROM actions WHERE id < (SELECT coalesce(max(id), 0) FROM actions) AND id < (
         SELECT coalesce(min(id), 9223372036854775807) FROM actions
         WHERE made_at_ms >= ?1 OR state IN ('intended', 'done', 'owed')
             OR (state = 'kept' AND lease_until_ms IS NOT NULL))
     AND id IN (SELECT id FROM actions ORDER BY id LIMIT ?2)"
        .to_owned()
}

/// The newest signal stays whatever its age, so that its id is not given twice.
fn closed_signals() -> String {
    let which = "last_seen_ms < ?1 AND closed_after_ms IS NOT NULL AND id < (SELECT max(id) FROM signal_metadata)";
    by_id("signal_metadata", "id", which, "last_seen_ms")
}

fn used_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    Ok((pragma(connection, "page_count")?.saturating_sub(pragma(connection, "freelist_count")?)) * PAGE_BYTES)
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    connection.pragma_query_value(None, name, |row| row.get(0)).map(super::rows::unsigned)
}
