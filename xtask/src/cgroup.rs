//! Control groups of the loads, v1 and v2: one path, made in every hierarchy that is needed.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{sys::signal, unistd::Pid};
use serde::{Deserialize, Serialize};

/// All that the loads make lies below this.
pub(crate) const ROOT: &str = "/kernelsight-xtask";
/// v1 controllers in which a group is made whether or not it is limited there, so that its name is seen.
const ALWAYS: [&str; 3] = ["memory", "pids", "freezer"];
const CPU_PERIOD_US: u64 = 100_000;

/// What a load is held within.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) memory_mb: Option<u64>,
    /// Per cent of one CPU.
    pub(crate) cpu_percent: Option<u64>,
    pub(crate) pids: Option<u64>,
    /// A group of its own for the CPU scheduler too, where controllers are apart (v1); v2 groups always are.
    pub(crate) cpu_group: bool,
}

/// One group, by its path below each hierarchy's mount. Dropping it ends what runs in it and removes it.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: String,
    directories: Vec<PathBuf>,
}

/// Where the hierarchies are mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mounts {
    /// v1: a controller's name and its mount.
    pub(crate) v1: Vec<(String, PathBuf)>,
    pub(crate) v2: Option<PathBuf>,
}

impl Cgroup {
    /// Makes `ROOT/name` with its limits; `name` may have a `/`.
    pub(crate) fn create(name: &str, limits: &Limits) -> Result<Self> {
        let mounts = Mounts::of_this_machine()?;
        let path = format!("{ROOT}/{name}");
        let mut cgroup = Self { path: path.clone(), directories: Vec::new() };
        for mount in mounts.v2.iter().chain(mounts.v1.iter().map(|(_, mount)| mount)) {
            let left = mount.join(path.trim_start_matches('/'));
            remove_tree(&left);
            if left.exists() {
                // Its limits would be this load's.
                bail!("the cgroup {} is there from an earlier run, and cannot be removed", left.display());
            }
        }
        if let Some(mount) = &mounts.v2 {
            cgroup.make_v2(mount)?;
        }
        for (controller, mount) in &mounts.v1 {
            let cpu =
                matches!(controller.as_str(), "cpu" | "cpuacct") && (limits.cpu_group || limits.cpu_percent.is_some());
            if cpu || ALWAYS.contains(&controller.as_str()) {
                cgroup.make(mount.join(path.trim_start_matches('/')))?;
            }
        }
        cgroup.limit(limits)?;
        Ok(cgroup)
    }

    /// The path as the agent names it: below the mount, `/` first.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The pids of what runs in it, and below it.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = self.directories.iter().flat_map(|directory| processes_below(directory)).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Kills by the kernel's own hand so far, because of this group's limit.
    pub(crate) fn oom_kills(&self) -> u64 {
        let count = |file: PathBuf| -> Option<u64> {
            let text = fs::read_to_string(file).ok()?;
            text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
        };
        let of = |directory: &PathBuf| {
            count(directory.join("memory.events")).or_else(|| count(directory.join("memory.oom_control")))
        };
        self.directories.iter().filter_map(of).max().unwrap_or(0)
    }

    /// Whether nothing in it runs any more, by the kernel's word.
    pub(crate) fn is_frozen(&self) -> bool {
        let says = |file: PathBuf, word: &str| {
            fs::read_to_string(file).is_ok_and(|text| text.lines().any(|line| line == word))
        };
        self.directories.iter().any(|directory| {
            says(directory.join("cgroup.events"), "frozen 1") || says(directory.join("freezer.state"), "FROZEN")
        })
    }

    /// Freezes it as anybody would by hand.
    pub(crate) fn freeze(&self) -> Result<()> {
        for directory in &self.directories {
            for (file, value) in [("cgroup.freeze", "1"), ("freezer.state", "FROZEN")] {
                if directory.join(file).exists() {
                    return write(&directory.join(file), value);
                }
            }
        }
        bail!("this machine's cgroups cannot be frozen")
    }

    fn make(&mut self, directory: PathBuf) -> Result<()> {
        fs::create_dir_all(&directory).with_context(|| format!("the cgroup {} cannot be made", directory.display()))?;
        self.directories.push(directory);
        Ok(())
    }

    /// v2: the controllers are switched on in each group from the mount down to the parent.
    fn make_v2(&mut self, mount: &Path) -> Result<()> {
        let available = fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default();
        let wanted: Vec<String> = ["cpu", "memory", "pids", "io"]
            .into_iter()
            .filter(|name| available.split_whitespace().any(|controller| controller == *name))
            .map(|name| format!("+{name}"))
            .collect();
        let mut directory = mount.to_owned();
        for part in self.path.clone().trim_start_matches('/').split('/') {
            if !wanted.is_empty() {
                write(&directory.join("cgroup.subtree_control"), &wanted.join(" "))?;
            }
            directory.push(part);
            fs::create_dir_all(&directory)
                .with_context(|| format!("the cgroup {} cannot be made", directory.display()))?;
        }
        self.directories.push(directory);
        Ok(())
    }

