//! The one thread that owns the connection: batches of what is queued, a synced transaction for what is durable.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use super::{
    Limits, StoreError, chain,
    health::Health,
    lock, log, metrics,
    names::Names,
    queue::{Queue, Row, Work},
    readings::{self, Readings},
    retention::Retention,
    schema, signals,
    trusted::Trusted,
};

/// How often histograms are written.
const READINGS_EVERY: Duration = Duration::from_secs(15);
/// How often retention looks: soon after the start, while nothing is over its bound, and while all is full.
const TRIM_FIRST: Duration = Duration::from_secs(10);
const TRIM_EVERY: Duration = Duration::from_secs(60);
const TRIM_FULL: Duration = Duration::from_secs(10);
/// Rows after which retention looks sooner.
const TRIM_ROWS: u64 = 4000;
/// Back-off after a failed write: doubled from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(30);

pub(super) struct Writer {
    connection: Trusted,
    /// Held while the connection is open, so that there is one writer.
    _lock: File,
    path: PathBuf,
    queue: Arc<Queue>,
    health: Arc<Health>,
    readings: Arc<Mutex<Readings>>,
    names: Names,
    retention: Retention,
    /// A batch that could not be written, and when to try again.
    held: Vec<Row>,
    retry_at: Option<Instant>,
    retry_after: Duration,
    readings_due: Instant,
    trim_due: Instant,
    rows_since_trim: u64,
}

impl Writer {
    pub(super) fn new(
        connection: Trusted,
        lock: File,
        path: PathBuf,
        limits: Limits,
        queue: Arc<Queue>,
        health: Arc<Health>,
        readings: Arc<Mutex<Readings>>,
    ) -> Self {
        let now = Instant::now();
        let mut writer = Self {
            connection,
            _lock: lock,
            path,
            queue,
            health,
            readings,
            names: Names::default(),
            retention: Retention::new(limits),
            held: Vec::new(),
            retry_at: None,
            retry_after: RETRY_FIRST,
            readings_due: now + READINGS_EVERY,
            trim_due: now + TRIM_FIRST,
            rows_since_trim: 0,
        };
        writer.measure();
        writer
    }

    pub(super) fn run(mut self) {
        let _dismissal = Dismissal(Arc::clone(&self.queue));
        self.connection.begin();
        loop {
            let until = self.retry_at.unwrap_or(self.readings_due).min(self.readings_due).min(self.trim_due);
            match self.queue.next(until, self.held.is_empty()) {
                Work::Urgent(urgent) => urgent(&mut self),
                Work::Batch(rows) => {
                    self.held = rows;
                    // What failed is held and tried again; it was counted and said.
                    let _ = self.write_held();
                }
                Work::Due => self.upkeep(),
                Work::Closed => return self.end(),
            }
        }
    }

