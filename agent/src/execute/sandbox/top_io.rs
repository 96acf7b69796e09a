//! Which cgroups read and write the most. Who is not the kernel may not read what other users' processes read and write;
//! what their cgroups do, everybody may.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    thread,
};

use super::inform::{INTERVAL, plain};
use crate::{
    execute::{cgroup_file::CgroupFile, cgroup_tree::mount_with},
    text::Text,
};

/// Cgroups that are looked at, and how deep.
const CGROUPS_MAX: usize = 10_000;
const DEPTH_MAX: usize = 32;

/// Bytes and operations since the cgroup was made, of all devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    read_bytes: u64,
    written_bytes: u64,
    reads: u64,
    writes: u64,
}

/// A table of them, measured over one second.
pub(super) fn top_io(count: u32) -> io::Result<String> {
    let (mount, is_unified) = match mount_with(CgroupFile::BlkioReadBps.hierarchy()) {
        Some(mount) => (mount, false),
        None => (mount_with(CgroupFile::IoMax.hierarchy()).ok_or(ErrorKind::NotFound)?, true),
    };
    let before = counts(&mount, is_unified);
    thread::sleep(INTERVAL);
    let mut rows: Vec<(PathBuf, Count)> = counts(&mount, is_unified)
        .into_iter()
        // What is new has done all of it since.
        .map(|(path, now)| (now.since(before.get(&path).copied().unwrap_or_default()), path))
        .filter(|(since, _)| *since != Count::default())
        .map(|(since, path)| (path, since))
        .collect();
    if rows.is_empty() {
        return Ok("no cgroup read or wrote anything in this second".to_owned());
    }
    rows.sort_by_key(|(path, since)| (std::cmp::Reverse(since.read_bytes + since.written_bytes), path.clone()));
    let more = rows.len().saturating_sub(count as usize);
    let mut table = plain(&["cgroup", "read KiB/s", "written KiB/s", "reads/s", "writes/s"]);
    for (path, since) in rows.into_iter().take(count as usize) {
        table.add_row([
            Text::from(format!("/{}", path.display()).as_str()).to_string(),
            (since.read_bytes / 1024).to_string(),
            (since.written_bytes / 1024).to_string(),
            since.reads.to_string(),
            since.writes.to_string(),
        ]);
    }
    let left_out = if more > 0 { format!("\n{more} more are left out") } else { String::new() };
    // There the kernel cannot tell for whom it wrote a page back later.
    let later = if is_unified { "" } else { "\nwhat is written back later is counted for /" };
    Ok(format!("{table}{left_out}{later}"))
}

/// What each cgroup did itself, by its path below the mount.
fn counts(mount: &Path, is_unified: bool) -> BTreeMap<PathBuf, Count> {
    let mut counts = BTreeMap::new();
    let mut waiting = vec![(PathBuf::new(), DEPTH_MAX)];
    while let Some((path, depth)) = waiting.pop().filter(|_| counts.len() < CGROUPS_MAX) {
        let directory = mount.join(&path);
        // One that went meanwhile does nothing any more.
        if let Some(count) = read(&directory, is_unified) {
            counts.insert(path.clone(), count);
        }
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        if depth > 0 {
            waiting.extend(below.map(|entry| (path.join(entry.file_name()), depth - 1)));
        }
    }
    if is_unified { own(&counts) } else { counts }
}

/// The unified hierarchy counts for a cgroup what those below it did, too.
fn own(counts: &BTreeMap<PathBuf, Count>) -> BTreeMap<PathBuf, Count> {
    let mut own = counts.clone();
    for (path, count) in counts {
        if let Some(parent) = path.parent().and_then(|parent| own.get_mut(parent)) {
            *parent = parent.since(*count);
        }
    }
    own
}

fn read(directory: &Path, is_unified: bool) -> Option<Count> {
    let text = |name: &str| fs::read_to_string(directory.join(name)).ok();
    if is_unified {
        return Some(of_unified(&text("io.stat")?));
    }
    let (bytes, operations) = (text("blkio.throttle.io_service_bytes")?, text("blkio.throttle.io_serviced")?);
    let of = |text: &str, what: &str| {
        let number = |line: &str| line.split_once(' ')?.1.strip_prefix(what)?.trim().parse::<u64>().ok();
        text.lines().filter_map(number).sum()
    };
    Some(Count {
        read_bytes: of(&bytes, "Read "),
        written_bytes: of(&bytes, "Write "),
        reads: of(&operations, "Read "),
        writes: of(&operations, "Write "),
    })
}

/// `8:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252 dbytes=50331648 dios=3021`, a line a device.
fn of_unified(text: &str) -> Count {
    let of = |key: &str| {
        let words = text.split_ascii_whitespace();
        words.filter_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse::<u64>().ok()).sum()
    };
    Count { read_bytes: of("rbytes"), written_bytes: of("wbytes"), reads: of("rios"), writes: of("wios") }
}

impl Count {
    fn since(self, before: Self) -> Self {
        Self {
            read_bytes: self.read_bytes.saturating_sub(before.read_bytes),
            written_bytes: self.written_bytes.saturating_sub(before.written_bytes),
            reads: self.reads.saturating_sub(before.reads),
            writes: self.writes.saturating_sub(before.writes),
        }
    }
}
