//! `actions`: what was done, what it replaced, and whether it still stands; what there is to do, and dry runs of it.

use std::{process::ExitCode, str::FromStr};

use clap::Args;
use serde_json::Value;

use super::{
    CliError, Context,
    eyes::{self, Eyes, Mood, paint},
};
use crate::{
    execute::{CatalogueEntry, JournalRow, JournalState, Outcome, OutcomeStatus, Risk, catalogue},
    tools::{
        dry_run::{self, DryRun},
        execute_remediation::ActionName,
        list_actions::{self, Answer, ListActions},
        params::{Bounded, Prose},
    },
};

#[derive(Debug, Args)]
pub struct Actions {
    /// Tell what this action is and which parameters it takes; needs no daemon.
    #[arg(value_name = "NAME", conflicts_with_all = ["incident", "most", "catalogue"])]
    pub name: Option<ActionName>,
    /// The parameters of a dry run, such as `pid=812 priority=10`.
    #[arg(value_name = "KEY=VALUE", requires = "dry_run")]
    pub params: Vec<Param>,
    /// Tell what the action would do now, to whom, and what would stop it; nothing is done. Exits 1 when it is blocked.
    #[arg(long, requires = "name")]
    pub dry_run: bool,
    /// All actions that there are; needs no daemon.
    #[arg(long, conflicts_with_all = ["incident", "most"])]
    pub catalogue: bool,
    /// Only for the incident of this id, in full.
    #[arg(long, value_name = "ID")]
    pub incident: Option<Prose<64>>,
    /// Most actions.
    #[arg(long, value_name = "N", default_value = "50")]
    pub most: Bounded<1, 500>,
}

/// `KEY=VALUE`, of which the action's schema says what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    key: String,
    value: String,
}

impl Param {
    pub(super) fn into_parts(self) -> (String, String) {
        (self.key, self.value)
    }
}

impl FromStr for Param {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let (key, value) = given.split_once('=').ok_or("it must be KEY=VALUE, such as pid=812")?;
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

impl Actions {
    pub(super) fn run(self, context: &Context) -> Result<ExitCode, CliError> {
        let entries = catalogue();
        if self.catalogue {
            context.print(&entries, |entries, eyes| table(entries, eyes))?;
            return Ok(ExitCode::SUCCESS);
        }
        let Some(name) = self.name else {
            context.show::<ListActions>(&list_actions::Params { incident: self.incident, most: self.most }, text)?;
            return Ok(ExitCode::SUCCESS);
        };
        let Some(entry) = entries.iter().find(|entry| entry.name == name.as_str()) else {
            return Err(CliError::Usage { reason: format!("there is no action {}", name.as_str()) });
        };
        if !self.dry_run {
            context.print(entry, one)?;
            return Ok(ExitCode::SUCCESS);
        }
        let params = self.params.into_iter().map(|param| typed(entry, param)).collect();
        let run = context.ask::<DryRun>(&dry_run::Params { action_type: name, params })?;
        context.print(&run, |run, _| super::dry_run::text(run))?;
        Ok(if run.blocked_by.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// A number where the schema wants one, and the text as it stands otherwise: the policy says what is wrong with it.
fn typed(entry: &CatalogueEntry, Param { key, value }: Param) -> (String, Value) {
    let kind = entry.parameters.pointer(&format!("/properties/{key}/type")).and_then(Value::as_str);
    let number = || serde_json::from_str::<Value>(&value).ok().filter(Value::is_number);
    let typed = if kind == Some("integer") { number() } else { None };
    (key, typed.unwrap_or(Value::String(value)))
}

/// All actions for eyes.
fn table(entries: &[CatalogueEntry], eyes: &Eyes) -> String {
    let rows = entries.iter().map(|entry| {
        let lease = entry.lease_s.map_or_else(String::new, |lease_s| eyes::duration(lease_s.into()));
        let undo = if entry.irreversible_because.is_some() || !entry.has_effect { "" } else { "exact" };
        [entry.name.to_owned(), risk(entry.risk), undo.to_owned(), lease, entry.writes.to_owned()]
    });
    let table = eyes.table(["ACTION", "RISK", "UNDO", "LEASE", "WRITES"], rows);
    format!("{table}\n\nWhat one is: `kernelsight actions NAME`; what it would do: `--dry-run` with its parameters.")
}

/// One action for eyes.
fn one(entry: &CatalogueEntry, _: &Eyes) -> String {
    let mut lines = vec![
        format!("{}  {}", paint(Mood::Strong, entry.name), entry.summary),
        format!("  risk     {}", risk(entry.risk)),
        format!("  writes   {}", entry.writes),
        format!("  given    {}", entry.power),
    ];
    if entry.has_effect {
        lines.push(format!("  predicts {}", entry.predicts));
        lines.push(format!("  cost     {}", entry.cost));
    }
    lines.extend(entry.never.iter().map(|never| format!("  never    {never}")));
    match entry.irreversible_because {
        _ if !entry.has_effect => {}
        Some(why) => lines.push(format!("  undo     none: {why}")),
        None => lines.push("  undo     the exact previous value, unless somebody else changed it since".to_owned()),
    }
    if entry.has_effect {
        lines.push(format!("  settles  in {}", eyes::duration(entry.settle_s.into())));
    }
    if let Some(lease_s) = entry.lease_s {
        lines.push(format!("  lease    taken back by itself after {}", eyes::duration(lease_s.into())));
    }
    let properties = entry.parameters.get("properties").and_then(Value::as_object);
    for (name, schema) in properties.into_iter().flatten() {
        lines.push(format!("  {}  {}", paint(Mood::Strong, &format!("{name:<7}")), parameter(schema)));
    }
    eyes::finish(&lines.join("\n"))
}

/// What one parameter may be.
fn parameter(schema: &Value) -> String {
    let word = |key: &str| schema.get(key).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let range = word("minimum").zip(word("maximum")).map(|(least, most)| format!("{least} to {most}"));
    let default = word("default").map(|default| format!("{default} unless given"));
    let value = range.or_else(|| choices(schema)).or_else(|| word("pattern")).or_else(|| word("type"));
    let description = word("description").map(|text| text.trim_end_matches('.').to_owned());
    [description, value, default].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The words that it may be, where it is one of a few.
fn choices(schema: &Value) -> Option<String> {
    let listed = schema.get("enum").or_else(|| schema.get("oneOf"))?.as_array()?;
    let word = |choice: &Value| choice.as_str().or_else(|| choice.get("const")?.as_str()).map(str::to_owned);
    Some(listed.iter().filter_map(word).collect::<Vec<_>>().join(", "))
}

fn risk(risk: Risk) -> String {
    match risk {
        Risk::None => paint(Mood::Dim, "none"),
        Risk::Low => "low".to_owned(),
        Risk::Medium => paint(Mood::Warn, "medium"),
        Risk::High => paint(Mood::Bad, "high"),
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
