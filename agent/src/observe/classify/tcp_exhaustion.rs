//! `tcp_exhaustion`: ports, backlogs, socket memory or patience with closing run out.

use super::{Classifier, Measure, Readings, calls, say};
use crate::{
    numbers,
    observe::{SignalType, Window, sample::KernelLimits},
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    signal: SignalType::TcpExhaustion,
    measures: &[
        TIME_WAIT,
        CLOSE_WAIT,
        PROCESS_CLOSE_WAIT,
        HALF_OPEN,
        ORPHANS,
        SOCKET_MEMORY,
        LISTEN_OVERFLOWS,
        LISTENER_DROPS,
        NO_ADDRESS,
    ],
    read,
    react: None,
};

const TIME_WAIT: Measure =
    Measure::rising("time_wait_percent", "sockets in TIME_WAIT, of the local port range").wants_calls();
const CLOSE_WAIT: Measure =
    Measure::rising("close_wait_sockets", "sockets that the peer closed and the application did not");
const PROCESS_CLOSE_WAIT: Measure =
    Measure::rising("process_close_wait_sockets", "sockets of a process that the peer closed and the process did not");
const HALF_OPEN: Measure = Measure::rising("half_open_sockets", "connections that wait for their handshake's end");
const ORPHANS: Measure = Measure::rising("orphans_percent", "sockets that no process owns any more, of their maximum");
const SOCKET_MEMORY: Measure = Measure::rising("tcp_memory_percent", "memory of TCP sockets, of its maximum");
const LISTEN_OVERFLOWS: Measure =
    Measure::rising("listen_overflows_per_s", "connections that a full backlog turned away");
const LISTENER_DROPS: Measure =
    Measure::rising("listener_drops_per_s", "connections that the full backlog of one listener turned away");
const NO_ADDRESS: Measure =
    Measure::rising("no_address_per_s", "connects that found no free local port (EADDRNOTAVAIL)")
        .of_calls()
        .wants_calls();

const EADDRNOTAVAIL: u32 = 99;
/// Rates are told over this long, s.
const OVER_S: f64 = 5.0;

fn read(window: &Window, readings: &mut Readings<'_>) {
    let Some(tick) = window.now() else { return };
    let (tcp, sockets, limits) = (tick.node.tcp.as_ref(), tick.node.sockets.as_ref(), tick.node.limits.as_ref());
    let ports = limits.map(|limits| count_of(limits.local_port_low, limits.local_port_high));

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
    let most =
        |of: fn(&KernelLimits) -> Option<u64>| limits.and_then(of).filter(|most| *most > 0).map(|most| most as f64);
    let orphans = sockets.map(|sockets| sockets.tcp_orphan as f64).zip(most(|limits| limits.tcp_max_orphans));
    readings.node(ORPHANS, orphans.map(|(count, maximum)| 100.0 * count / maximum), |percent| {
        let (count, maximum) = orphans.unwrap_or_default();
        let sentence = format!(
            "{} TCP sockets have no owner, {} % of the {} that may",
            say::short(count),
            say::short(percent),
            say::short(maximum)
        );
        (sentence, numbers! { orphan_sockets: count, maximum_orphans: maximum, orphans_percent: percent })
    });
    let memory = sockets.map(|sockets| sockets.tcp_memory_pages as f64).zip(most(|limits| limits.tcp_mem_max_pages));
    readings.node(SOCKET_MEMORY, memory.map(|(pages, maximum)| 100.0 * pages / maximum), |percent| {
        let (pages, maximum) = memory.unwrap_or_default();
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
        let sentence = format!(
            "{} connections a second were turned away by a full backlog: a listener accepts too slowly",
            say::short(per_s)
        );
        (sentence, numbers! { listen_overflows_per_s: per_s })
    });

    read_processes(window, readings);
    read_connects(window, Ports { range: limits.map(|of| (of.local_port_low, of.local_port_high)), waiting }, readings);
}

