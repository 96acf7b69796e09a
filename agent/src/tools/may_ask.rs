//! `may_ask`: whether a turn may be taken: within the budget and the time, and not if the same was asked before. One that
//! may counts as spent from then on.

use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, ask, params::Prose};
use crate::{
    clock::now_ms,
    live::Daemon,
    llm::Usage,
    mind::{
        brief::{Asking, Leave},
        budget::HOUR_MS,
    },
};

/// A reply serves again for so long: the packet tells the time of each signal, so it is the same case again.
const CACHED_FOR_MS: i64 = 24 * HOUR_MS;

#[derive(Debug)]
pub struct MayAsk;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub voice: Prose<32>,
    pub number: u32,
    /// SHA-256 of who is asked and of all that is sent, hexadecimal.
    pub digest: Prose<64>,
    /// What it will take, about.
    pub estimate: Usage,
}

impl Tool for MayAsk {
    const NAME: &'static str = "may_ask";
    const DESCRIPTION: &'static str = "Whether the provider may be asked: yes, no, or not needed.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::Reasoner;
    type Params = Params;
    type Answer = Leave;

    async fn call(daemon: &Daemon, caller: &Caller, params: Params) -> Result<Leave, ToolError> {
        let case = caller.case()?;
        let stop = |why: String| Ok(Leave::Stop { why });
        if case.is_over() {
            return stop("nobody waits for it any more".to_owned());
        }
        if case.left().is_zero() {
            return stop("the time is over".to_owned());
        }
        let incident = case.incident.as_ref().map(|incident| incident.uid.clone());
        let Params { voice, number, digest, estimate } = params;
        let asking = Asking { voice: voice.into_string(), number, digest: digest.into_string(), estimate };
        let digest = asking.digest.clone();
        let mut account = daemon.mind.account().await;
        let (known, spent) = ask::read(daemon, move |reader| {
            let known = reader.reply_to(&digest, now_ms() - CACHED_FOR_MS)?;
            Ok((known, reader.spent(incident.as_ref(), now_ms())?))
        })
        .await?;
        if let Some(reply) = known {
            return Ok(Leave::Cached { reply });
        }
        if let Err(why) = account.reserve(case.id, asking, &spent, &daemon.mind.settings().budget) {
            return stop(why.to_string());
        }
        daemon.mind.watch(|tower| tower.asked(Instant::now()));
        Ok(Leave::Go)
    }
}
