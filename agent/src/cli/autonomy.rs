//! `autonomy`: shows or sets how much the agent may do by itself.

use clap::Args;
use serde_json::json;

use super::{CliError, Context};
use crate::{
    live,
    tools::{
        get_status::GetStatus,
        params::Nothing,
        set_autonomy::{Answer, Params, SetAutonomy},
    },
};

#[derive(Debug, Args)]
pub struct Autonomy {
    /// The level to set; without one, the present one is shown.
    pub level: Option<live::Autonomy>,
}

impl Autonomy {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        let Some(level) = self.level else {
            let now = context.ask::<GetStatus>(&Nothing {})?.autonomy;
            return context.print(&json!({ "now": now }), |_, _| now.name().to_owned());
        };
        context.show::<SetAutonomy>(&Params { level }, |answer, _| text(answer))
    }
}

/// The change in one line.
#[must_use]
pub fn text(answer: &Answer) -> String {
    if answer.before == answer.now {
        return format!("The level is {} already.", answer.now.name());
    }
    format!("The level is {} now; it was {}.", answer.now.name(), answer.before.name())
}
