//! `query_trace`: the whole story of one pass of the loop over one incident.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, ask, params::Bounded};
use crate::{live::Daemon, reflect::Trace};

#[derive(Debug)]
pub struct QueryTrace;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The trace's number, as in `list_traces`.
    pub trace: Bounded<1, { i64::MAX }>,
}

impl Tool for QueryTrace {
    const NAME: &'static str = "query_trace";
    const DESCRIPTION: &'static str = "One trace in full: observation, explanation, forecast, hypotheses with evidence, \
        action or refusal, before and after, verdict, undo and lesson.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Trace;

    async fn call(daemon: &Daemon, _: &Caller, Params { trace }: Params) -> Result<Trace, ToolError> {
        let id = trace.get();
        ask::read(daemon, move |reader| reader.trace(id)).await?.ok_or_else(|| ToolError::NotFound {
            what: format!("trace {id}"),
            hint: "see `kernelsight trace` (list_traces) for those that are",
        })
    }
}
