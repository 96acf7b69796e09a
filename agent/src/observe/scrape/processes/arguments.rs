//! `/proc/PID/cmdline`, read when it is asked for: what a process was started with, as strangers and their secrets
//! wrote it.

use std::{fs::File, io::Read};

use crate::observe::{ProcessId, scrape::KernelFile};

use super::parse;

/// Most bytes that are read of it.
const MOST: u64 = 16 << 10;

/// The arguments of that process, its program first; none where it has none (a kernel thread), where it is gone, or
/// where they are not for us to see. What is longer than 16 KiB is cut.
#[must_use]
pub fn arguments(id: ProcessId) -> Option<Vec<Vec<u8>>> {
    let mut text = Vec::new();
    File::open(format!("/proc/{}/cmdline", id.pid)).ok()?.take(MOST).read_to_end(&mut text).ok()?;
    // Afterwards: who has the pid then had it before.
    let mut buffer = Vec::new();
    let mut stat = KernelFile::once(format!("/proc/{}/stat", id.pid));
    let now = parse::stat(stat.read(&mut buffer).ok()?, 1, 100).ok()?;
    if now.id != id || text.is_empty() {
        return None;
    }
    let text = text.strip_suffix(&[0]).unwrap_or(&text);
    Some(text.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect())
}
