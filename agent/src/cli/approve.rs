//! `approve`: an operator's leave for one proposal.

use clap::Args;

use super::{CliError, Context, actions, eyes::Eyes};
use crate::tools::{
    approve_proposal::{Answer, ApproveProposal, Params},
    params::Bounded,
};

#[derive(Debug, Args)]
pub struct Approve {
    /// The proposal's number, as in `kernelsight proposals`.
    pub proposal: Bounded<1, { i64::MAX }>,
}

impl Approve {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        context.show::<ApproveProposal>(&Params { proposal: self.proposal }, text)
    }
}

/// How each action went, for eyes.
#[must_use]
pub fn text(answer: &Answer, eyes: &Eyes) -> String {
    answer.outcomes.iter().map(|outcome| actions::outcome(outcome, eyes)).collect::<Vec<_>>().join("\n")
}
