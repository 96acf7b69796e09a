//! `reduce_swappiness`: the kernel swaps less eagerly. It never raises the value.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, lower_sysctl};
use crate::execute::{sysctl::SysctlKey, value::Bounded};

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
    const ON: On = On::Node;
    const RISK: Risk = Risk::Low;
    const POWER: Power = Power::SysctlFile;
    const WRITES: &'static str = "vm.swappiness";
    const PREDICTS: Predicts = Predicts::Unreckoned("less is swapped");
    const COST: &'static str = "the page cache is reclaimed sooner than anonymous memory, on the whole node";
    const SETTLE_S: u32 = 30;
}

impl Step for ReduceSwappiness {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        lower_sysctl(SysctlKey::SWAPPINESS, self.value.get().unsigned_abs())
    }
}
