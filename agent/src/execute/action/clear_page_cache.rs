//! `clear_page_cache`: clean pages, and at higher levels dentries and inodes, are dropped from memory.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target};
use crate::execute::{
    command::Command,
    sysctl::SysctlKey,
    undo::{Setting, Undo},
    value::Bounded,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClearPageCache {
    /// 1: page cache. 2: dentries and inodes. 3: both.
    #[serde(default = "one")]
    level: Bounded<1, 3>,
}

const fn one() -> Bounded<1, 3> {
    Bounded::of(1)
}

impl Action for ClearPageCache {
    const NAME: &'static str = "clear_page_cache";
    const SUMMARY: &'static str = "Drops clean cached pages (and dentries and inodes) of the whole node";
    const ON: On = On::Node;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::SysctlFile;
    const WRITES: &'static str = "vm.drop_caches";
    const IRREVERSIBLE_BECAUSE: Option<&'static str> =
        Some("what was dropped is read from disk again when it is needed; nothing is lost but time");
    const PREDICTS: Predicts = Predicts::Unreckoned("as much memory is free as clean caches held");
    const COST: &'static str = "files are read from disk again";
    const NEVER: &'static [&'static str] = &["a dirty page"];
    const SETTLE_S: u32 = 30;
}

impl Step for ClearPageCache {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        Ok(Plan {
            command: Command::Sysctl { key: SysctlKey::DROP_CACHES, values: self.level.get().unsigned_abs().into() },
            file: Some(Setting::sysctl(SysctlKey::DROP_CACHES)),
            undo: Undo::Nothing { why: Self::IRREVERSIBLE_BECAUSE.unwrap_or_default().to_owned() },
            change: format!("clean caches of level {} -> dropped", self.level.get()),
        })
    }
}
