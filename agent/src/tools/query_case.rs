//! `query_case`: what a model was asked, what it said, and what came of it, whole.

use std::{pin::pin, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout_at};

use super::{Audience, Caller, Tier, Tool, ToolError, ask, params::Bounded};
use crate::{
    live::Daemon,
    store::{CaseRow, TurnRow},
};

/// How long it waits for the end, and how often it looks though it was told of none.
const WAIT: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A case that is not there yet may be in a moment.
const LOOK_FOR_IT_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct QueryCase;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub case: Bounded<1, { i64::MAX }>,
    /// Whether to wait some seconds for its end.
    #[serde(default)]
    pub wait: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub case: CaseRow,
    /// In the order in which they ended.
    pub turns: Vec<TurnRow>,
}

impl Tool for QueryCase {
    const NAME: &'static str = "query_case";
    const DESCRIPTION: &'static str = "One case that a model was asked about: all that it was told, each turn with thoughts, \
        calls and results, what its claims were found to be, and what came of it.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::People;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, _: &Caller, params: Params) -> Result<Answer, ToolError> {
        let id = params.case.get();
        let until = Instant::now() + WAIT;
        loop {
            let mut ended = pin!(daemon.mind.ended());
            // From now on no end is missed.
            ended.as_mut().enable();
            let found = ask::read(daemon, move |reader| {
                let case = reader.case(id)?;
                case.map(|case| reader.turns(id).map(|turns| (case, turns))).transpose()
            });
            let is_last = !params.wait || Instant::now() >= until;
            match found.await? {
                Some((case, turns)) if is_last || case.ending.is_some() => return Ok(Answer { case, turns }),
                None if is_last => {
                    let hint = "a trace tells the number of its case";
                    return Err(ToolError::NotFound { what: format!("case {id}"), hint });
                }
                // Whether it was told or not, it looks.
                Some(_) => _ = timeout_at(until.min(Instant::now() + LOOK_EVERY), ended).await,
                None => sleep(LOOK_FOR_IT_EVERY).await,
            }
        }
    }
}
