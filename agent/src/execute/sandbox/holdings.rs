//! What the information actions print of what the node holds: sockets, mounts, and the limits of a cgroup.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
};

use nix::{dir::Dir, fcntl::readlinkat, sys::statfs::statfs};

use super::inform::{TCP_STATES, plain};
use crate::{
    execute::{cgroup_file::CgroupFile, cgroup_tree::cgroup_text, setting::SettingError, value::CgroupPath},
    text::Text,
};

/// Mounts that are told.
const MOUNTS_MAX: usize = 60;
/// Lines of sockets that are told.
const SOCKETS_MAX: usize = 100;
/// Filesystems that ask somebody else for an answer, and may wait for it for ever.
const REMOTE: [&str; 10] = ["nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "afs", "glusterfs", "autofs", "virtiofs"];
/// Longest line of a cgroup's file that is told, characters, and lines of one file.
const LINE_MAX: usize = 160;
const LINES_MAX: usize = 12;

/// What is told of a cgroup, by a file of the hierarchy.
const LIMITS: [(CgroupFile, &[&str]); 6] = [
    (
        CgroupFile::MemoryHigh,
        &[
            "memory.min",
            "memory.low",
            "memory.high",
            "memory.max",
            "memory.current",
            "memory.swap.max",
            "memory.events",
            "cpu.max",
            "cpu.weight",
            "cpu.stat",
            "pids.max",
            "pids.current",
            "pids.events",
            "io.max",
            "cgroup.freeze",
            "cgroup.events",
        ],
    ),
    (
        CgroupFile::MemoryLimit,
        &[
            "memory.soft_limit_in_bytes",
            "memory.limit_in_bytes",
            "memory.memsw.limit_in_bytes",
            "memory.usage_in_bytes",
            "memory.failcnt",
            "memory.oom_control",
        ],
    ),
    (CgroupFile::CpuQuota, &["cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares", "cpu.stat"]),
    (CgroupFile::PidsMax, &["pids.max", "pids.current", "pids.events"]),
    (
        CgroupFile::BlkioReadBps,
        &[
            "blkio.throttle.read_bps_device",
            "blkio.throttle.write_bps_device",
            "blkio.throttle.read_iops_device",
            "blkio.throttle.write_iops_device",
        ],
    ),
    (CgroupFile::FreezerState, &["freezer.state"]),
];

/// Limits, use and events of a cgroup, in every hierarchy that has it; what is empty is left out.
pub(super) fn limits(path: &CgroupPath) -> Result<String, SettingError> {
    let mut told: BTreeMap<&str, String> = BTreeMap::new();
    for (file, names) in LIMITS {
        for name in names {
            if let Some(text) = cgroup_text(path, file, name)? {
                told.insert(name, text);
            }
        }
    }
    if told.is_empty() {
        return Err(SettingError::Gone { what: format!("cgroup {path} in any hierarchy") });
    }
    let mut table = plain(&["file", "what it says"]);
    for (name, text) in told {
        for (at, line) in text.lines().filter(|line| !line.trim().is_empty()).take(LINES_MAX).enumerate() {
            let line: String = Text::from(line).as_str().chars().take(LINE_MAX).collect();
            table.add_row([if at == 0 { name } else { "" }.to_owned(), line]);
        }
    }
    Ok(table.to_string())
}

/// Descriptors of one process that are looked at.
const DESCRIPTORS_MAX: usize = 100_000;

/// What the descriptors of a process are, counted.
pub(super) fn descriptors(directory: OwnedFd) -> io::Result<String> {
    let mut listed = Dir::from_fd(directory.try_clone()?)?;
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for entry in listed.iter().take(DESCRIPTORS_MAX) {
        let entry = entry?;
        if entry.file_name().to_bytes().starts_with(b".") {
            continue;
        }
        match readlinkat(&directory, entry.file_name()) {
            Ok(link) => *counts.entry(kind(link.as_bytes())).or_default() += 1,
            // Closed meanwhile.
            Err(nix::Error::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(kind, count)| (std::cmp::Reverse(*count), kind.clone()));
    let mut table = plain(&["descriptors", "kind"]);
    for (kind, count) in counts {
        table.add_row([count.to_string(), kind]);
    }
    Ok(table.to_string())
}

/// `socket`, `pipe`, `eventpoll`, `deleted file`, … by what the kernel writes into the link.
fn kind(link: &[u8]) -> String {
    let is = |prefix: &str| link.starts_with(prefix.as_bytes());
    let named = |name: &str| name.to_owned();
    match link {
        _ if is("socket:") => named("socket"),
        _ if is("pipe:") => named("pipe"),
        _ if is("/memfd:") => named("memfd"),
        _ if is("anon_inode:") => {
            let name = Text::from_bytes(&link["anon_inode:".len()..]);
            name.as_str().trim_matches(['[', ']']).chars().take(40).collect()
        }
        _ if link.ends_with(b" (deleted)") => named("deleted file"),
        _ if is("/dev/") => named("device"),
        _ if is("/proc/") || is("/sys/") => named("file of the kernel"),
        _ if is("/") => named("file"),
        _ => named("other"),
    }
}

/// How many sockets of whom are in which state.
pub(super) fn sockets() -> io::Result<String> {
    let mut counts: BTreeMap<(&str, &str, String), u64> = BTreeMap::new();
    for (family, states) in [("tcp", true), ("tcp6", true), ("udp", false), ("udp6", false), ("raw", false)] {
        for_lines(&format!("/proc/net/{family}"), |line| {
            let mut words = line.split_ascii_whitespace().skip(3);
            let state = words.next().and_then(|hex| usize::from_str_radix(hex, 16).ok());
            let user = words.nth(3).and_then(|uid| uid.parse::<u32>().ok());
            let name = match state.and_then(|state| TCP_STATES.get(state.wrapping_sub(1))) {
                Some(name) if states => *name,
                // Of those, 1 is connected to somebody.
                _ if state == Some(1) => "connected",
                _ => "open",
            };
            let user = user.map_or_else(|| "-".to_owned(), |uid| uid.to_string());
            *counts.entry((family, name, user)).or_default() += 1;
        })?;
    }
    for_lines("/proc/net/unix", |line| {
        let mut words = line.split_ascii_whitespace().skip(3);
        let (flags, _, state) = (words.next(), words.next(), words.next());
        // `__SO_ACCEPTCON` is a listening one; the states are those of `enum socket_state`.
        let name = match (flags, state) {
            (Some("00010000"), _) => "LISTEN",
            (_, Some("03")) => "connected",
            _ => "open",
        };
        // The kernel tells nobody whose it is.
        *counts.entry(("unix", name, "-".to_owned())).or_default() += 1;
    })?;
    let mut counts: Vec<_> = counts.into_iter().collect();
    let more = counts.len().saturating_sub(SOCKETS_MAX);
    if more > 0 {
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.truncate(SOCKETS_MAX);
    }
    let mut table = plain(&["family", "state", "user", "sockets"]);
    for ((family, state, user), count) in counts {
        table.add_row([family.to_owned(), state.to_owned(), user, count.to_string()]);
    }
    let memory = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let more =
        if more > 0 { format!("\n{more} more lines are left out, of fewer sockets each") } else { String::new() };
    Ok(format!("{table}{more}\n\n{}", memory.trim_end()))
}

/// How full the mounted filesystems are; those that somebody else answers for are not asked.
pub(super) fn mounts() -> io::Result<String> {
    let mut table = plain(&["mounted at", "kind", "size MiB", "used %", "inodes", "used %"]);
    let (mut unasked, mut more) = (0, 0);
    for line in fs::read_to_string("/proc/self/mountinfo")?.lines() {
        let Some((place, kind)) = line.split_once(" - ") else { continue };
        let (Some(place), Some(kind)) = (place.split(' ').nth(4), kind.split(' ').next()) else { continue };
        if REMOTE.contains(&kind) || kind.starts_with("fuse") {
            unasked += 1;
            continue;
        }
        let Ok(is) = statfs(unescape(place).as_str()) else { continue };
        if is.blocks() == 0 {
            continue;
        }
        if table.row_count() == MOUNTS_MAX {
            more += 1;
            continue;
        }
        let inodes = if is.files() == 0 { "-".to_owned() } else { is.files().to_string() };
        table.add_row([
            Text::from(place).to_string(),
            Text::from(kind).to_string(),
            (is.blocks() as u128 * is.block_size() as u128 / 1_048_576).to_string(),
            used_percent(is.blocks(), is.blocks_free()),
            inodes,
            used_percent(is.files(), is.files_free()),
        ]);
    }
    Ok(format!("{table}\n\n{unasked} of others are not asked, {more} more are left out"))
}

fn used_percent(all: u64, free: u64) -> String {
    match all {
        0 => "-".to_owned(),
        _ => format!("{:.1}", all.saturating_sub(free) as f64 * 100.0 / all as f64),
    }
}

/// As mountinfo writes a space, a tab, a newline and a backslash: `\040`, `\011`, `\012`, `\134`.
fn unescape(place: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(place.to_owned(), |place, (written, meant)| place.replace(written, meant))
}

/// Reads a table of `/proc/net` line by line, without its heading; one that is not there is empty.
fn for_lines(path: &str, mut take: impl FnMut(&str)) -> io::Result<()> {
    let Ok(file) = File::open(path) else { return Ok(()) };
    for line in BufReader::new(file).lines().skip(1) {
        take(&line?);
    }
    Ok(())
}
