//! `filesystems`: what is left of each local filesystem that is mounted to be written, by `statvfs`.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use nix::sys::statvfs::{FsFlags, statvfs};

use super::{Context, Document, Scrape, ScrapeError, Scraped, Source, cgroups::unescape_octal};
use crate::{
    observe::{
        Sample,
        sample::{DeviceNumber, Filesystem},
    },
    text::Text,
};

pub const SOURCE: Source = Source { name: "filesystems", start: || Box::new(FilesystemsSource::default()) };

const MOUNTINFO: &str = "/proc/self/mountinfo";
/// Kinds that answer from memory of their own. One over a network or out of a process may let who asks wait for ever.
const LOCAL: [&str; 11] = ["bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "tmpfs", "vfat", "xfs", "zfs"];
/// Filesystems told at most, those with the least left.
const FILESYSTEMS: usize = 64;
/// Disks do not fill from one second to the next.
const READ_EVERY_TICKS: u32 = 5;

#[derive(Debug, Default)]
struct FilesystemsSource {
    /// As last read, and the ticks until they are read again.
    read: Vec<Filesystem>,
    left: u32,
    /// Whether somebody failed for want of space at the last tick.
    no_room: bool,
}

/// A mount of a local filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    pub path: PathBuf,
    pub kind: String,
    /// Its own, then those of overlays whose upper directory it holds: what is written to them takes its room.
    pub devices: Vec<DeviceNumber>,
}

impl Scrape for FilesystemsSource {
    fn scrape(&mut self, context: &mut Context, sample: &mut Sample) -> Result<Scraped, ScrapeError> {
        // Whoever begins to find no room says that something is full now.
        let had_no_room = std::mem::replace(&mut self.no_room, context.no_room);
        if self.left == 0 || (context.no_room && !had_no_room) {
            self.read.clear();
            // Should it fail, the next tick tries again.
            self.left = 0;
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
    let mut lines = document.lines().map(read).collect::<Result<Vec<_>, _>>()?;
    // What something else is mounted over cannot be asked.
    let mut covered = HashSet::new();
    lines.reverse();
    lines.retain(|line| covered.insert(line.path.clone()));
    lines.reverse();
    // A node of containers has thousands of mounts and hundreds of overlays, so nothing goes through all for each.
    let at: HashMap<&Path, DeviceNumber> = lines.iter().map(|line| (line.path.as_path(), line.device)).collect();
    let mut overlays: HashMap<DeviceNumber, Vec<DeviceNumber>> = HashMap::new();
    for line in &lines {
        let below = line.upper.as_deref().and_then(|upper| upper.ancestors().find_map(|path| at.get(path)));
        if let Some(below) = below {
            overlays.entry(*below).or_default().push(line.device);
        }
    }
    lines.sort_by_key(|line| line.path.as_os_str().len());
    let mut seen = HashSet::new();
    let mount = |Line { device, path, kind, .. }: Line<'_>| {
        let kind = LOCAL.into_iter().find(|local| local.as_bytes() == kind)?;
        let on_it = overlays.get(&device).into_iter().flatten().copied();
        let devices = std::iter::once(device).chain(on_it).collect();
        seen.insert(device).then(|| Mount { path, kind: kind.to_owned(), devices })
    };
    Ok(lines.into_iter().filter_map(mount).collect())
}

/// One mount of any kind.
struct Line<'a> {
    device: DeviceNumber,
    path: PathBuf,
    kind: &'a [u8],
    /// Where an overlay puts what is written to it.
    upper: Option<PathBuf>,
}

fn read(line: super::document::Line<'_>) -> Result<Line<'_>, ScrapeError> {
    let fields: Vec<&[u8]> = line.fields().map(|field| field.text).collect();
    let told = || {
        let dash = fields.iter().position(|field| *field == b"-")?;
        let path = |text: &[u8]| PathBuf::from(OsStr::from_bytes(&unescape_octal(text)));
        let kind = *fields.get(dash + 1)?;
        let options = fields.get(dash + 3).filter(|_| kind == b"overlay").into_iter();
        let mut options = options.flat_map(|options| options.split(|byte| *byte == b','));
        let upper = options.find_map(|option| option.strip_prefix(b"upperdir=")).map(path);
        Some(Line { device: device(fields.get(2)?)?, path: path(fields.get(4)?), kind, upper })
    };
    told().ok_or_else(|| line.is_not("a mount"))
}

/// `major:minor`
fn device(text: &[u8]) -> Option<DeviceNumber> {
    let (major, minor) = str::from_utf8(text).ok()?.split_once(':')?;
    Some(DeviceNumber { major: major.parse().ok()?, minor: minor.parse().ok()? })
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
        devices: mount.devices.clone(),
    })
}

fn text(path: &Path) -> Text {
    Text::from_bytes(path.as_os_str().as_bytes())
}
