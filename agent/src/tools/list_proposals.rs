//! `list_proposals`: what waits for an operator's word, and what became of the others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Caller, Role, Tier, Tool, ToolError, ask, params::Bounded};
use crate::{
    decide::Decision,
    execute::DryRun,
    live::{Daemon, Order},
    store::{ProposalRow, ProposalStatus},
};

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
    pub proposals: Vec<Shown>,
}

/// A proposal, and what carrying it out now would do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shown {
    #[serde(flatten)]
    pub row: ProposalRow,
    /// One for each action, for a proposal that waits; empty otherwise.
    pub dry_runs: Vec<DryRun>,
}

impl Tool for ListProposals {
    const NAME: &'static str = "list_proposals";
    const DESCRIPTION: &'static str = "Proposals that wait for an operator, or all: what is to be done about which incident, why, how sure, what \
        should come of it, and a dry run of it as the world is now.";
    const TIER: Tier = Tier::Observe;
    const ROLE: Role = Role::Viewer;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, caller: &Caller, params: Params) -> Result<Answer, ToolError> {
        let mut proposals = ask::read(daemon, move |reader| reader.proposals(params.pending_only)).await?;
        proposals.truncate(params.most.count());
        let mut shown = Vec::with_capacity(proposals.len());
        for row in proposals {
            shown.push(Shown { dry_runs: dry_runs(daemon, caller, &row).await?, row });
        }
        Ok(Answer { proposals: shown })
    }
}

async fn dry_runs(daemon: &Daemon, caller: &Caller, row: &ProposalRow) -> Result<Vec<DryRun>, ToolError> {
    let Decision::Act { actions, targets, .. } = &row.proposal.decision else { return Ok(Vec::new()) };
    if row.status != ProposalStatus::Pending {
        return Ok(Vec::new());
    }
    let order = |reply| Order::DryRun {
        actions: actions.iter().cloned().collect(),
        targets: Some(targets.clone()),
        incident: Some(row.incident.clone()),
        by: caller.operator.clone(),
        reply,
    };
    ask::order(daemon, order).await
}
