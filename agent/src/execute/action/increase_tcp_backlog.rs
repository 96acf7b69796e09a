//! `increase_tcp_backlog`: listening sockets may queue more connections. It never lowers the value.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, raise_sysctl};
use crate::execute::{sysctl::SysctlKey, value::Bounded};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IncreaseTcpBacklog {
    /// Longest queue of a listening socket to reach, connections.
    value: Bounded<128, 65536>,
}

impl Action for IncreaseTcpBacklog {
    const NAME: &'static str = "increase_tcp_backlog";
    const SUMMARY: &'static str = "Raises net.core.somaxconn; a socket has the longer queue when it listens anew";
    const ON: On = On::Node;
    const RISK: Risk = Risk::Low;
    const POWER: Power = Power::SysctlFile;
    const WRITES: &'static str = "net.core.somaxconn";
    const PREDICTS: Predicts = Predicts::Unreckoned("a socket that listens anew drops fewer connections");
    const COST: &'static str = "each connection that waits holds memory of the kernel";
    const SETTLE_S: u32 = 30;
}

impl Step for IncreaseTcpBacklog {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        raise_sysctl(SysctlKey::SOMAXCONN, self.value.get().unsigned_abs())
    }
}
