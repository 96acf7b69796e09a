//! `set_link_speed`: a link that comes and goes at one speed is told another. One that negotiates offers no other then, so
//! that both ends agree; one that does not is set.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target};
use crate::execute::{
    command::Command,
    link_speed::LinkSpeed,
    undo::Setting,
    value::{Bounded, Interface},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetLinkSpeed {
    /// Its name, as `eth0`; never `lo`.
    interface: Interface,
    /// Mbit/s.
    mbit: Bounded<10, 800_000>,
}

impl Action for SetLinkSpeed {
    const NAME: &'static str = "set_link_speed";
    const SUMMARY: &'static str =
        "Tells a network interface one speed, where its driver supports that; one that negotiates offers no other then";
    const ON: On = On::Interface;
    const RISK: Risk = Risk::High;
    const POWER: Power = Power::NetAdmin;
    const WRITES: &'static str = "ethtool(ETHTOOL_MSG_LINKMODES_SET)";
    const PREDICTS: Predicts = Predicts::Unreckoned("the link carries no more than that");
    const COST: &'static str = "the link goes down for a moment, and carries no more than that afterwards";
    const NEVER: &'static [&'static str] =
        &["a speed that the driver does not name", "a link whose speed could not be put back"];
    const SETTLE_S: u32 = 20;
    const LEASE_S: Option<u32> = Some(3600);
}

impl Step for SetLinkSpeed {
    fn target(&self) -> Target {
        Target::Interface(self.interface.clone())
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let interface = found.interface()?;
        let mbit = u32::try_from(self.mbit.get()).unwrap_or(0);
        let (setting, modes) = Setting::link(interface)?;
        let what = setting.name();
        let before =
            LinkSpeed::of(&modes).map_err(|why| Refusal::NotPutBack { what: what.clone(), why: why.to_owned() })?;
        let supported: BTreeSet<u32> = modes.ours.iter().filter_map(|mode| mode.speed).collect();
        // A driver that names none may take any; it says so when it is told one that it does not take.
        if !supported.contains(&mbit) && (modes.autoneg || !supported.is_empty()) {
            let supported: Vec<String> = supported.iter().map(u32::to_string).collect();
            return Err(Refusal::NoSuchSpeed { what, asked: mbit, supported: supported.join(", ") });
        }
        let wrote = before.at(mbit, &modes);
        if wrote == before {
            let (now, asked) = (before.to_string(), format!("{mbit} Mbit/s"));
            return Err(Refusal::AlreadyMilder { what, now, asked });
        }
        let command = Command::SetSpeed { interface: interface.clone(), mbit };
        Ok(Plan::set(command, setting, before.to_string(), wrote.to_string()))
    }
}
