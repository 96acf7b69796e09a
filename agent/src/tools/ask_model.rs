//! `ask_model`: an operator's question in his own words, put before the model. It looks and answers; it can do nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, params::Prose};
use crate::{live::Daemon, mind::hearing};

#[derive(Debug)]
pub struct AskModel;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub question: Prose<2000>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Under which it is thought about; `query_case` tells what comes of it.
    pub case: i64,
}

impl Tool for AskModel {
    const NAME: &'static str = "ask_model";
    const DESCRIPTION: &'static str = "Puts a question about this node, in your own words, before the model that the agent is \
        set to ask. It looks by the same tools as everybody and answers; query_case tells what comes of it.";
    const TIER: Tier = Tier::Analyse;
    const AUDIENCE: Audience = Audience::People;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, _: &Caller, params: Params) -> Result<Answer, ToolError> {
        let new = hearing::of_question(daemon, params.question.into_string()).ok_or_else(|| ToolError::Refused {
            reason: "no model is set; `kernelsight model PROVIDER` sets one".to_owned(),
        })?;
        let case = new.id;
        let daemon = daemon.clone();
        tokio::spawn(async move {
            if let Err(error) = hearing::hear(&daemon, new).await {
                tracing::warn!(%error, case, "a question could not be put before the model");
            }
        });
        Ok(Answer { case })
    }
}
