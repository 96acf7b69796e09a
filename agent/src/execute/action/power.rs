//! What an executor holds, and which actor may give it.

use std::fmt;

use capctl::Cap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The one thing beyond nothing that an executor holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// No capability, no descriptor.
    Nothing,
    /// `CAP_SYS_NICE`: priorities and affinity of a stranger's threads.
    SysNice,
    /// `CAP_KILL`: a signal to a stranger's process, through its pidfd.
    Kill,
    /// One open descriptor of a file of the process.
    ProcessFile,
    /// No capability, no descriptor, but the target's own user and group: to them the kernel lets set its limits.
    TargetsUser,
    /// The target's own user and group, and `CAP_SYS_PTRACE`: to read what each of its descriptors is.
    ReadDescriptors,
    /// One open descriptor of a cgroup's file.
    CgroupFile,
    /// Open descriptors of a cgroup that is made for one process, and of the cgroup that it goes back to. Whoever makes
    /// the executor makes and removes the directory; the executor only writes and reads.
    OwnCgroup,
    /// One open descriptor of a file that an operator lists.
    ListedFile,
    /// `CAP_SYS_ADMIN` and one open descriptor of a mounted filesystem: the kernel lets nobody else thaw it.
    Thaw,
    /// One connection to systemd's manager, as user 0: it does whatever it is asked there.
    ServiceManager,
    /// `CAP_NET_ADMIN` and one open netlink socket, through which the kernel takes changes of interfaces.
    NetAdmin,
    /// One open descriptor of a sysctl. The kernel asks at each write whether the writer is user 0, so this executor is
    /// user 0 without any capability.
    SysctlFile,
    /// `/proc` to read.
    ReadProc,
    /// The control groups to read, and `/proc`.
    ReadCgroup,
}

impl Power {
    pub const ALL: [Self; 15] = [
        Self::Nothing,
        Self::SysNice,
        Self::Kill,
        Self::ProcessFile,
        Self::TargetsUser,
        Self::ReadDescriptors,
        Self::CgroupFile,
        Self::OwnCgroup,
        Self::ListedFile,
        Self::Thaw,
        Self::ServiceManager,
        Self::NetAdmin,
        Self::SysctlFile,
        Self::ReadProc,
        Self::ReadCgroup,
    ];

    /// Whether whoever watches may have it, too.
    #[must_use]
    pub const fn is_harmless(self) -> bool {
        matches!(self, Self::Nothing | Self::ReadProc | Self::ReadCgroup)
    }

    /// The one capability that its executor holds.
    #[must_use]
    pub const fn capability(self) -> Option<Cap> {
        match self {
            Self::SysNice => Some(Cap::SYS_NICE),
            Self::Kill => Some(Cap::KILL),
            Self::Thaw => Some(Cap::SYS_ADMIN),
            Self::NetAdmin => Some(Cap::NET_ADMIN),
            Self::ReadDescriptors => Some(Cap::SYS_PTRACE),
            Self::Nothing
            | Self::ProcessFile
            | Self::TargetsUser
            | Self::CgroupFile
            | Self::OwnCgroup
            | Self::ListedFile
            | Self::ServiceManager
            | Self::SysctlFile
            | Self::ReadProc
            | Self::ReadCgroup => None,
        }
    }

    /// As its actor is called: the name of its socket, and the end of its unit's.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::SysNice => "sys-nice",
            Self::Kill => "kill",
            Self::ProcessFile => "process-file",
            Self::TargetsUser => "targets-user",
            Self::ReadDescriptors => "read-descriptors",
            Self::CgroupFile => "cgroup-file",
            Self::OwnCgroup => "own-cgroup",
            Self::ListedFile => "listed-file",
            Self::Thaw => "thaw",
            Self::ServiceManager => "service-manager",
            Self::NetAdmin => "net-admin",
            Self::SysctlFile => "sysctl-file",
            Self::ReadProc => "read-proc",
            Self::ReadCgroup => "read-cgroup",
        }
    }
}

/// For eyes.
impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::SysNice => "CAP_SYS_NICE",
            Self::Kill => "CAP_KILL and a pidfd",
            Self::ProcessFile => "one open file of the process",
            Self::TargetsUser => "the target's user and group",
            Self::ReadDescriptors => "CAP_SYS_PTRACE and the target's user and group",
            Self::CgroupFile => "one open file of the cgroup",
            Self::OwnCgroup => "the open files of a cgroup that is made for the process",
            Self::ListedFile => "one open file that an operator lists",
            Self::Thaw => "CAP_SYS_ADMIN and one open mount",
            Self::ServiceManager => "one connection to systemd's manager",
            Self::NetAdmin => "CAP_NET_ADMIN and one open netlink socket",
            Self::SysctlFile => "one open sysctl, as user 0 without a capability",
            Self::ReadProc => "/proc to read",
            Self::ReadCgroup => "control groups and /proc to read",
        })
    }
}
