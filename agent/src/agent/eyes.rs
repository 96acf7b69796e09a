//! The eyes: all that observes, put together. A tick and an urgent event come out as changes of signals.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{
    AgentError,
    calls::{CallWatch, Shared},
};
use crate::{
    clock::{monotonic_ns, now_ms},
    config::WatchCalls,
    explain::{Baseline, Incident, IncidentStatus},
    live::{Daemon, Live, News, Part, PartState},
    observe::{
        Entity, Event, Signal, SignalType,
        classify::{Change, Classification, Thresholds, Usual, measure},
        kernel::{self, Kernel, KernelError, State},
        ring::Events,
        sample::{CgroupIds, SocketsOfProcess, SyscallError},
        scrape::{Scraper, SourceState, TaskTable},
    },
};

/// Ring events kept from one tick to the next; more are counted as lost.
const PENDING: usize = 16_384;
/// The kernel counts and times the runs of the programs during one tick in so many.
const COUNT_EVERY: u64 = 60;
/// Under what name a signal that a reflex opened tells how long after the kernel's event that was, us.
const EVENT_TO_SIGNAL: &str = "event_to_signal_us";
/// `EMFILE`: who meets it has its descriptors counted.
const TOO_MANY_FILES: u32 = 24;

#[derive(Debug)]
pub(super) struct Eyes {
    kernel: Shared,
    calls: CallWatch,
    events: Option<Events>,
    scraper: Scraper,
    classification: Classification,
    usual: HashMap<(SignalType, String, String), Baseline>,
    held: Held,
    /// Records lost since the programs were loaded, by who sends them.
    lost: Vec<(&'static str, u64)>,
    ticks: u64,
    /// For how long runs of programs were counted, and since when they are counted now.
    counted: Duration,
    counting_since: Option<Instant>,
    begun: Instant,
    /// Why the urgent ring is not waited for.
    slow: Option<String>,
    /// The sockets of every process as of the last pass, and when the next one is due, `CLOCK_MONOTONIC`, ns.
    sockets: Option<Vec<SocketsOfProcess>>,
    sockets_due_ns: u64,
    /// The last reason for which the programs' counters could not be read.
    blind: Option<String>,
}

/// What the next tick sees of the rings, bounded.
#[derive(Debug, Default)]
struct Held {
    events: Vec<Event>,
    /// For want of room, since the start.
    lost: u64,
    /// Since the start, those that were lost here included.
    seen: u64,
}

impl Held {
    fn take(&mut self, event: Event, daemon: &Daemon, raw: bool) {
        self.seen += 1;
        if raw {
            daemon.tell(News::Raw { event: event.clone() });
        }
        if self.events.len() < PENDING {
            self.events.push(event);
        } else {
            self.lost += 1;
        }
    }
}

/// The part of a CPU that going through all descriptors may take, and how seldom it does it at most.
const SOCKETS_SHARE: f64 = 0.000_2;
const SOCKETS_SHARE_IN_WANT: f64 = 0.005;
const SOCKETS_SELDOM_NS: u64 = 30_000_000_000;

impl Eyes {
    /// Loads the programs and begins the sources. Within a tokio runtime.
    pub(super) fn open(
        thresholds: Thresholds,
        watch_calls: WatchCalls,
        next_signal_id: i64,
    ) -> Result<Self, AgentError> {
        let mut kernel = Kernel::load(&kernel::Settings::default());
        let events = kernel.events().map_err(|source| AgentError::Ring { source })?;
        let kernel = Shared::new(kernel);
        Ok(Self {
            calls: CallWatch::new(kernel.clone(), watch_calls),
            kernel,
            events,
            scraper: Scraper::new(),
            classification: Classification::new(thresholds, next_signal_id),
            usual: HashMap::new(),
            held: Held::default(),
            lost: Vec::new(),
            ticks: 0,
            counted: Duration::ZERO,
            counting_since: None,
            begun: Instant::now(),
            slow: None,
            sockets: None,
            sockets_due_ns: 0,
            blind: None,
        })
    }

    /// Waits for what is urgent. Without rings it waits for ever.
    pub(super) async fn urgent(&mut self) -> Vec<Event> {
        let ring = self.events.as_mut().filter(|_| self.slow.is_none());
        let Some(ring) = ring else { return std::future::pending().await };
        let mut events = Vec::new();
        if let Err(error) = ring.urgent(&mut events).await {
            tracing::error!(%error, "the urgent ring cannot be waited for; its events come with the next drain");
            self.slow = Some(format!("it cannot be waited for ({error}), and is read with the others"));
        }
        events
    }

    /// What is urgent now. A drain that comes before [`Self::urgent`] must not take a reflex's event from it.
    pub(super) fn urgent_now(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        if let Some(ring) = &mut self.events {
            ring.drain_urgent(&mut events);
        }
        events
    }

