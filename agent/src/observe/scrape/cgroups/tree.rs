//! The tree of cgroups, all hierarchies merged by path, and the way from an id to a path.
//!
//! Going through the directories costs more than reading them, so it is done when the kernel's counts of cgroups have
//! changed, when a process shows an id that is not known, and otherwise seldom.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::mounts::{self, CgroupMounts, Controller, shown};
use crate::{
    observe::{
        sample::{CGROUPS_PER_SAMPLE, CgroupIds},
        scrape::{KernelFile, ScrapeError},
    },
    text::Text,
};

/// The tree is gone through at least this often.
const WALK_EVERY_TICKS: u64 = 30;
/// Mounts are looked up at least this often.
const MOUNTS_EVERY_TICKS: u64 = 300;
/// Directories known by id; what has no room among the samples is still named.
const MOST_NODES: usize = 16_384;

/// Where a cgroup can have files, and at which place of [`Node::in_hierarchy`].
pub(super) const UNIFIED: usize = 0;
pub(super) const MEMORY: usize = 1;
pub(super) const CPU: usize = 2;
pub(super) const CPU_ACCOUNTING: usize = 3;
pub(super) const PIDS: usize = 4;
pub(super) const FREEZER: usize = 5;
pub(super) const HIERARCHIES: usize = 6;

#[derive(Debug, Default)]
pub(in crate::observe::scrape) struct CgroupTree {
    mounts: CgroupMounts,
    /// The mounts were given to us: they are not looked up.
    given: bool,
    /// Mounts of v1 controllers and of the unified hierarchy, none where not mounted.
    roots: [Option<PathBuf>; HIERARCHIES],
    /// The first [`CGROUPS_PER_SAMPLE`], shallowest first.
    nodes: Vec<Arc<Node>>,
    left_out: u64,
    by_unified_id: HashMap<u64, Text>,
    by_memory_id: HashMap<u64, Text>,
    /// Ids that a walk did not find: not looked for again before the tree changes.
    not_found: HashSet<CgroupIds>,
    counts: Vec<KernelFile>,
    counted: Vec<u8>,
    walked: Option<u64>,
    mounts_read: u64,
    /// Grows with every walk.
    generation: u64,
}

/// One cgroup.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) path: Text,
    /// Below the mount, without a leading slash.
    pub(super) below: PathBuf,
    pub(super) in_hierarchy: [bool; HIERARCHIES],
    pub(super) ids: CgroupIds,
    /// Directories that have none in them need not be read.
    leaf: [bool; HIERARCHIES],
}

impl CgroupTree {
    pub(in crate::observe::scrape) fn at(mounts: CgroupMounts) -> Self {
        Self { mounts, given: true, ..Self::default() }
    }

    /// Brings the tree up to date. An error when no hierarchy is mounted.
    pub(in crate::observe::scrape) fn refresh(&mut self, tick: u64, buffer: &mut Vec<u8>) -> Result<(), ScrapeError> {
        if self.walked == Some(tick) {
            return Ok(());
        }
        let first = self.walked.is_none();
        if first || tick >= self.mounts_read + MOUNTS_EVERY_TICKS {
            self.mount(tick)?;
        }
        let changed = self.counts_changed(buffer);
        let due = self.walked.is_none_or(|walked| tick >= walked + WALK_EVERY_TICKS);
        if changed || due {
            self.walk(tick);
        }
        Ok(())
    }

    pub(in crate::observe::scrape) fn by_unified_id(&self, id: u64) -> Option<&Text> {
        self.by_unified_id.get(&id)
    }

    /// The path of the cgroup of these ids: with the v1 memory controller its own, unless that is the root and the
    /// unified hierarchy knows better. None for ids that no directory here has.
    pub(in crate::observe::scrape) fn path_of(&mut self, ids: CgroupIds, tick: u64) -> Option<Text> {
        if self.known_path(ids).is_none() && self.walked != Some(tick) && !self.not_found.contains(&ids) {
            self.walk(tick);
        }
        let path = self.known_path(ids).cloned();
        if path.is_none() && self.not_found.len() < MOST_NODES {
            self.not_found.insert(ids);
        }
        path
    }

    fn known_path(&self, ids: CgroupIds) -> Option<&Text> {
        let unified = self.by_unified_id.get(&ids.unified);
        if self.roots[MEMORY].is_none() {
            return unified;
        }
        let memory = self.by_memory_id.get(&ids.memory)?;
        Some(if memory.as_str() == "/" { unified.unwrap_or(memory) } else { memory })
    }

