//! `get_status`: is all well, what works and what does not, what the agent itself costs.

use super::{Audience, Caller, Tier, Tool, ToolError, params::Nothing};
use crate::live::{Daemon, Status};

#[derive(Debug)]
pub struct GetStatus;

impl Tool for GetStatus {
    const NAME: &'static str = "get_status";
    const DESCRIPTION: &'static str = "How the agent is: each probe, source and room with its state and reason, the \
        autonomy level, open signals and incidents, events lost, and the agent's own CPU and memory.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::All;
    type Params = Nothing;
    type Answer = Status;

    async fn call(daemon: &Daemon, _: &Caller, _: Nothing) -> Result<Status, ToolError> {
        Ok(Status { model: daemon.mind.status(), ..daemon.look().status.clone() })
    }
}
