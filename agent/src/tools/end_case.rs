//! `end_case`: the reasoner gives a case up, or answers an operator's question.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, params::Prose};
use crate::{live::Daemon, mind::Ending};

#[derive(Debug)]
pub struct EndCase;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub end: End,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "with", rename_all = "snake_case", deny_unknown_fields)]
pub enum End {
    /// An answer to a question.
    Answer { text: Prose<16384> },
    /// Nothing, and why.
    Nothing { why: Prose<2000> },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// False: it was over already.
    pub ended: bool,
}

impl Tool for EndCase {
    const NAME: &'static str = "end_case";
    const DESCRIPTION: &'static str = "Ends a case without a recommendation.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::Reasoner;
    type Params = Params;
    type Answer = Answer;

    async fn call(_: &Daemon, caller: &Caller, params: Params) -> Result<Answer, ToolError> {
        let case = caller.case()?;
        let ending = match params.end {
            End::Answer { text } if case.is_question() => Ending::Answered { text: case.uncover_text(text.as_str()) },
            End::Answer { .. } => {
                let problem = "an incident is not answered; conclude by draft_recommendation".to_owned();
                return Err(ToolError::Params { tool: Self::NAME, problem });
            }
            End::Nothing { why } => Ending::Stopped { why: why.into_string() },
        };
        Ok(Answer { ended: case.end(ending) })
    }
}
