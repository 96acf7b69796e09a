//! Cgroups of the agent's own, each made for one process: who may have one, and where its process goes back to.
//!
//! Nobody's but the process that misbehaves may be touched. So no manager may keep a book of where it lives, it may leave
//! no limit behind, and in the unified hierarchy nothing is enabled but below `/kernelsight`: a controller that is enabled
//! at the root brings all other cgroups under it, too.

use std::{
    collections::BTreeSet,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cgroup_file::{CgroupFile, Hierarchy},
    cgroup_tree::{inode, mount_with, open_in},
    open::read_in,
    process::{Process, ProcessError},
    setting::{SettingError, is_no_limit},
    value::{CgroupPath, OWN},
};
use crate::{
    observe::{ProcessId, kernel::kernel_release},
    text::Text,
};

/// Ends of the names that systemd gives to cgroups.
const UNITS: [&str; 6] = [".service", ".scope", ".slice", ".socket", ".mount", ".swap"];
/// Parts of the names that other managers give.
const MANAGERS: [&str; 16] = [
    "docker",
    "kube",
    "containerd",
    "crio",
    "cri-o",
    "libpod",
    "podman",
    "buildkit",
    "lxc",
    "incus",
    "nspawn",
    "nomad",
    "garden",
    "mesos",
    "openrc",
    "elogind",
];
/// Files that hold a process back, and what each holds where it does not; none: the largest number that there is.
const FREE: [(&str, Option<&str>); 15] = [
    ("memory.limit_in_bytes", None),
    ("memory.memsw.limit_in_bytes", None),
    ("memory.high", Some("max")),
    ("memory.max", Some("max")),
    ("memory.swap.max", Some("max")),
    ("cpu.cfs_quota_us", Some("-1")),
    ("cpu.shares", Some("1024")),
    ("cpu.max", Some("max")),
    ("cpu.weight", Some("100")),
    ("cpu.idle", Some("0")),
    ("pids.max", Some("max")),
    ("io.max", Some("")),
    ("cpuset.cpus", Some("")),
    ("cpuset.mems", Some("")),
    ("cgroup.freeze", Some("0")),
];

/// A hierarchy that a cgroup of the agent's own can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tree {
    Unified,
    /// The v1 hierarchy of memory.
    Memory,
    /// The v1 hierarchy of CPU time.
    Cpu,
}

impl Tree {
    pub const ALL: [Self; 3] = [Self::Unified, Self::Memory, Self::Cpu];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unified => "unified",
            Self::Memory => "memory",
            Self::Cpu => "cpu",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tree| tree.name() == name)
    }

    pub(super) const fn hierarchy(self) -> Hierarchy {
        match self {
            Self::Unified => Hierarchy::Unified,
            Self::Memory => Hierarchy::V1("memory"),
            Self::Cpu => Hierarchy::V1("cpu"),
        }
    }

    /// The one that has this file.
    pub(super) fn of(file: CgroupFile) -> Option<Self> {
        Self::ALL.into_iter().find(|tree| tree.hierarchy() == file.hierarchy())
    }
}

/// Where a process was in one hierarchy, and what limits its own cgroup there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Home {
    pub tree: Tree,
    /// `/` for the root.
    pub path: String,
    /// Tells it from a later one of the same path.
    pub inode: u64,
    pub limits: Vec<OwnLimit>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnLimit {
    pub file: String,
    pub wrote: String,
}

/// Why a process gets no cgroup of its own.
#[derive(Debug, thiserror::Error)]
pub enum NotOwn {
    #[error("no limit was asked for; it takes cpu_percent, memory_mb, or both")]
    NoLimit,
    #[error(
        "cgroup {path} is {part}'s, whose manager would lose track of the process or write over the limit; \
         limit that cgroup, or let its manager do it"
    )]
    Managed { path: Text, part: Text },
    #[error("process {pid} has a pid namespace of its own, as in a container; what made that has to limit it")]
    Contained { pid: u32 },
    #[error(
        "process {pid} has capabilities, and where cpuset is enabled a kernel before Linux 6.6 lets nobody move it who has \
         not all of them; whoever moves it here has none"
    )]
    Privileged { pid: u32 },
    #[error("process {pid} is in {path} already; that has to be taken back first")]
    Already { pid: u32, path: Text },
    #[error("cgroup {path} is there already; when nobody lives in it, it can be removed")]
    Exists { path: CgroupPath },
    #[error("the threads of process {pid} are in different cgroups, and could not all be put back")]
    Apart { pid: u32 },
    #[error("cgroup {path} has a name that no command may hold, so nothing could be put back to it")]
    Unnamed { path: Text },
    #[error("{file} of {path} is {now}, which the process would leave behind; limit that cgroup further instead")]
    Leaves { file: &'static str, path: CgroupPath, now: Text },
    #[error("cgroup {path} is of the type `{kind}`, whose threads could not be put back; it has to be a domain")]
    NoDomain { path: Text, kind: Text },
    #[error("no hierarchy of this node has the controller {controller}")]
    NoController { controller: &'static str },
    #[error(
        "{controller} is not in cgroup.subtree_control of the root, and put there it would reach every other cgroup; \
         an operator may do that"
    )]
    NotEnabled { controller: String },
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Setting(#[from] SettingError),
}

