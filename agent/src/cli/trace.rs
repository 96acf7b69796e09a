//! `trace`: the whole story of one pass of the loop; without a number, the latest ones.

use clap::Args;

use serde::Serialize;

use super::{
    CliError, Context,
    client::{self, Client},
    eyes::{Eyes, Mood, paint},
    incidents::{self, short},
    warn,
};
use crate::{
    explain::Incident,
    mind,
    reflect::{self, story},
    store::CaseHead,
    tools::{
        get_incident::{self, GetIncident},
        list_traces::{Answer, Head, ListTraces, Params},
        params::{Bounded, Prose},
        query_case::{self, QueryCase},
        query_trace::{self, QueryTrace},
    },
    verify::Verdict,
};

#[derive(Debug, Args)]
pub struct Trace {
    /// The trace's number; or an incident's id or the beginning of it, for every pass over that incident.
    pub id: Option<Prose<64>>,
    /// The number of a case instead: what a model was asked, thought, read and said, whole.
    #[arg(long, value_name = "CASE", conflicts_with = "id")]
    pub case: Option<Bounded<1, { i64::MAX }>>,
    /// Without one: most traces.
    #[arg(long, value_name = "N", default_value = "20")]
    pub most: Bounded<1, 500>,
}

/// Every pass over one incident, oldest first.
#[derive(Clone, Debug, Serialize)]
pub struct Passes {
    pub incident: Incident,
    pub traces: Vec<reflect::Trace>,
    /// What a model was asked of it, latest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cases: Vec<CaseHead>,
    /// Why others cannot be read back, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

impl Trace {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        if let Some(case) = self.case {
            let kept = context.ask::<QueryCase>(&query_case::Params { case, wait: false })?;
            return context.print(&kept, |kept, _| mind::story::story(&kept.case, &kept.turns));
        }
        let Some(id) = self.id else {
            return context.show::<ListTraces>(&Params { incident: None, most: self.most }, text);
        };
        let id = id.into_string();
        match id.parse() {
            Ok(trace) => {
                let trace = context.ask::<QueryTrace>(&query_trace::Params { trace })?;
                let case = trace.proposal.as_ref().and_then(|proposal| proposal.case).filter(|_| !context.json);
                let thinking = case.map(|case| {
                    let params = query_case::Params { case: Bounded::clamped(case), wait: false };
                    context.ask::<QueryCase>(&params)
                });
                // A trace tells its story without it, too.
                let thoughts = match thinking.transpose() {
                    Ok(kept) => kept.map(|kept| mind::story::story(&kept.case, &kept.turns)),
                    Err(error) => Some(format!("The model's thoughts cannot be told: {error}")),
                };
                context.print(&trace, |trace, _| {
                    let thoughts = thoughts.map_or(String::new(), |thoughts| format!("\n{thoughts}"));
                    format!("{}{thoughts}", story(trace))
                })
            }
            Err(_) => {
                let passes = passes(context, id)?;
                context.print(&passes, stories)?;
                warn(&passes.unread);
                Ok(())
            }
        }
    }
}

fn passes(context: &Context, id: String) -> Result<Passes, CliError> {
    let incident = id.parse().map_err(|reason| CliError::Usage { reason })?;
    client::runtime()?.block_on(async {
        let client = Client::connect(&context.socket).await?;
        let found = client.ask::<GetIncident>(&get_incident::Params { incident }).await?;
        let mut traces = Vec::new();
        for head in found.traces.iter().rev() {
            let trace = Bounded::clamped(head.trace_id);
            traces.push(client.ask::<QueryTrace>(&query_trace::Params { trace }).await?);
        }
        client.close().await;
        Ok(Passes { incident: found.incident, traces, cases: found.cases, unread: found.unread })
    })
}

/// Every pass over one incident for eyes.
#[must_use]
pub fn stories(passes: &Passes, _: &Eyes) -> String {
    if passes.traces.is_empty() {
        return format!("{}: the loop has not taken it up yet.", passes.incident.title);
    }
    let mut told: Vec<String> = passes.traces.iter().map(story).collect();
    if !passes.cases.is_empty() {
        let asked = passes.cases.iter().map(|case| format!("- {}", incidents::asked(case)));
        told.push(format!("## What a model was asked\n\n{}\n", asked.collect::<Vec<_>>().join("\n")));
    }
    told.join("\n")
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
