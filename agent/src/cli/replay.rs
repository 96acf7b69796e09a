//! `replay`: the recorded conversation of a trace gone through again, with no network; the same decision must come of it.

use clap::Args;

use super::{CliError, Context, client};
use crate::{
    reason::replay::{Replayed, replay},
    tools::{
        params::Bounded,
        query_case::{self, QueryCase},
        query_trace::{self, QueryTrace},
    },
};

#[derive(Debug, Args)]
pub struct Replay {
    /// The trace's number.
    #[arg(required_unless_present = "case")]
    pub trace: Option<Bounded<1, { i64::MAX }>>,
    /// The number of a case instead, such as that of a question.
    #[arg(long, conflicts_with = "trace")]
    pub case: Option<Bounded<1, { i64::MAX }>>,
}

impl Replay {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let failed = |reason: String| CliError::Failed { reason };
        let case = match (self.case, self.trace) {
            (Some(case), _) => case,
            (None, Some(number)) => {
                let trace = context.ask::<QueryTrace>(&query_trace::Params { trace: number })?;
                let case = trace.proposal.and_then(|proposal| proposal.case);
                Bounded::clamped(case.ok_or_else(|| failed(format!("no model was asked in trace {number}")))?)
            }
            (None, None) => return Err(CliError::Usage { reason: "give the number of a trace".to_owned() }),
        };
        let kept = context.ask::<QueryCase>(&query_case::Params { case, wait: false })?;
        if kept.case.ending.is_none() {
            return Err(failed(format!("case {case} is not over")));
        }
        let replayed = client::runtime()?.block_on(replay(&kept.case, &kept.turns));
        context.print(&replayed, |replayed, _| text(replayed))?;
        if replayed.same { Ok(()) } else { Err(failed(format!("case {case} comes to something else than it did"))) }
    }
}

/// What came of it, for eyes.
#[must_use]
pub fn text(replayed: &Replayed) -> String {
    let decision = match (&replayed.now, &replayed.answer) {
        (Some(proposal), _) => proposal.decision.to_string(),
        (None, Some(answer)) => answer.clone(),
        (None, None) => "nothing that holds".to_owned(),
    };
    let same = if replayed.same { "The same as then" } else { "NOT the same as then" };
    format!("{same}: {decision}")
}
