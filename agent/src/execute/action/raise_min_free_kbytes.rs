//! `raise_min_free_kbytes`: the kernel begins to reclaim sooner and keeps more pages free. It never lowers the value.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Room, Step, Target, raise_sysctl};
use crate::execute::{sysctl::SysctlKey, value::Bounded};

/// Most of all memory that may be kept free so, percent.
const MOST_PERCENT: u64 = 5;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RaiseMinFreeKbytes {
    /// Memory to keep free, KiB; at most 5 % of all memory.
    kbytes: Bounded<1024, 67_108_864>,
}

impl Action for RaiseMinFreeKbytes {
    const NAME: &'static str = "raise_min_free_kbytes";
    const SUMMARY: &'static str = "Raises vm.min_free_kbytes, so that reclaim begins before an allocation has to wait";
    const ON: On = On::Node;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::SysctlFile;
    const WRITES: &'static str = "vm.min_free_kbytes";
    const PREDICTS: Predicts = Predicts::Unreckoned("fewer allocations wait for reclaim");
    const COST: &'static str = "so much less memory for programs and cache";
    const NEVER: &'static [&'static str] =
        &["more than 5 % of all memory", "the tenth of all memory that stays available"];
    const SETTLE_S: u32 = 20;
    const LEASE_S: Option<u32> = Some(3600);
}

impl Step for RaiseMinFreeKbytes {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        let kbytes = self.kbytes.get().unsigned_abs();
        let plan = raise_sysctl(SysctlKey::MIN_FREE_KBYTES, kbytes)?;
        let room = Room::now()?;
        room.for_share(kbytes * 1024, MOST_PERCENT)?;
        room.for_more(kbytes * 1024)?;
        Ok(plan)
    }
}