    /// Empties the ordinary ring into what the next tick sees, and answers how many events there were.
    pub(super) fn drain(&mut self, daemon: &Daemon, raw: bool) -> usize {
        let Self { events: Some(ring), held, .. } = self else { return 0 };
        let before = held.seen;
        ring.drain_ordinary(|event| held.take(event, daemon, raw));
        usize::try_from(held.seen - before).unwrap_or(usize::MAX)
    }

    /// The reflex on one urgent event; the event itself is held for the next tick.
    pub(super) fn react(&mut self, event: Event, live: &mut Live, daemon: &Daemon) -> Option<Change> {
        let usual = |signal: SignalType, measure: &str, entity: &Entity| usual(&self.usual, signal, measure, entity);
        let mut change = self.classification.react(&event, &live.window, &mut live.history, now_ms(), &usual);
        if change.is_some() {
            live.signals = self.classification.open();
        }
        if let Some(Change::Opened(signal)) = &mut change {
            let late_us = monotonic_ns().saturating_sub(event.at_ns) as f64 / 1e3;
            signal.numbers.0.push((EVENT_TO_SIGNAL.into(), late_us));
        }
        self.held.take(event, daemon, live.is_raw_wanted());
        change
    }

    /// Samples everything, moves the window on and classifies.
    pub(super) fn tick(&mut self, live: &mut Live) -> Vec<Change> {
        self.count_runs();
        let tasks = self.tasks();
        let counters = self.kernel.lock().sample();
        let mut sample = self.scraper.sample(tasks);
        self.blind = counters.as_ref().err().map(KernelError::to_string);
        sample.kernel = counters.unwrap_or_default();
        if self.held.lost > 0 {
            sample.kernel.lost.push(("daemon", self.held.lost));
        }
        self.lost.clone_from(&sample.kernel.lost);
        self.count_sockets(&live.signals);
        sample.sockets.clone_from(&self.sockets);
        live.window.push(sample, std::mem::take(&mut self.held.events));
        let usual = |signal: SignalType, measure: &str, entity: &Entity| usual(&self.usual, signal, measure, entity);
        let changes = self.classification.tick(&live.window, &mut live.history, &usual);
        live.signals = self.classification.open();
        self.watch_files(live);
        self.watch_cgroups(live);
        changes
    }

    /// Watches system calls or looks away, as is due, and says when to come again at the latest. They are asked for by what
    /// is not calm, by whoever works on an incident that was read off them, and by who follows single events.
    pub(super) fn watch_calls(&mut self, live: &Live) -> tokio::time::Instant {
        let mut worked_on = live.incidents.iter().filter(|incident| incident.status == IncidentStatus::Working);
        let asked = live.is_raw_wanted()
            || self.classification.wants_calls()
            || worked_on.any(|incident| incident.signals().any(is_of_calls));
        self.calls.turn(asked)
    }

    /// What is usual from now on.
    pub(super) fn recall(&mut self, baselines: Vec<(SignalType, String, String, Baseline)>) {
        self.usual = baselines.into_iter().map(|(signal, measure, class, of)| ((signal, measure, class), of)).collect();
    }

    /// What is usual for the signal's measure of entities of its class.
    pub(super) fn baseline(&self, signal: &Signal) -> Option<Baseline> {
        self.usual.get(&(signal.signal_type, signal.measure.to_string(), signal.entity.class())).cloned()
    }

