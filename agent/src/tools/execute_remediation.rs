//! `execute_remediation`: asks for one typed action. It is judged like any proposal, whoever asks.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

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

    /// Each name, and how it is called. Models are sent this with every turn, so it is short; `docs/actions.md` tells more.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let actions = catalogue();
        let names: Vec<&str> = actions.iter().map(|action| action.name).collect();
        let calls: Vec<String> = actions.iter().map(|action| call(action.name, &action.parameters)).collect();
        let description =
            format!("With the parameters of each, after = what holds where one is left out: {}", calls.join(", "));
        json_schema!({ "type": "string", "enum": names, "description": description })
    }
}

/// `lower_process_priority(pid 1..4194304, priority 1..19 = 10)`
fn call(name: &str, parameters: &Value) -> String {
    let properties = parameters["properties"].as_object();
    let taken: Vec<String> = properties.into_iter().flatten().map(|(name, schema)| parameter(name, schema)).collect();
    format!("{name}({})", taken.join(", "))
}

fn parameter(name: &str, schema: &Value) -> String {
    let range = match (&schema["minimum"], &schema["maximum"], &schema["enum"], &schema["examples"][0]) {
        (Value::Number(least), Value::Number(most), ..) => format!(" {least}..{most}"),
        (_, _, Value::Array(all), _) => {
            format!(" {}", all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("|"))
        }
        (.., Value::String(example)) => format!(" as in {example}"),
        _ => String::new(),
    };
    let default = schema.get("default").map_or_else(String::new, |default| format!(" = {default}"));
    format!("{name}{range}{default}")
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
