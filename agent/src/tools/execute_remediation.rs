//! `execute_remediation`: asks for one typed action. It is judged like any proposal, whoever asks.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value, json};

use super::{
    Audience, Caller, Tier, Tool, ToolError, ask,
    params::{Prose, Share},
};
use crate::{
    execute::{ActionRequest, Outcome, catalogue},
    live::{Autonomy, Daemon, Order},
};

#[derive(Debug)]
pub struct ExecuteRemediation;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub action_type: ActionName,
    /// The action's own parameters, such as `{"pid": 5678, "priority": 10}`; checked strictly.
    pub params: Map<String, Value>,
    /// Why; kept in the trace.
    pub justification: Prose<4000>,
    /// How sure, 0 to 1.
    pub confidence: Share,
}

/// The name of an action of this agent.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct ActionName(String);

impl ActionName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl std::str::FromStr for ActionName {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let known: Vec<&str> = catalogue().iter().map(|action| action.name).collect();
        if known.contains(&given) {
            Ok(Self(given.to_owned()))
        } else {
            Err(format!("it must be one of {}", known.join(", ")))
        }
    }
}

impl<'de> Deserialize<'de> for ActionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for ActionName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ActionName".into()
    }

    /// Each name with what it does and the parameters that it takes.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let choices: Vec<Value> = catalogue()
            .into_iter()
            .map(|action| {
                let properties = action.parameters.get("properties").cloned().unwrap_or_else(|| json!({}));
                json!({ "const": action.name, "description": format!("{} Parameters: {properties}", action.summary) })
            })
            .collect();
        json_schema!({ "type": "string", "oneOf": choices })
    }
}

impl Tool for ExecuteRemediation {
    const NAME: &'static str = "execute_remediation";
    const DESCRIPTION: &'static str = "Asks for one action by type and typed parameters, never by command. The policy \
        and the autonomy level judge it; if allowed it is carried out in the sandbox, with its undo on disk first.";
    const TIER: Tier = Tier::Execute;
    const AUDIENCE: Audience = Audience::Admins;
    const LEVEL: Autonomy = Autonomy::Copilot;
    type Params = Params;
    type Answer = Outcome;

    async fn call(daemon: &Daemon, caller: &Caller, params: Params) -> Result<Outcome, ToolError> {
        let request = ActionRequest { action_type: params.action_type.into_string(), params: params.params };
        ask::order(daemon, |reply| Order::Execute {
            request,
            incident: None,
            justification: params.justification.into_string(),
            confidence: params.confidence.get(),
            by: caller.operator.clone(),
            reply,
        })
        .await
    }
}
