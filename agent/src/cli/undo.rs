//! `undo`: takes one action back, or all that stands.

use clap::Args;

use super::{CliError, Context, actions, eyes::Eyes};
use crate::tools::{
    params::{Bounded, Nothing},
    undo_action::{Params, UndoAction},
    undo_all::{Answer, UndoAll},
};

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Undo {
    /// The action's number, as in `kernelsight actions`.
    pub action: Option<Bounded<1, { i64::MAX }>>,
    /// Everything that stands, the last first.
    #[arg(long)]
    pub all: bool,
}

impl Undo {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        if let Some(action) = self.action {
            return context.show::<UndoAction>(&Params { action }, actions::outcome);
        }
        let answer = context.ask::<UndoAll>(&Nothing {})?;
        context.print(&answer, text)?;
        match answer.failures.len() {
            0 => Ok(()),
            count => Err(CliError::Failed {
                reason: format!("{count} could not be taken back; what is owed is tried again"),
            }),
        }
    }
}

/// How each went, for eyes.
#[must_use]
pub fn text(answer: &Answer, eyes: &Eyes) -> String {
    let mut told: Vec<String> = answer.outcomes.iter().map(|outcome| actions::outcome(outcome, eyes)).collect();
    told.extend(answer.failures.iter().cloned());
    if told.is_empty() { "Nothing stands that could be taken back.".to_owned() } else { told.join("\n\n") }
}
