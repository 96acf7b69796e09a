//! `simulate_action`: what one action would change of the incidents that are open. Arithmetic that shows its inputs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Audience, Caller, Tier, Tool, ToolError, execute_remediation::ActionName, simulate_scenario::explained};
use crate::{
    execute::{ActionRequest, Actions},
    explain::IncidentUid,
    live::Daemon,
    simulate::{Effect, simulate},
};

#[derive(Debug)]
pub struct SimulateAction;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub action_type: ActionName,
    /// The action's own parameters, such as `{"pid": 5678, "priority": 10}`.
    #[serde(default)]
    pub params: Map<String, Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// One for each open incident.
    pub effects: Vec<OnIncident>,
    /// How many of them it would end.
    pub suffices_for: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnIncident {
    pub incident: IncidentUid,
    pub title: String,
    pub effect: Effect,
}

impl Tool for SimulateAction {
    const NAME: &'static str = "simulate_action";
    const DESCRIPTION: &'static str = "What one action would change of each open incident: its measure before and after, by \
        which formula, whether that is enough, and what it costs. Nothing is done; dry_run tells to whom it would be done.";
    const TIER: Tier = Tier::Analyse;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, _: &Caller, params: Params) -> Result<Answer, ToolError> {
        let request = ActionRequest { action_type: params.action_type.into_string(), params: params.params };
        request.checked().map_err(|problem| ToolError::Params { tool: Self::NAME, problem })?;
        let actions = Actions::from(request);
        let mut effects = Vec::new();
        for (incident, explanation) in explained(daemon, |_| true).await? {
            let reckoned = simulate(&explanation, std::slice::from_ref(&actions)).effects;
            let on = |effect| OnIncident { incident: incident.uid.clone(), title: incident.title.clone(), effect };
            effects.extend(reckoned.into_iter().map(on));
        }
        Ok(Answer { suffices_for: effects.iter().filter(|on| on.effect.suffices).count(), effects })
    }
}
