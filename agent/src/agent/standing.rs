//! How the daemon stands: the status that the door shows, brought up to date after every tick.

use std::collections::VecDeque;

use super::eyes::Eyes;
use crate::{
    clock::now_ms,
    execute::Executor,
    live::{Autonomy, Daemon, Live, Part, PartState, Status},
    store::Store,
};

/// The setting under which the autonomy level is kept over restarts.
pub(super) const AUTONOMY: &str = "autonomy";
/// The agent's own CPU share is told over so many ticks.
const OWN_TICKS: usize = 60;

/// The status before the first tick: who it is, at what level, what was found at start.
pub(super) fn begin(daemon: &Daemon, autonomy: Option<Autonomy>, eyes: &Eyes, executor: &Executor, notes: Vec<String>) {
    let now_ms = now_ms();
    let mut status = Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started_ms: now_ms,
        now_ms,
        autonomy: autonomy.unwrap_or_default(),
        notes,
        ..Status::default()
    };
    parts(&mut status, eyes, &daemon.store, executor);
    daemon.change().status = status;
}

#[derive(Debug, Default)]
pub(super) struct Standing {
    own_cpu: VecDeque<f64>,
    events_lost: u64,
}

impl Standing {
    /// What a tick changes.
    pub(super) fn tick(&mut self, live: &mut Live, eyes: &Eyes) {
        let Some(tick) = live.window.now() else { return };
        self.events_lost += tick.lost;
        let own = live.window.process_by_pid(std::process::id());
        if let Some(percent) = own.and_then(|own| own.cpu_percent) {
            if self.own_cpu.len() == OWN_TICKS {
                self.own_cpu.pop_front();
            }
            self.own_cpu.push_back(percent);
        }
        let own_rss_bytes = own.map(|own| own.sample.rss_bytes);
        let mean = self.own_cpu.iter().sum::<f64>() / self.own_cpu.len().max(1) as f64;
        let (open_signals, open_incidents) = (live.signals.len(), live.incidents.len());
        let status = &mut live.status;
        status.now_ms = now_ms();
        status.ticks += 1;
        status.open_signals = open_signals;
        status.open_incidents = open_incidents;
        status.own_cpu_percent = (!self.own_cpu.is_empty()).then_some(mean);
        status.own_rss_bytes = own_rss_bytes;
        status.events_seen = eyes.events_seen();
        status.events_lost = self.events_lost;
    }
}

/// How every part fares; too dear for every tick.
pub(super) fn parts(status: &mut Status, eyes: &Eyes, store: &Store, executor: &Executor) {
    let health = store.health();
    status.parts = eyes.parts();
    status.database_bytes = Some(health.bytes);
    let state = match health.last_error {
        Some(reason) if !health.well => PartState::Degraded { reason },
        _ => PartState::On,
    };
    status.parts.extend(executor.actors().into_iter().map(|(power, missing)| {
        let state = missing.map_or(PartState::On, |reason| PartState::Off { reason });
        Part { state, ..Part::on("actor", power.unit()) }
    }));
    let lost = health.lost.values().sum();
    status.parts.push(Part { state, runs: Some(health.written), lost, ..Part::on("store", "database") });
}
