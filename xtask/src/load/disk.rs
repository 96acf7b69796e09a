//! Files of loads that want a device: on the disk of the build, for `/tmp` may be memory.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use nix::libc;

use super::ground::Ground;

const PIECE: usize = 1 << 20;
/// Whatever it is told, no load writes a longer file.
const FILE_MAX_MB: u64 = 2048;

/// A written file without a name, which goes with this process however that ends.
pub(super) fn file(ground: &mut Ground, mb: u64, direct: bool) -> Result<File> {
    if mb > FILE_MAX_MB {
        bail!("a file of {mb} MB is more than {FILE_MAX_MB}");
    }
    let (path, mut file) = create(ground)?;
    let piece = vec![0x5a_u8; PIECE];
    for _ in 0..mb {
        if ground.over() {
            break;
        }
        file.write_all(&piece).context("the file cannot be written")?;
    }
    file.sync_all()?;
    let flags = if direct { libc::O_DIRECT } else { 0 };
    let opened = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path);
    fs::remove_file(&path)?;
    opened.with_context(|| format!("{} cannot be opened past the cache", path.display()))
}

/// The same of an empty file.
pub(super) fn empty_file(ground: &mut Ground) -> Result<File> {
    let (path, file) = create(ground)?;
    fs::remove_file(&path)?;
    Ok(file)
}

fn create(ground: &mut Ground) -> Result<(PathBuf, File)> {
    let path = ground.disk_directory()?.join("data");
    let file = OpenOptions::new().create_new(true).write(true).open(&path);
    Ok((path.clone(), file.with_context(|| format!("{} cannot be made", path.display()))?))
}

/// Numbers that look random and are the same each time (Knuth's multiplier; the high bits are the good ones).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }
}
