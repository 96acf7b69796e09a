//! The connection that writes, and whether what it knows of the database is to be trusted.
//!
//! A page that the disk did not take is held for written by the kernel, which tells of it once, and drops it when it needs
//! the memory. Then the log has a hole, and SQLite, which looks at the log's checksums when it opens a database and not
//! after, puts the hole back into the database. So after an error of the disk nothing is written until it was opened anew.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, config::DbConfig};

use super::{Limits, StoreError, health::Health, log, names::Names, reader::Idle, schema};

/// Who reads when the database is to be opened anew is waited for.
const READ_WITHIN: Duration = Duration::from_millis(250);
/// At least so long from one try to the next, and so many times what a try took: it reads the whole database.
const RENEW_EVERY: Duration = Duration::from_secs(1);
const RENEW_SHARE: u32 = 10;

pub(super) struct Trusted {
    /// None while it could not be opened anew.
    connection: Option<Connection>,
    doubt: Option<Doubt>,
    /// Those who read.
    idle: Idle,
    path: PathBuf,
    limits: Limits,
}

struct Doubt {
    /// What the disk did.
    cause: String,
    /// Why it could not be opened anew, once that was tried.
    why: String,
    try_at: Instant,
}

impl Trusted {
    pub(super) fn new(connection: Connection, idle: Idle, path: PathBuf, limits: Limits) -> Self {
        Self { connection: Some(connection), doubt: None, idle, path, limits }
    }

    /// To be called on the thread that writes.
    pub(super) fn begin(&self) {
        if let Some(connection) = &self.connection {
            log::keep_short(connection, &self.limits);
        }
    }

    /// The connection, opened anew where that is due: then the names have to be looked up again.
    ///
    /// # Errors
    /// [`StoreError::Doubted`] while it cannot be opened anew.
    pub(super) fn get(&mut self, names: &mut Names, health: &Health) -> Result<&mut Connection, StoreError> {
        if let Some(doubt) = self.doubt.take() {
            names.forget();
            let doubt = self.dispel(doubt);
            if let Some(Doubt { cause, why, .. }) = &doubt {
                let error = StoreError::Doubted { cause: cause.clone(), why: why.clone() };
                health.fail(&error);
                self.doubt = doubt;
                return Err(error);
            }
            tracing::warn!("the database was opened anew after an error of the disk");
        }
        self.connection.as_mut().ok_or(StoreError::Closed)
    }

    /// What of the doubt is left.
    fn dispel(&mut self, doubt: Doubt) -> Option<Doubt> {
        let begun = Instant::now();
        if begun < doubt.try_at {
            return Some(doubt);
        }
        let why = self.renew().err()?.to_string();
        Some(Doubt { why, try_at: begun + RENEW_EVERY.max(begun.elapsed() * RENEW_SHARE), ..doubt })
    }

    /// With nobody else at it, what is on the disk counts. All of the log is put back, which writes once more what the disk
    /// may not have taken.
    fn renew(&mut self) -> Result<(), StoreError> {
        let _held = self.idle.hold(READ_WITHIN)?;
        if let Some(connection) = self.connection.take() {
            leave_log(&connection);
        }
        let connection = self.connection.insert(schema::reopen(&self.path, &self.limits)?);
        log::keep_short(connection, &self.limits);
        let is_read: bool = connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(StoreError::sqlite("put the log back into the database"))?;
        // By another process.
        if is_read { Err(StoreError::BeingRead) } else { Ok(()) }
    }

    /// Hears of an error: one of the disk, or of what it gave back, is reason for doubt.
    pub(super) fn doubt(&mut self, error: &rusqlite::Error) {
        let is_of_disk = matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        );
        if is_of_disk && self.doubt.is_none() {
            self.doubt = Some(Doubt { cause: error.to_string(), why: String::new(), try_at: Instant::now() });
        }
    }

    pub(super) fn close(self) -> rusqlite::Result<()> {
        let Some(connection) = self.connection else { return Ok(()) };
        if self.doubt.is_some() {
            leave_log(&connection);
        }
        connection.close().map_err(|(_, error)| error)
    }
}

/// The last to close a database puts its log back, which here is in doubt.
fn leave_log(connection: &Connection) {
    if let Err(error) = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
        tracing::warn!("the log is put back as it is: {error}");
    }
}
