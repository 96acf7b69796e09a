//! `tell_progress`: what a model says as it says it, and how long nothing is asked and why.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Audience, Caller, Tier, Tool, ToolError,
    params::{Bounded, Prose},
};
use crate::{
    live::{Daemon, News},
    text::Text,
};

#[derive(Debug)]
pub struct TellProgress;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub progress: Progress,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "snake_case", deny_unknown_fields)]
pub enum Progress {
    /// A piece of what a voice says.
    Said { voice: Prose<32>, text: String, thought: bool },
    /// Nothing is asked for so long.
    Waits { ms: Bounded<0, 3_600_000>, why: Prose<1000> },
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Answer {}

impl Tool for TellProgress {
    const NAME: &'static str = "tell_progress";
    const DESCRIPTION: &'static str = "Tells those who follow what a model says, and for what it waits.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::Reasoner;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, caller: &Caller, params: Params) -> Result<Answer, ToolError> {
        let case = caller.case()?;
        match params.progress {
            Progress::Said { voice, text, thought } => {
                let text = Text::from(case.uncover_text(&text).as_str()).to_string();
                daemon.tell(News::Said { case: case.id, voice: voice.into_string(), text, thought });
            }
            Progress::Waits { ms, why } => {
                let until = Instant::now() + Duration::from_millis(ms.get().unsigned_abs());
                let why = why.into_string();
                daemon.mind.watch(|tower| tower.waits(until, why.clone()));
                daemon.tell(News::Waits { case: case.id, ms: ms.get().unsigned_abs(), why });
            }
        }
        Ok(Answer {})
    }
}
