//! Where the control groups are mounted: v2, v1, or both side by side.

use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    observe::scrape::{Document, ScrapeError},
    text::Text,
};

const MOUNTINFO: &str = "/proc/self/mountinfo";

/// What limits or counts one resource of a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Controller {
    Memory,
    Cpu,
    CpuAccounting,
    Pids,
    Freezer,
    Io,
    Cpuset,
}

/// The version of the hierarchy decides the names of the files: `memory.max` or `memory.limit_in_bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CgroupVersion {
    V1,
    V2,
}

/// The directory of a cgroup where a controller has its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupDirectory {
    pub path: PathBuf,
    pub version: CgroupVersion,
}

/// The mounted hierarchies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupMounts {
    unified: Option<Unified>,
    v1: Vec<(Controller, PathBuf)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Unified {
    path: PathBuf,
    controllers: Vec<Controller>,
}

/// The hierarchies as they are mounted now, by `/proc/self/mountinfo`.
pub fn mounts() -> Result<CgroupMounts, ScrapeError> {
    let failed = |error| ScrapeError::Read { path: MOUNTINFO.to_owned(), error };
    let text = fs::read(MOUNTINFO).map_err(failed)?;
    let mut mounts = CgroupMounts::parse(Document::new(MOUNTINFO, &text))?;
    if let Some(unified) = &mut mounts.unified {
        let there = fs::read(unified.path.join("cgroup.controllers")).unwrap_or_default();
        let names = there.split(u8::is_ascii_whitespace);
        unified.controllers = names.filter_map(Controller::of_name).collect();
    }
    Ok(mounts)
}

impl Controller {
    const ALL: [Self; 7] =
        [Self::Memory, Self::Cpu, Self::CpuAccounting, Self::Pids, Self::Freezer, Self::Io, Self::Cpuset];

    /// Its name in the options of a v1 mount.
    #[must_use]
    pub const fn v1_name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::CpuAccounting => "cpuacct",
            Self::Pids => "pids",
            Self::Freezer => "freezer",
            Self::Io => "blkio",
            Self::Cpuset => "cpuset",
        }
    }

    /// By its name in `cgroup.controllers` of v2, where freezing and accounting of CPU time are no controllers but
    /// always there.
    fn of_name(name: &[u8]) -> Option<Self> {
        match name {
            b"memory" => Some(Self::Memory),
            b"cpu" => Some(Self::Cpu),
            b"pids" => Some(Self::Pids),
            b"io" => Some(Self::Io),
            b"cpuset" => Some(Self::Cpuset),
            _ => None,
        }
    }
}

impl CgroupMounts {
    /// The text of a mountinfo (proc_pid_mountinfo(5)), without the controllers of v2, which stand elsewhere. Other
    /// mounts' paths are strangers' text and need not be UTF-8.
    pub fn parse(document: Document<'_>) -> Result<Self, ScrapeError> {
        let mut mounts = Self::default();
        for line in document.lines() {
            let fields: Vec<&[u8]> = line.fields().map(|field| field.text).collect();
            let dash = fields.iter().position(|field| *field == b"-").ok_or_else(|| line.is_not("a mount"))?;
            let (Some(root), Some(at), Some(kind), Some(options)) =
                (fields.get(3), fields.get(4), fields.get(dash + 1), fields.get(dash + 3))
            else {
                return Err(line.is_not("a mount"));
            };
            // A mount of a part of a hierarchy, as containers have, shows other paths than the processes' own.
            if *root != b"/" {
                continue;
            }
            let path = PathBuf::from(OsString::from_vec(unescape_octal(at)));
            match *kind {
                b"cgroup2" if mounts.unified.is_none() => {
                    mounts.unified = Some(Unified { path, controllers: Vec::new() });
                }
                b"cgroup" => {
                    for option in options.split(|byte| *byte == b',') {
                        let of = Controller::ALL.into_iter().find(|of| of.v1_name().as_bytes() == option);
                        if let Some(of) = of.filter(|of| !mounts.v1.iter().any(|(there, _)| there == of)) {
                            mounts.v1.push((of, path.clone()));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(mounts)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.unified.is_none() && self.v1.is_empty()
    }

    /// The mount of the v2 hierarchy, with or without controllers.
    #[must_use]
    pub fn unified(&self) -> Option<&Path> {
        self.unified.as_ref().map(|unified| unified.path.as_path())
    }

    /// The mount of the v1 hierarchy of that controller.
    #[must_use]
    pub fn v1(&self, controller: Controller) -> Option<&Path> {
        self.v1.iter().find(|(of, _)| *of == controller).map(|(_, path)| path.as_path())
    }

    /// The directory where this controller of that cgroup has its files, if the cgroup is there now: the v1
    /// hierarchy's, or else the unified one's if the controller is at home there. (In v2 the files themselves are there
    /// only if the parent's `cgroup.subtree_control` says so.)
    ///
    /// `cgroup` is untrusted: what leads out of the hierarchy, or was too long to be kept whole, is not found.
    #[must_use]
    pub fn directory(&self, controller: Controller, cgroup: &Text) -> Option<CgroupDirectory> {
        let below = below_mount(cgroup)?;
        let v1 = self.v1(controller).map(|mount| (mount, CgroupVersion::V1));
        let unified = self.unified.as_ref().filter(|unified| {
            matches!(controller, Controller::Freezer | Controller::CpuAccounting)
                || unified.controllers.contains(&controller)
        });
        let v2 = unified.map(|unified| (unified.path.as_path(), CgroupVersion::V2));
        v1.into_iter()
            .chain(v2)
            .map(|(mount, version)| CgroupDirectory { path: mount.join(&below), version })
            .find(|directory| directory.path.is_dir())
    }

    /// The path of that directory.
    #[must_use]
    pub fn path_of(&self, controller: Controller, cgroup: &Text) -> Option<PathBuf> {
        self.directory(controller, cgroup).map(|directory| directory.path)
    }

    /// The directory of that cgroup in the unified hierarchy, where its pressure, `cgroup.procs`, `cgroup.freeze` and
    /// `cgroup.kill` are.
    #[must_use]
    pub fn unified_path_of(&self, cgroup: &Text) -> Option<PathBuf> {
        let path = self.unified()?.join(below_mount(cgroup)?);
        path.is_dir().then_some(path)
    }
}

/// A cgroup's path as the kernel has it, without the leading slash; none where it is not one.
fn below_mount(cgroup: &Text) -> Option<PathBuf> {
    let bytes = cgroup.unescape()?;
    let below = bytes.strip_prefix(b"/")?;
    let sound = |name: &[u8]| !name.is_empty() && name != b"." && name != b"..";
    if !below.is_empty() && !below.split(|byte| *byte == b'/').all(sound) {
        return None;
    }
    Some(PathBuf::from(OsString::from_vec(below.to_vec())))
}

/// Mountinfo writes space, tab, newline and backslash as `\040` and the like.
pub(in crate::observe::scrape) fn unescape_octal(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.first_chunk::<3>().filter(|digits| *first == b'\\' && digits.iter().all(u8::is_ascii_digit));
        match octal {
            Some(digits) => {
                let value = digits.iter().fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                bytes.push((value & 0xff) as u8);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

/// The cgroup's path below its mount, as it is shown.
pub(super) fn shown(below: &Path) -> Text {
    let mut path = vec![b'/'];
    path.extend_from_slice(below.as_os_str().as_bytes());
    Text::from_bytes(&path)
}
