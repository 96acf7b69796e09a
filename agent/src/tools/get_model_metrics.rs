//! `get_model_metrics`: how the model does: what came of its cases, how often it was wrong, how long it took and what it
//! cost.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, ask, params::Bounded};
use crate::{
    clock::now_ms,
    decide::council::Agreement,
    live::Daemon,
    llm::ModelChoice,
    mind::{
        budget::{CONTEXT_TOKENS, HOUR_MS, Left},
        case::EndingKind,
    },
    store::{CaseUse, TurnUse},
};

#[derive(Debug)]
pub struct GetModelMetrics;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// How far back, in hours.
    pub hours: Bounded<1, 720>,
}

impl Default for Params {
    fn default() -> Self {
        Self { hours: Bounded::clamped(24) }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub hours: i64,
    /// Who is asked now; what follows is of all that were asked in that time.
    pub model: Option<ModelChoice>,
    pub cases: Cases,
    /// Claims that are not so, of all that were looked up.
    pub hallucinations: Rate,
    /// Calls of tools that were refused, of all that the model made.
    pub tool_errors: Rate,
    /// Drafts and opinions that went back, of all.
    pub sent_back: Rate,
    pub context: Context,
    pub turns: Turns,
    /// Turns that were answered from the record, of all.
    pub cache_hits: Rate,
    pub tokens: Tokens,
    /// US dollars; none: no price is known.
    pub usd: Option<f64>,
    /// Turns that were asked and whose price is not known; they are missing in `usd`.
    pub unpriced_turns: u64,
    pub budget: BudgetLeft,
}

/// Cases by what came of them, and how the model stood to the rules in those where it recommended something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cases {
    pub all: u64,
    pub recommended: u64,
    pub answered: u64,
    pub refused: u64,
    pub stopped: u64,
    pub late: u64,
    /// Thought about now, or the agent ended before they were over.
    pub unfinished: u64,
    pub agrees: u64,
    pub differs: u64,
    pub objects: u64,
    pub adds: u64,
}

/// A part of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    pub count: u64,
    pub of: u64,
    /// 0 to 1; none of nothing.
    pub rate: Option<f64>,
}

/// How full the context was: the tokens that were sent in a turn over those that a conversation may have before it is
/// shortened. What is sent beside the conversation makes it somewhat more than 1 at times.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// What counts as full.
    pub tokens: u64,
    pub p50: Option<f64>,
    pub max: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Turns {
    /// Asked and answered.
    pub answered: u64,
    /// How long these took, ms, within 1.6 %.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// Asked and not answered, by the kind of failure.
    pub failed: BTreeMap<String, u64>,
}

/// As providers count them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    pub input: u64,
    /// Of these, those that the provider had in its cache.
    pub cached: u64,
    pub output: u64,
    /// What turns were sent that failed, by our estimate.
    pub failed: u64,
}

/// Now, whatever the span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BudgetLeft {
    /// What one incident may take; none: it is not bounded.
    pub incident_tokens: Option<u64>,
    #[serde(flatten)]
    pub left: Left,
}

impl Tool for GetModelMetrics {
    const NAME: &'static str = "get_model_metrics";
    const DESCRIPTION: &'static str = "How the model that is asked beside the rules does: cases by what came of them, claims \
        that were not so, calls that were refused, drafts that went back, how full its context was, how long its answers \
        took, tokens and cost, and what is left of each budget.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::People;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, _: &Caller, params: Params) -> Result<Answer, ToolError> {
        let (hours, now_ms) = (params.hours.get(), now_ms());
        let since_ms = now_ms - hours * HOUR_MS;
        let (cases, turns) =
            ask::read(daemon, move |reader| Ok((reader.case_use(since_ms)?, reader.turn_use(since_ms)?))).await?;
        let budget = &daemon.mind.settings().budget;
        let left = {
            let account = daemon.mind.account().await;
            let spent = ask::read(daemon, move |reader| reader.spent(None, now_ms)).await?;
            budget.left(&account.with(&spent, None, budget))
        };
        let asked = turns.answered + turns.failed.values().sum::<u64>();
        Ok(Answer {
            hours,
            model: daemon.mind.choice(),
            cases: Cases::of(&cases),
            hallucinations: Rate::of(cases.false_claims, cases.claims),
            tool_errors: Rate::of(cases.refused_calls, cases.calls),
            sent_back: Rate::of(cases.sent_back, cases.drafts),
            context: Context::of(&turns),
            cache_hits: Rate::of(turns.cached, turns.cached + asked),
            tokens: Tokens {
                input: turns.input_tokens,
                cached: turns.cached_tokens,
                output: turns.output_tokens,
                failed: turns.failed_tokens,
            },
            usd: turns.usd,
            unpriced_turns: turns.unpriced,
            turns: Turns {
                answered: turns.answered,
                p50_ms: turns.took_ms.quantile(0.50),
                p99_ms: turns.took_ms.quantile(0.99),
                failed: turns.failed,
            },
            budget: BudgetLeft { incident_tokens: budget.incident_tokens, left },
        })
    }
}

impl Cases {
    fn of(cases: &CaseUse) -> Self {
        let ended = |kind| cases.endings.get(&kind).copied().unwrap_or(0);
        let stood = |agreement| cases.agreements.get(&agreement).copied().unwrap_or(0);
        Self {
            all: cases.endings.values().sum(),
            recommended: ended(Some(EndingKind::Recommended)),
            answered: ended(Some(EndingKind::Answered)),
            refused: ended(Some(EndingKind::Refused)),
            stopped: ended(Some(EndingKind::Stopped)),
            late: ended(Some(EndingKind::Late)),
            unfinished: ended(None),
            agrees: stood(Agreement::Agrees),
            differs: stood(Agreement::Differs),
            objects: stood(Agreement::Objects),
            adds: stood(Agreement::Adds),
        }
    }
}

impl Rate {
    #[must_use]
    pub fn of(count: u64, of: u64) -> Self {
        Self { count, of, rate: (of > 0).then(|| count as f64 / of as f64) }
    }
}

impl Context {
    fn of(turns: &TurnUse) -> Self {
        let part = |tokens: f64| tokens / CONTEXT_TOKENS as f64;
        Self {
            tokens: CONTEXT_TOKENS,
            p50: turns.sent_tokens.quantile(0.50).map(part),
            max: (turns.answered > 0).then(|| part(turns.most_sent_tokens as f64)),
        }
    }
}
