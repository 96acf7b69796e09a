//! Numbers as a person reads them at night: three digits and a unit.

use super::super::window::ProcessTick;
use crate::observe::{Entity, Window};

/// `1.5 GiB`, `12 MiB`, `800 B`.
pub(super) fn bytes(bytes: f64) -> String {
    let mut value = bytes;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value.abs() < 1024.0 {
            return format!("{} {unit}", short(value));
        }
        value /= 1024.0;
    }
    format!("{} TiB", short(value))
}

/// `12 us`, `3.4 ms`, `2.1 s`.
pub(super) fn latency(ns: f64) -> String {
    match ns {
        ns if ns < 1e3 => format!("{} ns", short(ns)),
        ns if ns < 1e6 => format!("{} us", short(ns / 1e3)),
        ns if ns < 1e9 => format!("{} ms", short(ns / 1e6)),
        ns => format!("{} s", short(ns / 1e9)),
    }
}

/// `12 s`, `21.0 min`, `5.2 h`.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{} s", short(s)),
        s if s < 7200.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// A count or a rate: `0.25`, `3.4`, `812`, `172,178`.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        v if v < 10.0 && v.fract() != 0.0 => {
            let text = format!("{value:.2}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        v if v < 100.0 && v.fract() != 0.0 => format!("{value:.1}"),
        v if v < 1000.0 => format!("{value:.0}"),
        _ => grouped(value),
    }
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The process as an entity.
pub(super) fn process(process: &ProcessTick) -> Entity {
    Entity::Process { id: process.sample.id, comm: process.sample.comm.clone() }
}

/// `; most CPU: stress (pid 12) 98 %, cc1 (pid 40) 40 %`; nothing when nobody used any.
pub(super) fn busiest(window: &Window) -> String {
    let Some(tick) = window.now() else { return String::new() };
    let mut busy: Vec<(f64, &ProcessTick)> = tick
        .processes
        .iter()
        .filter_map(|process| Some((process.cpu_percent.filter(|percent| *percent >= 1.0)?, process)))
        .collect();
    busy.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let named: Vec<String> =
        busy.iter().take(3).map(|(percent, one)| format!("{} {} %", process(one), short(*percent))).collect();
    if named.is_empty() { String::new() } else { format!("; most CPU: {}", named.join(", ")) }
}
