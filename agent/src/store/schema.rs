//! Opening the database: its directory, its lock, its tables; and setting aside what cannot be used.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::statvfs::statvfs;
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};
use rusqlite_migration::{M, Migrations};

use super::{FILE, Limits, Opening, StoreError, chain};
use crate::lock;

/// Numbered, append-only: the next change is the next file.
const STEPS: &[M<'static>] = &[
    M::up(include_str!("../../../migrations/0001_begin.sql")),
    M::up(include_str!("../../../migrations/0002_actions_together.sql")),
    M::up(include_str!("../../../migrations/0003_owed_and_refused.sql")),
    M::up(include_str!("../../../migrations/0004_chained_journal.sql")),
    M::up(include_str!("../../../migrations/0005_mind.sql")),
    M::up(include_str!("../../../migrations/0006_model_use.sql")),
];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);
/// The number of the newest migration.
pub(super) const VERSION: i64 = STEPS.len() as i64;
/// `KSDB` in ASCII: whose database this is.
pub(super) const APPLICATION_ID: i64 = 0x4b53_4442;
pub(super) const PAGE_BYTES: u64 = 4096;
/// A child of an agent that was killed holds the lock until it has become the executor that it was to be.
const LEFT_WITHIN: Duration = Duration::from_secs(2);

/// A database that is not used, and why.
struct Unusable(String);

enum Failure {
    Unusable(Unusable),
    Error(StoreError),
}

/// Opens the database of `dir` for its one writer. The file answered beside it is the lock, held while it is open.
pub(super) fn open(dir: &Path, limits: &Limits) -> Result<(Connection, File, Opening), StoreError> {
    open_in(dir, limits).map_err(|error| match has_no_room(dir) {
        // SQLite calls it an I/O error where it is its index of the log that finds none.
        true => StoreError::NoRoom { dir: dir.to_owned(), source: Box::new(error) },
        false => error,
    })
}

/// Opens it again while its lock is held, with nobody else at it: SQLite reads its log from the disk then, and takes of
/// it what its checksums prove.
///
/// # Errors
/// When it cannot be opened, and when it is gone, damaged, or lacks what the journal was told: those are at work who know
/// it by its rows, whose numbers a new one would give to others.
pub(super) fn reopen(path: &Path, limits: &Limits) -> Result<Connection, StoreError> {
    open_if(path, limits, is_as_left).map_err(|failure| match failure {
        Failure::Error(error) => error,
        Failure::Unusable(Unusable(why)) => StoreError::Unsound { why },
    })
}

/// It is not to be written, nor its log put back, before this was asked.
fn is_as_left(connection: &Connection, found: i64, path: &Path) -> Result<(), Failure> {
    match found {
        0 => return Err(unusable("there are no tables in it".to_owned())),
        VERSION => {}
        _ => return Err(unusable(format!("its tables are of version {found}, not {VERSION}"))),
    }
    let lacks = chain::lacks(connection, directory(path)).map_err(judge("read the journal"))?;
    lacks.map_or(Ok(()), |lacks| Err(unusable(lacks)))
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn has_no_room(dir: &Path) -> bool {
    let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(dir);
    // What is no disk, such as /proc, has no blocks at all.
    statvfs(there).is_ok_and(|disk| disk.blocks() > 0 && disk.blocks_available() == 0)
}

fn open_in(dir: &Path, limits: &Limits) -> Result<(Connection, File, Opening), StoreError> {
    let mut opening = Opening { schema_version: VERSION as u32, ..Opening::default() };
    make_directory(dir)?;
    let lock = take_lock(dir)?;
    let path = dir.join(FILE);
    let connection = match open_sound(&path, limits) {
        Ok(connection) => connection,
        Err(Failure::Error(error)) => return Err(error),
        Err(Failure::Unusable(Unusable(why))) => {
            let aside = set_aside(&path)?;
            opening.notes.push(format!(
                "the database could not be used ({why}); it was set aside as {} and a new one begun",
                aside.display()
            ));
            opening.set_aside = Some(aside);
            open_sound(&path, limits).map_err(|failure| match failure {
                Failure::Error(error) => error,
                Failure::Unusable(Unusable(why)) => StoreError::File {
                    what: "begin a new database as",
                    path: path.clone(),
                    source: io::Error::other(why),
                },
            })?
        }
    };
    let lacks =
        chain::lacks(&connection, dir).unwrap_or_else(|error| Some(format!("its journal cannot be read: {error}")));
    if let Some(lacks) = lacks {
        opening.notes.push(format!("the database is not as it was left: {lacks}; what was done may be unknown"));
    }
    // The new file's name must survive a power loss too.
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|source| StoreError::File {
        what: "sync",
        path: dir.to_owned(),
        source,
    })?;
    Ok((connection, lock, opening))
}

