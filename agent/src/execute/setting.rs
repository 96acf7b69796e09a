//! Settings of the kernel: which file holds one, how it is read, and how it is opened so that it is that file.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{OFlag, open},
    libc,
    sys::{
        socket::SockProtocol,
        stat::{Mode, fstat},
        statfs::{FsType, fstatfs},
    },
};

use super::{
    cgroup_file::CgroupFile,
    cgroup_tree::{MEMBERS_MAX, inode, mount_with, open_cgroup},
    link_speed::LinkSpeed,
    manager::{Manager, ManagerError, unit_of},
    netlink::{
        self, Link,
        ethtool::{Modes, Which},
    },
    open::{failed, io_errno, mounts, open_beneath, open_plain},
    process::{Process, ProcessError},
    qdisc::{Qdisc, hex},
    sysctl::SysctlKey,
    undo::{ProcessSetting, Setting},
    value::{CgroupPath, FilePath, Interface},
};

const PROC: FsType = FsType(libc::PROC_SUPER_MAGIC);
const CGROUP_V1: FsType = FsType(libc::CGROUP_SUPER_MAGIC);
const CGROUP_V2: FsType = FsType(libc::CGROUP2_SUPER_MAGIC);
/// Filesystems that can be frozen, and those that answer by themselves as well.
const FREEZABLE: [&str; 7] = ["btrfs", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "xfs"];
const ANSWERS: [&str; 8] = ["devtmpfs", "erofs", "overlay", "proc", "ramfs", "rootfs", "squashfs", "tmpfs"];

/// The speed of a link that is told one, and that says none.
pub(super) const LINK_IS_DOWN: &str = "not known";
/// What stands in the journal for the discipline that an interface has when nobody set one.
pub(super) const DEFAULT_QDISC: &str = "the kernel's default";

#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    #[error("there is no {what}")]
    Gone { what: String },
    #[error("{what} is not the one that was found before")]
    Another { what: String },
    #[error("{what} is no plain file with one name")]
    NotPlain { what: String },
    #[error("a part of the path {what} is a link, or no directory: it has to be named as it is")]
    ByLink { what: String },
    #[error("{what} is a {kind}, which is never frozen")]
    NeverFrozen { what: String, kind: String },
    #[error("{what} is below a {kind}, which may not answer")]
    Below { what: String, kind: String },
    #[error("{what} is not a file of the kernel")]
    NotTheKernels { what: String },
    #[error("{what} cannot be read or opened: {source}")]
    Unreadable { what: String, source: io::Error },
    #[error("the driver of {what} does not say how fast it is")]
    NoSpeed { what: String },
    #[error("this kernel has no ethtool over netlink, which came with 5.6")]
    NoEthtool,
    #[error("cgroup {path} holds more than {MEMBERS_MAX} processes or is nested too deep")]
    TooLarge { path: String },
    #[error("`{name}` is no setting of this agent")]
    Unknown { name: String },
    #[error(transparent)]
    Manager(#[from] ManagerError),
}

impl Setting {
    /// A sysctl.
    #[must_use]
    pub fn sysctl(key: SysctlKey) -> Self {
        Self::Sysctl { key: key.name().to_owned() }
    }

    /// A setting of this very process.
    #[must_use]
    pub fn process(process: &Process, what: ProcessSetting) -> Self {
        Self::Process { process: process.id, what }
    }

    /// A plain file, as it is now, with its size in bytes. One that has another name besides is refused: it may be
    /// somebody else's.
    pub(super) fn file(path: &FilePath) -> Result<(Self, u64), SettingError> {
        let is = fstat(open_plain(path, OFlag::O_PATH)?).map_err(|error| failed(path.to_string(), error))?;
        let plain = is.st_mode & libc::S_IFMT == libc::S_IFREG && is.st_nlink == 1;
        if !plain {
            return Err(SettingError::NotPlain { what: path.to_string() });
        }
        let setting = Self::File { path: path.to_string(), device: is.st_dev, inode: is.st_ino };
        Ok((setting, is.st_size.unsigned_abs()))
    }

