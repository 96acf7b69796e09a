//! `draft_recommendation`: what a model concludes of an incident. It is looked up, word by word, before anybody believes
//! it; what is not so goes back once, and is refused then.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, verify_claim::check};
use crate::{
    live::Daemon,
    mind::draft::{Bench, Draft, judge},
};

#[derive(Debug)]
pub struct DraftRecommendation;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub draft: Draft,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// What was understood.
    pub recommended: String,
    /// The part of the specialists that would do the same, 0 to 1.
    pub agreement: Option<f64>,
}

impl Tool for DraftRecommendation {
    const NAME: &'static str = "draft_recommendation";
    const DESCRIPTION: &'static str = "Your conclusion: exactly three hypotheses, each confirmed or rejected by claims that are \
        looked up, the timeline with the cause first, and one of the options or none. It does nothing by itself: the policy \
        and the agent's rules have their say. When all three are rejected, a person is asked to look.";
    const TIER: Tier = Tier::Recommend;
    const AUDIENCE: Audience = Audience::Model;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, caller: &Caller, params: Params) -> Result<Answer, ToolError> {
        let case = caller.case()?;
        let Some(incident) = &case.incident else {
            let problem = "there is no incident to conclude; answer the question in words".to_owned();
            return Err(ToolError::Params { tool: Self::NAME, problem });
        };
        let (author, opinions) = (case.author(), case.opinions());
        let bench = Bench {
            incident,
            options: &case.options,
            forbidden: &case.forbidden,
            opinions: &opinions,
            author: &author,
        };
        let mut looked_up = Vec::new();
        let judged = {
            let live = daemon.look();
            judge(&params.draft, &bench, |claim| {
                let found = check(claim, &live);
                looked_up.push((claim.clone(), found.clone()));
                found
            })
        };
        case.count(|tally| tally.judged(&looked_up, judged.is_err()));
        case.keep_looked_up(looked_up);
        match judged {
            Ok(mut judged) => {
                judged.proposal.reword(|text| case.uncover_text(text));
                let answer = Answer { recommended: judged.proposal.decision.to_string(), agreement: judged.agreement };
                case.recommend(judged);
                Ok(answer)
            }
            Err(wrong) => {
                let last =
                    if case.send_back(&wrong) { "; mend it and draft it again, once" } else { "; the case is closed" };
                Err(ToolError::Params { tool: Self::NAME, problem: format!("{}{last}", wrong.join("; ")) })
            }
        }
    }
}
