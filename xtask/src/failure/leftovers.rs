//! What an agent that was killed may leave in the kernel: programs, maps, links, pins, and executors of its own.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::loaded;

/// The kernel frees what nobody holds a moment after it was let go.
const GONE_WITHIN: Duration = Duration::from_secs(5);
const PINS: &str = "/sys/fs/bpf";

/// What a process holds, as it stands still.
#[derive(Debug, Default)]
pub(super) struct Held {
    programs: BTreeSet<u32>,
    maps: BTreeSet<u32>,
    links: BTreeSet<u32>,
    /// Pid and start time.
    children: BTreeSet<(u32, String)>,
}

impl Held {
    /// Stops the process where it is, and looks. It is the caller's to end it.
    pub(super) fn of(pid: u32) -> Result<Self> {
        kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGSTOP).context("the agent is gone")?;
        let mut held = Self::default();
        for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))?.flatten() {
            // A descriptor may be one of a thread that just closes it.
            let Ok(info) = fs::read_to_string(entry.path()) else { continue };
            let id = |field: &str| info.lines().find_map(|line| line.strip_prefix(field)?.trim().parse::<u32>().ok());
            // A link's lines name its program too.
            match (id("link_id:"), id("map_id:"), id("prog_id:")) {
                (Some(link), ..) => _ = held.links.insert(link),
                (_, Some(map), _) => _ = held.maps.insert(map),
                (.., Some(program)) => _ = held.programs.insert(program),
                _ => {}
            }
        }
        for thread in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            let pids = children.split_whitespace().filter_map(|pid| pid.parse().ok());
            held.children.extend(pids.filter_map(|pid: u32| Some((pid, start_of(pid)?))));
        }
        Ok(held)
    }

    pub(super) fn is_loaded(&self) -> bool {
        !self.programs.is_empty()
    }

    /// What of it is still there when the kernel had its time, in words.
    pub(super) fn left(&self) -> Result<Vec<String>> {
        let asked = Instant::now();
        loop {
            let left = self.left_now()?;
            if left.is_empty() || asked.elapsed() > GONE_WITHIN {
                return Ok(left);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn left_now(&self) -> Result<Vec<String>> {
        let both = |what: &str, mine: &BTreeSet<u32>, all: &BTreeSet<u32>| {
            mine.intersection(all).map(|id| format!("{what} {id}")).collect::<Vec<_>>()
        };
        let alive = |(pid, start): &&(u32, String)| start_of(*pid).as_ref() == Some(start);
        let mut left = both("program", &self.programs, &loaded::program_ids()?);
        left.extend(both("map", &self.maps, &loaded::map_ids()?));
        left.extend(both("link", &self.links, &loaded::link_ids()?));
        left.extend(self.children.iter().filter(alive).map(|(pid, _)| format!("executor {pid}")));
        Ok(left)
    }
}

/// Start time of a process that lives, in clock ticks.
fn start_of(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let lives = fields.next().is_some_and(|state| !matches!(state, "Z" | "X"));
    fields.nth(18).filter(|_| lives).map(str::to_owned)
}

/// All that is pinned.
pub(super) fn pins() -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    walk(Path::new(PINS), &mut found);
    found
}

fn walk(directory: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), found);
        }
        found.insert(entry.path());
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_child_that_lives_on_is_left_and_one_that_ended_is_not() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let held = Held { children: [(child.id(), start_of(child.id()).expect("it lives"))].into(), ..Held::default() };
        let alive =
            |held: &Held| held.children.iter().filter(|(pid, start)| start_of(*pid).as_ref() == Some(start)).count();
        assert_eq!(alive(&held), 1);
        child.kill().expect("killed");
        child.wait().expect("waited for");
        assert_eq!(alive(&held), 0);
    }
}
