//! `record_turn`: keeps what was sent and said, and what it cost.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, ask, params::Prose};
use crate::{clock::now_ms, live::Daemon, mind::brief::Turn, store::TurnRow};

#[derive(Debug)]
pub struct RecordTurn;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub turn: Turn,
    /// The provider is left alone for a while after it, because of that.
    pub breaker: Option<Prose<1000>>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Answer {}

impl Tool for RecordTurn {
    const NAME: &'static str = "record_turn";
    const DESCRIPTION: &'static str = "Keeps a turn: what was sent, what was said, and what it cost.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::Reasoner;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, caller: &Caller, params: Params) -> Result<Answer, ToolError> {
        let case = caller.case()?;
        let Params { turn, breaker } = params;
        let took = Duration::from_millis(turn.took_ms);
        daemon.mind.watch(|tower| match (&turn.reply, &breaker) {
            (_, Some(why)) => tower.opened(why.as_str()),
            (Some(_), None) if turn.cached => {}
            (Some(_), None) => tower.answered(took),
            (None, None) => tower.failed(),
        });
        let mut account = daemon.mind.account().await;
        let usage = account.charge(case.id, &turn);
        let usd = daemon.mind.settings().budget.cost_usd(&usage).filter(|_| !turn.cached);
        let under_way = (!turn.cached).then(|| turn.digest.clone());
        let row = TurnRow { case: case.id, at_ms: now_ms(), turn, usage, usd };
        // One that cannot be kept stays under way, and counts.
        ask::write(daemon, move |store| store.keep_turn(&row)).await?;
        if let Some(digest) = under_way {
            account.release(case.id, &digest);
        }
        Ok(Answer {})
    }
}
