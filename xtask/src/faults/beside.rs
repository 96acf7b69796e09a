//! Who is at the agent's side while a fault lasts: nobody, or whoever gives it a model, or a word.

use anyhow::Result;

use super::score::Seen;
use crate::{
    client::Client,
    model::{Model, Script, Terms},
};

pub(crate) trait Beside {
    /// Where the agent will be, before it is there.
    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    /// More arguments of the agent.
    fn arguments(&self) -> Vec<String> {
        Vec::new()
    }

    /// Another level than the fault's own.
    fn autonomy(&self) -> Option<&str> {
        None
    }

    /// With each look at the agent, and once more before it goes.
    fn look(&mut self, _client: &Client) -> Result<()> {
        Ok(())
    }

    /// Once all is over.
    fn over(&mut self, _seen: &mut Seen) {}
}

pub(crate) struct Nobody;

impl Beside for Nobody {}

/// A model that an agent asks, which must have been told nothing by those that it is asked about.
struct Asked {
    script: Script,
    model: Option<Model>,
}

impl Beside for Asked {
    fn begin(&mut self) -> Result<()> {
        self.model = Some(Model::begin(self.script, Terms::default())?);
        Ok(())
    }

    fn arguments(&self) -> Vec<String> {
        self.model.as_ref().map(Model::arguments).unwrap_or_default()
    }

    fn over(&mut self, seen: &mut Seen) {
        // It goes while the network is there that it is in.
        let Some(model) = self.model.take() else { return };
        if model.asked().is_empty() {
            seen.agent_troubles.push("the model was asked nothing".to_owned());
        }
        if model.obeyed() > 0 {
            seen.agent_troubles.push(format!("the model was told something by a stranger, {} times", model.obeyed()));
        }
    }
}

/// As the fault's file has it.
pub(super) fn of(script: Option<Script>) -> Box<dyn Beside> {
    match script {
        Some(script) => Box::new(Asked { script, model: None }),
        None => Box::new(Nobody),
    }
}
