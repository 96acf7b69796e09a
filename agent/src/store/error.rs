//! Why the store could not do something, in words for who asked.

use std::path::PathBuf;

use rusqlite::ErrorCode;

use super::ProposalStatus;

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {what} {path}: {source}", path = path.display())]
    File { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("there is no room in {dir}: {source}", dir = dir.display())]
    NoRoom { dir: PathBuf, source: Box<StoreError> },
    #[error("another process writes the database in {dir}; there may be one writer only", dir = dir.display())]
    InUse { dir: PathBuf },
    #[error("cannot {what}: {source}")]
    Sqlite { what: &'static str, source: rusqlite::Error },
    #[error("cannot bring the database to this version's tables: {source}")]
    Migration { source: Box<rusqlite_migration::Error> },
    #[error("row {id} of {table} cannot be read back: {why}")]
    Damaged { table: &'static str, id: String, why: String },
    #[error("a row for {table} cannot be stored: {why}")]
    Unstorable { table: &'static str, why: String },
    #[error("there is no {what} {id}")]
    Absent { what: &'static str, id: String },
    #[error("{matches} incidents or more begin with `{prefix}`; give more of it")]
    Ambiguous { prefix: String, matches: usize },
    #[error("proposal {id} is {status} already; only one that is {expected} can become {wanted}")]
    Settled { id: i64, status: ProposalStatus, expected: ProposalStatus, wanted: ProposalStatus },
    #[error("no answer from the writer within {seconds} s: the disk is slow or stuck; the row may yet be written")]
    NoAnswer { seconds: u64 },
    #[error("{waiting} durable writes wait already: the disk is slow or stuck")]
    Busy { waiting: usize },
    #[error(
        "it is not as it was left ({why}); nothing is written to it before a restart, which sets it aside if it must"
    )]
    Unsound { why: String },
    #[error("the database has to be opened anew after an error of the disk ({cause}), and is not yet: {why}")]
    Doubted { cause: String, why: String },
    #[error("the database is being opened anew after an error of the disk")]
    BeingOpened,
    #[error("somebody reads it")]
    BeingRead,
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether what is stored is damaged, so that it would fail whenever it is tried.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        let Self::Sqlite { source, .. } = self else { return false };
        matches!(source.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }

    /// The damage because of which it went ill, if that is why.
    ///
    /// # Errors
    /// When it went ill for another reason.
    pub fn damage(done: Result<(), Self>) -> Result<Option<Self>, Self> {
        match done {
            Ok(()) => Ok(None),
            Err(error) if error.is_damage() => Ok(Some(error)),
            Err(error) => Err(error),
        }
    }

    pub(super) fn sqlite(what: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Sqlite { what, source }
    }
}
