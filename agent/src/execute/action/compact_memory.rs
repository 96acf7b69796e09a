//! `compact_memory`: free memory is put together, so that large pages can be had without waiting.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target};
use crate::execute::{
    command::Command,
    sysctl::SysctlKey,
    undo::{Setting, Undo},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CompactMemory {}

impl Action for CompactMemory {
    const NAME: &'static str = "compact_memory";
    const SUMMARY: &'static str = "Compacts the memory of the whole node, so that large pages are free";
    const ON: On = On::Node;
    const RISK: Risk = Risk::Low;
    const POWER: Power = Power::SysctlFile;
    const WRITES: &'static str = "vm.compact_memory";
    const IRREVERSIBLE_BECAUSE: Option<&'static str> =
        Some("pages were moved and nothing was lost; memory falls to pieces again by itself");
    const PREDICTS: Predicts = Predicts::Unreckoned("large pages are free");
    const COST: &'static str = "the CPUs are busy moving pages";
    const SETTLE_S: u32 = 10;
}

impl Step for CompactMemory {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        Ok(Plan {
            command: Command::Sysctl { key: SysctlKey::COMPACT_MEMORY, values: 1.into() },
            file: Some(Setting::sysctl(SysctlKey::COMPACT_MEMORY)),
            undo: Undo::Nothing { why: Self::IRREVERSIBLE_BECAUSE.unwrap_or_default().to_owned() },
            change: "free memory -> put together".to_owned(),
        })
    }
}
