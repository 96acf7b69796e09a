//! `increase_wmem_max`: a socket may ask for a larger buffer for what it sends. It never lowers the value.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Room, Step, Target, raise_sysctl};
use crate::execute::{sysctl::SysctlKey, value::Bounded};

/// Most of all memory that one socket may ask for, percent.
const MOST_PERCENT: u64 = 1;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IncreaseWmemMax {
    /// Largest buffer that a socket may ask for, bytes; at most 1 % of all memory.
    value: Bounded<212_992, 67_108_864>,
}

impl Action for IncreaseWmemMax {
    const NAME: &'static str = "increase_wmem_max";
    const SUMMARY: &'static str = "Raises net.core.wmem_max; a socket has the larger buffer when it asks anew";
    const ON: On = On::Node;
    const RISK: Risk = Risk::Low;
    const POWER: Power = Power::SysctlFile;
    const WRITES: &'static str = "net.core.wmem_max";
    const PREDICTS: Predicts = Predicts::Unreckoned("a socket that asks anew has the larger buffer");
    const COST: &'static str = "a socket that asks holds more memory of the kernel";
    const NEVER: &'static [&'static str] = &["more than 1 % of all memory for a socket"];
    const SETTLE_S: u32 = 10;
}

impl Step for IncreaseWmemMax {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        let bytes = self.value.get().unsigned_abs();
        let plan = raise_sysctl(SysctlKey::WMEM_MAX, bytes)?;
        Room::now()?.for_share(bytes, MOST_PERCENT)?;
        Ok(plan)
    }
}
