//! A connection that can only read. What it can read stands with each table family.

use std::{
    fmt,
    ops::Deref,
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, Params, Row, types::ValueRef};

use super::{
    ActionFilter, AuditFilter, Family, IncidentFilter, SignalFilter, StoreError, TraceFilter, actions, audit, blocking,
    cases, incidents, lock, metrics, model_use, proposals, readings, schema, signals, traces,
};
use crate::{observe::SignalType, text::Text};

/// A connection of its own that cannot write. Not shared between threads: each asks the store for one.
pub struct Reader {
    pub(super) connection: Lent,
}

/// Rows of a list, and why others cannot be read back, a sentence each: what is damaged hides nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    pub rows: Vec<T>,
    pub unread: Vec<String>,
}

/// Idle connections that are kept: to open one anew, SQLite reads the whole schema.
const KEPT: usize = 2;

/// How long one who wants to read waits while the database is opened anew; it may be the loop.
const OPENED_WITHIN: Duration = Duration::from_millis(250);

/// Connections for reading that nobody uses now, and how many are used.
#[derive(Clone, Default)]
pub(super) struct Idle(Arc<(Mutex<Pool>, Condvar)>);

#[derive(Default)]
struct Pool {
    connections: Vec<Connection>,
    lent: usize,
    /// Nobody is to read.
    held: bool,
    closed: bool,
}

/// While this is there, there is no connection for reading.
pub(super) struct Held(Idle);

/// A connection that goes back to the idle ones.
pub(super) struct Lent {
    connection: Option<Connection>,
    home: Idle,
}

impl Reader {
    pub(super) fn open(path: &Path, idle: &Idle) -> Result<Self, StoreError> {
        let mut lent = idle.lend()?;
        if lent.connection.is_none() {
            lent.connection = Some(connect(path)?);
        }
        Ok(Self { connection: lent })
    }

