//! `model`: shows or sets which model is asked beside the rules.

use clap::Args;

use super::{CliError, Context};
use crate::{
    llm::ModelChoice,
    mind::settings::Provider,
    tools::{
        get_status::GetStatus,
        params::{Nothing, Prose},
        set_model::{Answer, Params, SetModel},
    },
};

#[derive(Debug, Args)]
pub struct Model {
    /// The provider to ask from now on; without one, the present one is shown.
    #[arg(conflicts_with = "off")]
    pub provider: Option<Provider>,
    /// Its model; gemini has one that is usual.
    #[arg(requires = "provider")]
    pub model: Option<Prose<128>>,
    /// Where it is asked, if not where it usually is.
    #[arg(long, value_name = "URL", requires = "provider")]
    pub base_url: Option<Prose<512>>,
    /// Ask nobody.
    #[arg(long)]
    pub off: bool,
}

impl Model {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        if self.provider.is_none() && !self.off {
            let now = context.ask::<GetStatus>(&Nothing {})?.model;
            return context.print(&now, |now, _| named(now.as_ref().map(|model| &model.choice)));
        }
        let Self { provider, model, base_url, .. } = self;
        context.show::<SetModel>(&Params { provider, model, base_url }, |answer, _| text(answer))
    }
}

/// The change in one line.
#[must_use]
pub fn text(answer: &Answer) -> String {
    if answer.before == answer.now {
        return format!("{} was set already.", named(answer.now.as_ref()));
    }
    format!("Asked beside the rules: {}; it was {}.", named(answer.now.as_ref()), named(answer.before.as_ref()))
}

fn named(choice: Option<&ModelChoice>) -> String {
    choice.map_or_else(|| "nobody".to_owned(), ModelChoice::to_string)
}
