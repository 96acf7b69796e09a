//! `approve_proposal`: an operator's leave for one proposal. It is judged again as it is carried out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, ask, params::Bounded};
use crate::{
    execute::Outcome,
    live::{Autonomy, Daemon, Order},
};

#[derive(Debug)]
pub struct ApproveProposal;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The proposal's number, as in `list_proposals`.
    pub proposal: Bounded<1, { i64::MAX }>,
}

/// How each action of the proposal went; whether they helped, its trace tells later.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub outcomes: Vec<Outcome>,
}

impl Tool for ApproveProposal {
    const NAME: &'static str = "approve_proposal";
    const DESCRIPTION: &'static str = "Approves one waiting proposal: the policy judges it again, and if nothing speaks \
        against it, it is carried out and verified, and taken back if it does not help.";
    const TIER: Tier = Tier::Execute;
    const AUDIENCE: Audience = Audience::Admins;
    const LEVEL: Autonomy = Autonomy::Copilot;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, caller: &Caller, Params { proposal }: Params) -> Result<Answer, ToolError> {
        let by = caller.operator.clone();
        let outcomes = ask::order(daemon, |reply| Order::Approve { proposal: proposal.get(), by, reply }).await?;
        Ok(Answer { outcomes })
    }
}
