//! `increase_tcp_backlog`: listening sockets may queue more connections. It never lowers the value.

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
pub(super) struct IncreaseTcpBacklog {
    /// Longest queue of a listening socket to reach, connections.
    value: Bounded<128, 65536>,
}

impl Action for IncreaseTcpBacklog {
    const NAME: &'static str = "increase_tcp_backlog";
    const SUMMARY: &'static str = "Raises net.core.somaxconn; a socket has the longer queue when it listens anew";
    const RISK: Risk = Risk::Low;
    const POWER: Power = Power::SysctlFile;
    const SETTLE_S: u32 = 10;
}

impl Step for IncreaseTcpBacklog {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        let setting = Setting::sysctl(SysctlKey::Somaxconn);
        let before = setting.read()?;
        let now: i64 =
            before.parse().map_err(|_| Refusal::Unreadable { what: setting.name(), text: before.clone() })?;
        let asked = self.value.get();
        if asked <= now {
            return Err(Refusal::WrongWay {
                verb: "raise",
                what: setting.name(),
                now: before,
                asked: asked.to_string(),
            });
        }
        let command = Command::Sysctl { key: SysctlKey::Somaxconn, value: asked.unsigned_abs() };
        Ok(Plan::set(command, setting, before, asked.to_string()))
    }
}
