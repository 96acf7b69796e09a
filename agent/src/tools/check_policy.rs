//! `check_policy`: what the policy says to one action, at the level that the agent is at now.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Audience, Caller, Tier, Tool, ToolError, ask, execute_remediation::ActionName};
use crate::{
    execute::{ActionRequest, Denial},
    live::{Autonomy, Daemon, Order},
};

#[derive(Debug)]
pub struct CheckPolicy;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub action_type: ActionName,
    /// The action's own parameters, such as `{"pid": 5678, "priority": 10}`; checked strictly.
    #[serde(default)]
    pub params: Map<String, Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub action: ActionRequest,
    pub autonomy: Autonomy,
    pub verdict: Verdict,
    /// The rule of the allowlist that permits the command; none where none does.
    pub rule: Option<String>,
    /// Why an operator would have to approve it.
    pub needs_approval: Option<String>,
    /// Every rule and limit that stands in its way.
    pub blocked_by: Vec<Denial>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The agent may do it by itself.
    Allowed,
    NeedsApproval,
    Denied,
}

impl Tool for CheckPolicy {
    const NAME: &'static str = "check_policy";
    const DESCRIPTION: &'static str = "What the policy says to one action at the level of now: allowed, needs an operator's \
        approval, or denied, with every rule and limit that stands in its way. Nothing is done.";
    const TIER: Tier = Tier::Recommend;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, caller: &Caller, params: Params) -> Result<Answer, ToolError> {
        let request = ActionRequest { action_type: params.action_type.into_string(), params: params.params };
        let by = caller.operator.clone();
        let order = |reply| Order::DryRun { actions: vec![request], targets: None, incident: None, by, reply };
        let run = ask::order(daemon, order).await?.into_iter().next().ok_or(ToolError::Stopping)?;
        let verdict = match (run.blocked_by.is_empty() && run.plan.is_some(), &run.needs_approval) {
            (false, _) => Verdict::Denied,
            (true, Some(_)) => Verdict::NeedsApproval,
            (true, None) => Verdict::Allowed,
        };
        Ok(Answer {
            action: run.action,
            autonomy: daemon.look().status.autonomy,
            verdict,
            rule: run.plan.map(|plan| plan.rule),
            needs_approval: run.needs_approval,
            blocked_by: run.blocked_by,
        })
    }
}
