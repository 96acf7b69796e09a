//! What a reflex saw of a growth since the last tick, which knows nothing of it yet.

use super::{Direction, Suspect, Trend};
use crate::observe::{ProcessId, Signal, window::Tick};

/// The steps in which a process grew, as the reflex's signal tells them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    pub(super) process: ProcessId,
    pub(super) bytes_per_s: f64,
    rss_bytes: f64,
    room_bytes: f64,
    count: f64,
    span_s: f64,
    r_squared: f64,
}

impl Steps {
    /// None where the signal tells of none, or of what a tick has looked at since.
    pub(super) fn of(signal: &Signal, tick: &Tick) -> Option<Self> {
        let number = |name: &str| signal.numbers.get(name);
        let process = signal.entity.process().filter(|_| signal.last_seen_ms > tick.wall_ms)?;
        Some(Self {
            process,
            bytes_per_s: number("growth_bytes_per_s")?,
            rss_bytes: number("rss_bytes")?,
            room_bytes: number("room_bytes")?,
            count: number("steps")?,
            span_s: number("steps_span_s")?,
            r_squared: number("steps_r_squared")?,
        })
    }

    /// No step was down: only such a growth is told by a reflex.
    pub(super) fn trend(&self) -> Trend {
        Trend {
            measure: "rss_bytes".to_owned(),
            current: self.rss_bytes,
            slope_per_min: self.bytes_per_s * 60.0,
            r_squared: self.r_squared,
            direction: Direction::Rising,
            points: self.count as usize,
            span_s: self.span_s,
        }
    }

    /// Brings what the last tick knew of the suspect up to now, where it is whose steps these are.
    pub(super) fn tell(&self, suspect: &mut Suspect) {
        if !suspect.processes().any(|process| process == self.process) {
            return;
        }
        for (name, value) in [("growth_bytes_per_s", self.bytes_per_s), ("rising_share", 1.0)] {
            suspect.numbers.0.retain(|(known, _)| known != name);
            suspect.numbers.0.push((name.into(), value));
        }
        if let Some(limit) = &mut suspect.limit {
            let end = limit.limit_bytes + limit.swap_room_bytes;
            limit.usage_bytes = limit.usage_bytes.max(end.saturating_sub(self.room_bytes as u64));
        }
    }
}
