//! `limit_dirty_background_bytes`: the kernel writes back sooner, so that writers seldom have to wait. It never raises the limit.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, limit_dirty};
use crate::execute::{sysctl::SysctlKey, value::Bounded};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitDirtyBackgroundBytes {
    /// Dirty memory at which the kernel begins to write back by itself, bytes.
    bytes: Bounded<4_194_304, 68_719_476_736>,
}

impl Action for LimitDirtyBackgroundBytes {
    const NAME: &'static str = "limit_dirty_background_bytes";
    const SUMMARY: &'static str =
        "Lowers how many dirty bytes the node may hold before it writes back (vm.dirty_background_bytes)";
    const ON: On = On::Node;
    const RISK: Risk = Risk::Low;
    const POWER: Power = Power::SysctlFile;
    const WRITES: &'static str = "vm.dirty_background_bytes";
    const PREDICTS: Predicts = Predicts::Unreckoned("the disk has less to catch up with at once");
    const COST: &'static str = "writes reach the disk sooner, and writers wait more often";
    const SETTLE_S: u32 = 20;
    const LEASE_S: Option<u32> = Some(3600);
}

impl Step for LimitDirtyBackgroundBytes {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        limit_dirty(
            SysctlKey::DIRTY_BACKGROUND_BYTES,
            SysctlKey::DIRTY_BACKGROUND_RATIO,
            self.bytes.get().unsigned_abs(),
        )
    }
}