impl Home {
    /// The directory, if it is the one that was found before.
    pub(super) fn open(&self) -> Result<OwnedFd, SettingError> {
        let directory = open_in(self.tree.hierarchy(), &self.path)?;
        if inode(&directory, &self.path)? == self.inode {
            Ok(directory)
        } else {
            Err(SettingError::Another { what: format!("cgroup {}", self.path) })
        }
    }

    /// The files of a process's own cgroup that are written in this hierarchy.
    pub(super) fn written(&self, process: ProcessId) -> Vec<PathBuf> {
        let mount = mount_with(self.tree.hierarchy()).unwrap_or_default();
        let own = mount.join(CgroupPath::own(process).relative());
        let limits = self.limits.iter().map(|limit| own.join(&limit.file));
        limits.chain([own.join("cgroup.procs")]).collect()
    }
}

/// For eyes: `memory /a, cpu /`.
pub(super) fn named(homes: &[Home]) -> String {
    homes.iter().map(|home| format!("{} {}", home.tree.name(), home.path)).collect::<Vec<_>>().join(", ")
}

/// The file that limits this on this node: the v1 one where there is one.
pub(super) fn limiting(controller: &'static str, v1: CgroupFile, unified: CgroupFile) -> Result<CgroupFile, NotOwn> {
    if mount_with(Hierarchy::V1(controller)).is_some() {
        return Ok(v1);
    }
    let has =
        |root: &OwnedFd| read_in(root, "cgroup.controllers", "cgroup.controllers").map(|text| holds(&text, controller));
    match open_in(Hierarchy::Unified, "/").and_then(|root| has(&root)) {
        Ok(true) => Ok(unified),
        Ok(false) | Err(SettingError::Gone { .. }) => Err(NotOwn::NoController { controller }),
        Err(error) => Err(error.into()),
    }
}

/// Where a process is, in each hierarchy that has one of these files, if it may have a cgroup of its own there.
pub(super) fn homes(process: &Process, limits: &[(CgroupFile, String)]) -> Result<Vec<Home>, NotOwn> {
    let pid = process.id.pid;
    for path in &process.cgroups {
        nobody_manages(path)?;
    }
    let status = process.read("status").map_err(|source| ProcessError::Unreadable { pid, source })?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    if numbers.split_ascii_whitespace().count() > 1 {
        return Err(NotOwn::Contained { pid });
    }
    // Two controllers of v1 may share one hierarchy.
    let mut homes: Vec<(PathBuf, Home)> = Vec::new();
    for (file, value) in limits {
        let limit = OwnLimit { file: file.name().to_owned(), wrote: value.clone() };
        let tree = Tree::of(*file).ok_or_else(|| SettingError::Unknown { name: limit.file.clone() })?;
        let what = || format!("hierarchy of {}", file.name());
        let mount = mount_with(tree.hierarchy()).ok_or_else(|| SettingError::Gone { what: what() })?;
        if tree == Tree::Unified {
            is_enabled(file.controller())?;
            may_be_moved(pid, &status)?;
        }
        match homes.iter_mut().find(|(place, _)| *place == mount) {
            Some((_, home)) => home.limits.push(limit),
            None => homes.push((mount, Home { limits: vec![limit], ..home(process, tree)? })),
        }
    }
    Ok(homes.into_iter().map(|(_, home)| home).collect())
}

/// Whether a manager keeps a book of who lives there.
pub(super) fn nobody_manages(path: &str) -> Result<(), NotOwn> {
    let is_managed = |part: &&str| {
        let part = part.to_ascii_lowercase();
        let is_an_id = part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_an_id || UNITS.iter().any(|end| part.ends_with(end)) || MANAGERS.iter().any(|manager| part.contains(manager))
    };
    match path.rsplit('/').find(is_managed) {
        Some(part) => Err(NotOwn::Managed { path: Text::from(path), part: Text::from(part) }),
        None => Ok(()),
    }
}

