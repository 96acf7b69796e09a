//! What a limit on I/O leaves of the wait of others.

use super::effect::Left;
use crate::{
    execute::ActionRequest,
    explain::{Explanation, Suspect},
};

/// A disk is never reckoned busier than this, for the wait would have no end, 0 to 1.
const BUSIEST: f64 = 0.95;

/// Others wait for a disk as for an M/M/1 queue, S / (1 − ρ), where ρ is the part of the time that it is busy, and a
/// limit takes from ρ what it takes from the requests. None where the disk's numbers are not known.
pub(super) fn left_by_limit(explanation: &Explanation, suspect: &Suspect, action: &ActionRequest) -> Option<Left> {
    let disk = explanation.node.busiest_disk.as_ref()?;
    let limit = action.number("rate")?;
    let (now, of_all) = match action.params.get("what")?.as_str()? {
        "read_bps" => (disk.read_bytes_per_s, disk.bytes_per_s()),
        "write_bps" => (disk.written_bytes_per_s, disk.bytes_per_s()),
        "read_iops" => (disk.reads_per_s, disk.ops_per_s()),
        "write_iops" => (disk.writes_per_s, disk.ops_per_s()),
        _ => return None,
    };
    let its = now * disk.share_of(suspect);
    let less = (its - limit).max(0.0) / of_all.max(1.0);
    let busy = (disk.busy_percent / 100.0).clamp(0.0, BUSIEST);
    let then = busy * (1.0 - less).max(0.0);
    let left = (1.0 - busy) / (1.0 - then);
    let because =
        format!("left {left:.2} = (1 − {busy:.2} busy now) / (1 − {then:.2} busy with {:.0} % less)", 100.0 * less);
    Some(Left { left, because, of_all: true })
}