    pub(in crate::observe::scrape) fn mounts(&self) -> &CgroupMounts {
        &self.mounts
    }

    pub(super) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn root(&self, hierarchy: usize) -> Option<&Path> {
        self.roots[hierarchy].as_deref()
    }

    fn mount(&mut self, tick: u64) -> Result<(), ScrapeError> {
        if !self.given {
            self.mounts = mounts::mounts()?;
        }
        self.mounts_read = tick;
        if self.mounts.is_empty() {
            return Err(ScrapeError::Off { reason: "no control group hierarchy is mounted".to_owned() });
        }
        let v1 = |controller| self.mounts.v1(controller).map(Path::to_owned);
        self.roots = [
            self.mounts.unified().map(Path::to_owned),
            v1(Controller::Memory),
            v1(Controller::Cpu),
            v1(Controller::CpuAccounting),
            v1(Controller::Pids),
            v1(Controller::Freezer),
        ];
        self.counts = vec![KernelFile::kept("/proc/cgroups")];
        self.counts.extend(self.mounts.unified().map(|root| KernelFile::kept(root.join("cgroup.stat"))));
        Ok(())
    }

    /// Whether the kernel's counts of cgroups differ from last time; they do after most changes, but a removal and a
    /// creation can cancel out.
    fn counts_changed(&mut self, buffer: &mut Vec<u8>) -> bool {
        let mut counted = Vec::with_capacity(self.counted.len());
        for file in &mut self.counts {
            // Newer kernels may leave the one out, older ones the other.
            if let Ok(document) = file.read(buffer) {
                counted.extend_from_slice(document.text());
            }
        }
        let changed = counted != self.counted;
        self.counted = counted;
        changed
    }

    /// Breadth first, so that what has no room is the deepest.
    fn walk(&mut self, tick: u64) {
        self.walked = Some(tick);
        self.generation += 1;
        self.not_found.clear();
        self.by_unified_id.clear();
        self.by_memory_id.clear();
        self.nodes.clear();
        self.left_out = 0;
        let mut queue = VecDeque::from([Node::at(&self.roots, PathBuf::new())]);
        let mut found = 1;
        while let Some(node) = queue.pop_front() {
            for child in node.children(&self.roots) {
                if found < MOST_NODES {
                    found += 1;
                    queue.push_back(child);
                } else {
                    self.left_out += 1;
                }
            }
            if node.ids.unified != 0 {
                self.by_unified_id.insert(node.ids.unified, node.path.clone());
            }
            if node.ids.memory != 0 {
                self.by_memory_id.insert(node.ids.memory, node.path.clone());
            }
            if self.nodes.len() < CGROUPS_PER_SAMPLE {
                self.nodes.push(Arc::new(node));
            } else {
                self.left_out += 1;
            }
        }
    }
}

impl Node {
    /// Whether these are the same cgroup, not one of the same name made later.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.path == other.path && self.ids == other.ids && self.in_hierarchy == other.in_hierarchy
    }

    /// The cgroup of that path in the hierarchies that have it.
    fn at(roots: &[Option<PathBuf>; HIERARCHIES], below: PathBuf) -> Self {
        let mut node = Self {
            path: shown(&below),
            below,
            in_hierarchy: [false; HIERARCHIES],
            ids: CgroupIds::default(),
            leaf: [false; HIERARCHIES],
        };
        for (at, root) in roots.iter().enumerate() {
            let Some(metadata) = root.as_ref().and_then(|root| fs::metadata(root.join(&node.below)).ok()) else {
                continue;
            };
            node.in_hierarchy[at] = metadata.is_dir();
            // A directory's links are itself, its parent's entry, and one for each directory in it.
            node.leaf[at] = metadata.nlink() == 2;
            match at {
                UNIFIED => node.ids.unified = metadata.ino(),
                MEMORY => node.ids.memory = metadata.ino(),
                _ => {}
            }
        }
        node
    }

    /// By name, from every hierarchy that has this cgroup, each name once.
    fn children(&self, roots: &[Option<PathBuf>; HIERARCHIES]) -> Vec<Self> {
        let mut names: Vec<_> = Vec::new();
        for (at, root) in roots.iter().enumerate() {
            let Some(root) = root.as_ref().filter(|_| self.in_hierarchy[at] && !self.leaf[at]) else { continue };
            // A cgroup that was removed meanwhile has no children.
            names.extend(directories(&root.join(&self.below)).unwrap_or_default());
        }
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(|name| Self::at(roots, self.below.join(name))).collect()
    }
}

fn directories(path: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name());
        }
    }
    Ok(names)
}
