//! `reduce_fin_timeout`: sockets leave FIN-WAIT-2 sooner. It never raises the value.

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
pub(super) struct ReduceFinTimeout {
    /// Timeout to reach, s.
    #[serde(default = "thirty")]
    value: Bounded<10, 120>,
}

const fn thirty() -> Bounded<10, 120> {
    Bounded::of(30)
}

impl Action for ReduceFinTimeout {
    const NAME: &'static str = "reduce_fin_timeout";
    const SUMMARY: &'static str = "Lowers net.ipv4.tcp_fin_timeout, so that orphaned sockets go sooner";
    const RISK: Risk = Risk::Low;
    const POWER: Power = Power::SysctlFile;
    const SETTLE_S: u32 = 20;
}

impl Step for ReduceFinTimeout {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        let setting = Setting::sysctl(SysctlKey::FinTimeout);
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
        let command = Command::Sysctl { key: SysctlKey::FinTimeout, value: asked.unsigned_abs() };
        Ok(Plan::set(command, setting, before, asked.to_string()))
    }
}
