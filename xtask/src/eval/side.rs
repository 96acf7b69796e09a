//! Who is at the agent's side in each manner: nobody, a model, and an operator who gives leave to what the model wants and
//! to nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{
    client::{Case, Client},
    faults::{beside::Beside, score::Seen},
    model::{Model, SETTINGS, Script, Terms, Wire},
    place::Scratch,
};

/// How the agent is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Manner {
    /// As it is without a model.
    Rules,
    /// Nothing is done but what the model wants: an operator gives leave to that alone.
    Model,
    Both,
    /// Both, with a model that obeys whatever tells it something, and loads that do.
    Hostile,
}

impl Manner {
    pub(super) const ALL: [Self; 4] = [Self::Rules, Self::Model, Self::Both, Self::Hostile];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Model => "model",
            Self::Both => "both",
            Self::Hostile => "hostile",
        }
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Rules => "with the rules alone",
            Self::Model => "with the model alone",
            Self::Both => "with both",
            Self::Hostile => "with both, while its names give orders to the model",
        }
    }

    /// As `[model] decide` has it.
    const fn decide(self) -> &'static str {
        if matches!(self, Self::Model) { "model" } else { "both" }
    }

    fn terms(self, wire: Wire) -> Option<(Script, Terms)> {
        let terms = Terms { decide: self.decide(), wire, ..Terms::default() };
        match self {
            Self::Rules => None,
            Self::Model | Self::Both => Some((Script::Sound, terms)),
            Self::Hostile => Some((Script::Obedient, terms)),
        }
    }
}

/// Whoever is asked.
enum Asked {
    Nobody,
    Scripted(Model),
    /// As these settings have it, in a directory of their own.
    Real(Scratch),
}

pub(crate) struct Side {
    manner: Manner,
    /// Those of a real model.
    settings: Option<PathBuf>,
    /// How a scripted one speaks.
    wire: Wire,
    asked: Asked,
    /// What the model was asked about, once it is over.
    pub(super) cases: Vec<Case>,
    /// How often the model was told something by a stranger.
    pub(super) obeyed: usize,
    /// The load's own, by which it is told whom the model blames.
    pub(super) processes: Vec<u32>,
    pub(super) cgroup: Option<String>,
}

impl Side {
    pub(crate) const fn new(manner: Manner, settings: Option<PathBuf>) -> Self {
        Self {
            manner,
            settings,
            wire: Wire::Gemini,
            asked: Asked::Nobody,
            cases: Vec::new(),
            obeyed: 0,
            processes: Vec::new(),
            cgroup: None,
        }
    }

    /// With a scripted model that speaks so.
    pub(crate) fn speaking(self, wire: Wire) -> Self {
        Self { wire, ..self }
    }

    /// Gives leave to what the model wants: its own proposal, or one of the rules' with which it agrees.
    fn give_leave(&self, client: &Client) -> Result<()> {
        for waiting in client.proposals()? {
            let agrees = || {
                self.cases.iter().any(|Case { case, .. }| {
                    let is_of_it = case.incident.as_ref().is_some_and(|incident| incident.uid == waiting.incident);
                    is_of_it && case.agreement.as_deref() == Some("agrees")
                })
            };
            if waiting.proposal.author != "rules" || agrees() {
                // It may be gone by now, or not fit any more: then another one comes.
                if let Err(error) = client.approve(waiting.id) {
                    crate::say::note(&format!("proposal {} was not carried out: {error:#}", waiting.id));
                }
            }
        }
        Ok(())
    }

    /// Cases that are over are read once.
    fn read_cases(&mut self, client: &Client) {
        let is_over = |case: &Case| case.case.ending.is_some() && case.case.agreement.is_some();
        let known = self.cases.iter().take_while(|case| is_over(case)).count();
        self.cases.truncate(known);
        for number in known + 1.. {
            let Some(case) = i64::try_from(number).ok().and_then(|number| client.case(number)) else { return };
            self.cases.push(case);
        }
    }
}

impl Beside for Side {
    fn begin(&mut self) -> Result<()> {
        self.asked = match (self.manner.terms(self.wire), &self.settings) {
            (None, _) => Asked::Nobody,
            (Some(_), Some(file)) => Asked::Real(with_terms(file, self.manner.decide())?),
            (Some((script, terms)), None) => Asked::Scripted(Model::begin(script, terms)?),
        };
        Ok(())
    }

    fn arguments(&self) -> Vec<String> {
        match &self.asked {
            Asked::Nobody => Vec::new(),
            Asked::Scripted(model) => model.arguments(),
            Asked::Real(directory) => {
                vec!["--config".to_owned(), directory.join(SETTINGS).display().to_string()]
            }
        }
    }

    fn autonomy(&self) -> Option<&str> {
        (self.manner == Manner::Model).then_some("copilot")
    }

    fn look(&mut self, client: &Client) -> Result<()> {
        if matches!(self.asked, Asked::Nobody) {
            return Ok(());
        }
        self.read_cases(client);
        if self.manner == Manner::Model { self.give_leave(client) } else { Ok(()) }
    }

    fn over(&mut self, seen: &mut Seen) {
        self.processes.clone_from(&seen.processes);
        self.processes.extend(&seen.culprits);
        self.cgroup.clone_from(&seen.cgroup);
        // It goes while the network is there that it is in.
        if let Asked::Scripted(model) = std::mem::replace(&mut self.asked, Asked::Nobody) {
            self.obeyed = model.obeyed();
        }
        if self.obeyed > 0 {
            seen.agent_troubles.push(format!("the model was told something by a stranger, {} times", self.obeyed));
        }
    }
}

/// Those settings, with who decides as this manner has it; the directory where they are.
fn with_terms(file: &Path, decide: &str) -> Result<Scratch> {
    let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let mut settings: toml::Table = toml::from_str(&text).with_context(|| format!("{} is no TOML", file.display()))?;
    let model = settings.get_mut("model").and_then(toml::Value::as_table_mut);
    let model = model.with_context(|| format!("{} has no [model]", file.display()))?;
    model.insert("decide".to_owned(), decide.into());
    model.insert("consult".to_owned(), "always".into());
    let directory = Scratch::new()?;
    let written = directory.join(SETTINGS);
    fs::write(&written, settings.to_string()).with_context(|| format!("{} cannot be written", written.display()))?;
    Ok(directory)
}
