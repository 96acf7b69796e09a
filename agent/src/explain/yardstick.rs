//! What an action is measured by: the primary measure, unless that cannot show whether the action helped.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Explanation, contested::Contested};
use crate::observe::{Entity, History, Signal, SignalType, classify::Thresholds};

/// The measure of those who wait for a CPU and do not hog it, as the classifier names it.
const OTHERS_WAIT: &str = "others_wait_percent";
/// The measure of those who wait for I/O and do little of it.
const OTHERS_IO_WAIT: &str = "others_io_wait_percent";
/// One tick of it says little.
const LAST_VALUES: usize = 5;
/// What suffices is at most this part of medium.
const MARGIN: f64 = 0.7;

/// One measure of one entity, with its value now and where it would be medium.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Yardstick {
    pub signal_type: SignalType,
    pub measure: String,
    pub entity: Entity,
    pub value: f64,
    pub medium_at: f64,
    /// Whether less of it is worse.
    pub falling: bool,
}

impl Yardstick {
    /// The primary measure. Where nobody said from which value on it is medium, its pressure implies it, which is 0.5
    /// there.
    pub(super) fn of_primary(explanation: &Explanation) -> Self {
        let Signal { signal_type, measure, entity, value, pressure, .. } = &explanation.primary;
        let falling = explanation.falling;
        let times = 0.5 / pressure.clamp(0.5, 1.0);
        let implied = if falling { value / times } else { value * times };
        Self {
            signal_type: *signal_type,
            measure: measure.to_string(),
            entity: entity.clone(),
            value: *value,
            medium_at: explanation.medium_at.unwrap_or(implied),
            falling,
        }
    }

    /// The wait of those who suffer, where that is what hurts: of switches, which by themselves take nothing from
    /// anybody, and where the primary measure counts the wait of the hogs too: no nice value and no quota
    /// lowers such a measure, though they help; and of a disk, whose signals all count the wait of who keeps it busy.
    /// Its value is the median of its last ones. None while nobody reads it.
    pub(super) fn of_others(primary: &Signal, history: &History, thresholds: Option<&Thresholds>) -> Option<Self> {
        let own_wait = counts_own_wait(primary);
        let (signal_type, measure) = match () {
            () if is_about_disks(primary) => (SignalType::IoCongestion, OTHERS_IO_WAIT),
            () if own_wait || primary.measure.contains("switches") => (SignalType::LoadMismatch, OTHERS_WAIT),
            () => return None,
        };
        let medium_at = thresholds?.get(signal_type, measure)?.levels[1]?;
        let mut last: Vec<f64> = history.points(signal_type, measure, &Entity::Node).map(|point| point.value).collect();
        let last = &mut last.split_off(last.len().saturating_sub(LAST_VALUES))[..];
        last.sort_unstable_by(f64::total_cmp);
        let value = *last.get(last.len() / 2)?;
        if !own_wait && measure == OTHERS_WAIT && value < medium_at {
            return None;
        }
        Some(Self { signal_type, measure: measure.to_owned(), entity: Entity::Node, value, medium_at, falling: false })
    }

    /// Whether a value is no worse than low.
    #[must_use]
    pub fn is_calm(&self, value: f64) -> bool {
        if self.falling { value > self.medium_at } else { value < self.medium_at }
    }

    /// Whether an action that is expected to leave this value is enough: a third below medium, for what comes is never
    /// quite what was reckoned.
    #[must_use]
    pub fn suffices(&self, value: f64) -> bool {
        if self.falling { value * MARGIN > self.medium_at } else { value < self.medium_at * MARGIN }
    }

    /// Whether it is the wait of those who want little.
    #[must_use]
    pub fn is_wait_of_others(&self) -> bool {
        self.measure == OTHERS_WAIT
    }

    /// Whether it is the wait of those who do little I/O.
    #[must_use]
    pub fn is_io_wait_of_others(&self) -> bool {
        self.measure == OTHERS_IO_WAIT
    }

    /// Whether the measure counts the wait of those who cause it as well as of those who suffer.
    #[must_use]
    pub fn counts_own_wait(&self) -> bool {
        is_own_wait(self.signal_type, &self.measure)
    }
}

/// What is told of a disk, but for its errors.
fn is_about_disks(signal: &Signal) -> bool {
    match signal.signal_type {
        SignalType::IoCongestion => true,
        SignalType::BlockDeviceSaturation => !signal.measure.contains("errors"),
        SignalType::PageFault => signal.measure.contains("major"),
        _ => false,
    }
}

fn counts_own_wait(signal: &Signal) -> bool {
    Contested::is_about_cpu(signal) && is_own_wait(signal.signal_type, &signal.measure)
}

fn is_own_wait(signal_type: SignalType, measure: &str) -> bool {
    matches!(signal_type, SignalType::LoadMismatch | SignalType::Scheduler)
        && ["some", "psi", "pressure", "load", "runnable", "run_queue"].iter().any(|word| measure.contains(word))
}
