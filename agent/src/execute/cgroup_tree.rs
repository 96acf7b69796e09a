//! The trees of control groups: where each is mounted, who lives in a cgroup and below it, and what its files say.

use std::{
    ffi::{CString, OsStr},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use nix::{
    dir::Dir,
    fcntl::{OFlag, open, openat},
    sys::stat::{Mode, fstat},
};

use super::{
    cgroup_file::{CgroupFile, Hierarchy},
    open::{Mount, failed, mounts, open_beneath, read_in},
    setting::SettingError,
    value::CgroupPath,
};
use crate::text::Text;

/// Processes of one cgroup that are looked at; more is refused.
pub(super) const MEMBERS_MAX: usize = 100_000;
/// Depth of cgroups below a target.
const DEPTH_MAX: usize = 32;

/// Who lives in a cgroup and below it, in one hierarchy.
#[derive(Debug, Default)]
pub(super) struct Inhabitants {
    pub(super) pids: Vec<u32>,
    /// Paths of the cgroups below it.
    pub(super) below: Vec<Text>,
}

/// Who lives in the cgroup and below it, in the hierarchy that has `file`.
pub(super) fn inhabitants(path: &CgroupPath, file: CgroupFile) -> Result<Inhabitants, SettingError> {
    let mut found = Inhabitants::default();
    gather(open_cgroup(path, file)?, path, Path::new(path.as_str()), DEPTH_MAX, &mut found)?;
    Ok(found)
}

/// Processes in the cgroup and below it, in the hierarchy that has `file`.
pub(super) fn members(path: &CgroupPath, file: CgroupFile) -> Result<Vec<u32>, SettingError> {
    inhabitants(path, file).map(|found| found.pids)
}

/// The text of another file of the same cgroup; none where it is not there.
pub(super) fn cgroup_text(path: &CgroupPath, file: CgroupFile, name: &str) -> Result<Option<String>, SettingError> {
    match open_cgroup(path, file).and_then(|directory| read_in(&directory, name, &format!("{name} of {path}"))) {
        Ok(text) => Ok(Some(text)),
        Err(SettingError::Gone { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A number of another file of the same cgroup, such as `cpu.cfs_period_us`, or of a line of one (`memory.stat`).
pub(super) fn cgroup_number(
    path: &CgroupPath,
    file: CgroupFile,
    name: &str,
    line: Option<&str>,
) -> Result<u64, SettingError> {
    let what = || format!("{name} of {path}");
    let text = read_in(&open_cgroup(path, file)?, name, &what())?;
    let number = match line {
        None => text.trim().parse().ok(),
        Some(key) => text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
            .and_then(|number| number.trim().parse().ok()),
    };
    number.ok_or_else(|| SettingError::Gone { what: what() })
}

fn gather(
    directory: OwnedFd,
    path: &CgroupPath,
    here: &Path,
    depth: usize,
    found: &mut Inhabitants,
) -> Result<(), SettingError> {
    let text = read_in(&directory, "cgroup.procs", &format!("cgroup.procs of {path}"))?;
    found.pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    if found.pids.len() > MEMBERS_MAX || depth == 0 {
        return Err(SettingError::TooLarge { path: path.to_string() });
    }
    let failed = |error| failed(format!("cgroup {path}"), error);
    for child in children(&directory).map_err(failed)? {
        match openat(
            &directory,
            child.as_c_str(),
            OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW,
            Mode::empty(),
        ) {
            Ok(directory) => {
                let there = here.join(OsStr::from_bytes(child.to_bytes()));
                found.below.push(Text::from_bytes(there.as_os_str().as_bytes()));
                gather(directory, path, &there, depth - 1, found)?;
            }
            Err(nix::Error::ENOENT) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

/// Names of the cgroups right below one.
pub(super) fn children(directory: &OwnedFd) -> nix::Result<Vec<CString>> {
    // Another place in the directory than whoever else reads it has.
    let again = openat(directory, ".", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut children = Vec::new();
    for entry in Dir::from_fd(again)?.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if entry.file_type() == Some(nix::dir::Type::Directory) && name != b"." && name != b".." {
            children.push(entry.file_name().to_owned());
        }
    }
    Ok(children)
}

/// The cgroup's directory in the hierarchy that has `file`.
pub(super) fn open_cgroup(path: &CgroupPath, file: CgroupFile) -> Result<OwnedFd, SettingError> {
    open_in(file.hierarchy(), path.as_str())
}

/// The directory of a cgroup, or by `/` of the root, in one hierarchy.
pub(super) fn open_in(hierarchy: Hierarchy, path: &str) -> Result<OwnedFd, SettingError> {
    let what = || match hierarchy {
        Hierarchy::V1(controller) => format!("cgroup {path} in the v1 hierarchy of {controller}"),
        Hierarchy::Unified => format!("cgroup {path} in the unified hierarchy"),
        Hierarchy::Either(controller) => format!("cgroup {path} in the hierarchy of {controller}"),
    };
    let mount = mount_with(hierarchy).ok_or_else(|| SettingError::Gone { what: what() })?;
    let root =
        open(&mount, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).map_err(|error| failed(what(), error))?;
    open_beneath(&root, path, OFlag::O_DIRECTORY).map_err(|error| failed(what(), error))
}

pub(super) fn mount_with(hierarchy: Hierarchy) -> Option<PathBuf> {
    match hierarchy {
        Hierarchy::Unified => mount_of(None),
        Hierarchy::V1(controller) => mount_of(Some(controller)),
        Hierarchy::Either(controller) => mount_of(Some(controller)).or_else(|| mount_of(None)),
    }
}

/// Where a hierarchy is mounted: the unified one, or the v1 one of a controller.
fn mount_of(v1_controller: Option<&str>) -> Option<PathBuf> {
    let this = |mount: &Mount| match v1_controller {
        None => mount.kind == "cgroup2",
        Some(controller) => mount.kind == "cgroup" && mount.options.split(',').any(|option| option == controller),
    };
    mounts()?.into_iter().find(this).map(|mount| PathBuf::from(mount.place))
}

pub(super) fn inode(directory: &OwnedFd, path: &str) -> Result<u64, SettingError> {
    fstat(directory).map(|stat| stat.st_ino).map_err(|error| failed(format!("cgroup {path}"), error))
}
