//! `end_case`: the reasoner gives a case up, or answers an operator's question. An answer that says what was not read goes
//! back once, and is refused then.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, ask, params::Prose};
use crate::{
    live::Daemon,
    mind::{Ending, OpenCase, brief, spoken},
    store::TurnRow,
};

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

    async fn call(daemon: &Daemon, caller: &Caller, params: Params) -> Result<Answer, ToolError> {
        let case = caller.case()?;
        if let (End::Answer { text }, true) = (&params.end, case.is_question()) {
            let id = case.id;
            let turns = ask::read(daemon, move |reader| reader.turns(id)).await?;
            look_up(&case, text.as_str(), &turns)?;
        }
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

/// Sends an answer back that says what is in nothing that was read before it.
fn look_up(case: &OpenCase, text: &str, turns: &[TurnRow]) -> Result<(), ToolError> {
    let turns: Vec<&brief::Turn> = turns.iter().map(|row| &row.turn).collect();
    let spoken = spoken::look_up(text, &brief::read(&case.about, &case.packet, &turns));
    let complaint = spoken.complaint();
    case.count(|tally| tally.spoken(&spoken, complaint.is_some()));
    let Some(complaint) = complaint else { return Ok(()) };
    let last =
        if case.send_back(std::slice::from_ref(&complaint)) { "answer again, once" } else { "the case is closed" };
    Err(ToolError::Params { tool: EndCase::NAME, problem: format!("{complaint}; {last}") })
}
