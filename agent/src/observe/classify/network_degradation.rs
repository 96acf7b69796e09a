//! `network_degradation`: segments are sent again, interfaces count errors or drop packets, or a link is full.

use super::{Classifier, Measure, Readings, say};
use crate::{
    numbers,
    observe::{Entity, SignalType, Window, sample::Interface},
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    signal: SignalType::NetworkDegradation,
    measures: &[RETRANSMITS, ERRORS, DROPS, UTILISATION],
    read,
    react: None,
};

const RETRANSMITS: Measure = Measure::rising("retransmit_percent", "TCP segments that had to be sent again");
const ERRORS: Measure = Measure::rising("interface_errors_per_s", "errors of an interface");
const DROPS: Measure = Measure::rising("interface_dropped_percent", "packets that an interface dropped");
const UTILISATION: Measure = Measure::rising("interface_utilisation_percent", "use of a link's speed");

/// Rates are told over this long, s.
const OVER_S: f64 = 10.0;
/// Below so many segments a second a share of them says nothing.
const SEGMENTS_MIN_PER_S: f64 = 20.0;
/// Below so many drops a second an interface only drops what nobody asked for (multicast, unknown protocols).
const DROPS_MIN_PER_S: f64 = 20.0;

fn read(window: &Window, readings: &mut Readings<'_>) {
    let Some(tick) = window.now() else { return };
    let sent = window.rate_over(OVER_S, |node| Some(node.tcp.as_ref()?.sent_segments));
    let again = window.rate_over(OVER_S, |node| Some(node.tcp.as_ref()?.retransmitted_segments));
    let share =
        sent.zip(again).map(|(sent, again)| if sent >= SEGMENTS_MIN_PER_S { 100.0 * again / sent } else { 0.0 });
    readings.node(RETRANSMITS, share, |percent| {
        let (sent, again) = (sent.unwrap_or_default(), again.unwrap_or_default());
        let sentence = format!(
            "{} % of TCP segments had to be sent again: {} of {} a second",
            say::short(percent),
            say::short(again),
            say::short(sent)
        );
        (sentence, numbers! { retransmit_percent: percent, retransmits_per_s: again, segments_per_s: sent })
    });

    if tick.node.interfaces.is_empty() {
        return;
    }
    let up = || tick.node.interfaces.iter().filter(|interface| interface.up);
    let rate = |interface: &Interface, counter: fn(&Interface) -> u64| {
        window.rate_over(OVER_S, |node| node.interfaces.iter().find(|one| one.name == interface.name).map(counter))
    };
    let entity = |interface: &Interface| Entity::Interface { name: interface.name.clone() };
    readings.worst(
        ERRORS,
        up().filter_map(|interface| Some((rate(interface, |one| one.received_errors + one.sent_errors)?, interface))),
        |interface| entity(interface),
        |per_s, interface| {
            let received = rate(interface, |one| one.received_errors).unwrap_or_default();
            let sent = rate(interface, |one| one.sent_errors).unwrap_or_default();
            let sentence = format!(
                "{}: {} errors a second on receive, {} on send",
                entity(interface),
                say::short(received),
                say::short(sent)
            );
            (sentence, numbers! { errors_per_s: per_s, received_errors_per_s: received, sent_errors_per_s: sent })
        },
    );
    let dropped = |interface: &Interface| rate(interface, |one| one.received_dropped + one.sent_dropped);
    let packets = |interface: &Interface| rate(interface, |one| one.received_packets + one.sent_packets);
    readings.worst(
        DROPS,
        up().filter_map(|interface| {
            let (dropped, packets) = (dropped(interface)?, packets(interface)?);
            let percent = 100.0 * dropped / (dropped + packets).max(1.0);
            Some((if dropped >= DROPS_MIN_PER_S { percent } else { 0.0 }, interface))
        }),
        |interface| entity(interface),
        |percent, interface| {
            let (dropped, packets) = (dropped(interface).unwrap_or_default(), packets(interface).unwrap_or_default());
            let sentence = format!(
                "{}: {} packets a second dropped beside {} that passed, {} %",
                entity(interface),
                say::short(dropped),
                say::short(packets),
                say::short(percent)
            );
            (sentence, numbers! { dropped_percent: percent, dropped_per_s: dropped, packets_per_s: packets })
        },
    );
    readings.worst(
        UTILISATION,
        up().filter_map(|interface| {
            let speed = f64::from(interface.speed_mbit.filter(|speed| *speed > 0)?) * 1e6 / 8.0;
            let busier = rate(interface, |one| one.received_bytes)?.max(rate(interface, |one| one.sent_bytes)?);
            Some((100.0 * busier / speed, interface))
        }),
        |interface| entity(interface),
        |percent, interface| {
            let speed = f64::from(interface.speed_mbit.unwrap_or_default());
            let sentence =
                format!("{}: {} % of its {speed:.0} Mbit/s are in use", entity(interface), say::short(percent));
            (sentence, numbers! { utilisation_percent: percent, speed_mbit: speed })
        },
    );
}
