//! `deny`: an operator's no to one proposal.

use clap::Args;

use super::{CliError, Context};
use crate::tools::{
    deny_proposal::{DenyProposal, Params},
    params::{Bounded, Prose},
};

#[derive(Debug, Args)]
pub struct Deny {
    /// The proposal's number, as in `kernelsight proposals`.
    pub proposal: Bounded<1, { i64::MAX }>,
    /// Why not; the trace keeps it.
    #[arg(long, default_value = "denied by an operator")]
    pub reason: Prose<1000>,
}

impl Deny {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let params = Params { proposal: self.proposal, reason: self.reason };
        context.show::<DenyProposal>(&params, |answer, _| {
            format!("Proposal {} is denied; it will not be carried out.", answer.denied)
        })
    }
}
