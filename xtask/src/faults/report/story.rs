//! What came to pass in one round, in seconds from the onset, as a client saw it.

use serde::{Deserialize, Serialize};

use crate::{
    client::{Incident, Severity, Signal, Trace},
    faults::{curve::Curve, score::Seen},
};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Story {
    /// Until when it was watched.
    pub(crate) until_s: f64,
    /// The earliest first.
    pub(crate) signals: Vec<Span>,
    pub(crate) incidents: Vec<Span>,
    /// The earliest first.
    pub(crate) moments: Vec<Moment>,
    pub(crate) curve: Curve,
}

/// What lasted: a signal, an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Span {
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
    /// Whether it was not over at the end.
    pub(crate) open: bool,
    /// The worst that it was.
    pub(crate) severity: Severity,
    /// `load_mismatch run_queue_p99_ms`; of an incident, how it stood at the end.
    pub(crate) what: String,
    pub(crate) who: String,
    pub(crate) text: String,
}

/// What was at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Moment {
    pub(crate) at_s: f64,
    pub(crate) kind: Kind,
    /// For the picture.
    pub(crate) word: String,
    /// In full.
    pub(crate) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Decision,
    Denial,
    Action,
    /// An action that was tried and had no effect.
    Attempt,
    Undoing,
    Helped,
    NotHelped,
    Relief,
}

impl Story {
    pub(crate) fn of(seen: &Seen) -> Self {
        let mut moments: Vec<Moment> = seen.traces.iter().flat_map(|trace| moments(seen, trace)).collect();
        moments.extend(seen.relieved_s.map(|at_s| Moment {
            at_s,
            kind: Kind::Relief,
            word: "relief".to_owned(),
            text: "an action was verified to help, and all that must hold held".to_owned(),
        }));
        moments.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        let mut signals: Vec<Span> = seen.signals.iter().map(|(_, signal)| signal_span(seen, signal)).collect();
        signals.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
        let of_this = |incident: &&Incident| {
            incident.opened_ms >= seen.onset_ms || seen.traces.iter().any(|trace| trace.incident == incident.uid)
        };
        let mut incidents: Vec<Span> = seen.incidents.iter().filter(of_this).map(|i| incident_span(seen, i)).collect();
        incidents.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
        Self { until_s: seen.watched_s, signals, incidents, moments, curve: seen.curve.clone() }
    }

    /// All of it in the order of time: the second, what it is, and the words.
    pub(crate) fn lines(&self) -> Vec<(f64, &'static str, String)> {
        let mut lines: Vec<(f64, &'static str, String)> =
            self.moments.iter().map(|moment| (moment.at_s, moment.kind.name(), moment.text.clone())).collect();
        for signal in &self.signals {
            let name = format!("{} {} on {}", signal.severity.name(), signal.what, signal.who);
            lines.push((signal.from_s, "signal", format!("{name}: {}", signal.text)));
            lines.extend((!signal.open).then_some((signal.to_s, "signal over", name)));
        }
        for incident in &self.incidents {
            let name = format!("{}; {} at the end", incident.text, incident.what);
            lines.push((incident.from_s, "incident", format!("{} {name}", incident.severity.name())));
            lines.extend((!incident.open).then_some((incident.to_s, "incident over", name)));
        }
        lines.sort_by(|a, b| a.0.total_cmp(&b.0));
        lines
    }
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Denial => "denial",
            Self::Action => "action",
            Self::Attempt => "attempt",
            Self::Undoing => "undo",
            Self::Helped | Self::NotHelped => "verdict",
            Self::Relief => "relief",
        }
    }
}

fn signal_span(seen: &Seen, signal: &Signal) -> Span {
    Span {
        from_s: seen.second(signal.first_seen_ms),
        to_s: signal.closed_ms.map_or(seen.watched_s, |closed_ms| seen.second(closed_ms)),
        open: signal.closed_ms.is_none(),
        severity: signal.peak_severity,
        what: format!("{} {}", signal.signal_type, signal.measure),
        who: signal.entity.words(),
        text: signal.sentence.clone(),
    }
}

fn incident_span(seen: &Seen, incident: &Incident) -> Span {
    Span {
        from_s: seen.second(incident.opened_ms),
        to_s: incident.closed_ms.map_or(seen.watched_s, |closed_ms| seen.second(closed_ms)),
        open: incident.closed_ms.is_none(),
        severity: incident.severity,
        what: incident.status.clone(),
        who: incident.primary.entity.words(),
        text: incident.title.clone(),
    }
}

