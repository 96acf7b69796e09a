//! How soon: the seconds from the onset until it was seen, decided on, acted on, and over.

use serde::{Deserialize, Serialize};

use super::{Seen, is_effect, is_expected, is_of_type};
use crate::{client::Trace, faults::catalogue::Expect};

/// Seconds from the onset; none for what did not come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Times {
    /// Until a client saw a signal of an expected type, or the loop says that it took one up.
    pub(crate) detect_s: Option<f64>,
    /// Until the loop had decided on an incident of an expected type, for an expected cause: to act, to advise, or to ask
    /// a person.
    pub(crate) decide_s: Option<f64>,
    /// Until the first action had its effect.
    pub(crate) act_s: Option<f64>,
    /// Until an action was verified to help and all that must hold had held for its seconds, and did to the end.
    pub(crate) relief_s: Option<f64>,
}

impl Times {
    /// Each by its name, in their order.
    pub(crate) const fn named(&self) -> [(&'static str, Option<f64>); 4] {
        [("detect", self.detect_s), ("decide", self.decide_s), ("act", self.act_s), ("relief", self.relief_s)]
    }
}

pub(super) fn times(expect: &Expect, seen: &Seen) -> Times {
    let signals = seen.signals.iter().filter(|(_, signal)| expect.signals.contains(&signal.signal_type));
    let passes: Vec<&Trace> = seen.traces.iter().filter(|trace| is_expected(expect, trace)).collect();
    let seconds = |trace: &&Trace, phase| trace.steps_of(phase).next().map(|step| seen.second(step.at_ms));
    let taken_up =
        passes.iter().filter(|trace| is_of_type(expect, trace)).filter_map(|trace| seconds(trace, "observe"));
    let explained = passes.iter().filter(|trace| trace.cause().is_some_and(|cause| expect.cause.contains(cause)));
    let effects = seen.traces.iter().flat_map(Trace::deeds).filter(|(_, outcome)| is_effect(outcome));
    Times {
        detect_s: first(signals.map(|(at_s, _)| *at_s).chain(taken_up)),
        decide_s: first(explained.filter_map(|trace| seconds(trace, "decide"))),
        act_s: first(effects.map(|(step, _)| seen.second(step.at_ms))),
        relief_s: seen.relieved_s,
    }
}

fn first(seconds: impl Iterator<Item = f64>) -> Option<f64> {
    // What came while the load was still being set up came at once.
    seconds.min_by(f64::total_cmp).map(|seconds| seconds.max(0.0))
}
