//! `propose_action`: what the rules would do about a failure mode, now, and what each step would change. Nothing is done.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, ask, simulate_scenario::explained};
use crate::{
    decide::{Case, FailureMode, Proposal, rules},
    live::Daemon,
    simulate::{Effect, simulate},
};

#[derive(Debug)]
pub struct ProposeAction;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub failure_mode: FailureMode,
    /// `low` puts the mildest first; `high` puts first what suffices by itself.
    #[serde(default)]
    pub urgency: Urgency,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    #[default]
    Low,
    High,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// One for each open incident that may be of this failure mode; empty when none is.
    pub recommendations: Vec<Recommendation>,
    /// What was looked at, in words.
    pub statement: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// What the rules would decide; it is not stored and waits for nobody.
    pub proposal: Proposal,
    /// What may be done, with what it would change.
    pub options: Vec<Effect>,
}

impl Tool for ProposeAction {
    const NAME: &'static str = "propose_action";
    const DESCRIPTION: &'static str = "What the rules would do about a failure mode in the incidents that are open now: \
        hypotheses with evidence, the action they would take or why none, and what each option would change. Nothing is \
        done.";
    const TIER: Tier = Tier::Recommend;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, _: &Caller, params: Params) -> Result<Answer, ToolError> {
        let beliefs = ask::read(daemon, |reader| reader.beliefs()).await?;
        let cases = explained(daemon, |_| true).await?;
        let looked_at = cases.len();
        let mut recommendations = Vec::new();
        for (incident, explanation) in cases {
            let forecast = simulate(&explanation, &rules::candidates(&explanation));
            let mut options = forecast.effects.clone();
            if params.urgency == Urgency::High {
                // Stable: what suffices stays ordered from mild to strong.
                options.sort_by_key(|option| !option.suffices);
            }
            let case =
                Case { incident, explanation, forecast, beliefs: beliefs.clone(), tried: Vec::new(), may_test: false };
            let proposal = rules::decide(&case);
            if proposal.hypotheses.iter().any(|hypothesis| hypothesis.failure_mode == params.failure_mode) {
                recommendations.push(Recommendation { proposal, options });
            }
        }
        let statement = format!(
            "{looked_at} open incidents were looked at; {} may be {}",
            recommendations.len(),
            params.failure_mode.name()
        );
        Ok(Answer { recommendations, statement })
    }
}