    /// How SQLite answers each of the questions that are asked often: the question, and the plan a line a step.
    ///
    /// # Errors
    /// When a question cannot be asked of this database.
    pub fn plans(&self) -> Result<Vec<(String, Vec<String>)>, StoreError> {
        let what = "explain a query";
        let explain = |(question, sql): (String, String)| {
            let mut statement =
                self.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).map_err(StoreError::sqlite(what))?;
            // Parameters are unbound, hence null: the plan does not depend on them.
            let mut rows = statement.raw_query();
            let mut plan = Vec::new();
            while let Some(row) = rows.next().map_err(StoreError::sqlite(what))? {
                plan.push(row.get(3).map_err(StoreError::sqlite(what))?);
            }
            Ok((question, plan))
        };
        questions().into_iter().map(explain).collect()
    }

    pub(super) fn rows<T>(
        &self,
        what: &'static str,
        sql: &str,
        values: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::new();
        self.each(what, sql, values, |row| {
            found.push(read(row)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Tells each row, and keeps none.
    pub(super) fn each(
        &self,
        what: &'static str,
        sql: &str,
        values: impl Params,
        mut tell: impl FnMut(&Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(StoreError::sqlite(what))?;
        let mut rows = statement.query(values).map_err(StoreError::sqlite(what))?;
        while let Some(row) = rows.next().map_err(StoreError::sqlite(what))? {
            tell(row)?;
        }
        Ok(())
    }

    /// As [`Reader::rows`], but a row that cannot be read back is told beside the others.
    pub(super) fn list<T>(
        &self,
        what: &'static str,
        sql: &str,
        values: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Listed<T>, StoreError> {
        let mut listed = Listed { rows: Vec::new(), unread: Vec::new() };
        for row in self.rows(what, sql, values, |row| Ok(read(row).map_err(|error| with_its_row(row, &error))))? {
            match row {
                Ok(row) => listed.rows.push(row),
                // It may quote what the row says.
                Err(why) => listed.unread.push(Text::from(why.as_str()).to_string()),
            }
        }
        Ok(listed)
    }

    pub(super) fn one<T>(
        &self,
        what: &'static str,
        sql: &str,
        values: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.rows(what, sql, values, read)?.into_iter().next())
    }
}

/// What is wrong with a row, and with which.
fn with_its_row(row: &Row<'_>, error: &StoreError) -> String {
    match (error, row.get_ref(0)) {
        (StoreError::Damaged { .. }, _) | (_, Err(_)) => error.to_string(),
        (_, Ok(ValueRef::Integer(id))) => format!("row {id}: {error}"),
        (_, Ok(id)) => format!("row {}: {error}", String::from_utf8_lossy(id.as_bytes().unwrap_or_default())),
    }
}

pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let what = "open the database for reading";
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags).map_err(StoreError::sqlite(what))?;
    schema::tune(&connection).map_err(StoreError::sqlite(what))?;
    connection.pragma_update(None, "query_only", true).map_err(StoreError::sqlite(what))?;
    Ok(connection)
}

impl Idle {
    /// The place of a connection, with one that was idle if there is one.
    fn lend(&self) -> Result<Lent, StoreError> {
        let (pool, changed) = &*self.0;
        let mut pool = lock(pool);
        if pool.held {
            let wait = || changed.wait_timeout_while(pool, OPENED_WITHIN, |pool| pool.held);
            (pool, _) = blocking(wait).unwrap_or_else(PoisonError::into_inner);
        }
        if pool.held {
            return Err(StoreError::BeingOpened);
        }
        pool.lent += 1;
        Ok(Lent { connection: pool.connections.pop(), home: self.clone() })
    }

    /// Closes those that are idle, waits for those that are lent, and lends none until the answer is dropped.
    ///
    /// # Errors
    /// When somebody reads for longer.
    pub(super) fn hold(&self, within: Duration) -> Result<Held, StoreError> {
        let (pool, changed) = &*self.0;
        let mut pool = lock(pool);
        pool.held = true;
        pool.connections.clear();
        let held = Held(self.clone());
        let waited = changed.wait_timeout_while(pool, within, |pool| pool.lent > 0);
        let (pool, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let is_read = pool.lent > 0;
        drop(pool);
        if is_read { Err(StoreError::BeingRead) } else { Ok(held) }
    }

    /// Closes them, and those that still come back.
    pub(super) fn close(&self) {
        let mut pool = lock(&self.0.0);
        pool.closed = true;
        pool.connections.clear();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (pool, changed) = &*self.0.0;
        lock(pool).held = false;
        changed.notify_all();
    }
}

impl Deref for Lent {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("it is taken when this is dropped")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let (pool, changed) = &*self.home.0;
        let mut pool = lock(pool);
        let kept = !pool.closed && !pool.held && pool.connections.len() < KEPT;
        match self.connection.take() {
            Some(connection) if kept => pool.connections.push(connection),
            // Closed before it is counted as gone.
            connection => drop(connection),
        }
        pool.lent -= 1;
        changed.notify_all();
    }
}

/// The questions asked often, as SQL.
fn questions() -> Vec<(String, String)> {
    let signals = |filter: SignalFilter| signals::query(&filter).0;
    let types = vec![SignalType::MemoryPressure, SignalType::Scheduler];
    let of = || Some("x".to_owned());
    let named = [
        ("signals since", signals(SignalFilter { since_ms: Some(0), ..SignalFilter::default() })),
        ("signals open", signals(SignalFilter { open_only: true, ..SignalFilter::default() })),
        ("signals of types", signals(SignalFilter { types, ..SignalFilter::default() })),
        ("signals of an entity", signals(SignalFilter { entity_key: of(), ..SignalFilter::default() })),
        ("incidents since", incidents::query(&IncidentFilter::default())),
        ("incidents open", incidents::query(&IncidentFilter { open_only: true, ..IncidentFilter::default() })),
        ("incidents alike", incidents::query(&IncidentFilter { fingerprint: of(), ..IncidentFilter::default() })),
        ("incident by prefix", incidents::BY_PREFIX.to_owned()),
        ("traces since", traces::query(&TraceFilter::default())),
        ("traces of an incident", traces::query(&TraceFilter { incident: of(), ..TraceFilter::default() })),
        ("traces alike", traces::similar(true)),
        ("actions since", actions::query(&ActionFilter::default())),
        ("actions of an incident", actions::query(&ActionFilter { incident: of(), ..ActionFilter::default() })),
        ("actions unsettled", actions::UNSETTLED.to_owned()),
        ("actions latest", actions::LATEST.to_owned()),
        ("proposals pending", proposals::query(true)),
        ("proposals", proposals::query(false)),
        ("denials", audit::query("denials", "NULL", &AuditFilter::default())),
        ("permits", audit::query("permits", "command", &AuditFilter::default())),
        ("percentiles", readings::PERCENTILES.to_owned()),
        ("baseline", readings::BASELINE.to_owned()),
        ("points", readings::POINTS.to_owned()),
        ("cases of an incident", cases::OF_INCIDENT.to_owned()),
        ("turns of a case", cases::TURNS_OF.to_owned()),
        ("an earlier reply", cases::BY_DIGEST.to_owned()),
        ("what models cost", cases::SPENT.to_owned()),
        ("what models cost on an incident", cases::SPENT_ON.to_owned()),
        ("what came of cases", model_use::CASES.to_owned()),
        ("what turns took", model_use::TURNS.to_owned()),
    ];
    let metrics = Family::ALL.map(|family| (family.table.to_owned(), metrics::range_query(family).to_owned()));
    named.map(|(question, sql)| (question.to_owned(), sql)).into_iter().chain(metrics).collect()
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("path", &self.connection.path()).finish()
    }
}
