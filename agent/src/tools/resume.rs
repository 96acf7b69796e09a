//! `resume`: ends a pause, the brake after failures in a row, and the latch after a crash loop.

use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, ask, params::Nothing};
use crate::{
    execute::Hold,
    live::{Daemon, Order},
};

#[derive(Debug)]
pub struct Resume;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What held until now; empty when nothing did.
    pub ended: Vec<Hold>,
}

impl Tool for Resume {
    const NAME: &'static str = "resume";
    const DESCRIPTION: &'static str =
        "Ends whatever holds the agent back: a pause, the brake after failures in a row, the latch after a crash loop.";
    const TIER: Tier = Tier::Execute;
    const AUDIENCE: Audience = Audience::Admins;
    type Params = Nothing;
    type Answer = Answer;

    async fn call(daemon: &Daemon, caller: &Caller, _: Nothing) -> Result<Answer, ToolError> {
        let by = caller.operator.clone();
        Ok(Answer { ended: ask::order(daemon, |reply| Order::Resume { by, reply }).await? })
    }
}
