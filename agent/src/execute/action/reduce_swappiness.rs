//! `reduce_swappiness`: the kernel swaps less eagerly. It never raises the value.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, Plan, Power, Refusal, Risk, Step, Target};
use crate::execute::{
    command::{Command, SysctlKey},
    undo::Setting,
    value::Bounded,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReduceSwappiness {
    /// Swappiness to reach.
    #[serde(default = "ten")]
    value: Bounded<0, 100>,
}

const fn ten() -> Bounded<0, 100> {
    Bounded::of(10)
}

impl Action for ReduceSwappiness {
    const NAME: &'static str = "reduce_swappiness";
    const SUMMARY: &'static str = "Lowers vm.swappiness, so that the kernel prefers dropping cache to swapping";
    const RISK: Risk = Risk::Low;
    const POWER: Power = Power::SysctlFile;
    const SETTLE_S: u32 = 20;
}

impl Step for ReduceSwappiness {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        let setting = Setting::sysctl(SysctlKey::Swappiness);
        let before = setting.read()?;
        let now: i64 =
            before.parse().map_err(|_| Refusal::Unreadable { what: setting.name(), text: before.clone() })?;
        let asked = self.value.get();
        if asked >= now {
            return Err(Refusal::WrongWay {
                verb: "lower",
                what: setting.name(),
                now: before,
                asked: asked.to_string(),
            });
        }
        let command = Command::Sysctl { key: SysctlKey::Swappiness, value: asked.unsigned_abs() };
        Ok(Plan::set(command, setting, before, asked.to_string()))
    }
}
