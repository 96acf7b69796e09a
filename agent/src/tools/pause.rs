//! `pause`: the agent changes nothing from now on; it looks, explains, and takes back what its time is over.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Audience, Caller, Tier, Tool, ToolError, ask,
    params::{Bounded, Prose},
};
use crate::{
    execute::Hold,
    live::{Daemon, Order},
};

/// Thirty days, s.
pub const LONGEST_S: i64 = 30 * 24 * 60 * 60;

#[derive(Debug)]
pub struct Pause;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Why; whoever finds the agent paused reads it.
    pub reason: Prose<1000>,
    /// For so long, s; without it until somebody resumes it.
    #[serde(default)]
    pub for_s: Option<Bounded<1, LONGEST_S>>,
}

impl Tool for Pause {
    const NAME: &'static str = "pause";
    const DESCRIPTION: &'static str = "Pauses the agent: nothing is carried out, approved or not, until it is resumed or \
        the time is over. Looking goes on, and so does taking back.";
    const TIER: Tier = Tier::Execute;
    const AUDIENCE: Audience = Audience::Admins;
    type Params = Params;
    type Answer = Hold;

    async fn call(daemon: &Daemon, caller: &Caller, Params { reason, for_s }: Params) -> Result<Hold, ToolError> {
        let by = caller.operator.clone();
        let for_s = for_s.map(|for_s| for_s.get() as u32);
        ask::order(daemon, |reply| Order::Pause { why: reason.into_string(), for_s, by, reply }).await
    }
}
