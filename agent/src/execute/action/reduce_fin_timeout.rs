//! `reduce_fin_timeout`: sockets leave FIN-WAIT-2 sooner. It never raises the value.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, lower_sysctl};
use crate::execute::{sysctl::SysctlKey, value::Bounded};

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
    const ON: On = On::Node;
    const RISK: Risk = Risk::Low;
    const POWER: Power = Power::SysctlFile;
    const WRITES: &'static str = "net.ipv4.tcp_fin_timeout";
    const PREDICTS: Predicts = Predicts::Unreckoned("fewer orphaned sockets wait in FIN-WAIT-2");
    const COST: &'static str = "the last data of a slow peer may be answered with a reset";
    const SETTLE_S: u32 = 30;
}

impl Step for ReduceFinTimeout {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        lower_sysctl(SysctlKey::FIN_TIMEOUT, self.value.get().unsigned_abs())
    }
}
