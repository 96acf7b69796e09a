//! `find_similar_incidents`: what happened when the same thing happened before, what was done, and whether it helped.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Audience, Caller, Tier, Tool, ToolError, ask,
    list_traces::Head,
    params::{Bounded, Prose},
};
use crate::{
    explain::{Incident, IncidentStatus, IncidentUid},
    live::Daemon,
    observe::Severity,
    store::{IncidentFilter, Listed, Reader, StoreError, TraceFilter},
};

/// Of the incidents of the last months, so many are looked through for those that are only alike.
const LOOKED_THROUGH: usize = 500;
/// Passes of the loop that are told of each, the latest.
const PASSES: usize = 5;

#[derive(Debug)]
pub struct FindSimilarIncidents;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The incident's id, or the beginning of it.
    pub incident: Prose<64>,
    #[serde(default = "five")]
    pub most: Bounded<1, 20>,
}

fn five() -> Bounded<1, 20> {
    Bounded::clamped(5)
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// What is the same when the same thing happens again.
    pub fingerprint: String,
    /// Those of the same fingerprint first, the newest first; then those of the same measure about somebody else.
    pub incidents: Vec<Similar>,
    /// Why others cannot be read back, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Similar {
    pub incident: IncidentUid,
    /// Whether it is the same thing again; else it is the same measure about somebody else.
    pub same: bool,
    /// Unix time, ms.
    pub opened_ms: i64,
    pub closed_ms: Option<i64>,
    pub status: IncidentStatus,
    pub severity: Severity,
    pub title: String,
    /// What was thought and done, and how it ended, latest first.
    pub passes: Vec<Head>,
}

impl Tool for FindSimilarIncidents {
    const NAME: &'static str = "find_similar_incidents";
    const DESCRIPTION: &'static str = "What happened before when the same thing happened: earlier incidents of the same \
        fingerprint, then of the same measure, each with what was thought, what was done and whether it helped.";
    const TIER: Tier = Tier::Analyse;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    fn unread(answer: &Answer) -> &[String] {
        &answer.unread
    }

    async fn call(daemon: &Daemon, _: &Caller, params: Params) -> Result<Answer, ToolError> {
        let incident = ask::incident(daemon, params.incident).await?;
        let most = params.most.count();
        ask::read(daemon, move |reader| similar(reader, &incident, most)).await
    }
}

fn similar(reader: &Reader, incident: &Incident, most: usize) -> Result<Answer, StoreError> {
    let fingerprint = Some(incident.fingerprint.clone());
    // Itself is among them.
    let same = reader.incidents(&IncidentFilter { fingerprint, limit: Some(most + 1), ..IncidentFilter::default() })?;
    let recent = reader.incidents(&IncidentFilter { limit: Some(LOOKED_THROUGH), ..IncidentFilter::default() })?;
    let mut unread = same.unread;
    unread.extend(recent.unread);
    unread.dedup();
    let of_measure = |other: &Incident| {
        let key = |incident: &Incident| (incident.primary.signal_type, incident.primary.measure.clone());
        key(other) == key(incident) && other.fingerprint != incident.fingerprint
    };
    let same = same.rows.into_iter().map(|other| (true, other));
    let alike = recent.rows.into_iter().filter(of_measure).map(|other| (false, other));
    let others = same.chain(alike).filter(|(_, other)| other.uid != incident.uid).take(most);
    let mut incidents = Vec::new();
    for (same, other) in others {
        let of_it = TraceFilter { incident: Some(other.uid.0.clone()), limit: Some(PASSES), ..TraceFilter::default() };
        let Listed { rows, unread: lost } = reader.traces(&of_it)?;
        unread.extend(lost);
        incidents.push(Similar {
            incident: other.uid,
            same,
            opened_ms: other.opened_ms,
            closed_ms: other.closed_ms,
            status: other.status,
            severity: other.severity,
            title: other.title,
            passes: rows.iter().map(Head::of).collect(),
        });
    }
    Ok(Answer { fingerprint: incident.fingerprint.clone(), incidents, unread })
}
