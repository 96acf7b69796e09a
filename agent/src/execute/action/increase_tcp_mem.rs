//! `increase_tcp_mem`: the sockets of the node may hold more memory before they are kept small. It never lowers a value.
//!
//! The three numbers keep the proportions that the kernel gives them at boot (`tcp_init_mem`): a half, two thirds, and the
//! whole of the last one.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Room, Step, Target};
use crate::execute::{
    command::Command,
    sysctl::{Numbers, SysctlKey},
    undo::Setting,
    value::Bounded,
};

/// Most of all memory that TCP may come to hold, percent. At boot it is about 9.
const MOST_PERCENT: u64 = 20;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IncreaseTcpMem {
    /// Memory that all TCP sockets together may hold, bytes; at most 20 % of all memory.
    bytes: Bounded<16_777_216, 1_099_511_627_776>,
}

impl Action for IncreaseTcpMem {
    const NAME: &'static str = "increase_tcp_mem";
    const SUMMARY: &'static str = "Raises net.ipv4.tcp_mem, so that TCP is not kept small for want of memory";
    const ON: On = On::Node;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::SysctlFile;
    const WRITES: &'static str = "net.ipv4.tcp_mem";
    const PREDICTS: Predicts = Predicts::Unreckoned("TCP does not prune its queues for want of memory");
    const COST: &'static str = "more memory that only the kernel can give back";
    const NEVER: &'static [&'static str] =
        &["more than 20 % of all memory", "the tenth of all memory that stays available"];
    const SETTLE_S: u32 = 10;
    const LEASE_S: Option<u32> = Some(3600);
}

impl Step for IncreaseTcpMem {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        let setting = Setting::sysctl(SysctlKey::TCP_MEM);
        let before = setting.read()?;
        let now = Numbers::from_file(&before);
        let Some([low, pressure, most]) = now.as_ref().map(Numbers::get) else {
            return Err(Refusal::Unreadable { what: setting.name(), text: before });
        };
        let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096) as u64;
        let asked = self.bytes.get().unsigned_abs() / page;
        let values = Numbers::from([(asked / 2).max(*low), (asked / 3 * 2).max(*pressure), asked]);
        let wrote = values.to_file();
        if asked <= *most {
            return Err(Refusal::WrongWay { verb: "raise", what: setting.name(), now: before, asked: wrote });
        }
        let room = Room::now()?;
        room.for_share(asked * page, MOST_PERCENT)?;
        room.for_more((asked - most) * page)?;
        Ok(Plan::set(Command::Sysctl { key: SysctlKey::TCP_MEM, values }, setting, before, wrote))
    }
}
