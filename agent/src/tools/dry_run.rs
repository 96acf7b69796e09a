//! `dry_run`: what an action would do if an operator ordered it now, to whom, and what would stop it. Nothing is done.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Audience, Caller, Tier, Tool, ToolError, ask, execute_remediation::ActionName};
use crate::{
    execute::{ActionRequest, DryRun as Run},
    live::{Daemon, Order},
};

#[derive(Debug)]
pub struct DryRun;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub action_type: ActionName,
    /// The action's own parameters, such as `{"pid": 5678, "priority": 10}`; checked strictly.
    #[serde(default)]
    pub params: Map<String, Value>,
}

impl Tool for DryRun {
    const NAME: &'static str = "dry_run";
    const DESCRIPTION: &'static str = "What one action would do if an operator ordered it now: what would be written where, \
        who lives in the target, what would take it back, and every rule and limit that would stop it. Nothing is done.";
    const TIER: Tier = Tier::Recommend;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Run;

    async fn call(daemon: &Daemon, caller: &Caller, params: Params) -> Result<Run, ToolError> {
        let request = ActionRequest { action_type: params.action_type.into_string(), params: params.params };
        let by = caller.operator.clone();
        let order = |reply| Order::DryRun { actions: vec![request], targets: None, incident: None, by, reply };
        let runs = ask::order(daemon, order).await?;
        runs.into_iter().next().ok_or(ToolError::Stopping)
    }
}