    /// What is mounted at this very place now, if it is a filesystem that can be frozen. Nothing is opened that may wait
    /// for somebody else's answer.
    pub(super) fn mount(path: &FilePath) -> Result<Self, SettingError> {
        let mounts = mounts().unwrap_or_default();
        // Of several at one place the last is seen.
        let kind_at = |place: &str| mounts.iter().rfind(|mount| mount.place == place).map(|mount| mount.kind.as_str());
        let kind = kind_at(path.as_str())
            .ok_or_else(|| SettingError::Gone { what: format!("filesystem mounted at {path}") })?;
        let above = Path::new(path.as_str()).ancestors().skip(1).filter_map(|above| kind_at(above.to_str()?));
        if let Some(kind) = above.into_iter().find(|kind| !ANSWERS.contains(kind) && !FREEZABLE.contains(kind)) {
            return Err(SettingError::Below { what: path.to_string(), kind: kind.to_owned() });
        }
        if !FREEZABLE.contains(&kind) {
            return Err(SettingError::NeverFrozen { what: path.to_string(), kind: kind.to_owned() });
        }
        let is = fstat(open_plain(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?);
        let device = is.map_err(|error| failed(path.to_string(), error))?.st_dev;
        Ok(Self::Mount { path: path.to_string(), device })
    }

    /// The root queueing discipline of an interface, with the one that somebody set there, or why that one could not be
    /// put back.
    pub(super) fn qdisc(interface: &Interface) -> Result<(Self, Option<Result<Qdisc, String>>), SettingError> {
        let failed = |error| failed(format!("interface {interface}"), error);
        let socket = netlink::open(SockProtocol::NetlinkRoute).map_err(failed)?;
        let link = netlink::link_named(&socket, interface.as_str()).map_err(failed)?;
        let root = netlink::qdisc::root(&socket, link.index).map_err(failed)?;
        let setting = Self::Qdisc { interface: interface.to_string(), index: link.index };
        Ok((setting, root.map(|root| Qdisc::of(&root, link.mtu))))
    }

    /// How fast an interface is told to be, with all that its driver says of that.
    pub(super) fn link(interface: &Interface) -> Result<(Self, Modes), SettingError> {
        let failed = |error| failed(format!("interface {interface}"), error);
        let socket = netlink::open(SockProtocol::NetlinkRoute).map_err(failed)?;
        let index = netlink::link_named(&socket, interface.as_str()).map_err(failed)?.index;
        let setting = Self::Link { interface: interface.to_string(), index };
        let modes = setting.read_modes(interface.as_str(), index)?;
        Ok((setting, modes))
    }

    /// A file of a cgroup, as it is now; none where the hierarchy, the cgroup or the file is not there.
    pub fn cgroup(path: &CgroupPath, file: CgroupFile) -> Result<Option<Self>, SettingError> {
        let directory = match open_cgroup(path, file) {
            Ok(directory) => directory,
            Err(SettingError::Gone { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let inode = inode(&directory, path.as_str())?;
        let setting = Self::Cgroup { path: path.to_string(), file: file.name().to_owned(), inode, line: None };
        // What only takes writes need not be open to who looks.
        let looked = if file.is_blind() { setting.open(OFlag::O_PATH).map(drop) } else { setting.read().map(drop) };
        match looked {
            Ok(()) => Ok(Some(setting)),
            Err(SettingError::Gone { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One line of a cgroup's file that has a line a device, or one number of that line: `8:0`, `8:0 rbps`.
    #[must_use]
    pub(super) fn of_line(self, of: &str) -> Self {
        match self {
            Self::Cgroup { path, file, inode, .. } => Self::Cgroup { path, file, inode, line: Some(of.to_owned()) },
            other => other,
        }
    }

    /// For eyes: `vm.swappiness`, `memory.high of /x`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Sysctl { key } => key.clone(),
            Self::File { path, .. } | Self::Mount { path, .. } => path.clone(),
            Self::Unit { unit, .. } => format!("unit {unit}"),
            Self::Property { path, property } => format!("{} of {path}", property.name()),
            Self::Qdisc { interface, .. } => format!("root discipline of {interface}"),
            Self::Link { interface, .. } => format!("link of {interface}"),
            Self::Process { process, what } => format!("{} of process {}", what.name(), process.pid),
            Self::Cgroup { path, file, line: Some(line), .. } => format!("{file} {line} of {path}"),
            Self::Cgroup { path, file, .. } => format!("{file} of {path}"),
        }
    }

    /// Where it is found, for eyes; none where the kernel has it from a system call, or has it no more.
    #[must_use]
    pub(super) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Sysctl { key } => Some(Path::new("/proc/sys").join(key.replace('.', "/"))),
            // What is done to one is a call, and not a write.
            Self::File { .. }
            | Self::Mount { .. }
            | Self::Unit { .. }
            | Self::Property { .. }
            | Self::Qdisc { .. }
            | Self::Link { .. } => None,
            Self::Process { process, what } => {
                what.is_a_file().then(|| Path::new("/proc").join(process.pid.to_string()).join(what.name()))
            }
            Self::Cgroup { path, file, .. } => {
                let mount = mount_with(CgroupFile::from_name(file)?.hierarchy())?;
                Some(mount.join(path.trim_start_matches('/')).join(file))
            }
        }
    }

    /// What stands there now, without the line's end; the numbers of one sysctl with a space between them.
    pub fn read(&self) -> Result<String, SettingError> {
        match self {
            Self::Process { what, .. } => return self.read_process(*what),
            Self::Unit { unit, .. } => return Ok(Manager::open()?.unit(unit)?.state),
            Self::Property { path, property } => {
                let owner: CgroupPath = path.parse().map_err(|_| SettingError::Unknown { name: self.name() })?;
                let limit = Manager::open()?.property(unit_of(&owner), *property)?;
                return limit.map(|limit| limit.to_string()).ok_or(SettingError::Gone { what: self.name() });
            }
            _ => {}
        }
        if let Self::Qdisc { index, .. } = self {
            return self.read_qdisc(*index);
        }
        if let Self::Link { interface, index } = self {
            let modes = self.read_modes(interface, *index)?;
            let untold = if modes.autoneg { "negotiated by modes that cannot be told" } else { LINK_IS_DOWN };
            return Ok(LinkSpeed::of(&modes).map_or_else(|_| untold.to_owned(), |speed| speed.to_string()));
        }
        let file = self.open(OFlag::O_RDONLY)?;
        let mut text = String::new();
        File::from(file)
            .take(4096)
            .read_to_string(&mut text)
            .map_err(|source| SettingError::Unreadable { what: self.name(), source })?;
        Ok(match self {
            Self::Sysctl { .. } => text.split_ascii_whitespace().collect::<Vec<_>>().join(" "),
            Self::Cgroup { line: Some(line), .. } => of_line(&text, line).unwrap_or("max").to_owned(),
            _ => text.trim_end().to_owned(),
        })
    }

    /// The one descriptor that an executor may write to.
    pub(super) fn open_to_write(&self) -> Result<OwnedFd, SettingError> {
        self.open(OFlag::O_WRONLY)
    }

    /// The process that has the setting, pinned, if it still lives.
    pub(super) fn find_process(&self) -> Result<Option<Process>, SettingError> {
        let Self::Process { process: id, .. } = self else { return Ok(None) };
        match Process::find(id.pid) {
            Ok(process) if process.id == *id => Ok(Some(process)),
            Ok(_) => Err(SettingError::Another { what: format!("process {}", id.pid) }),
            Err(ProcessError::Gone { pid } | ProcessError::ThreadNotProcess { pid, .. }) => {
                Err(SettingError::Gone { what: format!("process {pid}") })
            }
            Err(ProcessError::Unreadable { source, .. }) => Err(SettingError::Unreadable { what: self.name(), source }),
            Err(ProcessError::TooManyThreads { .. }) => Err(SettingError::Unknown { name: self.name() }),
        }
    }

    fn read_process(&self, what: ProcessSetting) -> Result<String, SettingError> {
        let gone = || SettingError::Gone { what: self.name() };
        let process = self.find_process()?.ok_or_else(gone)?;
        let read = |name| process.read(name).map_err(|error| self.failed(io_errno(&error)));
        match what {
            ProcessSetting::OomScoreAdj => Ok(read("oom_score_adj")?.trim_end().to_owned()),
            ProcessSetting::OpenFiles => {
                let limits = read("limits")?;
                let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).ok_or_else(gone)?;
                let mut words = line.split_ascii_whitespace();
                let (soft, hard) = words.next().zip(words.next()).ok_or_else(gone)?;
                Ok(format!("{soft}:{hard}"))
            }
        }
    }

    /// `8001: tbf 2800…`, or that it is the default.
    fn read_qdisc(&self, index: u32) -> Result<String, SettingError> {
        let root = netlink::qdisc::root(&self.open(OFlag::O_RDONLY)?, index).map_err(|error| self.failed(error))?;
        Ok(root.map_or_else(
            || DEFAULT_QDISC.to_owned(),
            |root| {
                let besides = root.besides.map_or_else(String::new, |besides| format!(" and {besides}"));
                // Names of disciplines are the authors' of modules.
                let kind = root.kind.escape_default();
                format!("{:x}: {kind} {}{besides}", root.major, hex(&root.options))
            },
        ))
    }

    fn read_modes(&self, interface: &str, index: u32) -> Result<Modes, SettingError> {
        let what = format!("interface {interface}");
        let modes = netlink::ethtool::get(&self.open(OFlag::O_RDONLY)?, Which { index, name: interface });
        modes.map_err(|error| match error {
            nix::Error::EOPNOTSUPP => SettingError::NoSpeed { what },
            nix::Error::ENOENT => SettingError::NoEthtool,
            other => failed(what, other),
        })
    }

    /// The number of the interface that it is of.
    #[must_use]
    pub(super) const fn index(&self) -> Option<u32> {
        match self {
            Self::Qdisc { index, .. } | Self::Link { index, .. } => Some(*index),
            _ => None,
        }
    }

    /// A socket to the kernel, if the interface is the one that was found before.
    fn open_netlink(&self, protocol: SockProtocol, interface: &str, index: u32) -> Result<OwnedFd, SettingError> {
        let what = format!("interface {interface}");
        let failed = |error| failed(what.clone(), error);
        let Link { index: now, .. } = netlink::open(SockProtocol::NetlinkRoute)
            .and_then(|socket| netlink::link_named(&socket, interface))
            .map_err(failed)?;
        if now != index {
            return Err(SettingError::Another { what });
        }
        netlink::open(protocol).map_err(failed)
    }

    fn open(&self, access: OFlag) -> Result<OwnedFd, SettingError> {
        if let Self::Unit { .. } | Self::Property { .. } = self {
            return Ok(Manager::private()?);
        }
        if let Some(process) = self.find_process()? {
            let file = process.open("oom_score_adj", access == OFlag::O_WRONLY);
            return file.map(OwnedFd::from).map_err(|error| self.failed(io_errno(&error)));
        }
        let (directory, relative, kinds) = match self {
            Self::Sysctl { key } => {
                let key = SysctlKey::from_name(key).ok_or_else(|| SettingError::Unknown { name: key.clone() })?;
                let directory = open(Path::new("/proc/sys"), OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
                    .map_err(|error| self.failed(error))?;
                (directory, key.name().replace('.', "/"), [PROC, PROC])
            }
            Self::Process { .. } | Self::Unit { .. } | Self::Property { .. } => {
                return Err(SettingError::Gone { what: self.name() });
            }
            Self::File { path, device, inode } => {
                return self.open_same(path, access, |is| (is.st_dev, is.st_ino) == (*device, *inode));
            }
            Self::Mount { path, device } => {
                return self.open_same(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY, |is| is.st_dev == *device);
            }
            Self::Qdisc { interface, index } => {
                return self.open_netlink(SockProtocol::NetlinkRoute, interface, *index);
            }
            Self::Link { interface, index } => {
                return self.open_netlink(SockProtocol::NetlinkGeneric, interface, *index);
            }
            Self::Cgroup { path, file, inode: expected, .. } => {
                let unknown = || SettingError::Unknown { name: self.name() };
                let path: CgroupPath = path.parse().map_err(|_| unknown())?;
                let kind = CgroupFile::from_name(file).ok_or_else(unknown)?;
                let directory = open_cgroup(&path, kind)?;
                if inode(&directory, path.as_str())? != *expected {
                    return Err(SettingError::Another { what: format!("cgroup {path}") });
                }
                (directory, file.clone(), [CGROUP_V1, CGROUP_V2])
            }
        };
        let file = open_beneath(&directory, &relative, access).map_err(|error| self.failed(error))?;
        let kind = fstatfs(&file).map_err(|error| self.failed(error))?.filesystem_type();
        if kinds.contains(&kind) { Ok(file) } else { Err(SettingError::NotTheKernels { what: self.name() }) }
    }

    /// The path again, if it leads to what was found before.
    fn open_same(
        &self,
        path: &str,
        access: OFlag,
        same: impl Fn(&libc::stat) -> bool,
    ) -> Result<OwnedFd, SettingError> {
        let path: FilePath = path.parse().map_err(|_| SettingError::Unknown { name: self.name() })?;
        let file = open_plain(&path, access)?;
        let is = fstat(&file).map_err(|error| self.failed(error))?;
        if same(&is) { Ok(file) } else { Err(SettingError::Another { what: self.name() }) }
    }

    fn failed(&self, error: nix::Error) -> SettingError {
        failed(self.name(), error)
    }
}

/// What has to be written so that the file then reads `text`: `cpu.max` reads `max 100000` and takes `max`.
#[must_use]
pub(super) fn value_to_write(setting: &Setting, text: &str) -> String {
    match setting {
        Setting::Cgroup { line: Some(line), .. } => match line.split_once(' ') {
            Some((device, key)) => format!("{device},{key}={text}"),
            None => format!("{line},{}", if text == "max" { "0" } else { text }),
        },
        Setting::Cgroup { file, .. } if file == CgroupFile::CpuMax.name() => {
            text.split(' ').next().unwrap_or_default().to_owned()
        }
        // What v1 shows for "no limit" depends on the page size; -1 is how it is asked for.
        Setting::Cgroup { file, .. } if file == CgroupFile::MemoryLimit.name() && is_no_limit(text) => "-1".to_owned(),
        _ => text.to_owned(),
    }
}

/// What a file with a line a device says of a device (`8:0`), or of one number of its line (`8:0 rbps`).
fn of_line<'a>(text: &'a str, of: &str) -> Option<&'a str> {
    let (device, key) = of.split_once(' ').unwrap_or((of, ""));
    let rest = text.lines().find_map(|line| line.strip_prefix(device)?.strip_prefix(' '))?;
    if key.is_empty() {
        return Some(rest.trim());
    }
    rest.split_ascii_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

/// Whether a v1 memory limit is the largest that there is.
#[must_use]
pub(super) fn is_no_limit(text: &str) -> bool {
    text.parse::<u64>().is_ok_and(|bytes| bytes > i64::MAX as u64 - (1 << 20))
}
