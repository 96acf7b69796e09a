//! `pause`: the agent changes nothing until it is resumed.

use clap::Args;
use jiff::SignedDuration;

use super::{CliError, Context};
use crate::tools::{
    params::{Bounded, Prose},
    pause::{self, Params},
};

#[derive(Debug, Args)]
pub struct Pause {
    /// Why; whoever finds it paused reads it.
    #[arg(long, default_value = "an operator said so")]
    pub reason: Prose<1000>,
    /// For so long, such as 30m or 2h; without it until `kernelsight resume`.
    #[arg(long = "for", value_name = "TIME")]
    pub lasts: Option<SignedDuration>,
}

impl Pause {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let seconds = |lasts: SignedDuration| {
            serde_json::from_value::<Bounded<1, { pause::LONGEST_S }>>(lasts.as_secs().into())
                .map_err(|_| CliError::Usage { reason: "--for takes 1 s to 30 days, such as 30m or 2h".to_owned() })
        };
        let params = Params { reason: self.reason, for_s: self.lasts.map(seconds).transpose()? };
        context.show::<pause::Pause>(&params, |hold, eyes| {
            let until = hold
                .until_ms
                .map_or_else(|| "until `kernelsight resume`".to_owned(), |until| format!("until {}", eyes.when(until)));
            format!("Paused {until}: it looks and changes nothing.")
        })
    }
}