    /// Does `work` in a transaction of its own that is on disk, and synced, when this answers `Ok`.
    pub(super) fn synced<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Self { connection, names, health, .. } = self;
        let done = connection.get(names, health).and_then(|connection| synced(connection, work));
        match &done {
            Ok(_) => {
                self.health.wrote(1);
                self.health.recovered();
            }
            Err(error) => self.fault(error),
        }
        self.hear_of_log();
        done
    }

    /// The same for a step of the journal: the head of its chain is kept in a file of its own. One that could not be kept
    /// is behind, which an audit allows.
    pub(super) fn journalled<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (answer, head) = self.synced(|connection| {
            let answer = work(connection)?;
            let head = chain::head(connection).map_err(StoreError::sqlite("read the head of the journal"))?;
            Ok((answer, head))
        })?;
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        if let Err(error) = chain::keep_head(dir, head) {
            tracing::error!(%error, "the head of the journal could not be kept; an audit sees less until it is");
        }
        Ok(answer)
    }

    /// Writes and syncs all that was queued when this was asked.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        self.write_held()?;
        loop {
            self.held = self.queue.take();
            if self.held.is_empty() {
                break;
            }
            self.write_held()?;
        }
        self.write_readings()?;
        self.synced(|connection| {
            // A commit that changes nothing syncs nothing, so something is changed.
            connection
                .pragma_update(None, "user_version", schema::VERSION)
                .map_err(StoreError::sqlite("sync the database"))
        })
    }

    fn write_held(&mut self) -> Result<(), StoreError> {
        if self.held.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.held);
        let weight: u64 = rows.iter().map(|row| row.weight() as u64).sum();
        match self.write_batch(&rows) {
            Ok(written) => {
                self.rows_since_trim += weight;
                self.health.wrote(written);
                self.well();
                self.hear_of_log();
                if self.rows_since_trim >= TRIM_ROWS || self.retention.is_behind() {
                    self.trim();
                }
                Ok(())
            }
            Err(error) => {
                self.held = rows;
                self.failed(&error);
                Err(error)
            }
        }
    }

    /// Writes a batch in one transaction and answers how many rows that were. A row that itself is at fault is counted
    /// and left out; a fault of the disk fails the whole.
    fn write_batch(&mut self, rows: &[Row]) -> Result<u64, StoreError> {
        let Self { connection, names, health, retention, .. } = self;
        let connection = connection.get(names, health)?;
        let done = (|| {
            let transaction = begin(connection)?;
            let mut written = 0;
            for row in rows {
                if retention.is_full() {
                    health.lose(row.family(), row.weight() as u64);
                    continue;
                }
                match write_row(&transaction, names, row) {
                    Ok(rows) => written += rows,
                    Err(error) if is_of_the_row(&error) => health.refuse(row.family(), &error),
                    Err(error) => return Err(error),
                }
                retention.saw(row);
            }
            transaction.commit()?;
            Ok(written)
        })();
        if done.is_err() {
            names.forget();
        }
        done.map_err(StoreError::sqlite("write a batch"))
    }

    fn write_readings(&mut self) -> Result<(), StoreError> {
        self.readings_due = Instant::now() + READINGS_EVERY;
        let taken = lock(&self.readings).take();
        if taken.is_empty() {
            return Ok(());
        }
        match self.write_taken(&taken) {
            Ok(written) => {
                self.retention.saw_time(taken.newest_ms());
                self.rows_since_trim += written;
                self.health.wrote(written);
                self.well();
                self.hear_of_log();
                Ok(())
            }
            Err(error) => {
                self.names.forget();
                let lost = lock(&self.readings).put_back(taken);
                self.health.lose(readings::FAMILY, lost);
                self.failed(&error);
                Err(error)
            }
        }
    }

    fn write_taken(&mut self, taken: &Readings) -> Result<u64, StoreError> {
        let Self { connection, names, health, retention, .. } = self;
        let connection = connection.get(names, health)?;
        let baseline_hours = retention.limits().baseline_hours;
        let done = (|| {
            let transaction = begin(connection)?;
            let written = readings::write(&transaction, names, taken, baseline_hours)?;
            transaction.commit()?;
            Ok(written)
        })();
        done.map_err(StoreError::sqlite("write histograms"))
    }

    fn upkeep(&mut self) {
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| now >= at) {
            self.retry_at = None;
            let _ = self.write_held();
        }
        if now >= self.readings_due {
            let _ = self.write_readings();
        }
        if now >= self.trim_due {
            self.trim();
        }
    }

    fn trim(&mut self) {
        self.rows_since_trim = 0;
        match self.trim_once() {
            Ok(removed) => {
                self.health.removed(removed);
                self.hear_of_log();
            }
            Err(error) => self.fault(&error),
        }
        self.measure();
        // What is over its bound is taken away in small steps with room for others between them.
        let pause = match (self.retention.is_behind(), self.retention.is_full()) {
            (true, _) => RETRY_FIRST,
            (false, true) => TRIM_FULL,
            (false, false) => TRIM_EVERY,
        };
        self.trim_due = Instant::now() + pause;
    }

    fn trim_once(&mut self) -> Result<u64, StoreError> {
        let Self { connection, names, health, retention, .. } = self;
        let connection = connection.get(names, health)?;
        retention.trim(connection, names).map_err(StoreError::sqlite("remove what is old"))
    }

    fn measure(&mut self) {
        let log = std::fs::metadata(format!("{}-wal", self.path.display())).map_or(0, |file| file.len());
        let main = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        self.health.measure(main + log);
    }

    fn well(&mut self) {
        self.retry_at = None;
        self.retry_after = RETRY_FIRST;
        self.health.recovered();
    }

    fn failed(&mut self, error: &StoreError) {
        self.fault(error);
        self.retry_at = Some(Instant::now() + self.retry_after);
        self.retry_after = (self.retry_after * 2).min(RETRY_LAST);
    }

    /// Errors of another kind were counted where they arose.
    fn fault(&mut self, error: &StoreError) {
        if let StoreError::Sqlite { source, .. } = error {
            self.connection.doubt(source);
            self.health.fail(error);
        }
    }

    fn hear_of_log(&mut self) {
        if let Some(error) = log::failed() {
            self.fault(&StoreError::sqlite("put the log back into the database")(error));
        }
    }

    /// Writes what is left, once, and closes the database.
    fn end(mut self) {
        if self.flush().is_err() {
            let mut lost = std::mem::take(&mut self.held);
            loop {
                let rows = self.queue.take();
                if rows.is_empty() {
                    break;
                }
                lost.extend(rows);
            }
            for row in &lost {
                self.health.lose(row.family(), row.weight() as u64);
            }
            tracing::error!("{} rows could not be written before the store was closed", lost.len());
        }
        if let Err(error) = self.connection.close() {
            tracing::warn!("the database was not closed cleanly; the next start recovers it: {error}");
        }
    }
}

/// Answers those who still wait when the writer ends, however it ends.
struct Dismissal(Arc<Queue>);

impl Drop for Dismissal {
    fn drop(&mut self) {
        self.0.dismiss();
    }
}

/// In WAL mode FULL syncs the log at commit, with all that was committed before; NORMAL does not.
fn synced<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let failed = StoreError::sqlite;
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed("ask for a synced commit"))?;
    let done = (|| {
        let transaction = begin(connection).map_err(failed("begin a durable write"))?;
        let answer = work(&transaction)?;
        transaction.commit().map_err(failed("commit a durable write"))?;
        Ok(answer)
    })();
    if let Err(error) = connection.pragma_update(None, "synchronous", "NORMAL") {
        tracing::warn!("the database syncs every commit from now on: {error}");
    }
    done
}

fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

fn write_row(connection: &Connection, names: &mut Names, row: &Row) -> rusqlite::Result<u64> {
    match row {
        Row::Metrics(rows) => metrics::write(connection, rows),
        Row::Signal(signal) => signals::write(connection, names, signal).map(|()| 1),
    }
}

/// Whether the row is at fault, and would be whenever it is tried.
fn is_of_the_row(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(
            code,
            ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::ParameterOutOfRange
        ),
        None => true,
    }
}
