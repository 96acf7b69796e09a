//! What an action must leave as it was: read before, compared after.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::cgroup::{Mounts, ROOT};

/// Settings of the node that actions can change.
const SYSCTLS: [&str; 10] = [
    "vm/swappiness",
    "vm/dirty_bytes",
    "vm/dirty_background_bytes",
    "vm/dirty_ratio",
    "vm/dirty_background_ratio",
    "net/core/somaxconn",
    "net/ipv4/tcp_max_syn_backlog",
    "net/ipv4/tcp_fin_timeout",
    "net/ipv4/tcp_tw_reuse",
    "net/ipv4/ip_local_port_range",
];
/// Files of a cgroup that hold a limit or freeze it.
const CGROUP_FILES: [&str; 15] = [
    "memory.limit_in_bytes",
    "memory.soft_limit_in_bytes",
    "memory.swappiness",
    "memory.max",
    "memory.high",
    "cpu.cfs_quota_us",
    "cpu.cfs_period_us",
    "cpu.shares",
    "cpu.max",
    "cpu.weight",
    "pids.max",
    "freezer.state",
    "cgroup.freeze",
    "cpuset.cpus",
    "io.max",
];

/// Every setting by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Reads the node's, every cgroup's and every process's, without those of the loads, whose own are the action's.
    pub(super) fn read() -> Result<Self> {
        let mut all = BTreeMap::new();
        for name in SYSCTLS {
            if let Ok(value) = fs::read_to_string(Path::new("/proc/sys").join(name)) {
                all.insert(name.replace('/', "."), value.trim().to_owned());
            }
        }
        let mounts = Mounts::of_this_machine()?;
        for mount in mounts.v1.into_iter().map(|(_, mount)| mount).chain(mounts.v2) {
            cgroups(&mount, &mount, &mut all);
        }
        for entry in fs::read_dir("/proc")?.flatten() {
            if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) {
                // One that ends while it is read has no settings.
                let _ = process(pid, &mut all);
            }
        }
        Ok(Self(all))
    }

    /// What is not as it was, a line each. What is no more cannot be compared; a new process is none of this; a new
    /// cgroup was left behind by the agent if it bears its name, and else is the machine's own affair.
    pub(super) fn changes(&self, after: &Self) -> Vec<String> {
        let changed = self.0.iter().filter_map(|(name, before)| {
            let after = after.0.get(name)?;
            (after != before).then(|| format!("{name}: {before} -> {after}"))
        });
        let of_the_agent = |name: &&String| name.starts_with("cgroup ") && name.contains("kernelsight");
        let new = after.0.keys().filter(of_the_agent).filter(|name| !name.contains(": "));
        let left = new.filter(|name| !self.0.contains_key(*name)).map(|name| format!("{name}: was not there"));
        changed.chain(left).collect()
    }
}

fn cgroups(mount: &Path, directory: &Path, all: &mut BTreeMap<String, String>) {
    let below = directory.strip_prefix(mount).unwrap_or(directory);
    if below.starts_with(&ROOT[1..]) {
        return;
    }
    all.insert(format!("cgroup {}", directory.display()), String::new());
    for file in CGROUP_FILES {
        if let Ok(value) = fs::read_to_string(directory.join(file)) {
            all.insert(format!("cgroup {}: {file}", directory.display()), value.trim().to_owned());
        }
    }
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            cgroups(mount, &entry.path(), all);
        }
    }
}

/// Nice value, affinity and OOM score of a process that is nobody's load; kernel threads are the kernel's.
fn process(pid: u32, all: &mut BTreeMap<String, String>) -> Result<()> {
    let directory = PathBuf::from(format!("/proc/{pid}"));
    if fs::read(directory.join("cmdline"))?.is_empty() || fs::read_to_string(directory.join("cgroup"))?.contains(ROOT) {
        return Ok(());
    }
    let stat = fs::read_to_string(directory.join("stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let (nice, start) = (fields.get(16).copied().unwrap_or("?"), fields.get(19).copied().unwrap_or("?"));
    let status = fs::read_to_string(directory.join("status"))?;
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or("?").trim();
    let oom = fs::read_to_string(directory.join("oom_score_adj"))?;
    let value = format!("nice {nice}, cpus {allowed}, oom_score_adj {}", oom.trim());
    all.insert(format!("process {pid}@{start}"), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Settings {
        Settings(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_changed_and_what_was_left_behind_is_told() {
        let before = of(&[("vm.swappiness", "60"), ("process 7@1", "nice 0"), ("cgroup /a", "")]);
        let after = of(&[
            ("vm.swappiness", "10"),
            ("process 9@4", "nice 5"),
            ("cgroup /a", ""),
            ("cgroup /b", ""),
            ("cgroup /kernelsight", ""),
            ("cgroup /kernelsight: pids.max", "4"),
        ]);
        assert_eq!(before.changes(&after), ["vm.swappiness: 60 -> 10", "cgroup /kernelsight: was not there"]);
    }

    #[test]
    fn the_settings_of_this_machine_stand_still_when_nobody_acts() {
        let settings = Settings::read().expect("this machine's settings");
        assert!(settings.0.contains_key("vm.swappiness"));
        let own = format!("process {}@", std::process::id());
        assert!(settings.0.iter().any(|(name, value)| name.starts_with(&own) && value.starts_with("nice ")));
    }
}
