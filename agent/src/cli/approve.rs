//! `approve`: an operator's leave for one proposal.

use clap::Args;

use super::{CliError, Context, actions};
use crate::tools::{
    approve_proposal::{ApproveProposal, Params},
    params::Bounded,
};

#[derive(Debug, Args)]
pub struct Approve {
    /// The proposal's number, as in `kernelsight proposals`.
    pub proposal: Bounded<1, { i64::MAX }>,
}

impl Approve {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        context.show::<ApproveProposal>(&Params { proposal: self.proposal }, actions::outcome)
    }
}
