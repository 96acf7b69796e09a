//! The gate: what lasts becomes a signal, what blips does not, and what is open closes once it has been calm.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use super::{Threshold, Thresholds, say};
use crate::observe::{Entity, Reading, Severity, Signal, SignalType};

/// Most signals open at once; beyond, the least severe leaves and is counted.
pub const OPEN_MAX: usize = 256;
/// Signals that reflexes may open beyond that, until the next tick puts it right.
const REFLEX_RESERVE: usize = 64;
/// An open signal whose severity stays is told again at most this often, ms.
pub const REFRESH_MS: i64 = 5_000;
/// Samples that a baseline must have before the relative rule believes it: five minutes at one a second.
pub const RELATIVE_SAMPLES: u64 = 300;
/// The relative rule: a value above the baseline's p95 times this is at least high.
pub const RELATIVE_FACTOR: f64 = 1.2;

/// What happened to a signal.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Opened(Signal),
    /// Its severity changed, or some time passed since it was told last.
    Changed(Signal),
    Closed(Signal),
}

impl Change {
    #[must_use]
    pub fn signal(&self) -> &Signal {
        match self {
            Self::Opened(signal) | Self::Changed(signal) | Self::Closed(signal) => signal,
        }
    }
}

/// What is usual for a measure of an entity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usual {
    pub p95: f64,
    pub samples: u64,
}

/// What the gate must know beside the readings.
pub struct Moment<'a> {
    /// Unix time, ms.
    pub now_ms: i64,
    /// The same on a clock that nobody can set, ms: how long something lasts is told by it.
    pub steady_ms: i64,
    /// Events lost since the moment before.
    pub lost: u64,
    /// Whether an entity is still there.
    pub exists: &'a dyn Fn(&Entity) -> bool,
    pub usual: super::UsualOf<'a>,
    /// Whether a measure that was not read this time was only not looked at, and is taken to be as it was.
    pub looked_away: &'a dyn Fn(SignalType, &str) -> bool,
}

impl std::fmt::Debug for Moment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Moment").field("now_ms", &self.now_ms).field("lost", &self.lost).finish_non_exhaustive()
    }
}

type Key = (SignalType, &'static str, String);

/// Every measure of every entity that is not calm, and the signals that came of them.
#[derive(Debug)]
pub struct Gate {
    thresholds: Thresholds,
    next_id: i64,
    watches: HashMap<Key, Watch>,
    crowded_out: u64,
}

/// One measure of one entity on its way to a signal, or from it.
#[derive(Debug)]
struct Watch {
    entity: Entity,
    /// One switch for each of low, medium, high, critical.
    levels: [Switch; 4],
    lost: u64,
    /// Ticks in which it was at its lowest threshold or worse.
    count: u64,
    open: Option<Signal>,
    /// On the steady clock.
    told_ms: i64,
}

/// On after the value reached its threshold and stayed near it, off after it was clear of it; both for long enough.
#[derive(Clone, Copy, Debug, Default)]
struct Switch {
    on: bool,
    /// Since when it has been about to turn, ms of the steady clock.
    turning_since_ms: Option<i64>,
}

/// How a value stands to one threshold.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Stand {
    Clear,
    Between,
    Reached,
}

impl Gate {
    /// Signals are numbered from `first_id`.
    #[must_use]
    pub fn new(thresholds: Thresholds, first_id: i64) -> Self {
        Self { thresholds, next_id: first_id, watches: HashMap::new(), crowded_out: 0 }
    }

    /// Takes all readings of one tick. What is watched and was not read counts as calm, unless nobody looked; whose
    /// entity is gone closes.
    pub fn tick(&mut self, readings: Vec<(SignalType, Reading)>, moment: &Moment<'_>) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut read = HashSet::new();
        for (signal_type, reading) in readings {
            let key = (signal_type, reading.measure, reading.entity.key());
            if (moment.exists)(&reading.entity) && read.insert(key.clone()) {
                changes.extend(self.take(key, reading, moment, false));
            }
        }
        let unread: Vec<Key> = self.watches.keys().filter(|key| !read.contains(*key)).cloned().collect();
        for key in unread {
            changes.extend(self.miss(&key, moment));
        }
        changes.extend(self.crowd_out(moment.now_ms));
        changes
    }

