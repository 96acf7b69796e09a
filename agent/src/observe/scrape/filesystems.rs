//! `filesystems`: what is left of each local filesystem that is mounted to be written, by `statvfs`.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use nix::sys::statvfs::{FsFlags, statvfs};

use super::{Context, Document, Scrape, ScrapeError, Scraped, Source, cgroups::unescape_octal};
use crate::{
    observe::{Sample, sample::Filesystem},
    text::Text,
};

pub const SOURCE: Source =
    Source { name: "filesystems", start: || Box::new(FilesystemsSource { read: Vec::new(), left: 0 }) };

const MOUNTINFO: &str = "/proc/self/mountinfo";
/// Kinds that answer from memory of their own. One over a network or out of a process may let who asks wait for ever.
const LOCAL: [&str; 11] = ["bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "tmpfs", "vfat", "xfs", "zfs"];
/// Filesystems told at most, those with the least left.
const FILESYSTEMS: usize = 64;
/// Disks do not fill from one second to the next.
const READ_EVERY_TICKS: u32 = 5;

#[derive(Debug)]
struct FilesystemsSource {
    /// As last read, and the ticks until they are read again.
    read: Vec<Filesystem>,
    left: u32,
}

/// A mount of a local filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    pub path: PathBuf,
    pub kind: String,
}

impl Scrape for FilesystemsSource {
    fn scrape(&mut self, _: &mut Context, sample: &mut Sample) -> Result<Scraped, ScrapeError> {
        if self.left == 0 {
            self.read.clear();
            let text = fs::read(MOUNTINFO).map_err(|error| ScrapeError::Read { path: MOUNTINFO.to_owned(), error })?;
            self.read = parse(Document::new(MOUNTINFO, &text))?.iter().filter_map(ask).collect();
            self.read.sort_by(|a, b| b.used_percent().total_cmp(&a.used_percent()));
            self.read.truncate(FILESYSTEMS);
            self.left = READ_EVERY_TICKS;
        }
        self.left -= 1;
        sample.node.filesystems.clone_from(&self.read);
        Ok(Scraped::Whole)
    }
}

/// The text of a mountinfo (proc_pid_mountinfo(5)): each local filesystem once, at its shortest path.
///
/// # Errors
/// When a line is no mount.
pub fn parse(document: Document<'_>) -> Result<Vec<Mount>, ScrapeError> {
    let mut mounts = Vec::new();
    for line in document.lines() {
        let fields: Vec<&[u8]> = line.fields().map(|field| field.text).collect();
        let dash = fields.iter().position(|field| *field == b"-").ok_or_else(|| line.is_not("a mount"))?;
        let (Some(device), Some(at), Some(kind)) = (fields.get(2), fields.get(4), fields.get(dash + 1)) else {
            return Err(line.is_not("a mount"));
        };
        if let Some(kind) = LOCAL.into_iter().find(|local| local.as_bytes() == *kind) {
            let path = PathBuf::from(OsStr::from_bytes(&unescape_octal(at)));
            mounts.push((device.to_vec(), Mount { path, kind: kind.to_owned() }));
        }
    }
    mounts.sort_by_key(|(_, mount)| mount.path.as_os_str().len());
    let mut seen = HashSet::new();
    mounts.retain(|(device, _)| seen.insert(device.clone()));
    Ok(mounts.into_iter().map(|(_, mount)| mount).collect())
}

/// None where nobody may write, nothing is counted, or something else is mounted over it.
fn ask(mount: &Mount) -> Option<Filesystem> {
    let told = statvfs(mount.path.as_path()).ok()?;
    if told.flags().contains(FsFlags::ST_RDONLY) || told.blocks() == 0 {
        return None;
    }
    let bytes = |blocks: u64| blocks.saturating_mul(told.fragment_size());
    Some(Filesystem {
        path: text(&mount.path),
        kind: mount.kind.as_str().into(),
        total_bytes: bytes(told.blocks()),
        used_bytes: bytes(told.blocks().saturating_sub(told.blocks_free())),
        available_bytes: bytes(told.blocks_available()),
        files: told.files(),
        files_free: told.files_free(),
    })
}

fn text(path: &Path) -> Text {
    Text::from_bytes(path.as_os_str().as_bytes())
}
