//! Signals of one cause are one incident. A cause does not start after its symptom.

use super::{
    Incident, IncidentStatus, IncidentUid, attribution::attribute, resource::Resource, unit::gathers_strangers,
};
use crate::observe::{Entity, ProcessId, Severity, Signal, SignalType, View, entity::is_within};

/// Incidents that are open at once; beyond it a signal opens none, which is counted.
const INCIDENTS: usize = 128;
/// Symptoms kept of one incident.
const SYMPTOMS: usize = 64;
/// Two ticks may see one moment in either order.
const JITTER_MS: i64 = 2_000;
/// Pages that are read in again and again are told after what waits for them by so long: they must have come for a
/// while.
const PAGES_LATER_MS: i64 = 15_000;
/// A symptom of the node follows its cause (or shows before it) within so long.
const TOGETHER_MS: i64 = 120_000;
/// The part of a contested resource from which its taker is the cause of the node's symptom.
const TAKES_MUCH: f64 = 0.3;

/// What became of an incident.
#[derive(Clone, Debug, PartialEq)]
pub enum IncidentChange {
    Opened(Incident),
    Changed(Incident),
    /// Only its numbers moved: nothing that a person should be told of again.
    Refreshed(Incident),
    Closed(Incident),
}

/// Holds the incidents that are open.
#[derive(Debug)]
pub struct Correlator {
    own_pid: u32,
    open: Vec<Incident>,
    overflowed: u64,
}

impl Correlator {
    /// `own_pid` is the agent's, which is never to blame.
    #[must_use]
    pub const fn new(own_pid: u32) -> Self {
        Self { own_pid, open: Vec::new(), overflowed: 0 }
    }

    /// Takes the signals that opened, changed or closed since the last call, and says what that makes of incidents. A
    /// signal opens an incident from medium; a low one may join. An incident closes with the last of its signals that
    /// was medium or worse.
    pub fn apply<'a>(&mut self, changed: impl IntoIterator<Item = &'a Signal>, view: &View) -> Vec<IncidentChange> {
        let before = self.open.clone();
        for signal in changed {
            self.take(signal, view);
        }
        self.absorb(view);
        for incident in &mut self.open {
            arrange(incident);
        }
        let (closed, open): (Vec<_>, Vec<_>) = std::mem::take(&mut self.open).into_iter().partition(is_over);
        self.open = open;
        let was = |incident: &Incident| before.iter().find(|before| before.uid == incident.uid);
        let mut said: Vec<IncidentChange> = Vec::new();
        for incident in &self.open {
            match was(incident) {
                None => said.push(IncidentChange::Opened(incident.clone())),
                Some(before) if tells_more(before, incident) => said.push(IncidentChange::Changed(incident.clone())),
                Some(before) if before != incident => said.push(IncidentChange::Refreshed(incident.clone())),
                Some(_) => {}
            }
        }
        for mut incident in closed {
            let known = was(&incident).is_some();
            close(&mut incident);
            if known {
                said.push(IncidentChange::Closed(incident));
            }
        }
        said
    }

    /// The incidents that are open, oldest first.
    #[must_use]
    pub fn open(&self) -> &[Incident] {
        &self.open
    }

    /// Signals that found no room for an incident of their own.
    #[must_use]
    pub const fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// Sets what is done about an open incident; false when it is not open any more.
    pub fn set_status(&mut self, uid: &IncidentUid, status: IncidentStatus) -> bool {
        let found = self.open.iter_mut().find(|incident| incident.uid == *uid);
        found.map(|incident| incident.status = status).is_some()
    }

    fn take(&mut self, signal: &Signal, view: &View) {
        if let Some(known) = self.open.iter_mut().flat_map(signals_mut).find(|known| known.id == signal.id) {
            *known = signal.clone();
            return;
        }
        if signal.closed_ms.is_some() {
            return;
        }
        if let Some(at) = self.best_home(signal, view) {
            join(&mut self.open[at], signal);
        } else if signal.severity >= Severity::Medium {
            if self.open.len() < INCIDENTS {
                self.open.push(incident_of(signal));
            } else {
                self.overflowed += 1;
            }
        }
    }

    /// Low signals that were open before the incident they belong to.
    fn absorb(&mut self, view: &View) {
        for signal in view.signals.iter().filter(|signal| signal.severity == Severity::Low) {
            let homeless = !self.open.iter().flat_map(Incident::signals).any(|known| known.id == signal.id);
            if homeless && let Some(at) = self.best_home(signal, view) {
                join(&mut self.open[at], signal);
            }
        }
    }

    /// The open incident that most likely has the same cause; the one nearest in time among equals.
    fn best_home(&self, signal: &Signal, view: &View) -> Option<usize> {
        let suspects = || attribute(signal, view.window, self.own_pid).suspects;
        let takers: Vec<(Entity, f64)> = if is_of_all(&signal.entity) {
            suspects().into_iter().map(|suspect| (suspect.entity, suspect.share)).collect()
        } else {
            Vec::new()
        };
        self.open
            .iter()
            .enumerate()
            .filter_map(|(at, incident)| {
                let kinship = incident.signals().filter_map(|of_it| self.kinship(signal, of_it, &takers, view));
                let nearness = -(incident.opened_ms - signal.first_seen_ms).abs();
                Some((kinship.max()?, nearness, at))
            })
            .max()
            .map(|(_, _, at)| at)
    }

    /// How surely two signals have one cause; none when nothing says so.
    fn kinship(&self, signal: &Signal, of_it: &Signal, takers: &[(Entity, f64)], view: &View) -> Option<Kinship> {
        let of_one_kind = Resource::of(signal).iter().any(|one| Resource::of(of_it).contains(one));
        let of_calls = [signal, of_it].iter().all(|one| Resource::of(one).iter().any(|of| of.is_told_by_calls()));
        // Whoever is in a cgroup may wait for a CPU while another of it waits for a disk.
        let apart = matches!(signal.entity, Entity::Cgroup { .. })
            && !of_one_kind
            && [signal, of_it].iter().any(|one| Resource::of(one).contains(&Resource::Cpu));
        if signal.entity == of_it.entity && !is_of_all(&signal.entity) && !apart {
            return Some(Kinship::Same);
        }
        let together = (signal.first_seen_ms - of_it.first_seen_ms).abs() <= TOGETHER_MS;
        // Whatever the calls of one household fail for, one thing lies behind it.
        if together && (of_one_kind || of_calls) && live_together(&signal.entity, &of_it.entity, view) {
            return Some(Kinship::House);
        }
        if !together || !of_one_kind || are_two_filesystems(&signal.entity, &of_it.entity, view) {
            return None;
        }
        let takes_much = |takers: &[(Entity, f64)], entity: &Entity| {
            takers.iter().any(|(taker, share)| *share >= TAKES_MUCH && covers(entity, taker, view))
        };
        match (is_of_all(&signal.entity), is_of_all(&of_it.entity)) {
            (true, true) => Some(Kinship::Node),
            (true, false) if takes_much(takers, &of_it.entity) => Some(Kinship::Taker),
            (true, false) if takers.is_empty() => Some(Kinship::Node),
            (false, true) => {
                let takers: Vec<(Entity, f64)> = attribute(of_it, view.window, self.own_pid)
                    .suspects
                    .into_iter()
                    .map(|suspect| (suspect.entity, suspect.share))
                    .collect();
                let known = takes_much(&takers, &signal.entity);
                (known || takers.is_empty()).then_some(if known { Kinship::Taker } else { Kinship::Node })
            }
            _ => None,
        }
    }
}

