//! A disk that is asked for more than it can do: who keeps it busy gets less of it, where others wait for it.

use super::{
    evidence::Evidence,
    remedy::{Remedies, Remedy, Rung, action, own_cgroup_of},
};
use crate::explain::{BusiestDisk, Explanation, Suspect, figures::figure};

/// Busy for this part of the time, what a disk is asked waits for as long as it takes, by the M/M/1 queue.
const GOAL: f64 = 0.5;
/// Nobody gets less than this part of what it does now: it is to be slowed and not to be stopped.
const LEAST: f64 = 0.1;
/// Nor less than this part, if all of what it does would not be enough: then it is not the only one, or none at all.
const LEAST_OF_MANY: f64 = 0.5;
/// Who does less than this part of the most does little, as the measure of those who wait has it, 0 to 1.
const LITTLE: f64 = 0.5;
/// Who waits for this part of the longest wait may be the one who waits longest, 0 to 1.
const WAITS_AS_LONG: f64 = 0.8;
/// Requests of this size on average are limited by their bytes, and smaller ones by their number.
const LARGE_BYTES: f64 = 65_536.0;
/// What the action takes at least.
const LEAST_BYTES_PER_S: f64 = 65_536.0;
const LEAST_OPS_PER_S: f64 = 10.0;

/// Whether others wait for what the disk does for the culprit, as evidence.
pub(super) fn weigh_others(evidence: Evidence, explanation: &Explanation) -> Evidence {
    let yardstick = explanation.yardstick();
    let known = yardstick.is_io_wait_of_others();
    evidence.weigh(
        known.then(|| !yardstick.is_calm(yardstick.value)),
        0.3,
        format!("who does little I/O waits for it {} of the time", figure(&yardstick.measure, yardstick.value)),
    )
}

/// Less I/O for the culprit, if others are known to wait; `advice` is a person's part.
pub(super) fn remedies(explanation: &Explanation, advice: String) -> Remedies {
    let Some(culprit) = explanation.culprit() else { return Remedies { advice, ..Remedies::default() } };
    let hold = (!explanation.yardstick().is_io_wait_of_others())
        .then(|| "nobody else is known to wait for the disk".to_owned())
        .or_else(|| why_it_suffers(explanation, culprit));
    Remedies { ladder: limit_io(explanation, culprit).into_iter().collect(), advice, hold }
}

/// Why the suspect is rather one of those who suffer: it waits as long as the one who waits most, and does little. A
/// limit on it would only hide its wait, for who waits for a limit of his own is not counted.
fn why_it_suffers(explanation: &Explanation, suspect: &Suspect) -> Option<String> {
    let stall = suspect.number("cgroup_io_stall_percent")?;
    let most = explanation.suspects.iter().filter(|other| other.of == suspect.of).map(|other| other.share);
    let does_little = suspect.share < LITTLE * most.fold(0.0, f64::max);
    let waits_most = stall >= WAITS_AS_LONG * explanation.yardstick().value;
    (does_little && waits_most).then(|| {
        format!("{} waits for the disk {stall:.0} % of the time itself, and does little on it", suspect.entity)
    })
}

/// A limit on what the culprit's own cgroup does most on the disk whose requests wait most, so that the disk rests for
/// half of the time. None where its I/O cannot be limited (control groups v1), or is already.
fn limit_io(explanation: &Explanation, culprit: &Suspect) -> Option<Remedy> {
    let disk = explanation.node.busiest_disk.as_ref()?;
    culprit.number("cgroup_io_limited").filter(|limited| *limited == 0.0)?;
    let cgroup = own_cgroup_of(culprit)?;
    let (what, now, of_all, least) = most(disk);
    let too_much = (1.0 - GOAL / (disk.busy_percent / 100.0).clamp(GOAL, 1.0)) * of_all;
    let its = now * disk.share_of(culprit);
    let least_part = if its > too_much { LEAST } else { LEAST_OF_MANY };
    let rate = (its - too_much).max(its * least_part).max(least);
    let params = [
        ("cgroup", cgroup.into()),
        ("device", format!("{}:{}", disk.major, disk.minor).into()),
        ("what", what.into()),
        ("rate", (rate as u64).into()),
    ];
    Some(Remedy { rung: Rung::Limit, actions: action("limit_cgroup_io", params) })
}

/// What the disk does most, as the action names it: how much of that a second, of how much in all, and what is the
/// least that can be allowed.
fn most(disk: &BusiestDisk) -> (&'static str, f64, f64, f64) {
    let reads = disk.reads_per_s > disk.writes_per_s;
    let (ops, bytes) = match reads {
        true => (disk.reads_per_s, disk.read_bytes_per_s),
        false => (disk.writes_per_s, disk.written_bytes_per_s),
    };
    let (of_bytes, of_ops) = if reads { ("read_bps", "read_iops") } else { ("write_bps", "write_iops") };
    if bytes >= ops * LARGE_BYTES {
        (of_bytes, bytes, disk.bytes_per_s(), LEAST_BYTES_PER_S)
    } else {
        (of_ops, ops, disk.ops_per_s(), LEAST_OPS_PER_S)
    }
}
