//! What many signals cost in memory, for `bench-signals`: gate, history, correlator and store as the spine uses them,
//! in a process of their own, without probes and sources.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use nix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::AgentError;
use crate::{
    clock,
    explain::Correlator,
    numbers,
    observe::{
        Entity, ProcessId, Reading, SignalType, View,
        classify::{self, Change, Gate, Moment, Thresholds},
        history::{History, Point},
        window::Window,
    },
    store::{Limits, Store},
    text::Text,
};

/// Processes that are near their limit at once; all of them are gone in the next tick.
const AT_ONCE: u64 = 100;
const TICK_MS: i64 = 1000;
const MEASURE: &str = "process_seconds_to_limit";

#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// Signals that opened and closed again.
    pub signals: u64,
    /// Resident memory before the first and after the last, and its peak, bytes.
    pub before_bytes: u64,
    pub after_bytes: u64,
    pub peak_bytes: u64,
    /// Rows that the store lost; the goal is none.
    pub lost: u64,
    /// Signals of which the database has a row at the end.
    pub rows: u64,
    /// From the first to the last, and CPU time of it.
    pub seconds: f64,
    pub cpu_s: f64,
}

/// Opens and closes `signals` signals, and stores them below `dir`, which is left as it is: as fast as the store takes
/// them, or `per_s` a second, as a node does, whatever the store does.
///
/// # Errors
/// When the database cannot be made, written or read.
pub fn bench(dir: &Path, signals: u64, per_s: Option<u64>) -> Result<BenchReport, AgentError> {
    let thresholds = Thresholds::load(None)?;
    let (store, _) = Store::open(dir, Limits::default())?;
    let (mut gate, mut history, mut correlator) =
        (Gate::new(thresholds, 1), History::default(), Correlator::new(std::process::id()));
    let window = Window::default();
    let (before_bytes, _) = memory_bytes();
    let (begun, cpu_begun) = (Instant::now(), cpu_time());
    let (mut opened, mut now_ms, mut pid) = (0, clock::now_ms(), 1000);
    let measure = classify::measure(SignalType::MemoryPressure, MEASURE).map_or(MEASURE, |measure| measure.name);
    while opened < signals {
        now_ms += TICK_MS;
        // Those of the tick before are gone.
        let gone = Moment {
            now_ms,
            steady_ms: now_ms,
            lost: 0,
            exists: &|_| false,
            usual: &|_, _, _| None,
            looked_away: &|_, _| false,
        };
        let mut changes = gate.tick(Vec::new(), &gone);
        let here = Moment { exists: &|_| true, ..gone };
        for _ in 0..AT_ONCE.min(signals - opened) {
            pid += 1;
            let reading = reading(pid, measure);
            history.keep(SignalType::MemoryPressure, measure, &reading.entity, Point { at_ms: now_ms, value: 20.0 });
            changes.extend(gate.react(SignalType::MemoryPressure, reading, &here));
        }
        let open = gate.open();
        let view = View { window: &window, history: &history, signals: &open };
        correlator.apply(changes.iter().map(Change::signal), &view);
        for change in &changes {
            opened += u64::from(matches!(change, Change::Opened(_)));
            store.keep_signal(change.signal());
        }
        match per_s {
            Some(per_s) => {
                let due = begun + Duration::from_secs_f64(opened as f64 / per_s as f64);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            // Faster than a machine's signals by orders of magnitude: the queue is to bound what waits, not to lose it.
            None => store.flush()?,
        }
    }
    let (seconds, cpu_s) = (begun.elapsed().as_secs_f64(), (cpu_time() - cpu_begun).as_secs_f64());
    let (after_bytes, peak_bytes) = memory_bytes();
    store.flush()?;
    let lost = store.health().lost.values().sum();
    let rows = store.reader()?.signal_count()?;
    store.close()?;
    Ok(BenchReport { signals: opened, before_bytes, after_bytes, peak_bytes, lost, rows, seconds, cpu_s })
}

fn reading(pid: u32, measure: &'static str) -> Reading {
    let rss_bytes = f64::from(pid) * 4096.0;
    Reading {
        measure,
        entity: Entity::Process { id: ProcessId { pid, start_ticks: u64::from(pid) }, comm: Text::from("python3") },
        value: 20.0,
        numbers: numbers! { rss_bytes: rss_bytes, growth_bytes_per_s: 1_048_576.0, seconds_to_limit: 20.0 },
        sentence: format!("python3 (pid {pid}) reaches the node's memory in 20 s: {rss_bytes} B resident"),
    }
}

/// Resident memory now, and its peak; 0 where `/proc` does not tell.
fn memory_bytes() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
    };
    (field("VmRSS:").unwrap_or(0), field("VmHWM:").unwrap_or(0))
}

/// Of the whole process.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
