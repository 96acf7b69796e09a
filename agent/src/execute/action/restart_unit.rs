//! `restart_unit`: systemd stops a service and starts it anew. Only one that an operator lists, and with it nothing that
//! is not listed, too.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target};
use crate::execute::{
    command::{Command, Listing},
    manager::Manager,
    undo::{Setting, Undo},
    value::UnitName,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RestartUnit {
    /// As it stands in `listed.toml`.
    unit: UnitName,
}

impl Action for RestartUnit {
    const NAME: &'static str = "restart_unit";
    const SUMMARY: &'static str = "Restarts a service of systemd that leaks or hangs; only one that an operator lists";
    const ON: On = On::Unit;
    const RISK: Risk = Risk::High;
    const POWER: Power = Power::ServiceManager;
    const WRITES: &'static str = "RestartUnit of systemd";
    const IRREVERSIBLE_BECAUSE: Option<&'static str> =
        Some("its processes ended and others run; what they held in memory is gone");
    const LISTING: Option<Listing> = Some(Listing::Restart);
    const PREDICTS: Predicts = Predicts::BeginsAnew;
    const COST: &'static str = "what it held in memory is lost, and it answers nobody until it is up again";
    const NEVER: &'static [&'static str] =
        &["a unit that is not active, or that its file keeps from being stopped by hand"];
    const SETTLE_S: u32 = 30;
}

impl Step for RestartUnit {
    fn target(&self) -> Target {
        Target::Unit(self.unit.clone())
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let name = found.unit()?;
        let unit = Manager::open()?.unit(name.as_str())?;
        if !unit.by_hand {
            return Err(Refusal::NotByHand { unit: unit.name });
        }
        let Some(run) = unit.invocation.filter(|_| unit.state == "active") else {
            return Err(Refusal::NotActive { unit: unit.name, state: unit.state });
        };
        Ok(Plan {
            command: Command::Restart { unit: name.clone(), run },
            file: Some(Setting::Unit { unit: name.to_string(), run }),
            undo: Undo::Nothing { why: Self::IRREVERSIBLE_BECAUSE.unwrap_or_default().to_owned() },
            change: format!("{name} active -> restarted"),
        })
    }
}
