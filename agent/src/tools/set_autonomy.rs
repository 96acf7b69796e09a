//! `set_autonomy`: how much the agent may do by itself, from now on and after a restart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, ask};
use crate::live::{Autonomy, Daemon, Order};

#[derive(Debug)]
pub struct SetAutonomy;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// `advisor` looks and proposes; `copilot` acts on approval; `guardian` does what is listed as safe; `agent` does
    /// what the policy permits.
    pub level: Autonomy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub before: Autonomy,
    pub now: Autonomy,
}

impl Tool for SetAutonomy {
    const NAME: &'static str = "set_autonomy";
    const DESCRIPTION: &'static str = "Sets how much the agent may do by itself: advisor, copilot, guardian or agent.";
    const TIER: Tier = Tier::Execute;
    const AUDIENCE: Audience = Audience::Admins;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, caller: &Caller, Params { level }: Params) -> Result<Answer, ToolError> {
        let before = daemon.look().status.autonomy;
        let by = caller.operator.clone();
        let now = ask::order(daemon, |reply| Order::SetAutonomy { level, by, reply }).await?;
        Ok(Answer { before, now })
    }
}
