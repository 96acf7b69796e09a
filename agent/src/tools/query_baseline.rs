//! `query_baseline`: what is usual on this node.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, ask};
use crate::{explain::Baseline, live::Daemon, observe::SignalType};

/// Most baselines in one answer.
const MOST: usize = 1000;

#[derive(Debug)]
pub struct QueryBaseline;

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Only of this type; all without it.
    pub signal_type: Option<SignalType>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub baselines: Vec<Usual>,
}

/// What is usual for one measure of one class of entities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usual {
    pub signal_type: SignalType,
    pub measure: String,
    /// `node`, `process:NAME`, `device:NAME`, …; empty for all entities of the measure.
    pub class: String,
    pub baseline: Baseline,
}

impl Tool for QueryBaseline {
    const NAME: &'static str = "query_baseline";
    const DESCRIPTION: &'static str =
        "What is usual on this node: p50, p75, p95, p99 and volatility of each measure, by kind of entity.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, _: &Caller, Params { signal_type }: Params) -> Result<Answer, ToolError> {
        let baselines = ask::read(daemon, |reader| reader.baselines()).await?;
        let baselines = baselines
            .into_iter()
            .filter(|(kind, ..)| signal_type.is_none_or(|wanted| wanted == *kind))
            .take(MOST)
            .map(|(signal_type, measure, class, baseline)| Usual { signal_type, measure, class, baseline })
            .collect();
        Ok(Answer { baselines })
    }
}
