//! Classify: readings off the window, and the gate that makes signals of those that last.
//!
//! A classifier only reads. It knows no threshold, no severity and no duration; those are `policies/thresholds.toml`
//! and the [`Gate`]. What kinds of signal are there? The list below answers.

mod block_device_saturation;
mod calls;
mod ceiling;
mod gate;
mod growth;
mod io_congestion;
mod load_mismatch;
mod memory_pressure;
mod network_degradation;
mod page_fault;
mod readings;
mod recent;
mod say;
mod scheduler;
mod swap_thrashing;
mod syscall;
mod tcp_exhaustion;
mod thresholds;

pub use ceiling::{Ceiling, ceiling, swap_room};
pub use gate::{Change, Gate, Moment, OPEN_MAX, REFRESH_MS, RELATIVE_FACTOR, RELATIVE_SAMPLES, Usual};
pub use readings::{ENTITIES_MAX, Readings};
pub use recent::Recent;
pub use thresholds::{Threshold, Thresholds, ThresholdsError};

use super::{Entity, Event, History, Reading, Signal, SignalType, Window, history::Point};

/// All classifiers, in the order in which they read.
pub const CLASSIFIERS: [Classifier; 10] = [
    memory_pressure::CLASSIFIER,
    load_mismatch::CLASSIFIER,
    io_congestion::CLASSIFIER,
    network_degradation::CLASSIFIER,
    tcp_exhaustion::CLASSIFIER,
    swap_thrashing::CLASSIFIER,
    block_device_saturation::CLASSIFIER,
    scheduler::CLASSIFIER,
    syscall::CLASSIFIER,
    page_fault::CLASSIFIER,
];

/// One signal type: what it measures, and how it is read.
#[derive(Clone, Copy, Debug)]
pub struct Classifier {
    pub signal: SignalType,
    pub measures: &'static [Measure],
    /// Reads every measure off the newest tick, calm or not.
    pub read: fn(&Window, &mut Readings<'_>),
    /// The reflex: makes a reading of one ring event at once, without waiting for the tick. The event is the newest
    /// of `Recent`.
    pub react: Option<Reflex>,
}

/// Makes a reading of one ring event, with those before it and the window.
pub type Reflex = fn(&Event, &Recent, &Window) -> Option<Reading>;

/// One thing that is measured of an entity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// The key below the signal type in `thresholds.toml`; its unit is its end.
    pub name: &'static str,
    /// What it is, as a noun: "time that tasks waited for a CPU".
    pub about: &'static str,
    /// The value of an entity that has nothing of it.
    pub calm: f64,
    /// Whether less is worse, as with seconds left.
    pub falling: bool,
    /// Whether it is read off system calls, which are not watched all the time.
    pub of_calls: bool,
    /// Whether every system call is to be watched while it is not calm: for what it is read off is rare or slow, or it
    /// tells that calls are.
    pub wants_calls: bool,
}

impl Measure {
    /// More is worse, 0 is calm.
    #[must_use]
    pub const fn rising(name: &'static str, about: &'static str) -> Self {
        Self { name, about, calm: 0.0, falling: false, of_calls: false, wants_calls: false }
    }

    /// Less is worse; `calm` is the most that is ever read.
    #[must_use]
    pub const fn falling(name: &'static str, about: &'static str, calm: f64) -> Self {
        Self { falling: true, calm, ..Self::rising(name, about) }
    }

    #[must_use]
    pub(super) const fn of_calls(self) -> Self {
        Self { of_calls: true, ..self }
    }

    #[must_use]
    pub(super) const fn wants_calls(self) -> Self {
        Self { wants_calls: true, ..self }
    }
}

/// The measure of that name, if the signal type has one.
#[must_use]
pub fn measure(signal: SignalType, name: &str) -> Option<&'static Measure> {
    CLASSIFIERS.iter().find(|classifier| classifier.signal == signal)?.measures.iter().find(|known| known.name == name)
}

/// The classifiers and the gate behind them: what the spine calls on every tick and every event.
#[derive(Debug)]
pub struct Classification {
    gate: Gate,
    recent: Recent,
    read: Vec<(SignalType, &'static str, Entity, f64)>,
}

/// What is usual for a measure of an entity, as far as baselines know.
pub type UsualOf<'a> = &'a dyn Fn(SignalType, &str, &Entity) -> Option<Usual>;

impl Classification {
    /// Signals are numbered from `first_id`.
    #[must_use]
    pub fn new(thresholds: Thresholds, first_id: i64) -> Self {
        Self { gate: Gate::new(thresholds, first_id), recent: Recent::default(), read: Vec::new() }
    }

