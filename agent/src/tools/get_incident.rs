//! `get_incident`: one incident in full, and the passes of the loop over it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, ask, list_traces::Head, params::Prose};
use crate::{explain::Incident, live::Daemon, store::TraceFilter};

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
    /// Why others cannot be read back, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

impl Tool for GetIncident {
    const NAME: &'static str = "get_incident";
    const DESCRIPTION: &'static str =
        "One incident by its id or the beginning of it: its cause and symptoms with their numbers, and its traces.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    fn unread(answer: &Answer) -> &[String] {
        &answer.unread
    }

    async fn call(daemon: &Daemon, _: &Caller, params: Params) -> Result<Answer, ToolError> {
        let prefix = params.incident.into_string();
        let open = one_that_begins(&daemon.look().incidents, &prefix);
        let incident = match open {
            Some(incident) => incident,
            None => {
                let wanted = prefix.clone();
                ask::read(daemon, move |reader| reader.incident(&wanted)).await?.ok_or_else(|| ToolError::NotFound {
                    what: format!("incident {}", prefix.escape_default()),
                    hint: "see `kernelsight incidents` (list_incidents) for those that are",
                })?
            }
        };
        let filter = TraceFilter { incident: Some(incident.uid.0.clone()), limit: Some(50), ..TraceFilter::default() };
        let traces = ask::read(daemon, move |reader| reader.traces(&filter)).await?;
        Ok(Answer { incident, traces: traces.rows.iter().map(Head::of).collect(), unread: traces.unread })
    }
}

/// The open incident whose id begins so, if it is the only one.
fn one_that_begins(incidents: &[Incident], prefix: &str) -> Option<Incident> {
    let mut found = incidents.iter().filter(|incident| incident.uid.0.starts_with(prefix));
    match (found.next(), found.next()) {
        (Some(incident), None) => Some(incident.clone()),
        _ => None,
    }
}
