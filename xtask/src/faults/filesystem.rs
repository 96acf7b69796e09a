//! A small filesystem of a fault's own, on a loop device, for what fills it.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use nix::unistd::mkdtemp;

use super::{catalogue::OwnFilesystem, must};

/// Mounted until it is dropped.
#[derive(Debug)]
pub(super) struct Filesystem {
    directory: PathBuf,
    mount: PathBuf,
}

impl Filesystem {
    /// Makes and mounts one that everybody may write to.
    pub(super) fn of_its_own(wanted: &OwnFilesystem) -> Result<Self> {
        let template = std::env::temp_dir().join("kernelsight-disk-XXXXXX");
        let directory = mkdtemp(&template).with_context(|| format!("{} cannot be made", template.display()))?;
        fs::set_permissions(&directory, Permissions::from_mode(0o755))?;
        let filesystem = Self { mount: directory.join("full"), directory };
        fs::create_dir(&filesystem.mount)?;
        let image = filesystem.directory.join("image");
        File::create(&image).and_then(|file| file.set_len(wanted.mb << 20)).context("an image cannot be made")?;
        must(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&image))?;
        must(Command::new("mount").args(["-o", "loop,noatime"]).arg(&image).arg(&filesystem.mount))?;
        fs::set_permissions(&filesystem.mount, Permissions::from_mode(0o1777))?;
        Ok(filesystem)
    }

    pub(super) fn path(&self) -> &Path {
        &self.mount
    }
}

impl Drop for Filesystem {
    fn drop(&mut self) {
        // One that was never mounted cannot be taken away.
        let _ = Command::new("umount").arg("--lazy").arg("--quiet").arg(&self.mount).status();
        let _ = fs::remove_dir_all(&self.directory);
    }
}
