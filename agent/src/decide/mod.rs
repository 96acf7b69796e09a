//! Decide: hypotheses with evidence, and the mildest action whose effect suffices, or the honest "inconclusive".
//!
//! A proposal is untrusted whoever made it: only the policy of [`crate::execute`] turns it into a permit.

pub mod council;
pub mod model;
pub mod rules;

pub use rules::Rules;

use std::{
    fmt::{self, Debug},
    future::Future,
    pin::Pin,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    execute::{ActionRequest, Actions},
    explain::{Explanation, Incident, IncidentUid, Suspect},
    observe::{Entity, ProcessId, SignalType},
    reflect::Belief,
    simulate::Forecast,
};

/// Whoever decides: the rules, or the rules and a model. It sees values and returns a value; it can do nothing else.
pub trait Reasoner: Debug + Send + Sync {
    /// The author's name in traces: `rules`, `gemini`, …
    fn name(&self) -> &str;

    fn decide<'a>(&'a self, case: &'a Case) -> Pin<Box<dyn Future<Output = Proposal> + Send + 'a>>;
}

/// All that a reasoner is told of one incident.
#[derive(Clone, Debug)]
pub struct Case {
    pub incident: Incident,
    pub explanation: Explanation,
    pub forecast: Forecast,
    /// What was learnt of each action on this kind of incident.
    pub beliefs: Vec<Belief>,
    /// What was tried on this incident before, oldest first, and how it ended.
    pub tried: Vec<Attempt>,
    /// Whether a suspicion that stays ambiguous may be tested by something brief and reversible.
    pub may_test: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    pub actions: Actions,
    /// `resolved`, `improved`, `unchanged`, `worse`, or `denied: …`.
    pub result: String,
    /// Whether it was a test of a suspicion.
    #[serde(default)]
    pub is_test: bool,
}

/// What went wrong, as the rules name it. The name is the rule's file, the key and the label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureMode {
    MemoryLeak,
    MemoryHog,
    CgroupMemoryLimit,
    SwapThrash,
    CpuHog,
    CpuQuota,
    ForkStorm,
    SwitchStorm,
    MinorFaultChurn,
    MajorFaultStorm,
    FdExhaustion,
    SyscallStorm,
    SyscallErrors,
    DiskFull,
    PidsLimit,
    DeviceSaturation,
    WritebackCongestion,
    PortExhaustion,
    ListenOverflow,
    CloseWaitLeak,
    NetworkLoss,
    Unknown,
}

impl FailureMode {
    /// The name as it is stored: that of the rule's file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MemoryLeak => "memory_leak",
            Self::MemoryHog => "memory_hog",
            Self::CgroupMemoryLimit => "cgroup_memory_limit",
            Self::SwapThrash => "swap_thrash",
            Self::CpuHog => "cpu_hog",
            Self::CpuQuota => "cpu_quota",
            Self::ForkStorm => "fork_storm",
            Self::SwitchStorm => "switch_storm",
            Self::MinorFaultChurn => "minor_fault_churn",
            Self::MajorFaultStorm => "major_fault_storm",
            Self::FdExhaustion => "fd_exhaustion",
            Self::SyscallStorm => "syscall_storm",
            Self::SyscallErrors => "syscall_errors",
            Self::DiskFull => "disk_full",
            Self::PidsLimit => "pids_limit",
            Self::DeviceSaturation => "device_saturation",
            Self::WritebackCongestion => "writeback_congestion",
            Self::PortExhaustion => "port_exhaustion",
            Self::ListenOverflow => "listen_overflow",
            Self::CloseWaitLeak => "close_wait_leak",
            Self::NetworkLoss => "network_loss",
            Self::Unknown => "unknown",
        }
    }
}

/// What somebody wants done about an incident, and why. Untrusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Proposal {
    pub incident: IncidentUid,
    /// Who says so: `rules`, a model's name, `operator`.
    pub author: String,
    /// Most likely first.
    pub hypotheses: Vec<Hypothesis>,
    pub decision: Decision,
    pub justification: String,
    pub confidence: Confidence,
    /// Why it is not done without an operator's word, whatever the level allows; none: the level decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_with_approval: Option<String>,
    /// The case in which a model was asked; none: nobody asked one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<i64>,
}

impl Proposal {
    /// Whether it is what a model wants, and not the rules.
    #[must_use]
    pub fn is_of_model(&self) -> bool {
        self.case.is_some() && self.author != Rules.name()
    }

