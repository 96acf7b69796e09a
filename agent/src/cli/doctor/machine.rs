//! What the machine gives: room in memory and on disk, a socket, groups, a clock.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::{
    sys::statvfs::statvfs,
    unistd::{AccessFlags, access},
};

use super::Check;
use crate::{cli::eyes::bytes, clock::now_ms, config::Settings, serve::peer};

/// The agent keeps below 48 MiB; with less than this free it would itself be the pressure.
const LEAST_MEMORY_BYTES: u64 = 128 << 20;
const LEAST_DISK_BYTES: u64 = 64 << 20;
/// 2024-01-01: a clock before it was never set.
const CLOCK_FROM_MS: i64 = 1_704_067_200_000;

pub(super) fn checks(settings: &Settings) -> Vec<Check> {
    vec![proc(), memory(), state(settings), socket(settings), groups(), clock()]
}

fn proc() -> Check {
    match fs::read_to_string("/proc/self/stat") {
        Ok(_) => Check::good("/proc", "readable"),
        Err(error) => {
            Check::fatal("/proc", error.to_string(), "without it nothing is seen", "mount -t proc proc /proc")
        }
    }
}

fn memory() -> Check {
    let name = "memory";
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map(|kib| kib << 10);
    match available {
        Some(available) if available >= LEAST_MEMORY_BYTES => {
            Check::good(name, format!("{} available", bytes(available as f64)))
        }
        Some(available) => Check::lacking(
            name,
            format!("{} available", bytes(available as f64)),
            "the agent needs some 40 MiB, 256 MiB is what its unit allows",
            "free some memory",
        ),
        None => Check::lacking(name, "unknown", "/proc/meminfo cannot be read", "mount -t proc proc /proc"),
    }
}

fn state(settings: &Settings) -> Check {
    let name = "state directory";
    let dir = &settings.state_dir;
    let nearest = nearest(dir);
    if access(&nearest, AccessFlags::W_OK | AccessFlags::X_OK).is_err() || !nearest.is_dir() {
        return Check::fatal(
            name,
            format!("{} cannot be written", dir.display()),
            "without a database there is no undo journal, so the agent does not start",
            "run as root, or give another directory by --state-dir",
        );
    }
    let free = statvfs(&nearest).map_or(u64::MAX, |disk| disk.blocks_available() * disk.fragment_size());
    if free < LEAST_DISK_BYTES {
        return Check::lacking(
            name,
            format!("{}, {} free", dir.display(), bytes(free as f64)),
            "the database is kept small, and its oldest rows go first",
            "make room on that disk",
        );
    }
    Check::good(name, format!("{}, {} free", dir.display(), bytes(free as f64)))
}

fn socket(settings: &Settings) -> Check {
    let name = "socket";
    let path = &settings.socket;
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Check::good(name, format!("a daemon answers on {}", path.display()));
    }
    let nearest = nearest(path.parent().unwrap_or(Path::new("/")));
    if access(&nearest, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        return Check::fatal(
            name,
            format!("{} cannot be made", path.display()),
            "without its socket nobody could ask the agent, so it does not start",
            "run as root, or give another path by --socket",
        );
    }
    Check::good(name, format!("nobody answers on {} yet; it can be made", path.display()))
}

fn groups() -> Check {
    let name = "groups";
    let missing: Vec<&str> =
        [peer::VIEWERS, peer::ADMINS].into_iter().filter(|group| peer::group(group).is_none()).collect();
    if missing.is_empty() {
        return Check::good(name, "kernelsight may look, kernelsight-admin may approve (root may all)");
    }
    Check::lacking(
        name,
        format!("there is no group {}", missing.join(" and no ")),
        "only root may look and approve",
        &missing.iter().map(|group| format!("groupadd --system {group}")).collect::<Vec<_>>().join(" && "),
    )
}

fn clock() -> Check {
    if now_ms() >= CLOCK_FROM_MS {
        return Check::good("clock", "set");
    }
    let without = "times in traces and in the database are wrong; what is measured is not";
    Check::lacking("clock", "it stands before 2024", without, "set the clock, or start a time service")
}

/// The directory itself, or the nearest one above it that is there.
fn nearest(dir: &Path) -> PathBuf {
    dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/")).to_owned()
}
