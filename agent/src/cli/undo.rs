//! `undo`: takes one action back.

use clap::Args;

use super::{CliError, Context, actions};
use crate::tools::{
    params::Bounded,
    undo_action::{Params, UndoAction},
};

#[derive(Debug, Args)]
pub struct Undo {
    /// The action's number, as in `kernelsight actions`.
    pub action: Bounded<1, { i64::MAX }>,
}

impl Undo {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        context.show::<UndoAction>(&Params { action: self.action }, actions::outcome)
    }
}
