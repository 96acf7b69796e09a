//! The programs of system calls: attached only while somebody looks, for they slow every call of everybody.

use aya::{
    Ebpf,
    maps::{Array, MapData},
    programs::{BtfTracePoint, ProgramError, tp_btf::BtfTracePointLinkId},
};

use super::{
    KernelError,
    attach::{chain, short},
};
use crate::clock::monotonic_ns;

/// Since when the programs have been attached, as they are told it.
const SINCE: &str = "SYSCALLS_SINCE";
/// The program without which nothing is counted.
const COUNTING: &str = "sys_exit";

/// Which of those programs are attached, for how long, and why others are not.
pub(super) struct Demand {
    since: Array<MapData, u64>,
    links: Vec<(&'static str, BtfTracePointLinkId)>,
    /// Those that could not be attached when it was last tried, and why.
    refused: Vec<(&'static str, String)>,
    /// Since when calls are counted, `CLOCK_MONOTONIC`, ns; none: they are not.
    since_ns: Option<u64>,
    /// For how long they were before that, ns.
    watched_ns: u64,
}

impl Demand {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let map = ebpf.take_map(SINCE).ok_or(KernelError::NoMap { map: SINCE })?;
        let since = Array::try_from(map).map_err(|source| KernelError::Map { map: SINCE, source })?;
        Ok(Self { since, links: Vec::new(), refused: Vec::new(), since_ns: None, watched_ns: 0 })
    }

    /// Why the program could not be attached when it was last tried.
    pub(super) fn why_refused(&self, name: &str) -> Option<&str> {
        self.refused.iter().find(|(refused, _)| *refused == name).map(|(_, reason)| reason.as_str())
    }

    /// For how long calls have been counted since load, ns.
    pub(super) fn watched_ns(&self) -> u64 {
        self.watched_ns + self.since_ns.map_or(0, |since_ns| monotonic_ns() - since_ns)
    }

    /// Attaches those of `programs` that are not attached; one that cannot be is tried again at the next call.
    pub(super) fn attach(&mut self, ebpf: &mut Ebpf, programs: &[&'static str]) {
        let missing = |name: &&&'static str| !self.links.iter().any(|(attached, _)| attached == *name);
        let missing: Vec<&'static str> = programs.iter().filter(missing).copied().collect();
        self.refused.clear();
        if missing.is_empty() {
            return;
        }
        // Were it not told, calls that began before would be timed wrong; so then none are.
        if let Err(error) = self.since.set(0, monotonic_ns(), 0) {
            let reason = chain(&error);
            self.refused = missing.into_iter().map(|name| (name, reason.clone())).collect();
            return;
        }
        for name in missing {
            match tracepoint(ebpf, name).and_then(BtfTracePoint::attach) {
                Ok(link) => self.links.push((name, link)),
                Err(error) => self.refused.push((name, short(&error))),
            }
        }
        if self.since_ns.is_none() && self.links.iter().any(|(name, _)| *name == COUNTING) {
            // It may have taken a while.
            self.since_ns = Some(monotonic_ns());
        }
    }

    pub(super) fn detach(&mut self, ebpf: &mut Ebpf) {
        self.watched_ns = self.watched_ns();
        self.since_ns = None;
        for (name, link) in self.links.drain(..) {
            if let Ok(program) = tracepoint(ebpf, name) {
                // A link that is gone is as good.
                _ = program.detach(link);
            }
        }
    }
}

fn tracepoint<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut BtfTracePoint, ProgramError> {
    ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?.try_into()
}
