//! `limit_dirty_bytes`: writers wait sooner, so that less waits to be written at once. It never raises the limit.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, limit_dirty};
use crate::execute::{sysctl::SysctlKey, value::Bounded};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitDirtyBytes {
    /// Dirty memory at which whoever writes has to write back itself, bytes.
    bytes: Bounded<16_777_216, 68_719_476_736>,
}

impl Action for LimitDirtyBytes {
    const NAME: &'static str = "limit_dirty_bytes";
    const SUMMARY: &'static str = "Lowers how many dirty bytes the node may hold before writers wait (vm.dirty_bytes)";
    const ON: On = On::Node;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::SysctlFile;
    const WRITES: &'static str = "vm.dirty_bytes";
    const PREDICTS: Predicts = Predicts::Unreckoned("writers wait before the disk has too much to catch up with");
    const COST: &'static str = "writes reach the disk sooner, and writers wait more often";
    const SETTLE_S: u32 = 20;
    const LEASE_S: Option<u32> = Some(3600);
}

impl Step for LimitDirtyBytes {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        limit_dirty(SysctlKey::DIRTY_BYTES, SysctlKey::DIRTY_RATIO, self.bytes.get().unsigned_abs())
    }
}