    /// Reads the newest tick, keeps every reading in `history`, and says what opened, changed and closed.
    pub fn tick(&mut self, window: &Window, history: &mut History, usual: UsualOf<'_>) -> Vec<Change> {
        let Some(tick) = window.now() else { return Vec::new() };
        let watched = self.gate.watched();
        let mut all = Vec::new();
        for classifier in &CLASSIFIERS {
            let mut readings = Readings::new(classifier.signal, &watched);
            (classifier.read)(window, &mut readings);
            all.extend(readings.into_iter().map(|reading| (classifier.signal, reading)));
        }
        self.read.clear();
        for (signal, reading) in &all {
            let point = Point { at_ms: tick.wall_ms, value: reading.value };
            history.keep(*signal, reading.measure, &reading.entity, point);
            self.read.push((*signal, reading.measure, reading.entity.clone(), reading.value));
        }
        let exists = |entity: &Entity| exists(window, entity);
        let steady_ms = steady_ms(tick.at_ns);
        let looked_away = |signal, name: &str| {
            tick.recent_calls.is_some() && measure(signal, name).is_some_and(|measure| measure.of_calls)
        };
        let (now_ms, lost) = (tick.wall_ms, tick.lost);
        let moment = Moment { now_ms, steady_ms, lost, exists: &exists, usual, looked_away: &looked_away };
        self.gate.tick(all, &moment)
    }

    /// Whether something is not calm that every system call is to be watched for.
    #[must_use]
    pub fn wants_calls(&self) -> bool {
        let mut watched = self.gate.watched().into_iter();
        watched.any(|(signal, name, _)| measure(signal, name).is_some_and(|measure| measure.wants_calls))
    }

    /// The reflex on one ring event, at `now_ms` (Unix time).
    pub fn react(
        &mut self,
        event: &Event,
        window: &Window,
        history: &mut History,
        now_ms: i64,
        usual: UsualOf<'_>,
    ) -> Option<Change> {
        self.recent.keep(event);
        CLASSIFIERS.iter().find_map(|classifier| {
            let reading = classifier.react?(event, &self.recent, window)?;
            let point = Point { at_ms: now_ms, value: reading.value };
            history.keep(classifier.signal, reading.measure, &reading.entity, point);
            let steady_ms = steady_ms(event.at_ns);
            let moment = Moment { now_ms, steady_ms, lost: 0, exists: &|_| true, usual, looked_away: &|_, _| false };
            self.gate.react(classifier.signal, reading, &moment)
        })
    }

    /// What the last tick read, calm or not: signal type, measure, entity, value.
    #[must_use]
    pub fn readings(&self) -> &[(SignalType, &'static str, Entity, f64)] {
        &self.read
    }

    /// Open signals, worst first.
    #[must_use]
    pub fn open(&self) -> Vec<Signal> {
        self.gate.open()
    }

    /// Signals that were left out or closed early because too many were open.
    #[must_use]
    pub fn crowded_out(&self) -> u64 {
        self.gate.crowded_out()
    }
}

fn steady_ms(at_ns: u64) -> i64 {
    i64::try_from(at_ns / 1_000_000).unwrap_or(i64::MAX)
}

/// Whether the entity is still there. A source that is off says nothing, so it ends nobody.
fn exists(window: &Window, entity: &Entity) -> bool {
    let Some(tick) = window.now() else { return true };
    match entity {
        Entity::Process { id, .. } => tick.processes.is_empty() || window.process(*id).is_some(),
        Entity::Cgroup { path } => tick.cgroups.is_empty() || window.cgroup(path.as_str()).is_some(),
        Entity::Interface { name } => {
            tick.node.interfaces.is_empty() || tick.node.interfaces.iter().any(|interface| interface.name == *name)
        }
        Entity::Device { name } => {
            let counted = || tick.kernel.block.iter().flatten().any(|row| row.device == *name);
            tick.node.disks.is_empty() || tick.node.disks.iter().any(|disk| disk.name == *name) || counted()
        }
        Entity::Mount { path } => {
            tick.node.filesystems.is_empty() || tick.node.filesystems.iter().any(|one| one.path == *path)
        }
        Entity::Node | Entity::Port { .. } => true,
    }
}
