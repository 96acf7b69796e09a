//! `tcp`: `/proc/net/snmp` and `netstat`, and the number of sockets in each state.
//!
//! To count states the kernel goes through its whole table of sockets, which can take milliseconds. So established and
//! waiting sockets, the many, are taken from its counters each tick, and the rest are counted as often as
//! [`SHARE_OF_A_CORE`] allows.

mod sock_diag;
mod table;

use super::{Context, Document, KernelFile, Scrape, ScrapeError, Scraped, Source};
use crate::observe::{Sample, sample::Tcp};

pub use table::parse as parse_table;

pub const SOURCE: Source = Source {
    name: "tcp",
    start: || {
        Box::new(TcpSource {
            snmp: KernelFile::kept("/proc/net/snmp"),
            netstat: KernelFile::kept("/proc/net/netstat"),
            states: States::default(),
            way: Way::Netlink,
            whole: true,
            next_ns: 0,
        })
    },
};

/// How much of one CPU the counting of states may take.
const SHARE_OF_A_CORE: f64 = 0.000_1;
const SELDOM_NS: u64 = 30_000_000_000;
/// Most sockets that one counting takes in; beyond that the figures are low and said to be partial.
const MOST_SOCKETS: u64 = 65_536;

#[derive(Debug)]
struct TcpSource {
    snmp: KernelFile,
    netstat: KernelFile,
    /// As last counted.
    states: States,
    way: Way,
    whole: bool,
    /// `CLOCK_MONOTONIC` of the next counting.
    next_ns: u64,
}

/// Sockets in the states that no counter of the kernel tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct States {
    pub syn_sent: u64,
    pub syn_recv: u64,
    pub fin_wait: u64,
    pub close_wait: u64,
    pub listen: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Netlink,
    /// `/proc/net/tcp`, where the kernel has no socket diagnostics.
    Table,
}

impl Scrape for TcpSource {
    fn scrape(&mut self, context: &mut Context, sample: &mut Sample) -> Result<Scraped, ScrapeError> {
        let mut tcp = Tcp::default();
        let or_waiting = parse_snmp(self.snmp.read(&mut context.buffer)?, &mut tcp)?;
        parse_netstat(self.netstat.read(&mut context.buffer)?, &mut tcp)?;
        if sample.at_ns >= self.next_ns {
            let begun = std::time::Instant::now();
            self.count(&mut context.buffer)?;
            let pause_ns = begun.elapsed().as_nanos() as f64 / SHARE_OF_A_CORE;
            self.next_ns = sample.at_ns + (pause_ns as u64).min(SELDOM_NS);
        }
        // The kernel's gauge of established sockets holds those that the other side has closed as well.
        tcp.established = or_waiting.saturating_sub(self.states.close_wait);
        tcp.time_wait = sample.node.sockets.as_ref().map_or(0, |sockets| sockets.tcp_time_wait);
        tcp.syn_sent = self.states.syn_sent;
        tcp.syn_recv = self.states.syn_recv;
        tcp.fin_wait = self.states.fin_wait;
        tcp.close_wait = self.states.close_wait;
        tcp.listen = self.states.listen;
        tcp.states_partial = !self.whole || sample.node.sockets.is_none();
        sample.node.tcp = Some(tcp);
        if sample.node.sockets.is_none() {
            return Ok(Scraped::Partial { reason: "time_wait is not known: the source `sockets` is off".to_owned() });
        }
        if !self.whole {
            let reason = format!("states are counted up to {MOST_SOCKETS} sockets, and there are more");
            return Ok(Scraped::Partial { reason });
        }
        Ok(Scraped::Whole)
    }
}

impl TcpSource {
    fn count(&mut self, buffer: &mut Vec<u8>) -> Result<(), ScrapeError> {
        if self.way == Way::Netlink {
            match sock_diag::count(buffer, MOST_SOCKETS) {
                Ok((states, whole)) => {
                    (self.states, self.whole) = (states, whole);
                    return Ok(());
                }
                Err(error) => {
                    tracing::info!(%error, "no socket diagnostics, states are counted in /proc/net/tcp");
                    self.way = Way::Table;
                }
            }
        }
        (self.states, self.whole) = table::count(MOST_SOCKETS)?;
        Ok(())
    }
}

impl States {
    /// Counts one socket by the kernel's number of its state (`include/net/tcp_states.h`).
    fn add(&mut self, state: u8) {
        match state {
            2 => self.syn_sent += 1,
            3 | 12 => self.syn_recv += 1,
            4 | 5 => self.fin_wait += 1,
            8 => self.close_wait += 1,
            10 => self.listen += 1,
            _ => {}
        }
    }
}

/// The text of `/proc/net/snmp`; returns the gauge of sockets that are established or wait to be closed by us.
pub fn parse_snmp(document: Document<'_>, tcp: &mut Tcp) -> Result<u64, ScrapeError> {
    let established;
    [
        established,
        tcp.sent_segments,
        tcp.retransmitted_segments,
        tcp.received_errors,
        tcp.active_opens,
        tcp.attempt_fails,
        tcp.resets_sent,
    ] = document
        .table("Tcp:", ["CurrEstab", "OutSegs", "RetransSegs", "InErrs", "ActiveOpens", "AttemptFails", "OutRsts"])?;
    Ok(established)
}

/// The text of `/proc/net/netstat`.
pub fn parse_netstat(document: Document<'_>, tcp: &mut Tcp) -> Result<(), ScrapeError> {
    [tcp.listen_overflows, tcp.listen_drops] = document.table("TcpExt:", ["ListenOverflows", "ListenDrops"])?;
    Ok(())
}
