//! `list_proposals`: what waits for an operator's word, and what became of the others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Caller, Role, Tier, Tool, ToolError, ask, params::Bounded};
use crate::{live::Daemon, store::ProposalRow};

#[derive(Debug)]
pub struct ListProposals;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Only those that wait for an operator.
    pub pending_only: bool,
    /// Most proposals.
    pub most: Bounded<1, 500>,
}

impl Default for Params {
    fn default() -> Self {
        Self { pending_only: true, most: Bounded::clamped(50) }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Latest first.
    pub proposals: Vec<ProposalRow>,
}

impl Tool for ListProposals {
    const NAME: &'static str = "list_proposals";
    const DESCRIPTION: &'static str = "Proposals that wait for an operator, or all: what is to be done about which incident, why, how sure, and what \
        should come of it.";
    const TIER: Tier = Tier::Observe;
    const ROLE: Role = Role::Viewer;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, _: &Caller, params: Params) -> Result<Answer, ToolError> {
        let mut proposals = ask::read(daemon, move |reader| reader.proposals(params.pending_only)).await?;
        proposals.truncate(params.most.count());
        Ok(Answer { proposals })
    }
}
