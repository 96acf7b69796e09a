//! Reads the iterator over descriptors: which process holds which TCP sockets, in whatever network namespace.

use std::collections::{BTreeMap, HashMap};

use agent_ebpf::wire::SocketRow;
use aya::Ebpf;

use super::{KernelError, pass, programs::SOCKETS};
use crate::observe::{
    ring::prefix,
    sample::{Listener, SocketsOfProcess},
};

/// `include/net/tcp_states.h`.
const ESTABLISHED: u32 = 1;
const CLOSE_WAIT: u32 = 8;
const LISTEN: u32 = 10;

#[derive(Debug, Default)]
pub(super) struct Sockets {
    bytes: Vec<u8>,
    /// What each listener had turned away at the pass before, and when that was, ns.
    before: HashMap<Key, u32>,
    before_ns: u64,
}

/// A listener: its process, its namespace, its port.
type Key = (u32, u32, u16);

impl Sockets {
    /// One pass at `at_ns`, `CLOCK_MONOTONIC`.
    pub(super) fn read(&mut self, ebpf: &mut Ebpf, at_ns: u64) -> Result<Vec<SocketsOfProcess>, KernelError> {
        let file = pass::open(ebpf, SOCKETS).map_err(|source| KernelError::SocketsOpen { source })?;
        pass::read(file, &mut self.bytes).map_err(|source| KernelError::SocketsRead { source })?;
        let seconds = at_ns.saturating_sub(self.before_ns) as f64 / 1e9;
        let before = std::mem::take(&mut self.before);
        self.before_ns = at_ns;
        let mut of_processes: BTreeMap<(u32, u32), SocketsOfProcess> = BTreeMap::new();
        for bytes in self.bytes.chunks_exact(size_of::<SocketRow>()) {
            let Some(row) = prefix::<SocketRow>(bytes) else { continue };
            let of_process = of_processes.entry((row.tgid, row.network)).or_insert_with(|| SocketsOfProcess {
                pid: row.tgid,
                network: row.network,
                ..SocketsOfProcess::default()
            });
            match row.state {
                ESTABLISHED => of_process.established += 1,
                CLOSE_WAIT => of_process.close_wait += 1,
                LISTEN => {
                    let port = row.port as u16;
                    let key = (row.tgid, row.network, port);
                    // Several may share a port, each with a queue of its own.
                    let drops = self.before.entry(key).or_default();
                    *drops = drops.saturating_add(row.drops);
                    match of_process.listeners.iter_mut().find(|listener| listener.port == port) {
                        Some(listener) => {
                            listener.waiting = listener.waiting.saturating_add(row.waiting);
                            listener.backlog = listener.backlog.saturating_add(row.backlog);
                        }
                        None => of_process.listeners.push(Listener {
                            port,
                            waiting: row.waiting,
                            backlog: row.backlog,
                            dropped_per_s: None,
                        }),
                    }
                }
                _ => of_process.others += 1,
            }
        }
        let mut sockets: Vec<SocketsOfProcess> = of_processes.into_values().collect();
        if seconds > 0.0 {
            sockets.iter_mut().for_each(|of| rate(of, &before, &self.before, seconds));
        }
        Ok(sockets)
    }
}

/// What each listener turned away a second since it was seen before.
fn rate(of: &mut SocketsOfProcess, before: &HashMap<Key, u32>, now: &HashMap<Key, u32>, seconds: f64) {
    for listener in &mut of.listeners {
        let key = (of.pid, of.network, listener.port);
        let dropped = before.get(&key).zip(now.get(&key)).map(|(before, now)| now.saturating_sub(*before));
        listener.dropped_per_s = dropped.map(|dropped| f64::from(dropped) / seconds);
    }
}