/// What every connection is told.
pub(super) fn tune(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(96);
    connection.execute_batch(
        "PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;",
    )
}

fn make_directory(dir: &Path) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|source| StoreError::File {
        what: "make the directory",
        path: dir.to_owned(),
        source,
    })
}

fn take_lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("kernelsight.lock");
    lock::take(&path, LEFT_WITHIN).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => StoreError::InUse { dir: dir.to_owned() },
        _ => StoreError::File { what: "lock", path, source },
    })
}

fn open_sound(path: &Path, limits: &Limits) -> Result<Connection, Failure> {
    make_private(path).map_err(Failure::Error)?;
    open_if(path, limits, |_, _, _| Ok(()))
}

/// Opens what is there, once it was `judged` by the version of its tables; 0: there are none yet.
fn open_if(
    path: &Path,
    limits: &Limits,
    judged: impl FnOnce(&Connection, i64, &Path) -> Result<(), Failure>,
) -> Result<Connection, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut connection = Connection::open_with_flags(path, flags).map_err(judge("open the database"))?;
    tune(&connection).map_err(judge("open the database"))?;
    if connection.is_readonly("main").map_err(judge("open the database"))? {
        if asks_for_later_sqlite(path) {
            return Err(unusable("its header says that a later SQLite wrote it".to_owned()));
        }
        let source = io::ErrorKind::PermissionDenied.into();
        return Err(Failure::Error(StoreError::File { what: "write", path: path.to_owned(), source }));
    }
    // Until it is known to be sound it is only looked at: what is set aside is as it was found.
    let leave_log = |leave| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, leave).map(drop);
    leave_log(true).map_err(judge("open the database"))?;
    let found = identify(&connection)?;
    judged(&connection, found, path)?;
    if found == 0 {
        // Both must be said before there is a table.
        connection
            .execute_batch(&format!("PRAGMA page_size = {PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL;"))
            .map_err(judge("begin the database"))?;
    } else {
        check(&connection)?;
        compare_schema(&connection, found)?;
    }
    leave_log(false).map_err(judge("open the database"))?;
    let wal_bytes = wal_bytes(limits);
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .and_then(|()| connection.pragma_update(None, "synchronous", "NORMAL"))
        .and_then(|()| connection.pragma_update(None, "journal_size_limit", wal_bytes as i64))
        .and_then(|()| connection.pragma_update(None, "application_id", APPLICATION_ID))
        .map_err(judge("set up the database"))?;
    MIGRATIONS.to_latest(&mut connection).map_err(|error| match error {
        rusqlite_migration::Error::RusqliteError { ref err, .. } if is_damage(err) => {
            Failure::Unusable(Unusable(err.to_string()))
        }
        other => Failure::Error(StoreError::Migration { source: Box::new(other) }),
    })?;
    link_old_journal(&mut connection, path)?;
    Ok(connection)
}

/// A journal of before there was a chain gets its links now. One that had links and lost them does not: its head tells.
fn link_old_journal(connection: &mut Connection, path: &Path) -> Result<(), Failure> {
    let dir = directory(path);
    let failed =
        |source| Failure::Error(StoreError::File { what: "read the journal's head in", path: dir.to_owned(), source });
    if chain::is_empty(connection).map_err(judge("read the journal"))?
        && chain::kept_head(dir).map_err(failed)?.is_none()
    {
        chain::adopt(connection).map_err(judge("link the journal"))?;
        let head = chain::head(connection).map_err(judge("read the journal"))?;
        chain::keep_head(dir, head).map_err(failed)?;
    }
    Ok(())
}

/// How large the write-ahead log may stay: a part of the whole bound.
pub(super) fn wal_bytes(limits: &Limits) -> u64 {
    (limits.max_bytes / 8).clamp(256 << 10, 8 << 20)
}

/// Makes the file if it is missing, and has nobody else read it; SQLite gives the log beside it the same mode.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let failed = |what| move |source| StoreError::File { what, path: path.to_owned(), source };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = fs::symlink_metadata(path).map_err(failed("look at"))?;
            if !metadata.is_file() {
                return Err(failed("use")(io::Error::other("it is no regular file")));
            }
            // Group may have been let in by an operator; others never.
            if metadata.permissions().mode() & 0o007 != 0 {
                let private = fs::Permissions::from_mode(metadata.permissions().mode() & 0o770);
                fs::set_permissions(path, private).map_err(failed("make private"))?;
            }
            Ok(())
        }
        Err(error) => Err(failed("make")(error)),
    }
}

