//! `execute_remediation`: asks for one typed action. It is judged like any proposal, whoever asks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Caller, Role, Tier, Tool, ToolError, ask,
    params::{Prose, Share},
};
use crate::{
    execute::{ActionRequest, Outcome},
    live::{Autonomy, Daemon, Order},
};

#[derive(Debug)]
pub struct ExecuteRemediation;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The action's name, such as `lower_process_priority`.
    pub action_type: Prose<64>,
    /// The action's own parameters, such as `{"pid": 5678, "priority": 10}`; checked strictly.
    pub params: Map<String, Value>,
    /// Why; kept in the trace.
    pub justification: Prose<4000>,
    /// How sure, 0 to 1.
    pub confidence: Share,
}

impl Tool for ExecuteRemediation {
    const NAME: &'static str = "execute_remediation";
    const DESCRIPTION: &'static str = "Asks for one action by type and typed parameters, never by command. The policy \
        and the autonomy level judge it; if allowed it is carried out in the sandbox, with its undo on disk first.";
    const TIER: Tier = Tier::Execute;
    const ROLE: Role = Role::Admin;
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
