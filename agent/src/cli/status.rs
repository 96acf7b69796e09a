//! `status`: the first line says in one breath whether all is well.

use std::collections::BTreeMap;

use clap::Args;

use super::{
    CliError, Context,
    eyes::{self, Eyes, Mood, counted, paint},
    model,
};
use crate::{
    live::{self, Part, PartState},
    llm::ModelChoice,
    mind::{ModelStatus, settings::Decide},
    tools::{get_status::GetStatus, params::Nothing},
};

#[derive(Debug, Args)]
pub struct Status {
    /// Every part, with its runs, its cost and its losses; not only those that do not work.
    #[arg(long)]
    pub all: bool,
}

impl Status {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        context.show::<GetStatus>(&Nothing {}, |status, eyes| text(status, self.all, eyes))
    }
}

/// The status for eyes.
#[must_use]
pub fn text(status: &live::Status, all: bool, eyes: &Eyes) -> String {
    let mut lines = vec![verdict(status), String::new()];
    let mut fact = |name: &str, value: String| lines.push(format!("{:<10}{value}", name));
    let since = eyes.when(status.started_ms);
    fact("agent", format!("version {}, pid {}, started {since}", status.version, status.pid));
    fact("level", level(status.autonomy));
    for hold in &status.holds {
        fact("hold", paint(Mood::Warn, &format!("{hold}; `kernelsight resume` ends it")));
    }
    if let Some(asked) = &status.model {
        fact("model", asked_model(asked));
    }
    fact("costs", costs(status));
    fact("events", events(status));
    fact("parts", summary(&status.parts));
    for note in &status.notes {
        lines.push(format!("{:<10}{note}", "note"));
    }
    let mut text = eyes::finish(&lines.join("\n"));
    let shown: Vec<&Part> = status.parts.iter().filter(|part| all || part.state != PartState::On).collect();
    if !shown.is_empty() {
        text.push_str("\n\n");
        text.push_str(&parts(&shown, all, eyes));
    }
    text
}

/// Is all well?
#[must_use]
pub fn verdict(status: &live::Status) -> String {
    let off = status.parts.iter().filter(|part| matches!(part.state, PartState::Off { .. })).count();
    let degraded = status.parts.iter().filter(|part| matches!(part.state, PartState::Degraded { .. })).count();
    let mut troubles = Vec::new();
    if off > 0 {
        troubles.push(format!("{} off", counted(off, "part is", "parts are")));
    }
    if degraded > 0 {
        troubles.push(format!("{} degraded", counted(degraded, "part is", "parts are")));
    }
    let agent = if troubles.is_empty() {
        "the agent is whole".to_owned()
    } else {
        format!("of the agent, {}", troubles.join(" and "))
    };
    match (status.open_incidents, status.open_signals) {
        (0, 0) if troubles.is_empty() => {
            paint(Mood::Good, &format!("All is well: nothing is abnormal, and all {} parts work.", status.parts.len()))
        }
        (0, 0) => paint(Mood::Warn, &format!("The node is well: nothing is abnormal; but {agent}.")),
        (0, signals) => {
            let signals = counted(signals, "signal is open", "signals are open");
            paint(Mood::Warn, &format!("Nothing is wrong, but {signals} (`kernelsight signals`); {agent}."))
        }
        (incidents, _) => {
            let incidents = counted(incidents, "incident is open", "incidents are open");
            paint(Mood::Bad, &format!("Not well: {incidents} (`kernelsight incidents`); {agent}."))
        }
    }
}

fn level(level: live::Autonomy) -> String {
    let means = match level {
        live::Autonomy::Advisor => "it looks and proposes, and changes nothing",
        live::Autonomy::Copilot => "it acts when an operator approves",
        live::Autonomy::Guardian => "it does by itself what is listed as safe; the rest waits for approval",
        live::Autonomy::Agent => "it does whatever the policy permits",
    };
    format!("{}: {means}", level.name())
}

