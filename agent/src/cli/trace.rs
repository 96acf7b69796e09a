//! `trace`: the whole story of one pass of the loop; without a number, the latest ones.

use clap::Args;

use super::{
    CliError, Context,
    eyes::{Eyes, Mood, paint},
    incidents::short,
};
use crate::{
    reflect,
    tools::{
        get_trace::{self, GetTrace},
        list_traces::{Answer, Head, ListTraces, Params},
        params::{Bounded, Prose},
    },
    verify::Verdict,
};

#[derive(Debug, Args)]
pub struct Trace {
    /// The trace's number.
    pub id: Option<Bounded<1, { i64::MAX }>>,
    /// Without a number: only of the incident of this id, in full.
    #[arg(long, value_name = "ID", conflicts_with = "id")]
    pub incident: Option<Prose<64>>,
    /// Without a number: most traces.
    #[arg(long, value_name = "N", default_value = "20")]
    pub most: Bounded<1, 500>,
}

impl Trace {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self.id {
            Some(trace) => context.show::<GetTrace>(&get_trace::Params { trace }, story),
            None => context.show::<ListTraces>(&Params { incident: self.incident, most: self.most }, text),
        }
    }
}

/// One trace for eyes: its steps in their order.
#[must_use]
pub fn story(trace: &reflect::Trace, eyes: &Eyes) -> String {
    let mut lines = vec![format!("trace {}, incident {}, {}", trace.trace_id, trace.incident, eyes.when(trace.timestamp))];
    for step in &trace.steps {
        lines.push(format!("{}  {:?}: {}", eyes.clock(step.at_ms), step.phase, step.text));
    }
    lines.join("\n")
}

/// The traces for eyes.
#[must_use]
pub fn text(answer: &Answer, eyes: &Eyes) -> String {
    if answer.traces.is_empty() {
        return "The loop has not taken up anything yet.".to_owned();
    }
    let rows = answer.traces.iter().map(|head| {
        [
            head.trace_id.to_string(),
            eyes.when(head.timestamp),
            short(&head.incident),
            head.hypothesis.clone(),
            head.recommended_action.clone(),
            ended(head),
        ]
    });
    eyes.table(["TRACE", "WHEN", "INCIDENT", "BECAUSE", "ACTION", "ENDED"], rows)
}

fn ended(head: &Head) -> String {
    let undone = if head.undone { ", taken back" } else { "" };
    match (head.verdict, &head.denied, head.closed_ms) {
        (Some(verdict @ (Verdict::Resolved | Verdict::Improved)), ..) => paint(Mood::Good, verdict.name()),
        (Some(verdict), ..) => format!("{}{undone}", paint(Mood::Bad, verdict.name())),
        (None, Some(why), _) => format!("denied: {why}"),
        (None, None, Some(_)) => "left alone".to_owned(),
        (None, None, None) => paint(Mood::Warn, "under way"),
    }
}