/// Ordered from the weakest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kinship {
    /// Both of the node (or nobody is known to take much), of one resource, at one time.
    Node,
    /// One takes much of what the other is short of.
    Taker,
    /// One holds the other, or they are of one household.
    House,
    Same,
}

/// Whether the entity is shared by all, so that what is seen there is a symptom of whoever takes much.
fn is_of_all(entity: &Entity) -> bool {
    match entity {
        Entity::Node | Entity::Device { .. } | Entity::Mount { .. } => true,
        Entity::Cgroup { path } => path.as_str() == "/",
        _ => false,
    }
}

/// Whether one filesystem has no room, and what wants room does not want it there.
fn are_two_filesystems(a: &Entity, b: &Entity, view: &View) -> bool {
    match (a, b) {
        (Entity::Mount { path: a }, Entity::Mount { path: b }) => a != b,
        (Entity::Process { id, .. }, Entity::Mount { path }) | (Entity::Mount { path }, Entity::Process { id, .. }) => {
            view.window.now().is_some_and(|tick| tick.fails_elsewhere(id.pid, path))
        }
        _ => false,
    }
}

/// A process and its cgroup or an ancestor of that, or two processes of one household.
fn live_together(a: &Entity, b: &Entity, view: &View) -> bool {
    let cgroup_of = |id: ProcessId| view.window.process(id).map(|process| process.sample.cgroup.clone());
    let holds = |path: &str, id: ProcessId| {
        !gathers_strangers(path) && cgroup_of(id).is_some_and(|cgroup| is_within(cgroup.as_str(), path))
    };
    match (a, b) {
        (Entity::Process { id, .. }, Entity::Cgroup { path })
        | (Entity::Cgroup { path }, Entity::Process { id, .. }) => holds(path.as_str(), *id),
        (Entity::Cgroup { path: a }, Entity::Cgroup { path: b }) => {
            let below = |a: &str, b: &str| !gathers_strangers(b) && is_within(a, b);
            below(a.as_str(), b.as_str()) || below(b.as_str(), a.as_str())
        }
        (Entity::Process { id: a, .. }, Entity::Process { id: b, .. }) => {
            let (Some(a), Some(b)) = (view.window.process(*a), view.window.process(*b)) else { return false };
            let (a, b) = (&a.sample, &b.sample);
            let one_house = a.cgroup == b.cgroup && !gathers_strangers(a.cgroup.as_str());
            let one_line = a.parent_pid == b.id.pid || b.parent_pid == a.id.pid;
            let twins = a.parent_pid == b.parent_pid && a.comm == b.comm && a.parent_pid > 1;
            one_house || one_line || twins
        }
        _ => false,
    }
}

