//! `flush_buffers`: dirty pages are written to disk now.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target};
use crate::execute::{command::Command, undo::Undo};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FlushBuffers {}

impl Action for FlushBuffers {
    const NAME: &'static str = "flush_buffers";
    const SUMMARY: &'static str = "Writes all dirty pages to disk (sync)";
    const ON: On = On::Node;
    const RISK: Risk = Risk::Low;
    const POWER: Power = Power::Nothing;
    const WRITES: &'static str = "sync(2)";
    const IRREVERSIBLE_BECAUSE: Option<&'static str> =
        Some("what was written stays written, as the kernel would have done by itself a little later");
    const PREDICTS: Predicts = Predicts::Unreckoned("no dirty page is left to be written");
    const COST: &'static str = "the disks are busy until all is written";
    const SETTLE_S: u32 = 10;
}

impl Step for FlushBuffers {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        Ok(Plan {
            command: Command::Sync,
            file: None,
            undo: Undo::Nothing { why: Self::IRREVERSIBLE_BECAUSE.unwrap_or_default().to_owned() },
            change: "dirty pages -> on disk".to_owned(),
        })
    }
}
