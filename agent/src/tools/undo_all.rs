//! `undo_all`: takes back everything that stands, the last first.

use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, ask, params::Nothing};
use crate::{
    execute::Outcome,
    live::{Daemon, Order},
};

#[derive(Debug)]
pub struct UndoAll;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// How each went, the last action first.
    pub outcomes: Vec<Outcome>,
    /// What could not be taken back, and why; what is owed is tried again, what cannot be read is not.
    pub failures: Vec<String>,
}

impl Tool for UndoAll {
    const NAME: &'static str = "undo_all";
    const DESCRIPTION: &'static str = "Takes back everything that stands, the last first, each to the exact value before \
        it; what somebody else changed since is left alone, and so is what is being verified just now.";
    const TIER: Tier = Tier::Execute;
    const AUDIENCE: Audience = Audience::Admins;
    type Params = Nothing;
    type Answer = Answer;

    async fn call(daemon: &Daemon, caller: &Caller, _: Nothing) -> Result<Answer, ToolError> {
        let by = caller.operator.clone();
        let undone = ask::order(daemon, |reply| Order::UndoAll { by, reply }).await?;
        let mut answer = Answer { outcomes: Vec::new(), failures: Vec::new() };
        for one in undone {
            match one {
                Ok(outcome) => answer.outcomes.push(outcome),
                Err(failure) => answer.failures.push(failure),
            }
        }
        Ok(answer)
    }
}
