//! `doctor`: what this machine has and lacks for the agent, what works without it, and how to mend it. Needs no daemon.

mod kernel;
mod machine;
pub mod model;

use std::{io, path::Path, process::ExitCode, time::Duration};

use clap::Args;
use serde::Serialize;
use tokio::time::timeout;

use super::{
    CliError, Context,
    client::{self, Client},
    eyes::{self, Eyes, Mood, counted, paint},
};
use crate::{
    config::{ConfigError, DEFAULT_FILE, Settings},
    tools::{get_status::GetStatus, params::Nothing},
};

/// An agent that is well says within this whom it asks.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

#[derive(Debug, Args)]
pub struct Doctor {}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    Good,
    /// The agent runs, with less.
    Lacking,
    /// The agent cannot run at all.
    Fatal,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub health: Health,
    /// What was found.
    pub found: String,
    /// What works without it, or does not; none when all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether the agent can run at all.
    pub can_run: bool,
    pub checks: Vec<Check>,
}

impl Doctor {
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode, CliError> {
        let loaded = Settings::load(None);
        let first = settings(&loaded);
        let mut settings = loaded.unwrap_or_default();
        settings.socket.clone_from(&context.socket);
        let report = examine(first, &settings, || asks(context));
        context.print(&report, text)?;
        Ok(if report.can_run { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// What the settings are, as the agent would read them.
#[must_use]
pub fn settings(loaded: &Result<Settings, ConfigError>) -> Check {
    let name = "settings";
    match loaded {
        Ok(_) if Path::new(DEFAULT_FILE).exists() => Check::good(name, format!("{DEFAULT_FILE} is right")),
        Ok(_) => Check::good(name, format!("there is no {DEFAULT_FILE}; the defaults hold")),
        Err(ConfigError::Read { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => Check::lacking(
            name,
            format!("{DEFAULT_FILE} is not for you to read"),
            "what is told below is told of the defaults",
            "run as root",
        ),
        Err(error) => Check::fatal(
            name,
            error.to_string(),
            "without settings that it understands the agent does not start",
            "mend that line",
        ),
    }
}

/// What the agent that runs says. Whoever calls a doctor may have one that hangs: it is not waited for long.
fn asks(context: &Context) -> model::Asks {
    let asked = async {
        let client = Client::connect(&context.socket).await?;
        let answer = client.ask::<GetStatus>(&Nothing {}).await;
        client.close().await;
        answer
    };
    let answer = client::runtime().map(|runtime| runtime.block_on(async { timeout(ANSWERS_WITHIN, asked).await }));
    match answer {
        Ok(Ok(Ok(status))) => status.model.map_or(model::Asks::Nobody, |asked| model::Asks::Somebody(asked.choice)),
        _ => model::Asks::Untold,
    }
}

/// Looks at everything, in the order in which the agent needs it.
#[must_use]
pub fn examine(first: Check, settings: &Settings, asks: impl FnOnce() -> model::Asks) -> Report {
    let mut checks = vec![first];
    checks.extend(kernel::checks());
    checks.extend(machine::checks(settings));
    checks.extend(model::checks(settings, &model::Around::now(settings, asks)));
    Report { can_run: checks.iter().all(|check| check.health < Health::Fatal), checks }
}

/// The report for eyes.
#[must_use]
pub fn text(report: &Report, _: &Eyes) -> String {
    let mut lines = Vec::new();
    for check in &report.checks {
        let mark = match check.health {
            Health::Good => paint(Mood::Good, "✓"),
            Health::Lacking => paint(Mood::Warn, "!"),
            Health::Fatal => paint(Mood::Bad, "✗"),
        };
        lines.push(format!("{mark} {:<18}{}", check.name, check.found));
        lines.extend(check.without.iter().map(|without| format!("  {:<18}{without}", "")));
        lines.extend(check.mend.iter().map(|mend| format!("  {:<18}to mend: {mend}", "")));
    }
    let of = |health| report.checks.iter().filter(|check| check.health == health).count();
    let end = match (of(Health::Fatal), of(Health::Lacking)) {
        (0, 0) => paint(Mood::Good, "The agent can run here, with all it has."),
        (0, lacking) => {
            format!("The agent can run here; {}.", counted(lacking, "thing is lacking", "things are lacking"))
        }
        (fatal, _) => {
            let reasons = counted(fatal, "reason", "reasons");
            paint(Mood::Bad, &format!("The agent cannot run here, for {reasons} (✗)."))
        }
    };
    lines.push(String::new());
    lines.push(end);
    eyes::finish(&lines.join("\n"))
}

impl Check {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, health: Health::Good, found: found.into(), without: None, mend: None }
    }

    fn lacking(name: &'static str, found: impl Into<String>, without: &str, mend: &str) -> Self {
        Self {
            name,
            health: Health::Lacking,
            found: found.into(),
            without: Some(without.to_owned()),
            mend: Some(mend.to_owned()),
        }
    }

    fn fatal(name: &'static str, found: impl Into<String>, without: &str, mend: &str) -> Self {
        Self { health: Health::Fatal, ..Self::lacking(name, found, without, mend) }
    }
}
