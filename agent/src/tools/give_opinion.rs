//! `give_opinion`: what a specialist thinks of an incident. Its claims are looked up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, params::Prose, verify_claim::check};
use crate::{
    live::Daemon,
    mind::draft::{Opinion, judge_opinion},
};

#[derive(Debug)]
pub struct GiveOpinion;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Your field: cpu, memory, storage or network.
    pub field: Prose<32>,
    pub opinion: Opinion,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub heard: bool,
}

impl Tool for GiveOpinion {
    const NAME: &'static str = "give_opinion";
    const DESCRIPTION: &'static str = "A specialist's opinion of the incident: whether the cause lies in its field, what it is, \
        and which option it would take. Each claim is looked up; one that is not so is refused.";
    const TIER: Tier = Tier::Recommend;
    const AUDIENCE: Audience = Audience::Model;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, caller: &Caller, params: Params) -> Result<Answer, ToolError> {
        let case = caller.case()?;
        let mut looked_up = Vec::new();
        let judged = {
            let live = daemon.look();
            judge_opinion(&params.opinion, case.options.len(), |claim| {
                let found = check(claim, &live);
                looked_up.push((claim.clone(), found.clone()));
                found
            })
        };
        case.count(|tally| tally.judged(&looked_up, judged.is_err()));
        judged.map_err(|wrong| ToolError::Params { tool: Self::NAME, problem: wrong.join("; ") })?;
        case.heard(params.field.into_string(), params.opinion);
        Ok(Answer { heard: true })
    }
}
