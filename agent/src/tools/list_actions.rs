//! `list_actions`: what was done, what it replaced, and whether it still stands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Audience, Caller, Tier, Tool, ToolError, ask,
    params::{Bounded, Prose},
};
use crate::{execute::JournalRow, live::Daemon, store::ActionFilter};

#[derive(Debug)]
pub struct ListActions;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Only for the incident of this id, in full.
    pub incident: Option<Prose<64>>,
    /// Most actions.
    pub most: Bounded<1, 500>,
}

impl Default for Params {
    fn default() -> Self {
        Self { incident: None, most: Bounded::clamped(50) }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Latest first.
    pub actions: Vec<JournalRow>,
    /// Why others cannot be read back, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

impl Tool for ListActions {
    const NAME: &'static str = "list_actions";
    const DESCRIPTION: &'static str = "The undo journal: each action with the command that ran, who approved it, the \
        value it replaced, and whether it stands, was taken back or was left alone.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    fn unread(answer: &Answer) -> &[String] {
        &answer.unread
    }

    async fn call(daemon: &Daemon, _: &Caller, params: Params) -> Result<Answer, ToolError> {
        let filter = ActionFilter {
            incident: params.incident.map(Prose::into_string),
            limit: Some(params.most.count()),
            ..ActionFilter::default()
        };
        let actions = ask::read(daemon, move |reader| reader.actions(&filter)).await?;
        Ok(Answer { actions: actions.rows, unread: actions.unread })
    }
}
