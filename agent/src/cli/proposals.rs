//! `proposals`: what waits for an operator's word.

use clap::Args;

use super::{
    CliError, Context, dry_run,
    eyes::{self, Eyes, Mood, paint},
    incidents::short,
    model,
};
use crate::{
    decide::Decision,
    store::{ProposalRow, ProposalStatus},
    tools::{
        list_proposals::{Answer, ListProposals, Params, Shown},
        params::Bounded,
    },
};

#[derive(Debug, Args)]
pub struct Proposals {
    /// Those that were settled, too.
    #[arg(long)]
    pub all: bool,
    /// Most proposals.
    #[arg(long, value_name = "N", default_value = "50")]
    pub most: Bounded<1, 500>,
}

impl Proposals {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        context.show::<ListProposals>(&Params { pending_only: !self.all, most: self.most }, text)
    }
}

/// The proposals for eyes.
#[must_use]
pub fn text(answer: &Answer, eyes: &Eyes) -> String {
    let waiting = answer.proposals.iter().filter(|shown| shown.row.status == ProposalStatus::Pending);
    let note = model::note(answer.model.as_ref(), waiting.map(|shown| &shown.row.incident));
    let mut told: Vec<String> = answer.proposals.iter().map(|row| one(row, eyes)).collect();
    if told.is_empty() {
        told.push("Nothing waits for you.".to_owned());
    }
    told.extend(note);
    eyes::finish(&told.join("\n\n"))
}

fn one(shown: &Shown, eyes: &Eyes) -> String {
    let row = &shown.row;
    let mut lines = vec![format!(
        "{}  {}, for incident {}, by {}, {}",
        paint(Mood::Strong, &format!("proposal {}", row.id)),
        status(row),
        short(&row.incident),
        row.proposal.author,
        eyes.when(row.made_at_ms),
    )];
    match &row.proposal.decision {
        Decision::Act { actions, prediction, .. } => {
            lines.push(format!("  do       {actions}"));
            lines.push(format!("  expect   {}", prediction.statement));
        }
        Decision::Advise { advice } => lines.push(format!("  advice   {advice}")),
        Decision::Inconclusive { missing } => lines.push(format!("  unclear  {missing}")),
    }
    lines.push(format!("  because  {}", row.proposal.justification));
    let parts: Vec<String> =
        row.proposal.confidence.parts.iter().map(|part| format!("{} {:.2}", part.name, part.factor)).collect();
    let parts = if parts.is_empty() { String::new() } else { format!(" = {}", parts.join(" × ")) };
    lines.push(format!("  sure     {:.2}{parts}", row.proposal.confidence.value));
    for run in &shown.dry_runs {
        lines.push(format!("  {:<8} {}", "dry run", run.action));
        lines.extend(dry_run::rows(run).into_iter().map(|(what, said)| format!("    {what:<8} {said}")));
    }
    if let Some(why) = &shown.no_dry_run {
        lines.push(format!("  {:<8} none: {why}", "dry run"));
    }
    if row.status == ProposalStatus::Pending {
        let answer = format!("kernelsight approve {id}   or   kernelsight deny {id} --reason …", id = row.id);
        lines.push(format!("  answer   {answer}   (it lapses {})", eyes.ago(row.expires_ms)));
    } else if let (Some(by), Some(at)) = (&row.by, row.settled_ms) {
        let reason = row.reason.as_deref().filter(|reason| !reason.is_empty());
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        lines.push(format!("  settled  {} by {by}{reason}", eyes.when(at)));
    }
    if let Some(trace) = row.trace_id {
        lines.push(format!("  story    kernelsight trace {trace}"));
    }
    lines.join("\n")
}

fn status(row: &ProposalRow) -> String {
    match row.status {
        ProposalStatus::Pending => paint(Mood::Warn, "waits for you"),
        ProposalStatus::Executed => paint(Mood::Good, "carried out"),
        ProposalStatus::Refused => paint(Mood::Warn, "approved, but not carried out"),
        other => other.name().to_owned(),
    }
}
