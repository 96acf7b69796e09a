//! `tcp_exhaustion`: ports, backlogs, socket memory or patience with closing run out.

use super::{Classifier, Measure, Readings, errors, say};
use crate::{
    numbers,
    observe::{SignalType, Window},
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    signal: SignalType::TcpExhaustion,
    measures: &[TIME_WAIT, CLOSE_WAIT, HALF_OPEN, ORPHANS, SOCKET_MEMORY, LISTEN_OVERFLOWS, NO_ADDRESS],
    read,
    react: None,
};

const TIME_WAIT: Measure = Measure::rising("time_wait_percent", "sockets in TIME_WAIT, of the local port range");
const CLOSE_WAIT: Measure =
    Measure::rising("close_wait_sockets", "sockets that the peer closed and the application did not");
const HALF_OPEN: Measure = Measure::rising("half_open_sockets", "connections that wait for their handshake's end");
const ORPHANS: Measure = Measure::rising("orphans_percent", "sockets that no process owns any more, of their maximum");
const SOCKET_MEMORY: Measure = Measure::rising("tcp_memory_percent", "memory of TCP sockets, of its maximum");
const LISTEN_OVERFLOWS: Measure =
    Measure::rising("listen_overflows_per_s", "connections that a full backlog turned away");
const NO_ADDRESS: Measure =
    Measure::rising("no_address_per_s", "connects that found no free local port (EADDRNOTAVAIL)");

const EADDRNOTAVAIL: u32 = 99;
/// Rates are told over this long, s.
const OVER_S: f64 = 5.0;

fn read(window: &Window, readings: &mut Readings<'_>) {
    let Some(tick) = window.now() else { return };
    let (tcp, sockets, limits) = (tick.node.tcp.as_ref(), tick.node.sockets.as_ref(), tick.node.limits.as_ref());
    let ports = limits.map(|limits| {
        1.0 + f64::from(limits.local_port_high) - f64::from(limits.local_port_low.min(limits.local_port_high))
    });

    let waiting =
        sockets.map(|sockets| sockets.tcp_time_wait).or(tcp.map(|tcp| tcp.time_wait)).map(|count| count as f64);
    readings.node(TIME_WAIT, waiting.zip(ports).map(|(waiting, ports)| 100.0 * waiting / ports), |percent| {
        let (waiting, ports) = (waiting.unwrap_or_default(), ports.unwrap_or_default());
        let sentence = format!(
            "{} sockets are in TIME_WAIT, {} % of the {} local ports",
            say::short(waiting),
            say::short(percent),
            say::short(ports)
        );
        (sentence, numbers! { time_wait_sockets: waiting, local_ports: ports, time_wait_percent: percent })
    });
    readings.node(CLOSE_WAIT, tcp.map(|tcp| tcp.close_wait as f64), |count| {
        let sentence =
            format!("{} sockets are in CLOSE_WAIT: their peers closed, their applications did not", say::short(count));
        let established = tcp.map_or(0.0, |tcp| tcp.established as f64);
        (sentence, numbers! { close_wait_sockets: count, established_sockets: established })
    });
    readings.node(HALF_OPEN, tcp.map(|tcp| tcp.syn_recv as f64), |count| {
        (
            format!("{} connections wait for the end of their handshake", say::short(count)),
            numbers! {
                half_open_sockets: count
            },
        )
    });
    let orphans = sockets.zip(limits).filter(|(_, limits)| limits.tcp_max_orphans > 0);
    let percent = orphans.map(|(sockets, limits)| 100.0 * sockets.tcp_orphan as f64 / limits.tcp_max_orphans as f64);
    readings.node(ORPHANS, percent, |percent| {
        let (count, maximum) =
            orphans.map_or((0.0, 0.0), |(sockets, limits)| (sockets.tcp_orphan as f64, limits.tcp_max_orphans as f64));
        let sentence = format!(
            "{} TCP sockets have no owner, {} % of the {} that may",
            say::short(count),
            say::short(percent),
            say::short(maximum)
        );
        (sentence, numbers! { orphan_sockets: count, maximum_orphans: maximum, orphans_percent: percent })
    });
    let memory = sockets.zip(limits).filter(|(_, limits)| limits.tcp_mem_max_pages > 0);
    let percent =
        memory.map(|(sockets, limits)| 100.0 * sockets.tcp_memory_pages as f64 / limits.tcp_mem_max_pages as f64);
    readings.node(SOCKET_MEMORY, percent, |percent| {
        let (pages, maximum) = memory
            .map_or((0.0, 0.0), |(sockets, limits)| (sockets.tcp_memory_pages as f64, limits.tcp_mem_max_pages as f64));
        let sentence = format!(
            "TCP sockets hold {} pages, {} % of tcp_mem's {}",
            say::short(pages),
            say::short(percent),
            say::short(maximum)
        );
        (sentence, numbers! { tcp_memory_pages: pages, tcp_memory_maximum_pages: maximum, tcp_memory_percent: percent })
    });
    // A drop is counted for every overflow too.
    let overflows = window.rate_over(OVER_S, |node| {
        let tcp = node.tcp.as_ref()?;
        Some(tcp.listen_overflows.max(tcp.listen_drops))
    });
    readings.node(LISTEN_OVERFLOWS, overflows, |per_s| {
        let somaxconn = limits.map_or(0.0, |limits| limits.somaxconn as f64);
        let sentence = format!(
            "{} connections a second were turned away by a full backlog: a listener accepts too slowly (somaxconn {})",
            say::short(per_s),
            say::short(somaxconn)
        );
        (sentence, numbers! { listen_overflows_per_s: per_s, somaxconn: somaxconn })
    });

    let calls = ["connect", "bind"];
    let failed = errors::failures(window, |error| {
        let is_call = calls.contains(&crate::observe::syscall_name::syscall_name(error.syscall).as_str());
        f64::from(u8::from(error.errno == EADDRNOTAVAIL && is_call))
    });
    if let Some(failed) = failed {
        readings.worst(
            NO_ADDRESS,
            failed.into_iter().map(|row| (row.weighed_per_s, row)),
            |row| row.entity.clone(),
            |per_s, row| {
                let ports = ports.unwrap_or_default();
                let sentence = format!("{}; {} local ports in the range", row.sentence(), say::short(ports));
                (sentence, numbers! { failures_per_s: per_s, local_ports: ports })
            },
        );
    }
}
