//! `reset_qdisc`: an interface sends by the kernel's default again, and not as somebody told it to: with a delay, a loss,
//! a rate. Only what can be put back exactly is taken away.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target};
use crate::execute::{
    command::Command,
    setting::DEFAULT_QDISC,
    undo::{Setting, Undo},
    value::Interface,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResetQdisc {
    /// Its name, as `eth0`.
    interface: Interface,
}

impl Action for ResetQdisc {
    const NAME: &'static str = "reset_qdisc";
    const SUMMARY: &'static str = "Takes away the root queueing discipline that somebody set on a network interface (netem, tbf, pfifo, ...), so that the kernel's default is there again";
    const ON: On = On::Interface;
    const RISK: Risk = Risk::High;
    const POWER: Power = Power::NetAdmin;
    const WRITES: &'static str = "rtnetlink(RTM_DELQDISC)";
    const PREDICTS: Predicts =
        Predicts::Unreckoned("packets are no longer delayed, dropped or slowed by what was set there");
    const COST: &'static str =
        "whatever somebody set there for a reason (a rate, a delay, a queue) is gone until it is put back";
    const NEVER: &'static [&'static str] = &["a discipline that the kernel would not take back as it is"];
    const SETTLE_S: u32 = 10;
    const LEASE_S: Option<u32> = Some(3600);
}

impl Step for ResetQdisc {
    fn target(&self) -> Target {
        Target::Interface(self.interface.clone())
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let interface = found.interface()?;
        let (setting, qdisc) = Setting::qdisc(interface)?;
        let what = setting.name();
        let qdisc = match qdisc {
            Some(Ok(qdisc)) => qdisc,
            Some(Err(why)) => return Err(Refusal::NotPutBack { what, why }),
            None => {
                let (now, asked) = (DEFAULT_QDISC.to_owned(), "that one".to_owned());
                return Err(Refusal::AlreadyMilder { what, now, asked });
            }
        };
        let change = format!("{what} {} {:x}: -> {DEFAULT_QDISC}", qdisc.kind.name(), qdisc.major);
        Ok(Plan {
            command: Command::DeleteQdisc { interface: interface.clone(), major: qdisc.major, kind: qdisc.kind },
            file: Some(setting.clone()),
            undo: Undo::Setting { setting, wrote: DEFAULT_QDISC.to_owned(), before: qdisc.to_string() },
            change,
        })
    }
}
