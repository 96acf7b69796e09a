//! `list_proposals`: what waits for an operator's word, and what became of the others.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{Audience, Caller, Tier, Tool, ToolError, ask, params::Bounded};
use crate::{
    decide::Decision,
    execute::DryRun,
    live::{Daemon, Order},
    mind::ModelStatus,
    store::{Listed, ProposalRow, ProposalStatus},
};

/// A list waits no longer for what is only told beside it.
const PATIENCE: Duration = Duration::from_secs(5);

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
    /// How the model is that is asked beside the rules; none: nobody is asked, or who asks is the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelStatus>,
    /// Why others cannot be read back, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

/// A proposal, and what carrying it out now would do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shown {
    #[serde(flatten)]
    pub row: ProposalRow,
    /// One for each action, for a proposal that waits; empty otherwise.
    pub dry_runs: Vec<DryRun>,
    /// Why there is none, where there should be.
    pub no_dry_run: Option<String>,
}

impl Tool for ListProposals {
    const NAME: &'static str = "list_proposals";
    const DESCRIPTION: &'static str = "Proposals that wait for an operator, or all: what is to be done about which incident, why, how sure, what \
        should come of it, and a dry run of it as the world is now.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    fn unread(answer: &Answer) -> &[String] {
        &answer.unread
    }

    async fn call(daemon: &Daemon, caller: &Caller, params: Params) -> Result<Answer, ToolError> {
        let Listed { rows: mut proposals, unread } =
            ask::read(daemon, move |reader| reader.proposals(params.pending_only)).await?;
        proposals.truncate(params.most.count());
        let mut shown = Vec::with_capacity(proposals.len());
        let mut silent = None;
        for row in proposals {
            // A loop that does not answer is asked once, and hides no proposal.
            let dry_runs = match silent {
                None => dry_runs(daemon, caller, &row).await.unwrap_or_else(|error| {
                    silent = Some(error.to_string());
                    Vec::new()
                }),
                Some(_) => Vec::new(),
            };
            let no_dry_run = silent.clone().filter(|_| row.status == ProposalStatus::Pending);
            shown.push(Shown { row, dry_runs, no_dry_run });
        }
        Ok(Answer { proposals: shown, model: ask::model(daemon, caller), unread })
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
    timeout(PATIENCE, ask::order(daemon, order)).await.map_err(|_| ToolError::Late { seconds: PATIENCE.as_secs() })?
}
