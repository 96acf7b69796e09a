//! Opening by paths that lead through no link, and what is mounted where.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
};

use nix::{
    fcntl::{OFlag, open, openat},
    sys::stat::Mode,
};

use super::{setting::SettingError, value::FilePath};

/// A path of the node's own, through no link.
pub(super) fn open_plain(path: &FilePath, access: OFlag) -> Result<OwnedFd, SettingError> {
    let failed = |error| failed(path.to_string(), error);
    let root = open("/", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).map_err(failed)?;
    // A FIFO would wait for somebody at its other end.
    match open_beneath(&root, path.relative(), access | OFlag::O_NONBLOCK | OFlag::O_NOCTTY) {
        Err(nix::Error::ENOTDIR | nix::Error::ELOOP) => Err(SettingError::ByLink { what: path.to_string() }),
        opened => opened.map_err(failed),
    }
}

/// What lies below a directory, through no link and no `..`. Step by step, because systemd takes `openat2` from units
/// that it keeps from setting user and group bits (`RestrictSUIDSGID=`).
pub(super) fn open_beneath(root: &OwnedFd, relative: &str, access: OFlag) -> nix::Result<OwnedFd> {
    let open = |directory: &OwnedFd, name: &str, access| {
        openat(directory, name, access | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW, Mode::empty())
    };
    let parts: Vec<&str> = relative.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let Some((last, above)) = parts.split_last() else { return open(root, ".", access) };
    if parts.contains(&"..") {
        return Err(nix::Error::EXDEV);
    }
    let mut directory = root.try_clone().map_err(|error| io_errno(&error))?;
    for part in above {
        directory = open(&directory, part, OFlag::O_DIRECTORY)?;
    }
    open(&directory, last, access)
}

pub(super) fn read_in(directory: &OwnedFd, name: &str, what: &str) -> Result<String, SettingError> {
    let file = open_beneath(directory, name, OFlag::O_RDONLY).map_err(|error| failed(what.to_owned(), error))?;
    let mut text = String::new();
    File::from(file)
        .take(4 << 20)
        .read_to_string(&mut text)
        .map_err(|source| SettingError::Unreadable { what: what.to_owned(), source })?;
    Ok(text)
}

/// A line of mountinfo.
pub(super) struct Mount {
    pub(super) place: String,
    pub(super) kind: String,
    /// Of the filesystem.
    pub(super) options: String,
}

/// All that this process sees mounted; none where the kernel does not tell.
pub(super) fn mounts() -> Option<Vec<Mount>> {
    let parse = |line: &str| {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ').map(str::to_owned);
        Some(Mount { place: place.split(' ').nth(4)?.to_owned(), kind: kind.next()?, options: kind.nth(1)? })
    };
    Some(std::fs::read_to_string("/proc/self/mountinfo").ok()?.lines().filter_map(parse).collect())
}

pub(super) fn failed(what: String, error: nix::Error) -> SettingError {
    match error {
        nix::Error::ENOENT | nix::Error::ESRCH | nix::Error::ENODEV | nix::Error::ENOTDIR => {
            SettingError::Gone { what }
        }
        other => SettingError::Unreadable { what, source: other.into() },
    }
}

pub(super) fn io_errno(error: &io::Error) -> nix::Error {
    error.raw_os_error().map_or(nix::Error::EIO, nix::Error::from_raw)
}