    /// What the last tick read, calm or not.
    pub(super) fn readings(&self) -> &[(SignalType, &'static str, Entity, f64)] {
        self.classification.readings()
    }

    pub(super) const fn events_seen(&self) -> u64 {
        self.held.seen
    }

    /// How every probe and source fares.
    pub(super) fn parts(&self) -> Vec<Part> {
        let counted = self.counted + self.counting_since.map_or(Duration::ZERO, |since| since.elapsed());
        let counted_s = Some(counted.as_secs_f64()).filter(|seconds| *seconds > 0.0);
        let probe = |probe: kernel::ProbeState| Part {
            kind: "probe".to_owned(),
            name: probe.name.to_owned(),
            state: match probe.state {
                State::On => PartState::On,
                State::Degraded { reason } => PartState::Degraded { reason },
                State::Off { reason } => PartState::Off { reason },
            },
            runs: counted_s.map(|_| probe.run_count),
            run_time_ns: counted_s.map(|_| probe.run_time_ns),
            counted_s,
            lost: 0,
        };
        let records = |(name, lost): &(&'static str, u64)| Part { lost: *lost, ..Part::on("records", name) };
        let source = |source: &crate::observe::scrape::SourceStatus| Part {
            kind: "source".to_owned(),
            name: source.name.to_owned(),
            state: match &source.state {
                SourceState::On | SourceState::New => PartState::On,
                SourceState::Partial { reason } | SourceState::Failed { reason, .. } => {
                    PartState::Degraded { reason: reason.clone() }
                }
                SourceState::Off { reason } => PartState::Off { reason: reason.clone() },
            },
            runs: Some(source.runs),
            run_time_ns: Some(source.run_time_ns),
            counted_s: Some(self.begun.elapsed().as_secs_f64()),
            lost: 0,
        };
        let kernel = self.kernel.lock();
        let mut parts: Vec<Part> = kernel.probes().into_iter().map(probe).collect();
        parts.extend(self.lost.iter().map(records));
        parts.extend(self.scraper.status().map(source));
        if let Some(why) = kernel.why_without_rings() {
            let reason = format!("what happens between two ticks is counted, and not told: {why}");
            parts.push(Part { state: PartState::Off { reason }, ..Part::on("records", "rings") });
        }
        if let Some(reason) = &self.slow {
            let state = PartState::Degraded { reason: reason.clone() };
            parts.push(Part { state, ..Part::on("records", "urgent") });
        }
        if let Some(reason) = &self.blind {
            let state = PartState::Degraded { reason: reason.clone() };
            parts.push(Part { state, ..Part::on("probe", "counters") });
        }
        parts
    }

    /// The kernel's own table of tasks; none where its iterator is off, and then the scraper reads `/proc`.
    fn tasks(&mut self) -> Option<TaskTable> {
        let rows = match self.kernel.lock().tasks() {
            Ok(rows) => rows,
            Err(KernelError::TasksOff { .. }) => return None,
            Err(error) => {
                tracing::warn!(%error, "processes are read from /proc this tick");
                return None;
            }
        };
        let (mut processes, mut cgroups) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for row in rows {
            cgroups.push(CgroupIds { unified: row.unified_cgroup_id, memory: row.memory_cgroup_id.unwrap_or(0) });
            processes.push(row.sample);
        }
        Some(TaskTable { processes, cgroups })
    }

    /// Goes through all descriptors as often as its share of a CPU allows: more often while TCP is in want.
    fn count_sockets(&mut self, open: &[Signal]) {
        let now_ns = monotonic_ns();
        if now_ns < self.sockets_due_ns {
            return;
        }
        match self.kernel.lock().sockets(now_ns) {
            Ok(sockets) => self.sockets = Some(sockets),
            Err(error) => {
                tracing::debug!(%error, "sockets are not told by process");
                self.sockets = None;
            }
        }
        let wanted = open.iter().any(|signal| signal.signal_type == SignalType::TcpExhaustion);
        let share = if wanted { SOCKETS_SHARE_IN_WANT } else { SOCKETS_SHARE };
        let took_ns = monotonic_ns().saturating_sub(now_ns);
        self.sockets_due_ns = now_ns + ((took_ns as f64 / share) as u64).min(SOCKETS_SELDOM_NS);
    }

    /// Has the kernel count and time the programs' runs now and then.
    fn count_runs(&mut self) {
        let wanted = self.ticks.is_multiple_of(COUNT_EVERY);
        self.ticks += 1;
        if let Err(error) = self.kernel.lock().count_runs(wanted) {
            tracing::debug!(%error, "the runs of the programs cannot be counted");
            return;
        }
        let since = if wanted { self.counting_since.replace(Instant::now()) } else { self.counting_since.take() };
        self.counted += since.map_or(Duration::ZERO, |since| since.elapsed());
    }

    /// Has the cgroups read at every tick that open incidents are about: a verdict needs fresh figures.
    fn watch_cgroups(&mut self, live: &Live) {
        let entities = live.incidents.iter().flat_map(Incident::signals).map(|signal| &signal.entity);
        let cgroup_of = |entity: &Entity| match entity {
            Entity::Cgroup { path } => Some(path.clone()),
            Entity::Process { id, .. } => live.window.process(*id).map(|process| process.sample.cgroup.clone()),
            _ => None,
        };
        self.scraper.context.watch_cgroups = entities.filter_map(cgroup_of).collect();
    }

    /// Has the descriptors counted of whoever meets their limit, and filesystems asked anew while one has no room.
    fn watch_files(&mut self, live: &Live) {
        let syscalls = live.window.now().and_then(|tick| tick.recent_calls.as_ref());
        let errors = || syscalls.into_iter().flat_map(|syscalls| &syscalls.errors).filter(|error| error.count > 0);
        let refused = errors().filter(|error| error.errno == TOO_MANY_FILES);
        self.scraper.context.watch_files_of = refused.map(|error| error.pid).collect();
        self.scraper.context.no_room = errors().any(SyscallError::is_for_want_of_space);
    }
}

fn is_of_calls(signal: &Signal) -> bool {
    measure(signal.signal_type, &signal.measure).is_some_and(|measure| measure.of_calls)
}

fn usual(
    known: &HashMap<(SignalType, String, String), Baseline>,
    signal: SignalType,
    measure: &str,
    entity: &Entity,
) -> Option<Usual> {
    let of = known.get(&(signal, measure.to_owned(), entity.class()))?;
    Some(Usual { p95: of.p95, samples: of.samples })
}
