//! What stands above a process's memory: the tightest limit of its cgroup and that cgroup's ancestors, or the node.

use crate::{
    observe::{Window, entity::with_ancestors},
    text::Text,
};

/// The nearest end of a process's memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Ceiling {
    /// The cgroup whose limit it is; none: the node's own memory.
    pub cgroup: Option<Text>,
    pub limit_bytes: u64,
    /// What can still be had below it, reclaimable page cache included, and of a cgroup what it may put out to swap.
    pub room_bytes: u64,
}

impl std::fmt::Display for Ceiling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let limit = super::say::bytes(self.limit_bytes as f64);
        match &self.cgroup {
            Some(path) => write!(f, "the {limit} limit of cgroup {path}"),
            None => write!(f, "the node's {limit}"),
        }
    }
}

/// The ceiling with the least room above a process in `cgroup`; none when neither a limit nor the node's memory is known.
#[must_use]
pub fn ceiling(window: &Window, cgroup: &str) -> Option<Ceiling> {
    let tick = window.now()?;
    let node = tick.node.memory.as_ref().map(|memory| Ceiling {
        cgroup: None,
        limit_bytes: memory.total_bytes,
        room_bytes: memory.available_bytes,
    });
    with_ancestors(cgroup)
        .filter_map(|path| {
            let cgroup = &window.cgroup(path)?.sample;
            let memory = cgroup.memory.as_ref()?;
            let limit_bytes = memory.limit_bytes?;
            let held = memory.anonymous_bytes.max(memory.usage_bytes.saturating_sub(memory.file_bytes));
            let room_bytes = limit_bytes.saturating_sub(held) + swap_room(window, cgroup.path.as_str());
            Some(Ceiling { cgroup: Some(cgroup.path.clone()), limit_bytes, room_bytes })
        })
        .chain(node)
        .min_by_key(|ceiling| ceiling.room_bytes)
}

/// What those in `cgroup` may still put out to swap, bytes: as its limits, its ancestors' and the node leave it.
#[must_use]
pub fn swap_room(window: &Window, cgroup: &str) -> u64 {
    let of_node = window.now().and_then(|tick| Some(tick.node.memory.as_ref()?.swap_free_bytes)).unwrap_or(0);
    let of_cgroups =
        with_ancestors(cgroup).filter_map(|path| window.cgroup(path)?.sample.memory.as_ref()?.swap_room_bytes);
    of_cgroups.fold(of_node, u64::min)
}
