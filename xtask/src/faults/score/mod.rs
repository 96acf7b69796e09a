//! The score of one fault, from what was seen: detected, blamed, explained, resolved, undone. Values only.

mod control;
mod fault;
mod times;
mod words;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    catalogue::{Expect, Fault},
    curve::Curve,
};
use crate::client::{Explanation, Incident, Outcome, Signal, Trace};
pub(crate) use times::Times;

/// A node whose tasks wait for a CPU for more of the time is not calm.
pub(crate) const BUSY_PERCENT: f64 = 20.0;

/// All that was seen of one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Unix time, ms: when the load said that it was under way.
    pub(crate) onset_ms: i64,
    /// Seconds from the onset until nobody looked any more.
    pub(crate) watched_s: f64,
    /// Seconds from the onset until all was well and had been verified, if it was so to the end.
    pub(crate) relieved_s: Option<f64>,
    pub(crate) curve: Curve,
    /// Share of the ten seconds before the onset in which some task waited for a CPU.
    pub(crate) cpu_wait_before_percent: Option<f64>,
    /// Signals that were first seen after the onset, each with the seconds from the onset until a client saw it.
    pub(crate) signals: Vec<(f64, Signal)>,
    pub(crate) incidents: Vec<Incident>,
    /// Titles of those that were open when it came, and are none of this fault's.
    pub(crate) earlier: BTreeSet<String>,
    pub(crate) traces: Vec<Trace>,
    /// What the load named as its culprits; empty for a control.
    pub(crate) culprits: Vec<u32>,
    /// All processes of the load, culprits included.
    pub(crate) processes: Vec<u32>,
    pub(crate) cgroup: Option<String>,
    /// Who takes most, and is not to blame.
    pub(crate) decoy: Option<Strangers>,
    /// What did not hold at the end, in words.
    pub(crate) unmet: Vec<String>,
    /// Who did not live to the end, in words.
    pub(crate) ended: Vec<String>,
    /// Settings that are not as they were.
    pub(crate) changes: Vec<String>,
    /// What went wrong with the agent itself.
    pub(crate) agent_troubles: Vec<String>,
}

/// Processes, and their cgroup.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strangers {
    pub(crate) processes: Vec<u32>,
    pub(crate) cgroup: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Score {
    pub(crate) name: String,
    pub(crate) passed: bool,
    pub(crate) times: Times,
    /// Share of the ten seconds before the onset in which some task waited for a CPU: how calm the node was.
    pub(crate) cpu_wait_before_percent: Option<f64>,
    pub(crate) detected: Mark,
    pub(crate) blamed: Mark,
    pub(crate) explained: Mark,
    pub(crate) resolved: Mark,
    pub(crate) undone: Mark,
    /// What the agent did, in a word or two.
    pub(crate) done: String,
    /// The same in full, a line each.
    pub(crate) actions: Vec<String>,
    /// Why it failed, a line each; empty when it passed.
    pub(crate) reasons: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mark {
    Yes,
    No,
    /// Not asked of this one.
    None,
}

/// Scores a run.
pub(crate) fn score(fault: &Fault, seen: &Seen) -> Score {
    let mut score = match (&fault.expect, &fault.control) {
        (Some(expect), _) => fault::score_fault(fault, expect, seen),
        (None, Some(control)) => control::score_control(fault, control, seen),
        (None, None) => blank(fault, seen),
    };
    score.reasons.extend(raw_texts(seen));
    score.reasons.extend(seen.agent_troubles.iter().cloned());
    score.passed = score.reasons.is_empty();
    if !score.passed {
        score.reasons.extend(seen.earlier.iter().map(|title| format!("open before it came: {title}")));
    }
    score
}

/// Text of a stranger that came through as it was: none may, whatever a process calls itself.
fn raw_texts(seen: &Seen) -> Option<String> {
    let said =
        seen.signals.iter().flat_map(|(_, signal)| [Some(&signal.sentence), signal.entity.comm.as_ref()]).flatten();
    let titles = seen.incidents.iter().map(|incident| &incident.title);
    let steps = seen.traces.iter().flat_map(|trace| &trace.steps).map(|step| &step.text);
    let mut texts = said.chain(titles).chain(steps);
    let raw = texts.find(|text| text.chars().any(|letter| letter.is_control() && letter != '\n'))?;
    Some(format!("a control character came through: {raw:?}"))
}

fn blank(fault: &Fault, seen: &Seen) -> Score {
    let effects: Vec<&Outcome> = effects(seen).collect();
    Score {
        done: words::counted(&effects),
        actions: words::in_short(&effects),
        cpu_wait_before_percent: seen.cpu_wait_before_percent,
        ..Score::blank(&fault.name)
    }
}

/// What was done and changed something; a look is no deed.
fn effects(seen: &Seen) -> impl Iterator<Item = &Outcome> {
    seen.traces.iter().flat_map(|trace| &trace.outcomes).filter(|outcome| is_effect(outcome))
}

fn is_effect(outcome: &Outcome) -> bool {
    outcome.action_id.is_some() && outcome.status == "done"
}

/// Whether that pass of the loop was over an incident of a type that was expected.
fn is_expected(expect: &Expect, trace: &Trace) -> bool {
    let has_symptom = |explanation: &Explanation| {
        expect.headed_by.contains(&explanation.primary.signal_type)
            && explanation.symptoms.iter().any(|symptom| expect.signals.contains(&symptom.signal_type))
    };
    is_of_type(expect, trace) || trace.explanation.as_ref().is_some_and(has_symptom)
}

/// Whether its incident is named after a signal that was expected.
fn is_of_type(expect: &Expect, trace: &Trace) -> bool {
    trace.explanation.as_ref().is_some_and(|e| expect.signals.contains(&e.primary.signal_type))
}

const fn mark(good: bool) -> Mark {
    if good { Mark::Yes } else { Mark::No }
}

impl Seen {
    /// Seconds from the onset to a Unix time in ms.
    pub(crate) fn second(&self, at_ms: i64) -> f64 {
        (at_ms - self.onset_ms) as f64 / 1000.0
    }
}

impl Score {
    /// How many there are of them.
    pub(crate) const MARKS: usize = 5;

    /// Of a round of which nothing is known yet.
    pub(super) fn blank(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            passed: false,
            times: Times::default(),
            cpu_wait_before_percent: None,
            detected: Mark::None,
            blamed: Mark::None,
            explained: Mark::None,
            resolved: Mark::None,
            undone: Mark::None,
            done: String::new(),
            actions: Vec::new(),
            reasons: Vec::new(),
        }
    }

    /// Whether others wanted the CPUs before the fault came: then its times and verdicts say less of the agent.
    pub(crate) fn began_busy(&self) -> bool {
        self.cpu_wait_before_percent.is_some_and(|percent| percent > BUSY_PERCENT)
    }

    /// Each mark by its name, in their order.
    pub(crate) const fn marks(&self) -> [(&'static str, Mark); Self::MARKS] {
        [
            ("detected", self.detected),
            ("blamed", self.blamed),
            ("explained", self.explained),
            ("resolved", self.resolved),
            ("undone", self.undone),
        ]
    }

    /// The severest thing a control can do: have something done to it.
    pub(crate) fn acted_on_a_control(&self, fault: &Fault) -> bool {
        fault.control.is_some() && !self.actions.is_empty()
    }
}

#[cfg(test)]
mod tests;