/// The cgroups that the threads of a process are in; none: it has ended.
pub(super) fn places(process: &Process, tree: Tree) -> Result<BTreeSet<String>, ProcessError> {
    let threads = match process.threads() {
        Ok(threads) => threads,
        Err(ProcessError::Gone { .. }) => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    // A thread that ends meanwhile is left out.
    let texts = threads.iter().filter_map(|thread| process.read(&format!("task/{}/cgroup", thread.tid)).ok());
    Ok(texts.filter_map(|text| place(&text, tree).map(str::to_owned)).collect())
}

/// A line of `/proc/PID/cgroup` is `4:memory:/x`, or `0::/x` of the unified hierarchy.
fn place(text: &str, tree: Tree) -> Option<&str> {
    text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let is_it = match tree.hierarchy() {
            Hierarchy::V1(controller) => controllers.split(',').any(|one| one == controller),
            _ => controllers.is_empty(),
        };
        is_it.then_some(path)
    })
}

fn home(process: &Process, tree: Tree) -> Result<Home, NotOwn> {
    let pid = process.id.pid;
    let places = places(process, tree)?;
    let path = match places.len() {
        0 => return Err(ProcessError::Gone { pid }.into()),
        1 => places.into_iter().next().unwrap_or_default(),
        _ => return Err(NotOwn::Apart { pid }),
    };
    if Path::new(&path).starts_with(Path::new("/").join(OWN)) {
        return Err(NotOwn::Already { pid, path: Text::from(path.as_str()) });
    }
    if path != "/" {
        let named: CgroupPath = path.parse().map_err(|_| NotOwn::Unnamed { path: Text::from(path.as_str()) })?;
        leaves_nothing(&named, tree)?;
    }
    let own = CgroupPath::own(process.id);
    match open_in(tree.hierarchy(), own.as_str()) {
        Err(SettingError::Gone { .. }) => {}
        Ok(_) => return Err(NotOwn::Exists { path: own }),
        Err(error) => return Err(error.into()),
    }
    let inode = inode(&open_in(tree.hierarchy(), &path)?, &path)?;
    Ok(Home { tree, path, inode, limits: Vec::new() })
}

/// Whether nothing holds back who lives there, in the cgroup itself and in those above it.
fn leaves_nothing(path: &CgroupPath, tree: Tree) -> Result<(), NotOwn> {
    let above = Path::new(path.as_str()).ancestors().filter_map(Path::to_str).take_while(|path| *path != "/");
    for at in above {
        let at: CgroupPath = at.parse().map_err(|_| NotOwn::Unnamed { path: Text::from(at) })?;
        let directory = open_in(tree.hierarchy(), at.as_str())?;
        let read = |name: &str| match read_in(&directory, name, &format!("{name} of {at}")) {
            Ok(text) => Ok(Some(text.trim_end().to_owned())),
            Err(SettingError::Gone { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        if tree == Tree::Unified
            && let Some(kind) = read("cgroup.type")?.filter(|kind| kind != "domain")
        {
            let kind = Text::from(kind.as_str());
            return Err(NotOwn::NoDomain { path: Text::from(at.as_str()), kind });
        }
        for (file, free) in FREE {
            let Some(text) = read(file)? else { continue };
            let is_free = match free {
                Some(free) => text.split_ascii_whitespace().next().unwrap_or_default() == free,
                None => is_no_limit(&text),
            };
            if !is_free {
                return Err(NotOwn::Leaves { file, path: at, now: Text::from(text.as_str()) });
            }
        }
    }
    Ok(())
}

/// Whether the root of the unified hierarchy hands a controller down.
fn is_enabled(controller: &str) -> Result<(), NotOwn> {
    if handed_down(controller)? { Ok(()) } else { Err(NotOwn::NotEnabled { controller: controller.to_owned() }) }
}

fn handed_down(controller: &str) -> Result<bool, NotOwn> {
    let root = open_in(Hierarchy::Unified, "/")?;
    Ok(holds(&read_in(&root, "cgroup.subtree_control", "cgroup.subtree_control of /")?, controller))
}

/// Whether the kernel lets an executor without a capability move it. `status` is that of the process.
fn may_be_moved(pid: u32, status: &str) -> Result<(), NotOwn> {
    let permitted = status.lines().find_map(|line| line.strip_prefix("CapPrm:")).map(str::trim);
    let has_none = permitted.is_some_and(|permitted| permitted.bytes().all(|digit| digit == b'0'));
    if has_none || asks_by_files_alone() || !handed_down("cpuset")? { Ok(()) } else { Err(NotOwn::Privileged { pid }) }
}

/// From 6.6 on (`cpuset_can_attach`). A kernel that has it earlier is not known to.
fn asks_by_files_alone() -> bool {
    kernel_release() >= Some((6, 6))
}

fn holds(controllers: &str, controller: &str) -> bool {
    controllers.split_ascii_whitespace().any(|one| one == controller)
}
