//! `take_case`: the reasoner takes the next case that is to be thought about, or learns that there is none.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{Audience, Caller, Role, TOOLS, Tier, Tool, ToolError, ask};
use crate::{
    live::Daemon,
    llm::ToolSpec,
    mind::{OpenCase, account, brief::Brief},
};

/// How long it waits for one.
const WITHIN: Duration = Duration::from_secs(20);
/// What a model is offered of all that the reasoner may call.
pub const OFFERED: [&str; 20] = [
    "query_signals",
    "list_incidents",
    "get_incident",
    "query_baseline",
    "query_trace",
    "top_processes",
    "describe_process",
    "describe_cgroup",
    "get_pressure",
    "get_logs",
    "summarize_trends",
    "simulate_scenario",
    "simulate_action",
    "propose_action",
    "find_similar_incidents",
    "diff_state",
    "verify_claim",
    "check_policy",
    "give_opinion",
    "draft_recommendation",
];

/// Those of them that tell what was: names that nobody has any more may be in their sentences.
pub const OF_THE_PAST: [&str; 3] = ["query_trace", "find_similar_incidents", "query_baseline"];

#[derive(Debug)]
pub struct TakeCase;

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// None: there is none for now.
    pub brief: Option<Box<Brief>>,
}

impl Tool for TakeCase {
    const NAME: &'static str = "take_case";
    const DESCRIPTION: &'static str = "The next case to think about; waits some seconds for one.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::Reasoner;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, caller: &Caller, _: Params) -> Result<Answer, ToolError> {
        // Who asks for a case thinks about none.
        account::close(daemon).await;
        let Some(case) = next(daemon).await else { return Ok(Answer { brief: None }) };
        let id = case.id;
        let recorded = ask::read(daemon, move |reader| reader.turns(id)).await?;
        let mut brief = brief(daemon, &case);
        brief.recorded = recorded.into_iter().map(|row| row.turn).collect();
        caller.take(Some(case));
        Ok(Answer { brief: Some(Box::new(brief)) })
    }
}

/// All that a reasoner is told of a case, but what was said of it before.
#[must_use]
pub fn brief(daemon: &Daemon, case: &OpenCase) -> Brief {
    let settings = daemon.mind.settings();
    Brief {
        case: case.id,
        about: case.about.clone(),
        model: case.model.clone(),
        configured: settings.provider,
        packet: case.packet.clone(),
        tools: offered(daemon),
        turns: settings.turns,
        reply_tokens: settings.reply_tokens,
        thinks: true,
        specialists: settings.specialists,
        left_ms: u64::try_from(case.left().as_millis()).unwrap_or(u64::MAX),
        recorded: Vec::new(),
    }
}

async fn next(daemon: &Daemon) -> Option<Arc<OpenCase>> {
    if let Some(case) = daemon.mind.take() {
        return Some(case);
    }
    // Whether it was told or not, the desk is looked at once more.
    _ = timeout(WITHIN, daemon.mind.wanted()).await;
    daemon.mind.take()
}

/// The functions of a model, as native calls.
fn offered(daemon: &Daemon) -> Vec<ToolSpec> {
    let may = |name: &str| daemon.rights.leave(Role::Model, name);
    let tools = TOOLS.iter().filter(|tool| OFFERED.contains(&tool.name) && may(tool.name));
    let spec = |tool: &super::Entry| ToolSpec {
        name: tool.name.to_owned(),
        description: tool.description.to_owned(),
        parameters: serde_json::Value::Object((tool.schema)()),
    };
    tools.map(spec).collect()
}
