//! `resume`: ends whatever holds the agent back.

use clap::Args;

use super::{CliError, Context};
use crate::tools::{params::Nothing, resume};

#[derive(Clone, Copy, Debug, Args)]
pub struct Resume {}

impl Resume {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        context.show::<resume::Resume>(&Nothing {}, |answer, _| {
            let ended: Vec<String> = answer.ended.iter().map(|hold| format!("It was {hold}.")).collect();
            if ended.is_empty() {
                return "Nothing held it back.".to_owned();
            }
            format!("{}\nIt may act again, as far as its level lets it.", ended.join("\n"))
        })
    }
}
