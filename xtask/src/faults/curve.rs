//! The one measure that a fault's timeline draws, once a second: what is asked of the victim, or of the load where nobody
//! else suffers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    catalogue::{Check, Fault},
    inject::Running,
    node::NodeMeasures,
};

/// A measure over a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Curve {
    /// As a check names it: `victim.done_p50_ms`; empty until there is one.
    pub(crate) measure: String,
    /// What is asked of it, if anything is.
    pub(crate) check: Option<Check>,
    /// Seconds from the onset, and the value; none while it was not known.
    pub(crate) points: Vec<(f64, Option<f64>)>,
}

impl Curve {
    /// Of the measure that the fault's checks name, the victim's first.
    pub(super) fn of(fault: &Fault) -> Self {
        let mut checks: Vec<&Check> = fault.expect.iter().flat_map(|expect| &expect.after).collect();
        checks.sort_by_key(|check| !check.measure.starts_with("victim."));
        let check = checks.first().map(|check| (*check).clone());
        Self {
            measure: check.as_ref().map(|check| check.measure.clone()).unwrap_or_default(),
            check,
            points: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, at_s: f64, load: &Running, victim: Option<&Running>, node: &NodeMeasures) {
        if self.measure.is_empty() {
            let (of, running) = victim.map_or(("load", load), |victim| ("victim", victim));
            let field = running.said.last().and_then(telling);
            self.measure = field.map(|field| format!("{of}.{field}")).unwrap_or_default();
        }
        self.points.push((at_s, value_of(&self.measure, load, victim, node)));
    }
}

/// A measure as it is now; none where there is none, or none yet.
pub(super) fn value_of(measure: &str, load: &Running, victim: Option<&Running>, node: &NodeMeasures) -> Option<f64> {
    match measure.split_once('.') {
        // A load that is frozen says nothing, and does nothing.
        Some(("load", name)) => load.measure(name).or((!load.speaks()).then_some(0.0)),
        Some(("victim", name)) => victim.and_then(|victim| victim.measure(name)),
        _ => node.measure(measure),
    }
}

/// The field of a line that tells most of how one fares: a latency, else the first number.
fn telling(line: &Value) -> Option<&str> {
    let numbers =
        || line.as_object().into_iter().flatten().filter(|(name, value)| value.is_number() && *name != "at_s");
    let latency = numbers().find(|(name, _)| name.ends_with("_ms"));
    latency.or_else(|| numbers().next()).map(|(name, _)| name.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_latency_tells_more_than_what_stands_before_it() {
        assert_eq!(
            telling(&json!({ "load": "x", "at_s": 1.0, "served_per_s": 9, "done_p50_ms": 4.0 })),
            Some("done_p50_ms")
        );
        assert_eq!(telling(&json!({ "load": "x", "at_s": 1.0, "compiled": 3 })), Some("compiled"));
        assert_eq!(telling(&json!({ "load": "x", "at_s": 1.0, "culprits": [] })), None);
    }

    #[test]
    fn what_is_asked_of_the_victim_is_drawn_before_what_is_asked_of_the_load() {
        let fault: Fault = toml::from_str(
            "about = \"x\"\nbound_s = 9\nload = { name = \"cpu_hog\" }\n[expect]\nsignals = []\nwithin_s = 1\nculprit = []\ncause = []\n\
             after = [{ measure = \"load.cpu_percent\", above = 1.0 }, { measure = \"victim.done_p50_ms\", below = 6.5 }]",
        )
        .expect("a fault");
        assert_eq!(Curve::of(&fault).measure, "victim.done_p50_ms");
    }
}
