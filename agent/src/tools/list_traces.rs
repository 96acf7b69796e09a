//! `list_traces`: the passes of the loop, one line each.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Audience, Caller, Tier, Tool, ToolError, ask,
    params::{Bounded, Prose},
};
use crate::{explain::IncidentUid, live::Daemon, reflect::Trace, store::TraceFilter, verify::Verdict};

#[derive(Debug)]
pub struct ListTraces;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Only of the incident of this id, in full.
    pub incident: Option<Prose<64>>,
    /// Most traces.
    pub most: Bounded<1, 500>,
}

impl Default for Params {
    fn default() -> Self {
        Self { incident: None, most: Bounded::clamped(20) }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Latest first.
    pub traces: Vec<Head>,
    /// Why others cannot be read back, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

/// A trace in short; `query_trace` has the whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    pub trace_id: i64,
    pub incident: IncidentUid,
    /// Unix time, ms.
    pub timestamp: i64,
    pub observation: String,
    pub hypothesis: String,
    pub recommended_action: String,
    /// 0 to 1.
    pub confidence: f64,
    /// None while it runs, or where nothing was done.
    pub verdict: Option<Verdict>,
    /// Why nothing was done, where the policy said no.
    pub denied: Option<String>,
    pub undone: bool,
    pub closed_ms: Option<i64>,
}

impl Head {
    #[must_use]
    pub fn of(trace: &Trace) -> Self {
        Self {
            trace_id: trace.trace_id,
            incident: trace.incident.clone(),
            timestamp: trace.timestamp,
            observation: trace.observation.clone(),
            hypothesis: trace.hypothesis.clone(),
            recommended_action: trace.recommended_action.clone(),
            confidence: trace.confidence,
            verdict: trace.verification.as_ref().map(|verification| verification.verdict),
            denied: trace.denial.as_ref().map(|denial| denial.reason.clone()),
            undone: !trace.undone.is_empty(),
            closed_ms: trace.closed_ms,
        }
    }
}

impl Tool for ListTraces {
    const NAME: &'static str = "list_traces";
    const DESCRIPTION: &'static str =
        "Passes of the loop over incidents, latest first: what was seen, thought, done, and how it ended.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    fn unread(answer: &Answer) -> &[String] {
        &answer.unread
    }

    async fn call(daemon: &Daemon, _: &Caller, params: Params) -> Result<Answer, ToolError> {
        let filter = TraceFilter {
            incident: params.incident.map(Prose::into_string),
            limit: Some(params.most.count()),
            ..TraceFilter::default()
        };
        let traces = ask::read(daemon, move |reader| reader.traces(&filter)).await?;
        Ok(Answer { traces: traces.rows.iter().map(Head::of).collect(), unread: traces.unread })
    }
}
