//! `actions`: what was done, what it replaced, and whether it still stands.

use clap::Args;

use super::{
    CliError, Context,
    eyes::{self, Eyes, Mood, paint},
};
use crate::{
    execute::{JournalRow, JournalState, Outcome, OutcomeStatus},
    tools::{
        list_actions::{Answer, ListActions, Params},
        params::{Bounded, Prose},
    },
};

#[derive(Debug, Args)]
pub struct Actions {
    /// Only for the incident of this id, in full.
    #[arg(long, value_name = "ID")]
    pub incident: Option<Prose<64>>,
    /// Most actions.
    #[arg(long, value_name = "N", default_value = "50")]
    pub most: Bounded<1, 500>,
}

impl Actions {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        context.show::<ListActions>(&Params { incident: self.incident, most: self.most }, text)
    }
}

/// The actions for eyes.
#[must_use]
pub fn text(answer: &Answer, eyes: &Eyes) -> String {
    if answer.actions.is_empty() {
        return "Nothing was done yet.".to_owned();
    }
    let rows = answer.actions.iter().map(|row| {
        [
            row.id.to_string(),
            eyes.when(row.intent.made_at_ms),
            row.intent.target.clone(),
            row.intent.command.clone(),
            row.intent.approved_by.clone().unwrap_or_else(|| row.intent.author.clone()),
            state(row, eyes),
            row.note.clone(),
        ]
    });
    let table = eyes.table(["ID", "WHEN", "TARGET", "COMMAND", "BY", "STATE", "NOTE"], rows);
    format!("{table}\n\nTake one back with `kernelsight undo ID`.")
}

/// How one action or undo went, for eyes.
#[must_use]
pub fn outcome(outcome: &Outcome, eyes: &Eyes) -> String {
    let status = match outcome.status {
        OutcomeStatus::Done => paint(Mood::Good, "done"),
        OutcomeStatus::Failed => paint(Mood::Bad, "failed, nothing was changed"),
        OutcomeStatus::TimedOut => paint(Mood::Bad, "timed out"),
        OutcomeStatus::LeftAlone => paint(Mood::Warn, "left alone, because somebody else changed it since"),
    };
    let mut lines = vec![format!("{status}: {}", outcome.command)];
    let took = eyes::duration(outcome.duration_ms as f64 / 1000.0);
    lines.push(format!("  changed  {} (in {took})", outcome.change));
    if let Some(until) = outcome.lease_until_ms {
        lines.push(format!("  lease    taken back by itself {}", eyes.ago(until)));
    }
    if let Some(id) = outcome.action_id {
        lines.push(format!("  undo     kernelsight undo {id}"));
    }
    lines.extend(outcome.output.lines().map(|line| format!("  | {line}")));
    eyes::finish(&lines.join("\n"))
}

fn state(row: &JournalRow, eyes: &Eyes) -> String {
    match (row.state, row.intent.lease_until_ms) {
        (JournalState::Intended, _) => paint(Mood::Warn, "intended"),
        (JournalState::Done, _) => paint(Mood::Warn, "done, being verified"),
        (JournalState::Failed, _) => paint(Mood::Bad, "failed"),
        (JournalState::Kept, Some(until)) => format!("stands; lease ends {}", eyes.ago(until)),
        (JournalState::Kept, None) => paint(Mood::Good, "stands"),
        (JournalState::Owed, _) => paint(Mood::Bad, "to be taken back, tried again"),
        (JournalState::Undone, _) => "taken back".to_owned(),
        (JournalState::LeftAlone, _) => paint(Mood::Warn, "left alone"),
        (JournalState::Void, _) => paint(Mood::Dim, "void"),
    }
}
