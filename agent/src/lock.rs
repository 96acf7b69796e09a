//! A file that one process of all holds locked.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::{Duration, Instant},
};

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Opens the file, made if it is not there (mode 0600), and locks it. The lock is held while any copy of the descriptor
/// is open: in a child, too, until it executes another program. [`io::ErrorKind::WouldBlock`] if another still holds it
/// after `within`.
pub(crate) fn take(path: &Path, within: Duration) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let until = Instant::now() + within;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(LOOK_EVERY),
            Err(error) => return Err(error.into()),
        }
    }
}
