//! The write-ahead log goes back into the database after a commit that made it long. SQLite does that by itself too, but
//! keeps to itself when it fails; and the kernel tells of a write that the disk did not take only once.

use std::{cell::Cell, ffi::c_int};

use rusqlite::{Connection, ErrorCode, Result, hooks::Wal};

use super::{
    Limits,
    schema::{PAGE_BYTES, wal_bytes},
};

thread_local! {
    /// How long the log of this thread's connection becomes, pages.
    static LONG: Cell<u64> = const { Cell::new(u64::MAX) };
    static FAILED: Cell<Option<rusqlite::Error>> = const { Cell::new(None) };
}

/// To be called on the thread that writes.
pub(super) fn keep_short(connection: &Connection, limits: &Limits) {
    LONG.set(wal_bytes(limits) / PAGE_BYTES / 2);
    connection.wal_hook(Some(after_commit));
}

/// Why the log could not be put back since this was asked last.
pub(super) fn failed() -> Option<rusqlite::Error> {
    FAILED.take()
}

/// What was committed is committed, so that is what is answered.
fn after_commit(log: &Wal, pages: c_int) -> Result<()> {
    let is_long = u64::try_from(pages).is_ok_and(|pages| pages >= LONG.get());
    if is_long
        && let Err(error) = log.checkpoint()
        // One who reads keeps what it reads; the next commit tries again.
        && error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy)
    {
        FAILED.set(Some(error));
    }
    Ok(())
}