    /// Every sentence of it as `say` says it; an action and its prediction stay what they are.
    pub fn reword(&mut self, say: impl Fn(&str) -> String) {
        for hypothesis in &mut self.hypotheses {
            hypothesis.statement = say(&hypothesis.statement);
        }
        self.justification = say(&self.justification);
        match &mut self.decision {
            Decision::Advise { advice: text } | Decision::Inconclusive { missing: text } => *text = say(text),
            Decision::Act { .. } => {}
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Decision {
    /// Do this, all of it or nothing, and see whether that comes true.
    Act {
        actions: Actions,
        /// The processes that the actions name by number, as they were when it was decided; no other is touched.
        #[serde(default)]
        targets: Vec<ProcessId>,
        prediction: Prediction,
        /// Whether it is to tell if a suspect is the cause, of whom that is not sure; what it teaches is of the suspect,
        /// and not of the action.
        #[serde(default)]
        is_test: bool,
    },
    /// Nothing the agent may or should do; this is what a person should.
    Advise { advice: String },
    /// "Inconclusive, recommend human investigation", and what was missing.
    Inconclusive { missing: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hypothesis {
    pub failure_mode: FailureMode,
    pub statement: String,
    pub evidence_for: Vec<String>,
    pub evidence_against: Vec<String>,
    /// 0 to 1.
    pub confidence: f64,
}

/// How sure, and what makes it so: the product of its parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Confidence {
    /// 0 to 1.
    pub value: f64,
    pub parts: Vec<ConfidencePart>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfidencePart {
    /// Such as "evidence", "share of the culprit", "past success", "lost events".
    pub name: String,
    /// 0 to 1.
    pub factor: f64,
}

impl Confidence {
    /// The product of the parts.
    #[must_use]
    pub fn of(parts: Vec<ConfidencePart>) -> Self {
        let value = parts.iter().map(|part| part.factor.clamp(0.0, 1.0)).product();
        Self { value, parts }
    }
}

/// What was decided a while ago does not fit the world as it is now.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{action} is not aimed at a suspect any more; what is wrong now has another cause")]
pub struct Outdated {
    pub action: ActionRequest,
}

impl Decision {
    /// The same course: the like done to the like, or nothing.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Act { actions, .. }, Self::Act { actions: others, .. }) => actions.is_like(others),
            (Self::Act { .. }, _) | (_, Self::Act { .. }) => false,
            _ => true,
        }
    }

    /// Whether it tests a suspicion.
    #[must_use]
    pub const fn is_test(&self) -> bool {
        matches!(self, Self::Act { is_test: true, .. })
    }

    /// Whether each of its actions still aims at a suspect of `explanation`, which was made since. What concerns the
    /// whole node aims at nobody.
    ///
    /// # Errors
    /// With the first action that does not.
    pub fn still_fits(&self, explanation: &Explanation) -> Result<(), Outdated> {
        let Self::Act { actions, targets, .. } = self else { return Ok(()) };
        let suspects = || explanation.suspects.iter();
        let of_unit = |suspect: &Suspect, unit: &str| suspect.unit.as_ref().is_some_and(|of| of.as_str() == unit);
        let fits = |action: &ActionRequest| match (action.pid(), action.cgroup()) {
            (Some(pid), _) => {
                suspects().flat_map(Suspect::processes).any(|process| process.pid == pid && targets.contains(&process))
            }
            // What is given more need not be to blame: it is what the incident is about.
            (None, Some(path)) => {
                suspects().any(|suspect| suspect.is_in(path))
                    || matches!(&explanation.yardstick().entity, Entity::Cgroup { path: of } if of.as_str() == path)
            }
            (None, None) => action.unit().is_none_or(|unit| suspects().any(|suspect| of_unit(suspect, unit))),
        };
        match actions.iter().find(|action| !fits(action)) {
            None => Ok(()),
            Some(action) => Err(Outdated { action: action.clone() }),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Act { actions, .. } => write!(f, "{actions}"),
            Self::Advise { advice } => write!(f, "advice: {advice}"),
            Self::Inconclusive { missing } => f.write_str(missing),
        }
    }
}

/// What must be seen after the action, or it did not help: the measure of the entity at most (or at least) so much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prediction {
    pub signal_type: SignalType,
    pub measure: String,
    pub entity: Entity,
    pub before: f64,
    /// The value expected when the settle time is over.
    pub after: f64,
    /// Which way is better.
    pub lower_is_better: bool,
    /// Settle time, s.
    pub within_s: u32,
    pub statement: String,
}
