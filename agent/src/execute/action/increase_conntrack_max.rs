//! `increase_conntrack_max`: the node tracks more connections before it drops new ones. It never lowers the value.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Room, Step, Target, number, raise_sysctl};
use crate::execute::{sysctl::SysctlKey, undo::Setting, value::Bounded};

/// What one tracked connection takes with its extensions, bytes: `nf_conntrack` of `/proc/slabinfo` is 256 to 320.
const ENTRY_BYTES: u64 = 400;
/// Most of all memory that tracked connections may come to take, percent.
const MOST_PERCENT: u64 = 10;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IncreaseConntrackMax {
    /// Connections that may be tracked at once.
    value: Bounded<65_536, 16_777_216>,
}

impl Action for IncreaseConntrackMax {
    const NAME: &'static str = "increase_conntrack_max";
    const SUMMARY: &'static str = "Raises net.netfilter.nf_conntrack_max, so that new connections are not dropped";
    const ON: On = On::Node;
    const RISK: Risk = Risk::Low;
    const POWER: Power = Power::SysctlFile;
    const WRITES: &'static str = "net.netfilter.nf_conntrack_max";
    const PREDICTS: Predicts = Predicts::Unreckoned("new connections are not dropped");
    const COST: &'static str = "more memory that only the kernel can give back";
    const NEVER: &'static [&'static str] = &[
        "more than 10 % of all memory",
        "the tenth of all memory that stays available",
        "a maximum of 0, which is none",
    ];
    const SETTLE_S: u32 = 10;
}

impl Step for IncreaseConntrackMax {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        let asked = self.value.get().unsigned_abs();
        let setting = Setting::sysctl(SysctlKey::CONNTRACK_MAX);
        let now = number(&setting)?;
        if now == 0 {
            return Err(Refusal::WrongWay {
                verb: "raise",
                what: setting.name(),
                now: "0, which is no limit".to_owned(),
                asked: asked.to_string(),
            });
        }
        let plan = raise_sysctl(SysctlKey::CONNTRACK_MAX, asked)?;
        let room = Room::now()?;
        room.for_share(asked * ENTRY_BYTES, MOST_PERCENT)?;
        room.for_more((asked - now) * ENTRY_BYTES)?;
        Ok(plan)
    }
}