/// What the agent's own network namespace has of ports.
struct Ports {
    /// The first and the last.
    range: Option<(u16, u16)>,
    /// In TIME_WAIT.
    waiting: Option<f64>,
}

/// Connects that found no port; whether the node's ports are what they lack is another question.
fn read_connects(window: &Window, ports: Ports, readings: &mut Readings<'_>) {
    let calls = ["connect", "bind"];
    let failed = calls::failures(window, |error| {
        let is_call = calls.contains(&crate::observe::syscall_name::syscall_name(error.syscall).as_str());
        f64::from(u8::from(error.errno == EADDRNOTAVAIL && is_call))
    });
    if let Some(failed) = failed {
        readings.worst(
            NO_ADDRESS,
            failed.into_iter().map(|row| (row.weighed_per_s, row)),
            |row| row.entity.clone(),
            |per_s, row| {
                let mut numbers = numbers! { failures_per_s: per_s, errno: f64::from(EADDRNOTAVAIL) };
                let process = row.entity.process().and_then(|id| window.process_by_pid(id.pid));
                if let Some(network) = process.and_then(|process| window.apart(process.sample.network?)) {
                    numbers.0.push(("network_namespace".into(), f64::from(network)));
                    return (format!("{}, in the network namespace {network}", row.sentence()), numbers);
                }
                let mut sentence = row.sentence();
                if let Some((low, high)) = ports.range {
                    let count = count_of(low, high);
                    numbers.0.push(("local_ports".into(), count));
                    numbers.0.push(("local_port_low".into(), f64::from(low)));
                    numbers.0.push(("local_port_high".into(), f64::from(high)));
                    sentence.push_str(&format!("; {} local ports in the range", say::short(count)));
                }
                if let Some(waiting) = ports.waiting {
                    numbers.0.push(("time_wait_sockets".into(), waiting));
                    sentence.push_str(&format!("; {} sockets in TIME_WAIT", say::short(waiting)));
                }
                (sentence, numbers)
            },
        );
    }
}

fn count_of(low: u16, high: u16) -> f64 {
    1.0 + f64::from(high) - f64::from(low.min(high))
}

/// What each process holds, in whatever network namespace.
fn read_processes(window: &Window, readings: &mut Readings<'_>) {
    let Some(sockets) = window.now().and_then(|tick| tick.sockets.as_ref()) else { return };
    let known = || sockets.iter().filter_map(|of| Some((of, window.process_by_pid(of.pid)?)));
    readings.worst(
        PROCESS_CLOSE_WAIT,
        known().map(|(of, process)| (f64::from(of.close_wait), (of, process))),
        |(_, process)| say::process(process),
        |count, (of, process)| {
            let sentence = format!(
                "{} holds {} sockets in CLOSE_WAIT: their peers closed, it did not; {} are established",
                say::process(process),
                say::short(count),
                of.established
            );
            (sentence, numbers! { close_wait_sockets: count, established_sockets: f64::from(of.established) })
        },
    );
    let listeners =
        known().flat_map(|(of, process)| of.listeners.iter().map(move |listener| (listener, of.network, process)));
    readings.worst(
        LISTENER_DROPS,
        listeners
            .filter_map(|(listener, network, process)| Some((listener.dropped_per_s?, (listener, network, process)))),
        |(.., process)| say::process(process),
        |per_s, (listener, network, process)| {
            let sentence = format!(
                "{} accepts too slowly at port {}: {} connections a second are turned away, {} wait where {} may",
                say::process(process),
                listener.port,
                say::short(per_s),
                listener.waiting,
                listener.backlog
            );
            let mut numbers = numbers! {
                drops_per_s: per_s,
                port: f64::from(listener.port),
                waiting: f64::from(listener.waiting),
                backlog: f64::from(listener.backlog),
            };
            let limits = window.now().and_then(|tick| tick.node.limits.as_ref());
            if let Some(limits) = limits.filter(|_| window.apart(*network).is_none()) {
                numbers.0.push(("somaxconn".into(), limits.somaxconn as f64));
            }
            (sentence, numbers)
        },
    );
}
