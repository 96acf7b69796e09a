//! `deny_proposal`: an operator's no to one proposal, with the reason that the trace keeps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Audience, Caller, Tier, Tool, ToolError, ask,
    params::{Bounded, Prose},
};
use crate::live::{Daemon, Order};

#[derive(Debug)]
pub struct DenyProposal;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The proposal's number, as in `list_proposals`.
    pub proposal: Bounded<1, { i64::MAX }>,
    /// Why not; kept in the trace.
    pub reason: Prose<1000>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub denied: i64,
}

impl Tool for DenyProposal {
    const NAME: &'static str = "deny_proposal";
    const DESCRIPTION: &'static str = "Denies one waiting proposal; it will not be carried out.";
    const TIER: Tier = Tier::Execute;
    const AUDIENCE: Audience = Audience::Admins;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, caller: &Caller, Params { proposal, reason }: Params) -> Result<Answer, ToolError> {
        let (by, denied, reason) = (caller.operator.clone(), proposal.get(), reason.into_string());
        ask::order(daemon, |reply| Order::Deny { proposal: denied, reason, by, reply }).await?;
        Ok(Answer { denied })
    }
}
