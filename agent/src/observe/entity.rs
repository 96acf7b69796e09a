//! What a signal is about.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::Text;

/// A process is its pid together with its start time; the pid alone may be somebody else tomorrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ProcessId {
    /// Thread-group id, as the root pid namespace counts.
    pub pid: u32,
    /// Start time in clock ticks (1/100 s) since boot: field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
}

/// What a signal, a suspicion or an action is about.
///
/// Two entities are the same when their [`key`](Entity::key) is; a process's name is no part of it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entity {
    Node,
    Process {
        #[serde(flatten)]
        id: ProcessId,
        comm: Text,
    },
    /// A control group by its path below the hierarchy's mount, `/` first; the same path serves v2 and every v1 controller.
    Cgroup {
        path: Text,
    },
    /// A block device by its kernel name, as in `/sys/block`.
    Device {
        name: Text,
    },
    Interface {
        name: Text,
    },
    Port {
        port: u16,
    },
    Mount {
        path: Text,
    },
}

impl Entity {
    /// The stable identity under which rows of the database are joined, such as `process:812@53412`.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Node => "node".to_owned(),
            Self::Process { id, .. } => format!("process:{}@{}", id.pid, id.start_ticks),
            Self::Cgroup { path } => format!("cgroup:{path}"),
            Self::Device { name } => format!("device:{name}"),
            Self::Interface { name } => format!("interface:{name}"),
            Self::Port { port } => format!("port:{port}"),
            Self::Mount { path } => format!("mount:{path}"),
        }
    }

    /// What outlives the one entity: a process by its name, everything else by its key. Baselines, fingerprints and
    /// beliefs are kept by class.
    #[must_use]
    pub fn class(&self) -> String {
        match self {
            Self::Process { comm, .. } => format!("process:{comm}"),
            other => other.key(),
        }
    }

    /// The process, if this is one.
    #[must_use]
    pub fn process(&self) -> Option<ProcessId> {
        match self {
            Self::Process { id, .. } => Some(*id),
            _ => None,
        }
    }
}

impl PartialEq for Entity {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Process { id, .. }, Self::Process { id: other, .. }) => id == other,
            _ => self.key() == other.key(),
        }
    }
}

impl Eq for Entity {}

impl std::hash::Hash for Entity {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.pid, self.start_ticks)
    }
}

impl fmt::Display for Entity {
    /// For eyes: `python3 (pid 812)`, `cgroup /system.slice/x.service`, `device sda`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => f.write_str("node"),
            Self::Process { id, comm } => write!(f, "{comm} (pid {})", id.pid),
            Self::Cgroup { path } => write!(f, "cgroup {path}"),
            Self::Device { name } => write!(f, "device {name}"),
            Self::Interface { name } => write!(f, "interface {name}"),
            Self::Port { port } => write!(f, "port {port}"),
            Self::Mount { path } => write!(f, "mount {path}"),
        }
    }
}

/// `path` and its ancestors, innermost first, the root last.
pub fn with_ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path.trim_end_matches('/')), |path| path.rsplit_once('/').map(|(parent, _)| parent))
        .map(|path| if path.is_empty() { "/" } else { path })
}

/// Whether `path` is `cgroup` or below it. Everything is below `/`.
#[must_use]
pub fn is_within(path: &str, cgroup: &str) -> bool {
    let cgroup = cgroup.trim_end_matches('/');
    path.strip_prefix(cgroup).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
