//! What is never a target: what must not be touched for the node to stay whole and reachable.

use serde::Deserialize;

use super::PolicyError;
use crate::execute::{
    cgroup_file::CgroupFile,
    cgroup_tree::members,
    manager::{ManagerError, Unit},
    process::{Process, ProcessError},
    setting::SettingError,
    value::CgroupPath,
};

/// Generations between the agent and pid 1 that are looked through.
const ANCESTORS_MAX: usize = 64;

/// `protected.toml`.
///
/// A name is written by the process itself. All that somebody gains by taking a protected name is protection, which is
/// why no rule here ever makes a process less protected.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protected {
    comm: Vec<String>,
    cgroup: Vec<String>,
    unit: Vec<String>,
    uid: Vec<u32>,
    /// The agent's own process.
    #[serde(skip, default = "std::process::id")]
    agent: u32,
}

/// By what rule something is protected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is protected: {why}")]
pub struct IsProtected {
    pub what: String,
    pub why: String,
    /// `init`, `kernel_thread`, `agent`, `supervisor`, `comm`, `cgroup`, `unit`, `uid`.
    pub rule: &'static str,
}

/// Why a target may not be touched, or could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum NotATarget {
    #[error(transparent)]
    Protected(#[from] IsProtected),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Cgroup(#[from] SettingError),
    #[error(transparent)]
    Unit(#[from] ManagerError),
}

impl Protected {
    pub(super) fn parse(text: &str) -> Result<Self, PolicyError> {
        let protected: Self = toml::from_str(text).map_err(|error| PolicyError::syntax("protected.toml", &error))?;
        let names = protected.comm.iter().chain(&protected.cgroup).chain(&protected.unit);
        for name in names {
            let inner = name.strip_suffix('*').unwrap_or(name);
            if inner.is_empty() || inner.contains('*') {
                return Err(PolicyError::Glob { name: name.clone() });
            }
        }
        Ok(protected)
    }

    pub(super) fn of_agent(&mut self, pid: u32) {
        self.agent = pid;
    }

    /// Whether this number names a protected process, where a process has it; `None` where none has.
    pub(super) fn check_pid(&self, pid: u32) -> Result<Option<Process>, NotATarget> {
        self.check_below(pid, &self.ancestors()?)
    }

    fn check_below(&self, pid: u32, ancestors: &[u32]) -> Result<Option<Process>, NotATarget> {
        // Before anything is read: it is what it is on every node.
        if pid == 1 {
            return Err(IsProtected { what: "pid 1".to_owned(), why: "it is init".to_owned(), rule: "init" }.into());
        }
        match Process::find(pid) {
            Ok(process) => self.check(process, ancestors).map(Some),
            Err(ProcessError::Gone { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The process again if it may be a target.
    fn check(&self, process: Process, ancestors: &[u32]) -> Result<Process, NotATarget> {
        let protected = |why: String, rule| {
            let what = format!("{} (pid {})", process.comm, process.id.pid);
            Err(IsProtected { what, why, rule }.into())
        };
        if process.id.pid == 1 {
            return protected("it is init".to_owned(), "init");
        }
        if process.kernel_thread {
            return protected("it is a kernel thread".to_owned(), "kernel_thread");
        }
        if process.id.pid == self.agent {
            return protected("it is the agent itself".to_owned(), "agent");
        }
        if ancestors.contains(&process.id.pid) {
            return protected("it runs the agent".to_owned(), "supervisor");
        }
        if let Some(name) = matching(&self.comm, process.comm.as_str()) {
            return protected(format!("its name is listed as {name}"), "comm");
        }
        for cgroup in &process.cgroups {
            if let Some(name) = self.cgroup_rule(cgroup) {
                return protected(format!("its cgroup is listed as {name}"), "cgroup");
            }
            if let Some(name) = cgroup.split('/').find_map(|unit| matching(&self.unit, unit)) {
                return protected(format!("its unit is listed as {name}"), "unit");
            }
        }
        if self.uid.contains(&process.uid) {
            return protected(format!("user {} is listed", process.uid), "uid");
        }
        Ok(process)
    }

    /// Whether a cgroup may be a target: not listed, and no protected process in it or below it, in any hierarchy.
    pub(super) fn check_cgroup(&self, path: &CgroupPath) -> Result<(), NotATarget> {
        self.check_path(path)?;
        let mut pids = Vec::new();
        for file in CgroupFile::OF_EACH_HIERARCHY {
            match members(path, file) {
                Ok(found) => pids.extend(found),
                Err(SettingError::Gone { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        pids.sort_unstable();
        pids.dedup();
        let ancestors = self.ancestors()?;
        for pid in pids {
            if let Err(error) = self.check_below(pid, &ancestors) {
                return Err(match error {
                    NotATarget::Protected(member) => {
                        protected_cgroup(path, format!("in it, {member}"), member.rule).into()
                    }
                    other => other,
                });
            }
        }
        Ok(())
    }

    /// Whether a unit may be a target: not listed, and no protected process in its cgroup.
    pub(super) fn check_unit(&self, unit: &Unit) -> Result<(), NotATarget> {
        if let Some(name) = matching(&self.unit, &unit.name) {
            let why = format!("it is listed as {name}");
            return Err(IsProtected { what: format!("unit {}", unit.name), why, rule: "unit" }.into());
        }
        let Some(cgroup) = &unit.cgroup else { return Ok(()) };
        let path = cgroup.parse().map_err(|_| SettingError::Unknown { name: format!("cgroup {cgroup}") })?;
        self.check_cgroup(&path)
    }

    /// Whether the cgroup itself is listed, whoever lives in it.
    pub(super) fn check_path(&self, path: &CgroupPath) -> Result<(), IsProtected> {
        if let Some(name) = self.cgroup_rule(path.as_str()) {
            return Err(protected_cgroup(path, format!("it is listed as {name}"), "cgroup"));
        }
        if let Some(name) = path.as_str().split('/').find_map(|unit| matching(&self.unit, unit)) {
            return Err(protected_cgroup(path, format!("its unit is listed as {name}"), "unit"));
        }
        Ok(())
    }

    /// The agent's parent, that one's parent, and so on to pid 1.
    fn ancestors(&self) -> Result<Vec<u32>, ProcessError> {
        let mut ancestors = Vec::new();
        let mut next = Process::find(self.agent)?.parent;
        while next > 1 && ancestors.len() < ANCESTORS_MAX {
            ancestors.push(next);
            next = match Process::find(next) {
                Ok(process) => process.parent,
                // It ended just now: whoever is above it is above us no more.
                Err(ProcessError::Gone { .. }) => break,
                Err(error) => return Err(error),
            };
        }
        Ok(ancestors)
    }

    fn cgroup_rule(&self, path: &str) -> Option<&str> {
        self.cgroup.iter().map(String::as_str).find(|rule| match rule.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path.strip_prefix(*rule).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        })
    }
}

fn protected_cgroup(path: &CgroupPath, why: String, rule: &'static str) -> IsProtected {
    IsProtected { what: format!("cgroup {path}"), why, rule }
}

/// The first name that `given` is, where a trailing `*` stands for any rest.
pub(super) fn matching<'a>(names: &'a [String], given: &str) -> Option<&'a str> {
    names.iter().map(String::as_str).find(|name| match name.strip_suffix('*') {
        Some(prefix) => given.starts_with(prefix),
        None => given == *name,
    })
}
