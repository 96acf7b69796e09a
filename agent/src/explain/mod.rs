//! Explain: who, since when, how abnormal, how sure. Nothing here proposes an action.

mod account;
pub mod attribution;
pub mod baseline;
pub mod contested;
pub mod correlate;
pub(crate) mod facts;
mod family;
pub mod figures;
mod resource;
mod steps;
pub mod trend;
pub mod unit;
mod yardstick;

pub use account::{Known, explain};
pub use correlate::{Correlator, IncidentChange};
pub use yardstick::Yardstick;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    observe::{Entity, Numbers, ProcessId, Severity, Signal},
    text::Text,
};

/// The identity of an incident, carried by everything downstream: a UUID of version 7, so its order is that of time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct IncidentUid(pub String);

impl IncidentUid {
    #[must_use]
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }
}

impl Default for IncidentUid {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for IncidentUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Signals of one cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Incident {
    pub uid: IncidentUid,
    /// Unix time, ms: first seen of its earliest signal.
    pub opened_ms: i64,
    /// Unix time, ms; none while a signal of it is open.
    pub closed_ms: Option<i64>,
    pub status: IncidentStatus,
    /// The worst severity it has had.
    pub severity: Severity,
    /// One line for eyes.
    pub title: String,
    /// The signal that stands for the cause; the others are its symptoms.
    pub primary: Signal,
    pub symptoms: Vec<Signal>,
    /// What is the same when the same thing happens again: signal type, measure, and the entity without its pid.
    pub fingerprint: String,
}

impl Incident {
    /// The primary signal and the symptoms.
    pub fn signals(&self) -> impl Iterator<Item = &Signal> {
        std::iter::once(&self.primary).chain(&self.symptoms)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IncidentStatus {
    /// Seen, not worked on.
    Open,
    /// The loop is at work on it.
    Working,
    /// A proposal waits for an operator.
    AwaitingApproval,
    /// An action helped.
    Resolved,
    /// It went by itself.
    Subsided,
    /// An operator is asked to look.
    NeedsHuman,
}

/// Who, since when, how abnormal, and what is not known. Made by [`explain`](crate::explain) from an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    pub incident: IncidentUid,
    /// Two or three plain sentences with the numbers.
    pub summary: String,
    pub primary: Signal,
    pub symptoms: Vec<Signal>,
    /// Unix time, ms.
    pub since_ms: i64,
    /// Worst first; the first is the culprit when its share is clearly the largest.
    pub suspects: Vec<Suspect>,
    /// How far the primary value stands from what is usual; none while the baseline has too few samples.
    pub deviation: Option<Deviation>,
    /// How the primary value moves; none while there are too few points.
    pub trend: Option<Trend>,
    /// How the culprit's resident memory moves (`rss_bytes`); none while there are too few points.
    #[serde(default)]
    pub growth: Option<Trend>,
    /// The value from which on the primary measure is medium; none when nobody said.
    #[serde(default)]
    pub medium_at: Option<f64>,
    /// Whether less of the primary measure is worse, as with seconds left.
    #[serde(default)]
    pub falling: bool,
    /// What an action is measured by where that is not the primary measure.
    #[serde(default)]
    pub measured_by: Option<Yardstick>,
    pub node: NodeFacts,
    /// What could not be read or was lost, in words.
    pub unknown: Vec<String>,
}

impl Explanation {
    /// What an action is measured by.
    #[must_use]
    pub fn yardstick(&self) -> Yardstick {
        self.measured_by.clone().unwrap_or_else(|| Yardstick::of_primary(self))
    }

    /// The one to blame: the first suspect.
    #[must_use]
    pub fn culprit(&self) -> Option<&Suspect> {
        self.suspects.first()
    }
}

/// Something that may be the cause, with what it takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Suspect {
    pub entity: Entity,
    /// The cgroup that holds it, by path.
    pub cgroup: Option<Text>,
    /// The systemd unit that owns the cgroup.
    pub unit: Option<Text>,
    /// Whether the operator lists that unit among those that may be restarted.
    #[serde(default)]
    pub may_restart: bool,
    /// Its share of what is contested, 0 to 1.
    pub share: f64,
    /// What is contested: `cpu`, `memory`, `memory growth`, `forks`, `context switches`, `minor faults`, …
    pub of: String,
    /// The processes of it that take what is contested, the largest first, at most 16; their number is that of `members`
    /// in `numbers`, where it is a group.
    #[serde(default)]
    pub members: Vec<Member>,
    /// All that is known of it in numbers, such as `cpu_percent`, `rss_bytes`, `nice`, `threads`, `forks_per_s`.
    pub numbers: Numbers,
    /// The memory limit that it would meet first, of its cgroup or an ancestor.
    #[serde(default)]
    pub limit: Option<MemoryLimit>,
    pub why: String,
}

/// A process that takes what is contested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    pub id: ProcessId,
    pub nice: i8,
}

/// The memory limit of a cgroup and what is used of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryLimit {
    pub cgroup: Text,
    pub limit_bytes: u64,
    pub usage_bytes: u64,
    /// What may still go to swap instead.
    #[serde(default)]
    pub swap_room_bytes: u64,
}