/// The version of the database's tables, 0 when it is empty. One that is another's, or of a later version, is unusable.
fn identify(connection: &Connection) -> Result<i64, Failure> {
    let pragma = |name: &str| -> Result<i64, Failure> {
        connection.pragma_query_value(None, name, |row| row.get(0)).map_err(judge("read the database"))
    };
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(judge("read the database"))?;
    let (owner, version) = (pragma("application_id")?, pragma("user_version")?);
    if tables == 0 && version == 0 && (owner == 0 || owner == APPLICATION_ID) {
        return Ok(0);
    }
    if owner != APPLICATION_ID {
        return Err(unusable(format!("application id {owner:#x} is not KernelSight's, {APPLICATION_ID:#x}")));
    }
    if version < 1 {
        return Err(unusable(format!("schema version {version} is none, and there are tables")));
    }
    if version > VERSION {
        return Err(unusable(format!("schema version {version} is newer than {VERSION}, which this build knows")));
    }
    Ok(version)
}

fn check(connection: &Connection) -> Result<(), Failure> {
    let verdict: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(judge("check the database"))?;
    if verdict == "ok" { Ok(()) } else { Err(unusable(format!("quick_check: {}", verdict.replace('\n', " ")))) }
}

/// The tables are those that the migrations up to `version` make, and no others: nobody changed them.
fn compare_schema(connection: &Connection, version: i64) -> Result<(), Failure> {
    let mut model = Connection::open_in_memory().map_err(judge("model the tables"))?;
    MIGRATIONS
        .to_version(&mut model, version as usize)
        .map_err(|source| Failure::Error(StoreError::Migration { source: Box::new(source) }))?;
    let list = |of: &Connection| -> rusqlite::Result<Vec<(String, Option<String>)>> {
        let mut statement = of.prepare(
            "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    let (found, expected) =
        (list(connection).map_err(judge("read the tables"))?, list(&model).map_err(judge("model the tables"))?);
    if found == expected {
        return Ok(());
    }
    let odd = found
        .iter()
        .find(|row| !expected.contains(row))
        .or_else(|| expected.iter().find(|row| !found.contains(row)))
        .map_or("?", |(name, _)| name.as_str());
    Err(unusable(format!("`{}` is not as version {version} makes it", odd.escape_default())))
}

fn unusable(why: String) -> Failure {
    Failure::Unusable(Unusable(why))
}

fn judge(what: &'static str) -> impl FnOnce(rusqlite::Error) -> Failure {
    move |source| {
        if is_damage(&source) {
            unusable(source.to_string())
        } else {
            Failure::Error(StoreError::Sqlite { what, source })
        }
    }
}

/// What we ask is right, so an error of SQL, or a value that is not of its type, is the file's. A full disk, one with errors
/// and a missing right are none.
fn is_damage(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown),
        None => true,
    }
}

/// Bytes 18 and 19 of the header, where this SQLite writes 1 or 2: one that is higher there is read and not written.
fn asks_for_later_sqlite(path: &Path) -> bool {
    let mut header = [0; 20];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok() && header[18..20].iter().any(|version| *version > 2)
}

/// Moves the database and what belongs to it out of the way; the name says when.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let free = |candidate: &PathBuf| !candidate.exists();
    let aside = std::iter::once(beside(&format!(".corrupt-{stamp}")))
        .chain((2..1000).map(|n| beside(&format!(".corrupt-{stamp}-{n}"))))
        .find(free)
        .unwrap_or_else(|| beside(&format!(".corrupt-{stamp}-{}", std::process::id())));
    // The head is that of this journal, not of the next.
    let head = chain::head_path(directory(path));
    let mut head_aside = aside.as_os_str().to_owned();
    head_aside.push(".head");
    match fs::rename(&head, &head_aside) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(StoreError::File { what: "set aside", path: head, source }),
    }
    for suffix in ["", "-wal", "-shm"] {
        let mut to = aside.as_os_str().to_owned();
        to.push(suffix);
        match fs::rename(beside(suffix), &to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && !suffix.is_empty() => {}
            Err(source) => return Err(StoreError::File { what: "set aside", path: beside(suffix), source }),
        }
    }
    Ok(aside)
}
