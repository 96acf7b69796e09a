//! What a model is told first: what the incident names and one hop around it, never the whole state. Names are as they
//! are here; a case veils them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    decide::{Case, Decision, FailureMode, Proposal},
    explain::{Explanation, Incident, NodeFacts, Suspect, facts},
    live::Live,
    observe::{Entity, Signal, window::ProcessTick},
    tools::seen::{SeenCgroup, SeenProcess},
};

/// The most of each kind.
const SUSPECTS: usize = 8;
const SYMPTOMS: usize = 12;
const NEIGHBOURS: usize = 8;
const SETTINGS: usize = 20;
const PROCESSES: usize = 20;
/// Changes of so long before the incident, ms.
const BEFORE_MS: i64 = 10 * 60_000;

/// The packet of an incident.
#[must_use]
pub fn of_incident(
    case: &Case,
    rules: &Proposal,
    options: &[Proposal],
    forbidden: &[FailureMode],
    live: &Live,
) -> Value {
    let Case { incident, explanation, forecast, tried, beliefs, .. } = case;
    let mut suspects = explanation.suspects.clone();
    suspects.truncate(SUSPECTS);
    json!({
        "incident": incident.uid,
        "severity": incident.severity,
        "timeline": timeline(incident),
        "what_is_known": explanation.summary,
        "what_is_not_known": explanation.unknown,
        "deviation_from_usual": explanation.deviation,
        "trend": explanation.trend,
        "growth": explanation.growth,
        "suspects": suspects,
        "around_them": around(&suspects, live),
        "node": numbers(&explanation.node),
        "if_nothing_is_done": forecast.if_nothing_is_done,
        "the_rules_say": {
            "hypotheses": rules.hypotheses,
            "decision": decision(&rules.decision),
            "confidence": rules.confidence.value,
        },
        "options": options.iter().enumerate().map(|(at, option)| self::option(at + 1, option)).collect::<Vec<_>>(),
        "tried_on_this_incident": tried,
        "experience": beliefs,
        "may_not_be_confirmed": forbidden,
        "changed_just_before": changes(incident, live),
    })
}

/// The packet of a question: how the node is.
#[must_use]
pub fn of_question(live: &Live) -> Value {
    json!({
        "node": numbers(&facts::node(&live.window)),
        "signals": live.signals.iter().take(SYMPTOMS).map(signal).collect::<Vec<_>>(),
        "incidents": live.incidents.iter().take(SYMPTOMS).map(|incident| json!({
            "incident": incident.uid,
            "who": incident.primary.entity,
            "sentence": incident.primary.sentence,
            "severity": incident.severity,
            "status": incident.status,
        })).collect::<Vec<_>>(),
        "autonomy": live.status.autonomy,
    })
}

/// Its signals in the order in which they were first seen.
fn timeline(incident: &Incident) -> Vec<Value> {
    let mut signals: Vec<&Signal> = incident.signals().take(1 + SYMPTOMS).collect();
    signals.sort_by_key(|signal| (signal.first_seen_ms, signal.id));
    signals.into_iter().map(signal).collect()
}

fn signal(signal: &Signal) -> Value {
    json!({
        "signal": signal.id,
        "signal_type": signal.signal_type,
        "measure": signal.measure,
        "value": signal.value,
        "severity": signal.severity,
        "sentence": signal.sentence,
        "entity": signal.entity,
        "first_seen_ms": signal.first_seen_ms,
    })
}

fn numbers(node: &NodeFacts) -> Value {
    json!(node.numbers())
}

fn decision(decision: &Decision) -> Value {
    match decision {
        Decision::Act { actions, prediction, is_test, .. } => {
            json!({ "would_do": actions, "is_test": is_test, "prediction": prediction.statement })
        }
        Decision::Advise { advice } => json!({ "would_advise": advice }),
        Decision::Inconclusive { missing } => json!({ "inconclusive": missing }),
    }
}

fn option(number: usize, option: &Proposal) -> Value {
    let mut said = decision(&option.decision);
    said["option"] = json!(number);
    said["for"] = json!(option.hypotheses.first().map(|best| best.failure_mode));
    said
}

/// One hop: who lives in the cgroups of the suspects, and the cgroups themselves.
fn around(suspects: &[Suspect], live: &Live) -> Value {
    let Some(tick) = live.window.now() else { return Value::Null };
    let paths: BTreeSet<&str> = suspects.iter().filter_map(|suspect| Some(suspect.cgroup.as_ref()?.as_str())).collect();
    let named: BTreeSet<u32> = suspects.iter().flat_map(Suspect::processes).map(|process| process.pid).collect();
    let is_near = |process: &&ProcessTick| {
        paths.contains(process.sample.cgroup.as_str()) && !named.contains(&process.sample.id.pid)
    };
    let mut near: Vec<&ProcessTick> = tick.processes.iter().filter(is_near).collect();
    near.sort_by(|a, b| {
        let cpu = |process: &ProcessTick| process.cpu_percent.unwrap_or(0.0);
        cpu(b).total_cmp(&cpu(a)).then(b.sample.rss_bytes.cmp(&a.sample.rss_bytes))
    });
    let cgroups = paths.iter().filter_map(|path| live.window.cgroup(path)).take(NEIGHBOURS);
    json!({
        "cgroups": cgroups.map(SeenCgroup::of).collect::<Vec<_>>(),
        "processes": near.into_iter().take(NEIGHBOURS).map(|process| SeenProcess::of(process, tick)).collect::<Vec<_>>(),
    })
}

/// What changed in the minutes before, settings first.
fn changes(incident: &Incident, live: &Live) -> Value {
    let changes = live.window.changes();
    let (from_ms, to_ms) = (incident.opened_ms - BEFORE_MS, incident.opened_ms);
    let mut processes = changes.comings_and_goings(from_ms, to_ms);
    processes.sort_by_key(|row| row.started + row.ended);
    processes.truncate(PROCESSES);
    json!({
        "settings": changes.settings(from_ms, to_ms).take(SETTINGS).collect::<Vec<_>>(),
        "processes": processes,
    })
}

/// What evidence there is, without its numbers: the same hypothesis on other evidence is another one.
#[must_use]
pub fn evidence(incident: &Incident, explanation: &Explanation) -> String {
    let kind = |entity: &Entity| entity.key().split(':').next().unwrap_or_default().to_owned();
    let mut words: BTreeSet<String> = BTreeSet::new();
    for signal in incident.signals() {
        words.insert(format!("{} {} {}", signal.signal_type, signal.measure, kind(&signal.entity)));
    }
    if let Some(culprit) = explanation.culprit() {
        words.insert(format!("{} of {}", kind(&culprit.entity), culprit.of));
    }
    words.into_iter().collect::<Vec<_>>().join("; ")
}
