//! `widen_port_range`: outgoing connections have more local ports to begin from. It never narrows the range.
//!
//! A port that somebody listens on is not given to a connection, but once its service is started anew it may be taken.
//! So a range that takes in a port that is listened on is refused, unless that port is reserved.

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Raises, Refusal, Risk, Step, Target};
use crate::execute::{
    command::Command,
    sysctl::{Numbers, SysctlKey},
    undo::Setting,
    value::Bounded,
};

/// `TCP_LISTEN` in the tables of `/proc/net`.
const LISTEN: &str = "0A";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WidenPortRange {
    /// Lowest port of the range.
    low: Bounded<1024, 65535>,
    /// Highest port of the range.
    high: Bounded<1024, 65535>,
}

impl Action for WidenPortRange {
    const NAME: &'static str = "widen_port_range";
    const SUMMARY: &'static str = "Widens net.ipv4.ip_local_port_range, so that outgoing connections find a free port";
    const ON: On = On::Node;
    const RISK: Risk = Risk::Low;
    const POWER: Power = Power::SysctlFile;
    const WRITES: &'static str = "net.ipv4.ip_local_port_range";
    const PREDICTS: Predicts = Predicts::Raised(Raises::Ports);
    const COST: &'static str = "a service that begins later may find its port taken";
    const NEVER: &'static [&'static str] = &["a port that is listened on, unless it is reserved"];
    const SETTLE_S: u32 = 10;
}

impl Step for WidenPortRange {
    fn target(&self) -> Target {
        Target::Node
    }

    fn plan(&self, _: &Found) -> Result<Plan, Refusal> {
        let setting = Setting::sysctl(SysctlKey::PORT_RANGE);
        let before = setting.read()?;
        let now = Numbers::from_file(&before);
        let Some([low_now, high_now]) = now.as_ref().map(Numbers::get) else {
            return Err(Refusal::Unreadable { what: setting.name(), text: before });
        };
        let (low, high) = (self.low.get().unsigned_abs(), self.high.get().unsigned_abs());
        let asked = Numbers::from([low, high]);
        let is_wider = low <= *low_now && high >= *high_now && (low, high) != (*low_now, *high_now);
        if !is_wider {
            let asked = asked.to_file();
            return Err(Refusal::WrongWay { verb: "widen", what: setting.name(), now: before, asked });
        }
        let reserved = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_reserved_ports").unwrap_or_default();
        let reserved = ranges(&reserved);
        let is_new = |port: &u64| (low..*low_now).contains(port) || (*high_now + 1..=high).contains(port);
        let is_free = |port: &u64| reserved.iter().any(|range| range.contains(port));
        if let Some(port) = listened_on().into_iter().find(|port| is_new(port) && !is_free(port)) {
            return Err(Refusal::NoRoom {
                asked: format!("connections from the ports {low} to {high}"),
                room: format!("port {port} is listened on, and is not in net.ipv4.ip_local_reserved_ports"),
            });
        }
        let wrote = asked.to_file();
        Ok(Plan::set(Command::Sysctl { key: SysctlKey::PORT_RANGE, values: asked }, setting, before, wrote))
    }
}

/// Ports that a TCP socket of the node listens on.
fn listened_on() -> Vec<u64> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let port = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (_, port) = words.next()?.rsplit_once(':')?;
        (words.nth(1)? == LISTEN).then(|| u64::from_str_radix(port, 16).ok()).flatten()
    };
    tables.iter().flat_map(|table| table.lines().skip(1).filter_map(port)).collect()
}

/// `8080,9148-9150`
fn ranges(text: &str) -> Vec<RangeInclusive<u64>> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).collect()
}