/// Whether the taker is the entity, or lives in it, or it in the taker.
fn covers(entity: &Entity, taker: &Entity, view: &View) -> bool {
    entity == taker || live_together(entity, taker, view)
}

fn signals_mut(incident: &mut Incident) -> impl Iterator<Item = &mut Signal> {
    std::iter::once(&mut incident.primary).chain(&mut incident.symptoms)
}

fn incident_of(signal: &Signal) -> Incident {
    let mut incident = Incident {
        uid: IncidentUid::new(),
        opened_ms: signal.first_seen_ms,
        closed_ms: None,
        status: IncidentStatus::Open,
        severity: signal.severity,
        title: String::new(),
        primary: signal.clone(),
        symptoms: Vec::new(),
        fingerprint: String::new(),
    };
    arrange(&mut incident);
    incident
}

/// A signal that finds no room takes the place of one that is closed, else it is left out.
fn join(incident: &mut Incident, signal: &Signal) {
    if incident.symptoms.len() < SYMPTOMS {
        incident.symptoms.push(signal.clone());
    } else if let Some(over) = incident.symptoms.iter_mut().find(|symptom| symptom.closed_ms.is_some()) {
        *over = signal.clone();
    }
}

/// Puts the cause first: of those that began no later than the first (but for jitter), the most specific entity; of one
/// entity, what is done rather than what is waited for.
/// A signal that was never medium opens nothing and is never the cause.
fn arrange(incident: &mut Incident) {
    let mut signals: Vec<Signal> = incident.signals().cloned().collect();
    let counts = |signal: &&Signal| signal.peak_severity >= Severity::Medium;
    let began = signals.iter().filter(counts).map(|signal| signal.first_seen_ms).min();
    let cause = began.and_then(|began| {
        let rank = |signal: &Signal| {
            let earliest = std::cmp::Reverse((signal.first_seen_ms, signal.id));
            // Pages that come back from swap are what the faults are, and why memory is waited for.
            let is_swap = signal.signal_type == SignalType::SwapThrashing;
            (is_swap, specificity(signal), is_deed(signal), earliest)
        };
        let later = |signal: &Signal| match signal.signal_type {
            SignalType::SwapThrashing | SignalType::PageFault => PAGES_LATER_MS,
            _ => JITTER_MS,
        };
        let early = signals
            .iter()
            .enumerate()
            .filter(|(_, signal)| counts(signal) && signal.first_seen_ms <= began + later(signal));
        early.max_by_key(|(_, signal)| rank(signal)).map(|(at, _)| at)
    });
    if let Some(at) = cause {
        incident.primary = signals.remove(at);
        incident.symptoms = signals;
    }
    incident.opened_ms = incident.signals().map(|signal| signal.first_seen_ms).min().unwrap_or(incident.opened_ms);
    let worst = incident.signals().map(|signal| signal.peak_severity).max().unwrap_or_default();
    incident.severity = incident.severity.max(worst);
    let primary = &incident.primary;
    incident.fingerprint = format!("{}/{}/{}", primary.signal_type, primary.measure, primary.entity.class());
    incident.title = format!("{}: {}", primary.signal_type, headline(&primary.sentence));
}

/// The part of a sentence before its details.
fn headline(sentence: &str) -> &str {
    let end = [": ", "; "].iter().filter_map(|mark| sentence.find(mark)).min();
    &sentence[..end.unwrap_or(sentence.len())]
}

/// What somebody does is rather the cause than what somebody waits for.
fn is_deed(signal: &Signal) -> bool {
    ["switches", "forks", "faults", "process_calls"].iter().any(|deed| signal.measure.contains(deed))
}

/// A cgroup that waits for a disk waits for what the disk does.
fn specificity(signal: &Signal) -> u8 {
    match signal.entity {
        Entity::Process { .. } => 4,
        Entity::Cgroup { .. } if signal.signal_type == SignalType::IoCongestion => 1,
        Entity::Cgroup { .. } | Entity::Port { .. } | Entity::Mount { .. } | Entity::Interface { .. } => 3,
        Entity::Device { .. } => 2,
        Entity::Node => 0,
    }
}

/// Whether it is worse than before, or about something else.
fn tells_more(before: &Incident, now: &Incident) -> bool {
    now.severity != before.severity || now.primary.id != before.primary.id
}

fn is_over(incident: &Incident) -> bool {
    incident
        .signals()
        .filter(|signal| signal.peak_severity >= Severity::Medium)
        .all(|signal| signal.closed_ms.is_some())
}

/// An incident that the loop is at work on keeps its status: its verdict says how it ended.
fn close(incident: &mut Incident) {
    incident.closed_ms = incident.signals().filter_map(|signal| signal.closed_ms).max();
    if !matches!(incident.status, IncidentStatus::Working | IncidentStatus::Resolved) {
        incident.status = IncidentStatus::Subsided;
    }
}
