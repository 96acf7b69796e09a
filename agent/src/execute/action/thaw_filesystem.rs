//! `thaw_filesystem`: a filesystem that was left frozen takes writes again.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target};
use crate::execute::{
    command::Command,
    undo::{Setting, Undo},
    value::FilePath,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ThawFilesystem {
    /// Where it is mounted.
    path: FilePath,
}

impl Action for ThawFilesystem {
    const NAME: &'static str = "thaw_filesystem";
    const SUMMARY: &'static str = "Thaws a filesystem that was left frozen, so that whoever waits to write goes on";
    const ON: On = On::Mount;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::Thaw;
    const WRITES: &'static str = "ioctl(FITHAW)";
    const IRREVERSIBLE_BECAUSE: Option<&'static str> = Some(
        "whoever froze it for a snapshot has to freeze it again; frozen by this agent it would block its own database",
    );
    const PREDICTS: Predicts = Predicts::Unreckoned("whoever waits to write there goes on");
    const COST: &'static str = "a snapshot for which it was frozen is not whole";
    const SETTLE_S: u32 = 10;
}

impl Step for ThawFilesystem {
    fn target(&self) -> Target {
        Target::Mount(self.path.clone())
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let path = found.mount()?;
        Ok(Plan {
            command: Command::Thaw { path: path.clone() },
            file: Some(Setting::mount(path)?),
            undo: Undo::Nothing { why: Self::IRREVERSIBLE_BECAUSE.unwrap_or_default().to_owned() },
            change: format!("{path} frozen -> thawed"),
        })
    }
}
