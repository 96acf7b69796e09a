//! Lines of JSON: how a daemon, its actors and their executors speak to each other.

use std::io::{self, BufRead, Read};

use serde::{Serialize, de::DeserializeOwned};

/// Why a line is not taken.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    #[error("a line has more than {most} bytes")]
    TooLong { most: usize },
    #[error("a line ends before its newline")]
    CutShort,
}

/// The next line, of `most` bytes with its newline; none when the other side closed before it began one.
///
/// # Errors
/// A [`LineError`], what is no such value, and what stands in the way of reading.
pub fn read<T: DeserializeOwned>(from: &mut impl BufRead, most: usize) -> io::Result<Option<T>> {
    let refused = |error| Err(io::Error::new(io::ErrorKind::InvalidData, error));
    let mut line = Vec::new();
    // One byte more tells a line that is too long from one that just fits.
    from.take(most as u64 + 1).read_until(b'\n', &mut line)?;
    match line.last() {
        None => Ok(None),
        Some(_) if line.len() > most => refused(LineError::TooLong { most }),
        Some(b'\n') => Ok(Some(serde_json::from_slice(&line)?)),
        Some(_) => refused(LineError::CutShort),
    }
}

/// The line that [`read`] takes for this value.
///
/// # Errors
/// [`LineError::TooLong`]: the other side would not take it.
pub fn write<T: Serialize>(what: &T, most: usize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    if line.len() > most {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, LineError::TooLong { most }));
    }
    Ok(line)
}