fn moments(seen: &Seen, trace: &Trace) -> Vec<Moment> {
    let moment =
        |at_ms, kind, word: String, text: &str| Moment { at_s: seen.second(at_ms), kind, word, text: text.into() };
    let mut all = Vec::new();
    if let (Some(step), Some(proposal)) = (trace.steps_of("decide").next(), &trace.proposal) {
        let cause = trace.cause().map_or("no cause", String::as_str);
        all.push(moment(step.at_ms, Kind::Decision, format!("{cause}: {}", proposal.decision.kind), &step.text));
    }
    if let (Some(denial), Some(step)) = (&trace.denial, trace.steps_of("execute").next()) {
        all.push(moment(step.at_ms, Kind::Denial, "denied".to_owned(), &denial.reason));
    }
    for (step, outcome) in trace.deeds() {
        let kind = if outcome.status == "done" { Kind::Action } else { Kind::Attempt };
        all.push(moment(step.at_ms, kind, outcome.action.action_type.clone(), &step.text));
    }
    for (step, outcome) in trace.undoings() {
        all.push(moment(step.at_ms, Kind::Undoing, format!("{} undone", outcome.action.action_type), &step.text));
    }
    if let Some((step, verdict)) = trace.verdict() {
        let kind = if matches!(verdict, "resolved" | "improved") { Kind::Helped } else { Kind::NotHelped };
        all.push(moment(step.at_ms, kind, verdict.to_owned(), &step.text));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ONSET_MS: i64 = 100_000;

    fn seen() -> Seen {
        let signal = json!({
            "id": 1, "signal_type": "load_mismatch", "measure": "run_queue_p99_ms", "peak_severity": "high", "sentence": "s",
            "entity": { "kind": "process", "pid": 7, "comm": "hog" }, "first_seen_ms": ONSET_MS + 2000, "closed_ms": null,
        });
        let incident = |uid: &str, opened_ms: i64| {
            json!({ "uid": uid, "opened_ms": opened_ms, "closed_ms": ONSET_MS + 30_000, "status": "resolved",
                    "severity": "high", "title": uid, "primary": signal })
        };
        let step = |phase: &str, at_s: i64, text: &str| json!({ "phase": phase, "at_ms": ONSET_MS + at_s * 1000, "text": text });
        let outcome =
            |status: &str| json!({ "action_id": 1, "action": { "action_type": "freeze_cgroup" }, "status": status });
        let trace = json!({
            "trace_id": 1, "incident": "ours", "explanation": null, "denial": null,
            "proposal": { "hypotheses": [{ "failure_mode": "cpu_hog" }], "decision": { "kind": "act" } },
            "outcomes": [outcome("done")], "undone": [outcome("done")], "verification": { "verdict": "worse" },
            "steps": [step("decide", 3, "rules: freeze"), step("execute", 4, "`freeze` done (1 ms)"),
                      step("verify", 14, "worse: 9 to 12"), step("verify", 15, "taken back: `thaw` done (1 ms)")],
        });
        let read = |value| serde_json::from_value(value).expect("an incident");
        Seen {
            onset_ms: ONSET_MS,
            watched_s: 40.0,
            relieved_s: None,
            signals: vec![(3.5, serde_json::from_value(signal.clone()).expect("a signal"))],
            incidents: vec![read(incident("ours", ONSET_MS + 2000)), read(incident("before", ONSET_MS - 9000))],
            traces: vec![serde_json::from_value(trace).expect("a trace")],
            ..Seen::default()
        }
    }

    #[test]
    fn a_pass_of_the_loop_is_told_in_seconds_from_the_onset() {
        let story = Story::of(&seen());
        let told: Vec<(f64, Kind, &str)> = story.moments.iter().map(|m| (m.at_s, m.kind, m.word.as_str())).collect();
        let expected = [
            (3.0, Kind::Decision, "cpu_hog: act"),
            (4.0, Kind::Action, "freeze_cgroup"),
            (14.0, Kind::NotHelped, "worse"),
            (15.0, Kind::Undoing, "freeze_cgroup undone"),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_open_lasts_until_nobody_looked_any_more() {
        let story = Story::of(&seen());
        let (signal, incident) = (&story.signals[0], &story.incidents[0]);
        assert_eq!((signal.from_s, signal.to_s, signal.open), (2.0, 40.0, true));
        assert_eq!((incident.from_s, incident.to_s, incident.open), (2.0, 30.0, false));
    }

    #[test]
    fn an_incident_from_before_the_onset_is_another_story() {
        assert_eq!(Story::of(&seen()).incidents.iter().map(|i| i.text.as_str()).collect::<Vec<_>>(), ["ours"]);
    }
}
