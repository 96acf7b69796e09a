//! A model on loopback that says what a script has it say, and an agent's settings by which it is asked.

mod heard;
mod obedient;
mod sound;
mod wire;

#[path = "../../../tests/llm_server.rs"]
#[expect(dead_code, reason = "the agent's tests need more of it")]
mod llm_server;
#[path = "../../../tests/llm_ways.rs"]
mod llm_ways;
#[path = "../../../tests/llm_wire.rs"]
#[expect(dead_code, reason = "as above")]
mod llm_wire;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::place::Scratch;
pub(crate) use llm_server::{Answer, Asked, Server};
pub(crate) use llm_ways::{WAYS, Way};
pub(crate) use wire::Wire;

/// The file of an agent's settings.
pub(crate) const SETTINGS: &str = "kernelsight.toml";

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Script {
    /// Reads what it is told, looks once, and concludes.
    Sound,
    /// The same, and would do nothing.
    Objecting,
    /// As the first, until it sees a text that tells it something else: then it does that.
    Obedient,
}

/// How it is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// As `[model] decide` has it.
    pub(crate) decide: &'static str,
    /// As `[model] consult` has it.
    pub(crate) consult: &'static str,
    pub(crate) specialists: bool,
    pub(crate) deadline_s: u64,
    /// Before each answer.
    pub(crate) delay: Duration,
    pub(crate) wire: Wire,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            decide: "both",
            consult: "always",
            specialists: true,
            deadline_s: 90,
            delay: Duration::ZERO,
            wire: Wire::Gemini,
        }
    }
}

/// A model at its place. Dropping it ends it, and takes the settings away.
pub(crate) struct Model {
    server: Server,
    directory: Scratch,
    obeyed: Arc<AtomicUsize>,
}

impl Model {
    pub(crate) fn begin(script: Script, terms: Terms) -> Result<Self> {
        let obeyed = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&obeyed);
        Self::saying(terms, obeyed, move |asked, _| {
            std::thread::sleep(terms.delay);
            match (script, obedient::order(asked)) {
                (Script::Obedient, Some(order)) => {
                    counted.fetch_add(1, Ordering::Relaxed);
                    obedient::obey(asked, order)
                }
                (Script::Objecting, _) => sound::answer_as(asked, Some(None)),
                _ => sound::answer_as(asked, None),
            }
        })
    }

    /// One that never answers.
    pub(crate) fn silent() -> Result<Self> {
        Self::failing(|_, _| Answer::Silence, Terms::default())
    }

    /// One that fails in its own way.
    pub(crate) fn failing(way: fn(&Asked, usize) -> Answer, terms: Terms) -> Result<Self> {
        Self::saying(terms, Arc::default(), way)
    }

    fn saying(
        terms: Terms,
        obeyed: Arc<AtomicUsize>,
        script: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static,
    ) -> Result<Self> {
        let server = Server::begin(script);
        let model = Self { server, directory: Scratch::new()?, obeyed };
        let key = model.directory.join("key");
        write(&key, "no-key-is-needed-here\n")?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
        write(&model.directory.join(SETTINGS), &model.words(terms, &key))?;
        Ok(model)
    }

    fn words(&self, terms: Terms, key: &Path) -> String {
        let Terms { decide, consult, specialists, deadline_s, wire, .. } = terms;
        let (url, base, key, provider) = (self.server.url(), wire.base(), key.display(), wire.provider());
        format!(
            "[model]\nprovider = '{provider}'\nmodel = 'scripted'\nbase_url = '{url}{base}'\nkey_file = '{key}'\n\
             decide = '{decide}'\nconsult = '{consult}'\nspecialists = {specialists}\ndeadline_s = {deadline_s}\n"
        )
    }

    /// By which an agent asks it.
    pub(crate) fn arguments(&self) -> Vec<String> {
        vec!["--config".to_owned(), self.directory.join(SETTINGS).display().to_string()]
    }

    /// How often it saw a text that told it something.
    pub(crate) fn obeyed(&self) -> usize {
        self.obeyed.load(Ordering::Relaxed)
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.server.asked()
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))
}