impl MemoryLimit {
    /// What is left until the kernel ends somebody, page cache not counted as left.
    #[must_use]
    pub const fn room_bytes(&self) -> u64 {
        self.limit_bytes.saturating_sub(self.usage_bytes).saturating_add(self.swap_room_bytes)
    }
}

impl Suspect {
    /// The processes that are known of it: itself, and its members.
    pub fn processes(&self) -> impl Iterator<Item = ProcessId> {
        self.entity.process().into_iter().chain(self.members.iter().map(|member| member.id))
    }

    /// Whether this is the path of the cgroup that holds it.
    #[must_use]
    pub fn is_in(&self, cgroup: &str) -> bool {
        self.cgroup.as_ref().is_some_and(|path| path.as_str() == cgroup)
    }

    /// A number of it by name.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        self.numbers.get(name)
    }

    /// All its members; none when only some of them are named.
    #[must_use]
    pub fn all_members(&self) -> Option<&[Member]> {
        let count = self.number("members").unwrap_or(1.0);
        Some(self.members.as_slice()).filter(|members| !members.is_empty() && members.len() as f64 >= count)
    }

    /// The cgroup that holds it and nobody else's work, so that an action on the cgroup meets no stranger.
    #[must_use]
    pub fn own_cgroup(&self) -> Option<&Text> {
        self.cgroup.as_ref().filter(|_| self.number("cgroup_strangers") == Some(0.0))
    }

    /// The cgroup in which it alone wants the CPU: a quota on it is felt by no one else.
    #[must_use]
    pub fn cgroup_it_keeps_busy(&self) -> Option<&Text> {
        self.cgroup.as_ref().filter(|_| self.number("cgroup_busy_strangers") == Some(0.0))
    }
}

impl BusiestDisk {
    #[must_use]
    pub fn ops_per_s(&self) -> f64 {
        self.reads_per_s + self.writes_per_s
    }

    #[must_use]
    pub fn bytes_per_s(&self) -> f64 {
        self.read_bytes_per_s + self.written_bytes_per_s
    }

    /// The part of what it does that is the suspect's, 0 to 1.
    #[must_use]
    pub fn share_of(&self, suspect: &Suspect) -> f64 {
        if suspect.of == contested::Contested::Io.name() {
            return suspect.share;
        }
        let its = suspect.number("io_bytes_per_s").unwrap_or(0.0);
        (its / self.bytes_per_s().max(1.0)).clamp(0.0, 1.0)
    }
}

/// A value against its baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Deviation {
    pub value: f64,
    pub baseline: Baseline,
    /// value / p95; infinite is never stored: none where p95 is 0.
    pub times_p95: Option<f64>,
}

/// What is usual for one measure of one entity (or of all entities of the measure).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Baseline {
    pub samples: u64,
    pub p50: f64,
    pub p75: f64,
    pub p95: f64,
    pub p99: f64,
    /// Standard deviation of the samples (n - 1).
    pub volatility: f64,
}

/// Least squares over recent points of one measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trend {
    /// What moves: the measure's name, unit last.
    pub measure: String,
    pub current: f64,
    pub slope_per_min: f64,
    /// Coefficient of determination, 0 to 1.
    pub r_squared: f64,
    pub direction: Direction,
    pub points: usize,
    pub span_s: f64,
}

/// Too few values to say anything; said as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{have} values, {need} are needed")]
pub struct TooLittle {
    pub have: usize,
    pub need: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Rising,
    Falling,
    Flat,
}

/// What a decision must know of the node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeFacts {
    pub online_cpus: u32,
    pub memory_total_bytes: u64,
    pub memory_available_bytes: u64,
    pub swap_total_bytes: u64,
    pub swap_free_bytes: u64,
    pub swappiness: Option<u64>,
    pub load_one: Option<f64>,
    /// CPU time not idle, percent of all CPUs.
    pub cpu_busy_percent: Option<f64>,
    /// CPU time of processes too short-lived to be seen in two ticks, percent of all CPUs.
    #[serde(default)]
    pub cpu_unseen_percent: Option<f64>,
    /// Part of the time they wanted a CPU that processes which use little of it waited for one, percent.
    #[serde(default)]
    pub others_wait_percent: Option<f64>,
    /// Share of time that some task stood, percent, over 10 s.
    #[serde(default)]
    pub cpu_pressure_percent: Option<f64>,
    #[serde(default)]
    pub memory_pressure_percent: Option<f64>,
    #[serde(default)]
    pub io_pressure_percent: Option<f64>,
    /// Processes and threads made.
    #[serde(default)]
    pub forks_per_s: Option<f64>,
    #[serde(default)]
    pub execs_per_s: Option<f64>,
    #[serde(default)]
    pub busiest_disk: Option<BusiestDisk>,
}

/// The disk that most requests waited for over the last 5 s, and what it did in those seconds of them in which it was
/// busy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BusiestDisk {
    pub name: Text,
    pub major: u32,
    pub minor: u32,
    /// Time with a request in flight, percent.
    pub busy_percent: f64,
    /// Requests in flight and in its queue, on average.
    pub queue_depth: f64,
    pub reads_per_s: f64,
    pub read_bytes_per_s: f64,
    pub writes_per_s: f64,
    pub written_bytes_per_s: f64,
}
