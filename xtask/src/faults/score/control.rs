//! A control is no fault: nothing may be said of it that is worse than it allows, and nothing done.

use super::{Score, Seen, blank, effects, mark, words::words};
use crate::faults::catalogue::{Control, Fault};

pub(super) fn score_control(fault: &Fault, control: &Control, seen: &Seen) -> Score {
    let mut score = blank(fault, seen);
    for (_, signal) in seen.signals.iter().filter(|(_, signal)| signal.peak_severity > control.worst) {
        let what = format!("{} on {}: {}", signal.signal_type, signal.entity.words(), signal.sentence);
        score.reasons.push(format!("a {:?} signal, {what}", signal.peak_severity).to_lowercase());
    }
    for action in effects(seen) {
        score.reasons.push(format!("an action on what is no fault: {}", words(action)));
    }
    score.resolved = mark(score.reasons.is_empty());
    score.undone = mark(seen.changes.is_empty());
    score.reasons.extend(seen.changes.iter().map(|change| format!("changed: {change}")));
    score.reasons.extend(seen.ended.iter().cloned());
    score
}
