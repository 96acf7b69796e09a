//! What an action is for: as it was asked, and as it was found.

use std::fmt;

use serde::Serialize;

use super::Refusal;
use crate::execute::{
    process::Process,
    value::{CgroupPath, FilePath, Interface, UnitName},
};

/// What kind of thing an action is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// One process with all its threads.
    Process,
    Cgroup,
    File,
    /// A filesystem, by the directory where it is mounted.
    Mount,
    /// A service of systemd.
    Unit,
    /// A network interface.
    Interface,
    Node,
}

impl On {
    /// What no action on such a thing ever touches, approved or not.
    pub(super) const fn never(self) -> &'static [&'static str] {
        match self {
            Self::Process => &[
                "pid 1, kernel threads, the agent and what runs it",
                "a process whose name, cgroup, unit or user protected.toml lists",
                "another process that has the number by then",
            ],
            Self::Cgroup => &[
                "the root of a hierarchy",
                "a cgroup that protected.toml lists",
                "a cgroup with pid 1, a kernel thread, the agent, what runs it, or a protected process in it or below it",
            ],
            Self::File => &["a symbolic link, or what is no regular file"],
            Self::Mount => &["what is no mount point, or is mounted there since"],
            Self::Unit => &["a unit that protected.toml lists, or with a protected process in its cgroup"],
            Self::Interface => &["an interface of another network namespace, or another one that has its name by then"],
            Self::Node => &[],
        }
    }
}

/// What a step acts on, before anybody looked whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::execute) enum Target {
    Process(u32),
    Cgroup(CgroupPath),
    File(FilePath),
    Mount(FilePath),
    Unit(UnitName),
    Interface(Interface),
    Node,
}

/// What was found there.
#[derive(Debug)]
pub(in crate::execute) enum Found {
    Process(Process),
    Cgroup(CgroupPath),
    File(FilePath),
    Mount(FilePath),
    Unit(UnitName),
    Interface(Interface),
    Node,
}

impl Found {
    pub(in crate::execute) fn process(&self) -> Result<&Process, Refusal> {
        match self {
            Self::Process(process) => Ok(process),
            _ => Err(Refusal::NoTarget { what: "process" }),
        }
    }

    pub(in crate::execute) fn cgroup(&self) -> Result<&CgroupPath, Refusal> {
        match self {
            Self::Cgroup(path) => Ok(path),
            _ => Err(Refusal::NoTarget { what: "cgroup" }),
        }
    }

    pub(in crate::execute) fn file(&self) -> Result<&FilePath, Refusal> {
        match self {
            Self::File(path) => Ok(path),
            _ => Err(Refusal::NoTarget { what: "file" }),
        }
    }

    pub(in crate::execute) fn mount(&self) -> Result<&FilePath, Refusal> {
        match self {
            Self::Mount(path) => Ok(path),
            _ => Err(Refusal::NoTarget { what: "mount" }),
        }
    }

    pub(in crate::execute) fn interface(&self) -> Result<&Interface, Refusal> {
        match self {
            Self::Interface(name) => Ok(name),
            _ => Err(Refusal::NoTarget { what: "network interface" }),
        }
    }

    pub(in crate::execute) fn unit(&self) -> Result<&UnitName, Refusal> {
        match self {
            Self::Unit(name) => Ok(name),
            _ => Err(Refusal::NoTarget { what: "unit" }),
        }
    }

    /// Who or what it is, whatever it calls itself; the whole node counts once for each action.
    pub(in crate::execute) fn key(&self, action: &str) -> String {
        match self {
            Self::Process(process) => format!("process:{}", process.id),
            Self::Cgroup(path) => format!("cgroup:{path}"),
            Self::File(path) => format!("file:{path}"),
            Self::Mount(path) => format!("mount:{path}"),
            Self::Unit(name) => format!("unit:{name}"),
            Self::Interface(name) => format!("interface:{name}"),
            Self::Node => format!("node:{action}"),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(process) => write!(f, "{} (pid {})", process.comm, process.id.pid),
            Self::Cgroup(path) => write!(f, "cgroup {path}"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Mount(path) => write!(f, "mount {path}"),
            Self::Unit(name) => write!(f, "unit {name}"),
            Self::Interface(name) => write!(f, "interface {name}"),
            Self::Node => f.write_str("node"),
        }
    }
}