fn asked_model(asked: &ModelStatus) -> String {
    let ModelChoice { provider, model, .. } = &asked.choice;
    let decides = match asked.decide {
        Decide::Rules => "the rules decide",
        Decide::Model => "it decides",
        Decide::Both => "it and the rules decide, and the milder holds",
    };
    format!("{provider}/{model}: {decides}; {}", model::stands(asked))
}

fn costs(status: &live::Status) -> String {
    let cpu = status.own_cpu_percent.map(|percent| format!("{} of a CPU", eyes::measured("percent", percent)));
    let size = |bytes: Option<u64>, of| bytes.map(|bytes| format!("{} of {of}", eyes::bytes(bytes as f64)));
    let known = [cpu, size(status.own_rss_bytes, "memory"), size(status.database_bytes, "database")];
    let known: Vec<String> = known.into_iter().flatten().collect();
    if known.is_empty() { "not known yet".to_owned() } else { known.join(", ") }
}

fn events(status: &live::Status) -> String {
    let seen = eyes::short(status.events_seen as f64);
    let ticks = eyes::short(status.ticks as f64);
    if status.events_lost == 0 {
        format!("{seen} seen, none lost, in {ticks} ticks")
    } else {
        let lost = eyes::short(status.events_lost as f64);
        paint(Mood::Warn, &format!("{seen} seen, {lost} lost, in {ticks} ticks: conclusions are the less sure for it"))
    }
}

/// `9 of 10 probes, 14 of 14 sources on`.
fn summary(parts: &[Part]) -> String {
    let mut kinds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for part in parts {
        let (on, all) = kinds.entry(&part.kind).or_default();
        *all += 1;
        *on += usize::from(part.state == PartState::On);
    }
    let told: Vec<String> = kinds.iter().map(|(kind, (on, all))| format!("{kind} {on}/{all}")).collect();
    if told.is_empty() { "none yet".to_owned() } else { format!("on: {}", told.join(", ")) }
}

fn parts(parts: &[&Part], all: bool, eyes: &Eyes) -> String {
    let rate = |part: &Part| match (part.runs, part.counted_s) {
        (Some(runs), Some(seconds)) if seconds > 0.0 => format!("{}/s", eyes::short(runs as f64 / seconds)),
        (Some(runs), _) => eyes::short(runs as f64),
        (None, _) => String::new(),
    };
    let cost = |part: &Part| match (part.runs, part.run_time_ns) {
        (Some(runs), Some(time)) if runs > 0 => eyes::nanoseconds(time as f64 / runs as f64),
        _ => String::new(),
    };
    let lost = |part: &Part| if part.lost == 0 { String::new() } else { eyes::short(part.lost as f64) };
    if all {
        let rows = parts.iter().map(|part| {
            let (state, reason) = state(part);
            [part.kind.clone(), part.name.clone(), state, rate(part), cost(part), lost(part), reason]
        });
        return eyes.table(["KIND", "NAME", "STATE", "RUNS", "A RUN", "LOST", "WHY"], rows);
    }
    // What one cause takes away is one row.
    let rows = parts.chunk_by(|a, b| a.kind == b.kind && a.state == b.state).map(|alike| {
        let (state, reason) = state(alike[0]);
        let more = if alike.len() > 1 { format!(" and {} more", alike.len() - 1) } else { String::new() };
        [alike[0].kind.clone(), format!("{}{more}", alike[0].name), state, reason]
    });
    eyes.table(["KIND", "NAME", "STATE", "WHY"], rows)
}

fn state(part: &Part) -> (String, String) {
    match &part.state {
        PartState::On => (paint(Mood::Good, "on"), String::new()),
        PartState::Degraded { reason } => (paint(Mood::Warn, "degraded"), reason.clone()),
        PartState::Off { reason } => (paint(Mood::Bad, "off"), reason.clone()),
    }
}
