//! When, on what, and of what a run was: without it no figure of it can be compared with another.

use std::{fs, process::Command};

use serde::Serialize;

use crate::place;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    /// When the run began, UTC.
    pub(crate) begun: String,
    pub(crate) kernel: String,
    pub(crate) cpus: usize,
    pub(crate) memory_mb: Option<u64>,
    /// Of the tree that was built, with `-dirty` where it was not committed; none where git does not tell.
    pub(crate) commit: Option<String>,
}

impl Machine {
    pub(crate) fn read() -> Self {
        let name = nix::sys::utsname::uname().ok();
        let part = |part: &std::ffi::OsStr| part.to_string_lossy().into_owned();
        Self {
            begun: format!("{:.0}", jiff::Timestamp::now()),
            kernel: name.map_or_else(
                || "unknown".to_owned(),
                |name| format!("{} {} {}", part(name.sysname()), part(name.release()), part(name.machine())),
            ),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mb: fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory_mb(&text)),
            commit: commit(),
        }
    }
}

fn memory_mb(meminfo: &str) -> Option<u64> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(total.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? / 1024)
}

fn commit() -> Option<String> {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]).current_dir(place::workspace());
    let said = git.output().ok().filter(|said| said.status.success())?;
    Some(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_machine_is_read_in_mebibytes() {
        assert_eq!(memory_mb("MemTotal:       24586752 kB\nMemFree: 1 kB\n"), Some(24010));
        assert_eq!(memory_mb("MemFree: 1 kB\n"), None);
    }
}
