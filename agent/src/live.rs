//! The daemon as it is now: what the door shows, and the orders that it takes.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::{
    execute::{ActionRequest, DryRun, Hold, Outcome},
    explain::{Baseline, Incident, IncidentUid, Known},
    mind::{Mind, ModelStatus},
    observe::{Event, History, ProcessId, Signal, View, Window, classify::Thresholds},
    reflect::TraceStep,
    store::Store,
    tools::Rights,
};

/// What everybody inside the daemon shares: the picture of now, the store, and the way to the spine.
#[derive(Clone, Debug)]
pub struct Daemon {
    pub live: Arc<RwLock<Live>>,
    pub store: Store,
    /// Orders to the spine, the one place that acts.
    pub orders: mpsc::Sender<Order>,
    /// What happens, as it happens; a reader that is too slow loses the oldest and is told how many.
    pub news: broadcast::Sender<News>,
    /// From which value on a measure is how bad.
    pub thresholds: Arc<Thresholds>,
    /// Units that an operator lists among those that may be restarted.
    pub restartable: Arc<[String]>,
    /// Which single tools an operator keeps from a role.
    pub rights: Arc<Rights>,
    /// The daemon's side of thinking with a model.
    pub mind: Mind,
}

impl Daemon {
    /// What an explanation needs of the daemon; `baseline` is what is usual for its primary measure.
    pub fn known(&self, baseline: Option<Baseline>) -> Known<'_> {
        Known {
            own_pid: std::process::id(),
            baseline,
            thresholds: Some(&self.thresholds),
            restartable: &self.restartable,
        }
    }

    /// The picture of now, to look at. Hold it briefly: the next tick waits for it.
    pub fn look(&self) -> RwLockReadGuard<'_, Live> {
        self.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The picture of now, for the spine to change.
    pub fn change(&self) -> RwLockWriteGuard<'_, Live> {
        self.live.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever follows; nobody following is well.
    pub fn tell(&self, news: News) {
        drop(self.news.send(news));
    }
}

impl Live {
    /// Whether somebody follows the kernel's own events.
    #[must_use]
    pub fn is_raw_wanted(&self) -> bool {
        Arc::strong_count(&self.raw_wanted) > 1
    }

    /// What the rooms after observation may look at.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View { window: &self.window, history: &self.history, signals: &self.signals }
    }
}

/// The picture of now.
#[derive(Debug, Default)]
pub struct Live {
    pub window: Window,
    pub history: History,
    /// Open signals, worst first.
    pub signals: Vec<Signal>,
    /// Incidents that are open.
    pub incidents: Vec<Incident>,
    pub status: Status,
    /// Held by each client that follows the kernel's own events, for as long as it is connected.
    pub raw_wanted: Arc<()>,
}

/// Whether a part works. The same three states for probes, sources and rooms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PartState {
    On,
    Degraded { reason: String },
    Off { reason: String },
}

/// One part of the agent, for `status` and `doctor`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// `probe`, `records` (what probes send through the rings), `source`, `actor`, `store`.
    pub kind: String,
    pub name: String,
    #[serde(flatten)]
    pub state: PartState,
    /// Runs, and the time they took, while they were counted; none where nobody counts.
    pub runs: Option<u64>,
    pub run_time_ns: Option<u64>,
    /// Time over which they were counted, s: the runs of a source always, those of a probe one tick in sixty, because the
    /// count itself costs each run two looks at the clock.
    pub counted_s: Option<f64>,
    /// Records lost by it since it was loaded.
    pub lost: u64,
}

impl Part {
    /// A part that works, of which nothing is counted.
    #[must_use]
    pub fn on(kind: &str, name: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            state: PartState::On,
            runs: None,
            run_time_ns: None,
            counted_s: None,
            lost: 0,
        }
    }
}

