//! What the node has room for: an action that raises or widens something asks here first.

use super::Refusal;

/// Part of the memory that a raised limit must leave available, percent.
const KEPT_PERCENT: u64 = 10;

/// Memory of the node, bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) total_bytes: u64,
    pub(super) available_bytes: u64,
}

impl Room {
    pub(super) fn now() -> Result<Self, Refusal> {
        let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_ascii_whitespace().next()?.parse::<u64>().ok()
        };
        let bytes = |name: &'static str| {
            kib(name)
                .map(|kib| kib * 1024)
                .ok_or_else(|| Refusal::Unreadable { what: format!("{name} of /proc/meminfo"), text: String::new() })
        };
        Ok(Self { total_bytes: bytes("MemTotal")?, available_bytes: bytes("MemAvailable")? })
    }

    /// Refuses what could take so much that less than a tenth of the memory stayed available.
    pub(super) fn for_more(&self, more_bytes: u64) -> Result<(), Refusal> {
        let kept = self.total_bytes / 100 * KEPT_PERCENT;
        if self.available_bytes.saturating_sub(more_bytes) >= kept {
            return Ok(());
        }
        Err(Refusal::NoRoom {
            asked: format!("{more_bytes} bytes more"),
            room: format!("{} bytes are available, and {kept} of them are kept", self.available_bytes),
        })
    }

    /// Refuses what could take more than this part of all memory.
    pub(super) fn for_share(&self, asked_bytes: u64, percent: u64) -> Result<(), Refusal> {
        let most = self.total_bytes / 100 * percent;
        if asked_bytes <= most {
            return Ok(());
        }
        Err(Refusal::NoRoom {
            asked: format!("{asked_bytes} bytes"),
            room: format!("{percent} % of its memory are {most} bytes"),
        })
    }
}