    /// Takes one reading that is evidence enough by itself: it does not wait for the duration gate.
    pub fn react(&mut self, signal_type: SignalType, reading: Reading, moment: &Moment<'_>) -> Option<Change> {
        let key = (signal_type, reading.measure, reading.entity.key());
        let is_new = self.watches.get(&key).is_none_or(|watch| watch.open.is_none());
        if is_new && self.open_count() >= OPEN_MAX + REFLEX_RESERVE {
            self.crowded_out += 1;
            return None;
        }
        self.take(key, reading, moment, true)
    }

    /// Open signals, worst first; of the same severity the one that began first.
    #[must_use]
    pub fn open(&self) -> Vec<Signal> {
        let mut open: Vec<Signal> = self.watches.values().filter_map(|watch| watch.open.clone()).collect();
        open.sort_by_key(|signal| (Reverse(signal.severity), signal.first_seen_ms, signal.id));
        open
    }

    /// What has a signal or is on its way to one: the next readings must hold it even if others are worse.
    #[must_use]
    pub fn watched(&self) -> Vec<(SignalType, &'static str, Entity)> {
        self.watches.iter().map(|((signal, measure, _), watch)| (*signal, *measure, watch.entity.clone())).collect()
    }

    /// Signals that closed early because too many were open.
    #[must_use]
    pub fn crowded_out(&self) -> u64 {
        self.crowded_out
    }

    fn take(&mut self, key: Key, reading: Reading, moment: &Moment<'_>, at_once: bool) -> Option<Change> {
        let rule = self.thresholds.get(key.0, key.1)?;
        let mut stands = rule.levels.map(|level| stand(rule, reading.value, level));
        let relative = relative(rule, key.0, &reading, moment);
        if let Some((relative, _)) = relative {
            let lifted = stands.iter_mut().take(Severity::High as usize);
            lifted.filter(|stand| **stand < relative).for_each(|stand| *stand = relative);
        }
        if stands[0] == Stand::Clear && !self.watches.contains_key(&key) {
            return None;
        }
        let watch = self.watches.entry(key.clone()).or_insert_with(|| Watch::new(reading.entity.clone()));
        let since_ms = watch.levels[0].turning_since_ms;
        for (switch, stand) in watch.levels.iter_mut().zip(stands) {
            switch.step(stand, rule, moment.steady_ms, at_once);
        }
        watch.lost += moment.lost;
        let is_seen = stands[0] == Stand::Reached;
        watch.count += u64::from(is_seen);
        let severity = watch.severity();
        if severity == Severity::None {
            return self.end(&key, moment.now_ms);
        }
        let mut sentence = reading.sentence;
        let mut pressure = rule.pressure(reading.value);
        if let Some((Stand::Reached, usual)) = relative {
            sentence.push_str(&say_usual(reading.value, usual));
            pressure = pressure.max(0.75);
        }
        let Some(signal) = &mut watch.open else {
            let signal = Signal {
                id: self.next_id,
                signal_type: key.0,
                measure: Cow::Borrowed(key.1),
                entity: reading.entity,
                severity,
                peak_severity: severity,
                pressure,
                value: reading.value,
                numbers: reading.numbers,
                sentence,
                first_seen_ms: moment.now_ms - since_ms.map_or(0, |since_ms| moment.steady_ms - since_ms),
                last_seen_ms: moment.now_ms,
                count: watch.count,
                closed_ms: None,
                lost_events: watch.lost,
            };
            self.next_id += 1;
            watch.told_ms = moment.steady_ms;
            watch.open = Some(signal.clone());
            return Some(Change::Opened(signal));
        };
        let turned = signal.severity != severity;
        signal.severity = severity;
        signal.peak_severity = signal.peak_severity.max(severity);
        signal.pressure = pressure;
        signal.value = reading.value;
        signal.lost_events = watch.lost;
        signal.count = watch.count;
        // While it calms down, the sentence goes on saying what was last seen.
        if is_seen {
            signal.numbers = reading.numbers;
            signal.sentence = sentence;
            signal.last_seen_ms = moment.now_ms;
        }
        if turned || moment.steady_ms - watch.told_ms >= REFRESH_MS {
            watch.told_ms = moment.steady_ms;
            return Some(Change::Changed(signal.clone()));
        }
        None
    }

    /// A watch that was not read, or whose entity is gone.
    fn miss(&mut self, key: &Key, moment: &Moment<'_>) -> Option<Change> {
        let watch = self.watches.get_mut(key)?;
        let rule = self.thresholds.get(key.0, key.1)?;
        if !(moment.looked_away)(key.0, key.1) {
            for switch in &mut watch.levels {
                switch.step(Stand::Clear, rule, moment.steady_ms, false);
            }
        }
        watch.lost += moment.lost;
        let severity = watch.severity();
        if severity == Severity::None || !(moment.exists)(&watch.entity) {
            return self.end(key, moment.now_ms);
        }
        let signal = watch.open.as_mut().filter(|signal| signal.severity != severity)?;
        signal.severity = severity;
        watch.told_ms = moment.steady_ms;
        Some(Change::Changed(signal.clone()))
    }