/// `kernelsight status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    /// Unix time, ms.
    pub started_ms: i64,
    pub now_ms: i64,
    pub autonomy: Autonomy,
    /// Why nothing at all is done for now; empty: nothing holds.
    #[serde(default)]
    pub holds: Vec<Hold>,
    pub parts: Vec<Part>,
    pub ticks: u64,
    pub open_signals: usize,
    pub open_incidents: usize,
    /// The agent's own cost: CPU in percent of one core over the last minute, resident memory.
    pub own_cpu_percent: Option<f64>,
    pub own_rss_bytes: Option<u64>,
    pub events_seen: u64,
    pub events_lost: u64,
    pub database_bytes: Option<u64>,
    /// Who is asked beside the rules, and how that goes; none: nobody.
    #[serde(default)]
    pub model: Option<ModelStatus>,
    /// What a person should know first: what is missing, what was set aside, what was settled at start.
    pub notes: Vec<String>,
}

/// How much the agent may do by itself.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Autonomy {
    /// Looks, explains, proposes. No effect.
    #[default]
    Advisor,
    /// Prepares; an operator approves each action.
    Copilot,
    /// Does what `autonomy.toml` lists as safe, by itself; the rest waits for approval.
    Guardian,
    /// Does whatever the policy permits.
    Agent,
}

impl Autonomy {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Advisor => "advisor",
            Self::Copilot => "copilot",
            Self::Guardian => "guardian",
            Self::Agent => "agent",
        }
    }
}

/// Who gave an order, by the socket's peer credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Operator {
    pub uid: u32,
    pub pid: i32,
    pub name: String,
}

/// What only the spine may do; the answer comes back on `reply`, an error in words a person can act on.
#[derive(Debug)]
pub enum Order {
    SetAutonomy {
        level: Autonomy,
        by: Operator,
        reply: oneshot::Sender<Result<Autonomy, String>>,
    },
    Approve {
        proposal: i64,
        by: Operator,
        reply: oneshot::Sender<Result<Vec<Outcome>, String>>,
    },
    Deny {
        proposal: i64,
        reason: String,
        by: Operator,
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// An incident is taken up again at once: a model has said something about it.
    LookAgain {
        incident: IncidentUid,
    },
    /// Nothing is done until it is resumed, or for so long.
    Pause {
        why: String,
        for_s: Option<u32>,
        by: Operator,
        reply: oneshot::Sender<Result<Hold, String>>,
    },
    /// Ends the pause, the brake and the latch; answers what held.
    Resume {
        by: Operator,
        reply: oneshot::Sender<Result<Vec<Hold>, String>>,
    },
    Undo {
        action: i64,
        by: Operator,
        reply: oneshot::Sender<Result<Outcome, String>>,
    },
    /// Everything that stands; each outcome, or why it could not be taken back.
    UndoAll {
        by: Operator,
        reply: oneshot::Sender<Result<Vec<Result<Outcome, String>>, String>>,
    },
    /// What would be done, one for each: for an incident's proposal, or as an operator's own order. Nothing is done.
    DryRun {
        actions: Vec<ActionRequest>,
        /// The processes that the decision was about, where there was one.
        targets: Option<Vec<ProcessId>>,
        incident: Option<IncidentUid>,
        by: Operator,
        reply: oneshot::Sender<Result<Vec<DryRun>, String>>,
    },
    /// `execute_remediation`: judged like any proposal, by the level and the policy.
    Execute {
        request: ActionRequest,
        incident: Option<IncidentUid>,
        justification: String,
        confidence: f64,
        by: Operator,
        reply: oneshot::Sender<Result<Outcome, String>>,
    },
}

/// What `watch` follows.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum News {
    SignalOpened {
        signal: Signal,
    },
    SignalChanged {
        signal: Signal,
    },
    SignalClosed {
        signal: Signal,
    },
    IncidentOpened {
        incident: Incident,
    },
    IncidentChanged {
        incident: Incident,
    },
    /// A model thinks about something.
    Thinks {
        case: i64,
        incident: Option<IncidentUid>,
    },
    /// A piece of what it says.
    Said {
        case: i64,
        voice: String,
        text: String,
        thought: bool,
    },
    /// Nothing is asked of it for so long.
    Waits {
        case: i64,
        ms: u64,
        why: String,
    },
    /// A step of the loop on an incident.
    Step {
        incident: IncidentUid,
        step: TraceStep,
    },
    Note {
        text: String,
    },
    /// A kernel event, only for those who asked for raw.
    Raw {
        event: Event,
    },
}
