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

/// Whether those programs are attached, and for how long they were.
pub(super) struct Demand {
    since: Array<MapData, u64>,
    links: Vec<(&'static str, BtfTracePointLinkId)>,
    /// `CLOCK_MONOTONIC`, ns; none: they are not.
    since_ns: Option<u64>,
    /// Before that, ns.
    watched_ns: u64,
}

impl Demand {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let map = ebpf.take_map(SINCE).ok_or(KernelError::NoMap { map: SINCE })?;
        let since = Array::try_from(map).map_err(|source| KernelError::Map { map: SINCE, source })?;
        Ok(Self { since, links: Vec::new(), since_ns: None, watched_ns: 0 })
    }

    pub(super) fn is_attached(&self) -> bool {
        self.since_ns.is_some()
    }

    /// For how long they have been attached since load, ns.
    pub(super) fn watched_ns(&self) -> u64 {
        self.watched_ns + self.since_ns.map_or(0, |since_ns| monotonic_ns() - since_ns)
    }

    /// Attaches those of `programs` that can be, and answers why others cannot.
    pub(super) fn attach(&mut self, ebpf: &mut Ebpf, programs: &[&'static str]) -> Vec<(&'static str, String)> {
        // Were it not told, calls that began before would be timed wrong; so then none are.
        if let Err(error) = self.since.set(0, monotonic_ns(), 0) {
            let reason = chain(&error);
            return programs.iter().map(|name| (*name, reason.clone())).collect();
        }
        let mut failed = Vec::new();
        for name in programs {
            match attach(ebpf, name) {
                Ok(link) => self.links.push((name, link)),
                Err(error) => failed.push((*name, short(&error))),
            }
        }
        // It may have taken a while.
        self.since_ns = Some(monotonic_ns());
        failed
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

fn attach(ebpf: &mut Ebpf, name: &str) -> Result<BtfTracePointLinkId, ProgramError> {
    tracepoint(ebpf, name)?.attach()
}

fn tracepoint<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut BtfTracePoint, ProgramError> {
    ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?.try_into()
}
