//! `reuse_time_wait`: a new outgoing connection may take the port of one that waits in TIME-WAIT. It never ends that.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Raises, Refusal, Risk, Step, Target, number};
use crate::execute::{command::Command, sysctl::SysctlKey, undo::Setting, value::Bounded};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReuseTimeWait {
    /// 1: to every address. 2: on loopback only.
    #[serde(default = "everywhere")]
    value: Bounded<1, 2>,
}

const fn everywhere() -> Bounded<1, 2> {
    Bounded::of(1)
}

impl Action for ReuseTimeWait {
    const NAME: &'static str = "reuse_time_wait";
    const SUMMARY: &'static str = "Widens net.ipv4.tcp_tw_reuse, so that ports in TIME-WAIT serve new connections";
    const ON: On = On::Node;
    const RISK: Risk = Risk::Low;
    const POWER: Power = Power::SysctlFile;
    const WRITES: &'static str = "net.ipv4.tcp_tw_reuse";
    const PREDICTS: Predicts = Predicts::Raised(Raises::PortsInTimeWait);
    const COST: &'static str = "a new connection may meet a late segment of an old one";
    const SETTLE_S: u32 = 10;
}

impl Step for ReuseTimeWait {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        let setting = Setting::sysctl(SysctlKey::TW_REUSE);
        let (now, asked) = (number(&setting)?, self.value.get().unsigned_abs());
        if reach(asked) <= reach(now) {
            return Err(Refusal::WrongWay {
                verb: "widen",
                what: setting.name(),
                now: now.to_string(),
                asked: asked.to_string(),
            });
        }
        let command = Command::Sysctl { key: SysctlKey::TW_REUSE, values: asked.into() };
        Ok(Plan::set(command, setting, now.to_string(), asked.to_string()))
    }
}

/// For how many connections a value holds: none, those of loopback, all.
const fn reach(value: u64) -> u8 {
    match value {
        0 => 0,
        2 => 1,
        _ => 2,
    }
}