    fn limit(&self, limits: &Limits) -> Result<()> {
        if let Some(bytes) = limits.memory_mb.map(|mb| mb << 20) {
            self.set(&["memory.max", "memory.limit_in_bytes"], &bytes.to_string())?;
        }
        if let Some(percent) = limits.cpu_percent {
            let quota_us = percent * CPU_PERIOD_US / 100;
            if self.file(&["cpu.max"]).is_some() {
                self.set(&["cpu.max"], &format!("{quota_us} {CPU_PERIOD_US}"))?;
            } else {
                self.set(&["cpu.cfs_period_us"], &CPU_PERIOD_US.to_string())?;
                self.set(&["cpu.cfs_quota_us"], &quota_us.to_string())?;
            }
        }
        if let Some(pids) = limits.pids {
            self.set(&["pids.max"], &pids.to_string())?;
        }
        Ok(())
    }

    /// Writes the first of the files that this machine has.
    fn set(&self, names: &[&str], value: &str) -> Result<()> {
        match self.file(names) {
            Some(file) => write(&file, value),
            None => bail!("this machine's cgroups have no {}: the load cannot be held within it", names.join(" or ")),
        }
    }

    fn file(&self, names: &[&str]) -> Option<PathBuf> {
        let mut files =
            names.iter().flat_map(|name| self.directories.iter().map(move |directory| directory.join(name)));
        files.find(|file| file.exists())
    }

    /// Lets run what somebody froze: a frozen process does not die on v1.
    fn thaw(&self) {
        for directory in &self.directories {
            for (file, value) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
                if directory.join(file).exists() {
                    // A group that is gone already needs no thawing.
                    let _ = fs::write(directory.join(file), value);
                }
            }
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            self.thaw();
            let left = self.processes();
            for pid in &left {
                // A process that ended meanwhile is what is wanted.
                let _ = signal::kill(Pid::from_raw(i32::try_from(*pid).unwrap_or(i32::MAX)), signal::Signal::SIGKILL);
            }
            // One that is about to end is listed no more, and still holds its group.
            if left.is_empty() {
                self.directories.iter().for_each(|directory| remove_tree(directory));
            }
            if self.directories.iter().all(|directory| !directory.exists()) || Instant::now() > until {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        for directory in &self.directories {
            // The common parents stay while another group needs them.
            let ours = |parent: &&Path| parent.components().any(|part| part.as_os_str() == &ROOT[1..]);
            let _ = directory.ancestors().skip(1).take_while(ours).try_for_each(fs::remove_dir);
        }
    }
}

impl Mounts {
    pub(crate) fn of_this_machine() -> Result<Self> {
        let text = fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts cannot be read")?;
        let mounts = Self::parse(&text);
        if mounts == Self::default() {
            bail!("no cgroup hierarchy is mounted; a load must be held within one");
        }
        Ok(mounts)
    }

    fn parse(mounts: &str) -> Self {
        let mut found = Self::default();
        for line in mounts.lines() {
            let mut fields = line.split(' ').skip(1);
            let (Some(point), Some(kind), Some(options)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            match kind {
                "cgroup2" if found.v2.is_none() => found.v2 = Some(point.into()),
                "cgroup" => {
                    for name in ["cpu", "cpuacct", "memory", "pids", "freezer"] {
                        let first = !found.v1.iter().any(|(known, _)| known == name);
                        if first && options.split(',').any(|option| option == name) {
                            found.v1.push((name.to_owned(), point.into()));
                        }
                    }
                }
                _ => {}
            }
        }
        found
    }
}

/// Joins a group that somebody else made, in every hierarchy that has it.
pub(crate) fn enter(path: &str) -> Result<()> {
    let mounts = Mounts::of_this_machine()?;
    let points = mounts.v1.into_iter().map(|(_, mount)| mount).chain(mounts.v2);
    let directories: Vec<PathBuf> =
        points.map(|mount| mount.join(path.trim_start_matches('/'))).filter(|directory| directory.is_dir()).collect();
    if directories.is_empty() {
        bail!("there is no cgroup {path}");
    }
    // 0 is the writer, with all its threads.
    directories.iter().try_for_each(|directory| write(&directory.join("cgroup.procs"), "0"))
}

fn write(file: &Path, value: &str) -> Result<()> {
    fs::write(file, value).with_context(|| format!("`{value}` cannot be written to {}", file.display()))
}

fn processes_below(directory: &Path) -> Vec<u32> {
    let own = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<u32> = own.lines().filter_map(|line| line.trim().parse().ok()).collect();
    pids.extend(children(directory).iter().flat_map(|child| processes_below(child)));
    pids
}

fn remove_tree(directory: &Path) {
    for child in children(directory) {
        remove_tree(&child);
    }
    // What cannot be removed still has a process, and the next run finds it.
    let _ = fs::remove_dir(directory);
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_that_share_a_mount_are_found_at_it() {
        let mounts = Mounts::parse(
            "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,cpu,cpuacct 0 0\n\
             cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
             cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nosuid 0 0\n\
             tmpfs /memory tmpfs rw,memory 0 0\n",
        );
        let at = |name: &str, mount: &str| (name.to_owned(), PathBuf::from(mount));
        assert_eq!(
            mounts.v1,
            [
                at("cpu", "/sys/fs/cgroup/cpu,cpuacct"),
                at("cpuacct", "/sys/fs/cgroup/cpu,cpuacct"),
                at("memory", "/sys/fs/cgroup/memory"),
            ]
        );
        assert_eq!(mounts.v2, Some("/sys/fs/cgroup/unified".into()));
    }
}
