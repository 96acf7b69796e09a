//! Which filesystem has no room for whom.

use super::{
    sample::{DeviceNumber, Filesystem},
    window::Tick,
};
use crate::text::Text;

impl Tick {
    /// The full filesystems; of a process that is known to fail for want of room in some, those.
    pub fn full_for(&self, pid: Option<u32>) -> impl Iterator<Item = &Filesystem> {
        let full = self.node.filesystems.iter().filter(|one| one.is_full());
        full.filter(move |one| pid.is_none_or(|pid| !self.fails_elsewhere(pid, &one.path)))
    }

    /// Whether the process is known to fail for want of room in filesystems, and this is none of them.
    #[must_use]
    pub fn fails_elsewhere(&self, pid: u32, path: &Text) -> bool {
        let errors = self.recent_calls.iter().flat_map(|calls| &calls.errors);
        let of_it = errors.filter(|error| error.pid == pid && error.count > 0);
        let devices: Vec<DeviceNumber> = of_it.filter_map(|error| error.device).collect();
        let without_room = |one: &&Filesystem| devices.iter().any(|device| one.devices.contains(device));
        let mut known = self.node.filesystems.iter().filter(without_room).peekable();
        known.peek().is_some() && known.all(|one| one.path != *path)
    }
}
