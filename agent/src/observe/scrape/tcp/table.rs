//! `/proc/net/tcp` and `tcp6`: the slower way to count sockets by state, for kernels without socket diagnostics.

use std::{
    fs::File,
    io::{BufRead, BufReader},
};

use super::States;
use crate::observe::scrape::{Document, ScrapeError};

/// Sockets by state, and whether those are all: at most `most` lines of each file are read.
pub(super) fn count(most: u64) -> Result<(States, bool), ScrapeError> {
    let mut states = States::default();
    let v4 = count_file("/proc/net/tcp", most, &mut states)?;
    let v6 = match count_file("/proc/net/tcp6", most, &mut states) {
        // A kernel without IPv6 has no sockets of it.
        Err(error) if error.is_off() => true,
        other => other?,
    };
    Ok((states, v4 && v6))
}

fn count_file(path: &str, most: u64, states: &mut States) -> Result<bool, ScrapeError> {
    let failed = |error| ScrapeError::Read { path: path.to_owned(), error };
    let mut reader = BufReader::with_capacity(64 << 10, File::open(path).map_err(failed)?);
    let mut line = Vec::new();
    let mut lines = 0;
    while reader.read_until(b'\n', &mut line).map_err(failed)? > 0 {
        // The first line is the headings'.
        if lines > 0 {
            parse(Document::new(path, &line), states)?;
        }
        lines += 1;
        if lines > most {
            return Ok(false);
        }
        line.clear();
    }
    Ok(true)
}

/// Counts the sockets of some lines without headings: number, local address, remote address, state in hex.
pub fn parse(document: Document<'_>, states: &mut States) -> Result<(), ScrapeError> {
    for line in document.lines() {
        let state = line.fields().over(3).field("a state in hex")?;
        let state = std::str::from_utf8(state.text).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
        states.add(state.ok_or_else(|| line.is_not("a state in hex"))?);
    }
    Ok(())
}
