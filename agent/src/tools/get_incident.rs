//! `get_incident`: one incident in full, and the passes of the loop over it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, ask, list_traces::Head, params::Prose};
use crate::{
    explain::Incident,
    live::Daemon,
    mind::ModelStatus,
    store::{CaseHead, TraceFilter},
};

/// The most cases.
const CASES: u32 = 20;

#[derive(Debug)]
pub struct GetIncident;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The incident's id, or the beginning of it.
    pub incident: Prose<64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub incident: Incident,
    /// Latest first.
    pub traces: Vec<Head>,
    /// What a model was asked of it, latest first, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cases: Vec<CaseHead>,
    /// How the model is that is asked beside the rules; none: nobody is asked, or who asks is the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelStatus>,
    /// Why others cannot be read back, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

impl Tool for GetIncident {
    const NAME: &'static str = "get_incident";
    const DESCRIPTION: &'static str = "One incident by its id or the beginning of it: its cause and symptoms with their numbers, its traces, and what a model was asked of it.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    fn unread(answer: &Answer) -> &[String] {
        &answer.unread
    }

    async fn call(daemon: &Daemon, caller: &Caller, params: Params) -> Result<Answer, ToolError> {
        let incident = ask::incident(daemon, params.incident).await?;
        let filter = TraceFilter { incident: Some(incident.uid.0.clone()), limit: Some(50), ..TraceFilter::default() };
        let uid = incident.uid.clone();
        let read = ask::read(daemon, move |reader| Ok((reader.traces(&filter)?, reader.cases_of(&uid, CASES)?)));
        let (traces, cases) = read.await?;
        let model = ask::model(daemon, caller);
        let heads = traces.rows.iter().map(Head::of).collect();
        Ok(Answer { incident, traces: heads, cases, model, unread: traces.unread })
    }
}
