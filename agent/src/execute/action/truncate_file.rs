//! `truncate_file`: a file that grew without bound is emptied. Only one that an operator lists by its exact path.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target};
use crate::execute::{
    command::{Command, Listing},
    undo::{Setting, Undo},
    value::FilePath,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TruncateFile {
    /// As it stands in `listed.toml`.
    path: FilePath,
}

impl Action for TruncateFile {
    const NAME: &'static str = "truncate_file";
    const SUMMARY: &'static str =
        "Empties a file, such as a log that grew without bound; only one that an operator lists";
    const ON: On = On::File;
    const RISK: Risk = Risk::High;
    const POWER: Power = Power::ListedFile;
    const WRITES: &'static str = "ftruncate(2)";
    const IRREVERSIBLE_BECAUSE: Option<&'static str> = Some("what was in the file is gone");
    const LISTING: Option<Listing> = Some(Listing::Truncate);
    const PREDICTS: Predicts = Predicts::Unreckoned("its filesystem has so much more room");
    const COST: &'static str = "what was in the file is lost";
    const SETTLE_S: u32 = 10;
}

impl Step for TruncateFile {
    fn target(&self) -> Target {
        Target::File(self.path.clone())
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let path = found.file()?;
        let (setting, bytes) = Setting::file(path)?;
        if bytes == 0 {
            let (now, asked) = ("empty".to_owned(), "to empty it".to_owned());
            return Err(Refusal::AlreadyMilder { what: path.to_string(), now, asked });
        }
        Ok(Plan {
            command: Command::Truncate { path: path.clone() },
            file: Some(setting),
            undo: Undo::Nothing { why: Self::IRREVERSIBLE_BECAUSE.unwrap_or_default().to_owned() },
            change: format!("{path} {bytes} bytes -> empty"),
        })
    }
}
