//! `undo_action`: takes one action back, to the exact value before it; leaves alone what somebody else changed since.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, ask, params::Bounded};
use crate::{
    execute::Outcome,
    live::{Daemon, Order},
};

#[derive(Debug)]
pub struct UndoAction;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The action's number, as in `list_actions`.
    pub action: Bounded<1, { i64::MAX }>,
}

impl Tool for UndoAction {
    const NAME: &'static str = "undo_action";
    const DESCRIPTION: &'static str =
        "Takes one action back to the exact value before it; what somebody else changed since is left alone.";
    const TIER: Tier = Tier::Execute;
    const AUDIENCE: Audience = Audience::Admins;
    type Params = Params;
    type Answer = Outcome;

    async fn call(daemon: &Daemon, caller: &Caller, Params { action }: Params) -> Result<Outcome, ToolError> {
        let by = caller.operator.clone();
        ask::order(daemon, |reply| Order::Undo { action: action.get(), by, reply }).await
    }
}
