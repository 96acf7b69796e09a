//! `changes`: what changed just before.

use clap::Args;

use super::{
    CliError, Context,
    eyes::{self, Eyes, Mood, paint},
    warn,
};
use crate::tools::{
    diff_state::{Answer, DiffState, Params},
    params::{Bounded, Prose},
};

#[derive(Debug, Args)]
pub struct Changes {
    /// What came before this incident; without one, before now.
    #[arg(value_name = "INCIDENT")]
    pub incident: Option<Prose<64>>,
    /// How far back from there.
    #[arg(long, value_name = "MINUTES", default_value = "10")]
    pub minutes: Bounded<1, 60>,
}

impl Changes {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let answer = context.ask::<DiffState>(&Params { incident: self.incident, minutes: self.minutes })?;
        context.print(&answer, text)?;
        if !context.json {
            warn(&answer.unknown.iter().map(|what| format!("not told: {what}")).collect::<Vec<_>>());
        }
        Ok(())
    }
}

/// What changed, for eyes.
#[must_use]
pub fn text(answer: &Answer, eyes: &Eyes) -> String {
    let span = format!("{} to {}", eyes.clock(answer.from_ms), eyes.clock(answer.to_ms));
    let mut parts = Vec::new();
    if !answer.settings.is_empty() {
        let rows = answer.settings.iter().map(|setting| {
            let of = setting.of.as_ref().map_or_else(|| "node".to_owned(), ToString::to_string);
            [eyes.when(setting.at_ms), setting.what.to_string(), of, setting.before.clone(), setting.after.clone()]
        });
        parts.push(eyes.table(["WHEN", "WHAT", "OF", "BEFORE", "AFTER"], rows));
    }
    if !answer.actions.is_empty() {
        let rows = answer.actions.iter();
        let rows = rows.map(|done| [eyes.when(done.at_ms), done.action.to_string(), done.command.clone()]);
        parts.push(eyes.table(["WHEN", "ACTION", "DONE BY THIS AGENT"], rows));
    }
    if !answer.processes.is_empty() {
        let rows = answer.processes.iter().map(|row| {
            let name = row.name.as_ref().map_or_else(|| "others".to_owned(), ToString::to_string);
            let count = |count: u64| if count == 0 { String::new() } else { count.to_string() };
            let cgroup = row.cgroup.as_ref().map_or_else(String::new, ToString::to_string);
            [eyes.clock(row.minute_ms), name, cgroup, count(row.started), count(row.ended), row.last_pid.to_string()]
        });
        parts.push(eyes.table(["MINUTE", "PROCESSES", "CGROUP", "BEGAN", "ENDED", "LAST PID"], rows));
    }
    if parts.is_empty() {
        return format!("Nothing changed from {span}, as far as this agent sees.");
    }
    let head = paint(Mood::Strong, &format!("From {span}"));
    eyes::finish(&format!("{head}\n\n{}", parts.join("\n\n")))
}