    /// Ends a watch that is calm, unless it is on its way up.
    fn end(&mut self, key: &Key, now_ms: i64) -> Option<Change> {
        let watch = self.watches.get_mut(key)?;
        let rises = watch.levels.iter().any(|switch| !switch.on && switch.turning_since_ms.is_some());
        let signal = watch.open.take();
        if signal.is_some() || !rises {
            self.watches.remove(key);
        }
        signal.map(|signal| Change::Closed(Signal { closed_ms: Some(now_ms), ..signal }))
    }

    /// Closes the least severe, the youngest first, until no more than [`OPEN_MAX`] are open.
    fn crowd_out(&mut self, now_ms: i64) -> Vec<Change> {
        let surplus = self.open_count().saturating_sub(OPEN_MAX);
        if surplus == 0 {
            return Vec::new();
        }
        let leaving: Vec<Key> = {
            let mut open: Vec<(&Key, &Signal)> =
                self.watches.iter().filter_map(|(key, watch)| Some((key, watch.open.as_ref()?))).collect();
            open.sort_by_key(|(_, signal)| (signal.severity, Reverse(signal.id)));
            open.into_iter().take(surplus).map(|(key, _)| key.clone()).collect()
        };
        self.crowded_out += leaving.len() as u64;
        leaving.iter().filter_map(|key| self.end(key, now_ms)).collect()
    }

    fn open_count(&self) -> usize {
        self.watches.values().filter(|watch| watch.open.is_some()).count()
    }
}

impl Watch {
    fn new(entity: Entity) -> Self {
        Self { entity, levels: [Switch::default(); 4], lost: 0, count: 0, open: None, told_ms: i64::MIN }
    }

    fn severity(&self) -> Severity {
        let worst = self.levels.iter().rposition(|switch| switch.on);
        worst.map_or(Severity::None, |level| Severity::ALL[level + 1])
    }
}

impl Switch {
    fn step(&mut self, stand: Stand, rule: &Threshold, steady_ms: i64, at_once: bool) {
        let (turning, wait_s) = match (self.on, stand) {
            (false, Stand::Reached) => (true, if at_once { 0.0 } else { rule.sustain_s }),
            (true, Stand::Clear) => (true, rule.clear_s),
            // Near its threshold a value neither turns a switch nor makes it forget that it was about to turn on.
            (false, Stand::Between) => return,
            (false, Stand::Clear) | (true, Stand::Reached | Stand::Between) => (false, 0.0),
        };
        if !turning {
            self.turning_since_ms = None;
            return;
        }
        let since_ms = *self.turning_since_ms.get_or_insert(steady_ms);
        if (steady_ms - since_ms) as f64 >= wait_s * 1e3 {
            *self = Self { on: !self.on, turning_since_ms: None };
        }
    }
}

fn stand(rule: &Threshold, value: f64, level: Option<f64>) -> Stand {
    match level {
        Some(level) if rule.reaches(value, level) => Stand::Reached,
        Some(level) if !rule.clears(value, level) => Stand::Between,
        _ => Stand::Clear,
    }
}

/// How the value stands to what is usual, and what is usual; none where no relative rule applies.
fn relative(rule: &Threshold, signal: SignalType, reading: &Reading, moment: &Moment<'_>) -> Option<(Stand, Usual)> {
    let floor = rule.relative_floor?;
    let usual = (moment.usual)(signal, reading.measure, &reading.entity)?;
    if usual.samples < RELATIVE_SAMPLES {
        return None;
    }
    let level = (usual.p95 * RELATIVE_FACTOR).max(floor);
    let is_reached = reading.value > usual.p95 * RELATIVE_FACTOR && reading.value >= floor;
    let stand = match is_reached {
        true => Stand::Reached,
        false if rule.clears(reading.value, level) => Stand::Clear,
        false => Stand::Between,
    };
    Some((stand, usual))
}

fn say_usual(value: f64, usual: Usual) -> String {
    if usual.p95 > 0.0 {
        format!("; {} times its usual p95", say::short(value / usual.p95))
    } else {
        "; usually it is 0".to_owned()
    }
}
