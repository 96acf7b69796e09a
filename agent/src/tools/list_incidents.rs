//! `list_incidents`: what is wrong, and what was.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, ask, params::Bounded};
use crate::{explain::Incident, live::Daemon, mind::ModelStatus, store::IncidentFilter};

#[derive(Debug)]
pub struct ListIncidents;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Only those that are open now.
    pub open_only: bool,
    /// Most incidents.
    pub most: Bounded<1, 500>,
}

impl Default for Params {
    fn default() -> Self {
        Self { open_only: false, most: Bounded::clamped(50) }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Open ones first, worst first; then those that are over, latest first.
    pub incidents: Vec<Incident>,
    /// How the model is that is asked beside the rules; none: nobody is asked, or who asks is the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelStatus>,
    /// Why others cannot be read back, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

impl Tool for ListIncidents {
    const NAME: &'static str = "list_incidents";
    const DESCRIPTION: &'static str =
        "Incidents: signals of one cause joined, with who, since when, how bad and how it stands. Open ones, or all.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    fn unread(answer: &Answer) -> &[String] {
        &answer.unread
    }

    async fn call(daemon: &Daemon, caller: &Caller, params: Params) -> Result<Answer, ToolError> {
        let mut unread = Vec::new();
        let mut incidents = daemon.look().incidents.clone();
        incidents.sort_by_key(|incident| (std::cmp::Reverse(incident.severity), incident.opened_ms));
        if !params.open_only {
            let filter = IncidentFilter { limit: Some(params.most.count()), ..IncidentFilter::default() };
            let past = ask::read(daemon, move |reader| reader.incidents(&filter)).await?;
            unread = past.unread;
            let past = past.rows.into_iter().filter(|row| !incidents.iter().any(|open| open.uid == row.uid));
            let past: Vec<Incident> = past.collect();
            incidents.extend(past);
        }
        incidents.truncate(params.most.count());
        Ok(Answer { incidents, model: ask::model(daemon, caller), unread })
    }
}
