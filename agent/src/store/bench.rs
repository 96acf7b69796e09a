//! A measurement of the store against bare rusqlite, in alternated rounds, for `bench-store`.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, params};
use serde::Serialize;

use super::{Limits, Store, StoreError, queue::BATCH_ROWS};
use crate::{
    numbers,
    observe::{Entity, ProcessId, Severity, Signal, SignalType},
    text::Text,
};

/// Rounds of each kind.
const ROUNDS: usize = 5;
/// Questions of which the median is taken.
const QUESTIONS: usize = 25;
const START_MS: i64 = 1_700_000_000_000;

#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// Signals written in a round, by each.
    pub rows: usize,
    /// Signals a second, median of the rounds.
    pub ours_per_s: f64,
    /// The same rows into one table with one index by bare rusqlite, in batches of the same size.
    pub bare_per_s: f64,
    /// `ours_per_s / bare_per_s`, median of the rounds; the goal is at least 0.5.
    pub ratio: f64,
    /// CPU time of the bare rounds over that of ours, median: steadier than `ratio` where others use the machine too.
    pub cpu_ratio: f64,
    /// Size of the database a signal; the goal is at most 200.
    pub bytes_per_signal: f64,
    /// p50, p75, p95 and p99 of one type over an hour, median, with 10,000 readings in it and with 1,000,000; the goal
    /// is at most 5 ms, and at most 1.5 times as long.
    pub percentiles_10k_ms: f64,
    pub percentiles_1m_ms: f64,
    /// Signals lost in all rounds; the goal is none.
    pub lost: u64,
}

/// Writes `rows` signals a round below `dir`, which is made and left as it is.
///
/// # Errors
/// When a database cannot be made, written or read.
pub fn bench(dir: &Path, rows: usize) -> Result<BenchReport, StoreError> {
    let signals: Vec<Signal> = (0..rows).map(signal).collect();
    let (mut ours, mut bare, mut ratios, mut cpu_ratios) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut bytes_per_signal = 0.0;
    let mut lost = 0;
    for round in 0..ROUNDS {
        let cpu = cpu_s();
        let bare_s = bare_round(&dir.join(format!("bare-{round}")), &signals)?.as_secs_f64();
        let bare_cpu_s = cpu_s() - cpu;
        let round = our_round(&dir.join(format!("ours-{round}")), &signals)?;
        cpu_ratios.push(bare_cpu_s / (cpu_s() - cpu - bare_cpu_s));
        lost += round.lost;
        bytes_per_signal = round.bytes as f64 / rows.max(1) as f64;
        let ours_s = round.took.as_secs_f64();
        ours.push(rows as f64 / ours_s);
        bare.push(rows as f64 / bare_s);
        ratios.push(bare_s / ours_s);
    }
    Ok(BenchReport {
        rows,
        ours_per_s: median(ours),
        bare_per_s: median(bare),
        ratio: median(ratios),
        cpu_ratio: median(cpu_ratios),
        bytes_per_signal,
        percentiles_10k_ms: percentiles_ms(&dir.join("readings-10k"), 10_000)?,
        percentiles_1m_ms: percentiles_ms(&dir.join("readings-1m"), 1_000_000)?,
        lost,
    })
}

struct Round {
    took: Duration,
    bytes: u64,
    lost: u64,
}

fn our_round(dir: &Path, signals: &[Signal]) -> Result<Round, StoreError> {
    let limits = Limits { max_bytes: 4 << 30, ..Limits::default() };
    let half = limits.queue as u64 / 2;
    let (store, _) = Store::open(dir, limits)?;
    let begun = Instant::now();
    for (at, signal) in signals.iter().enumerate() {
        store.keep_signal(signal);
        // A source that is faster than the disk would lose rows, which is not what is measured here.
        while at % BATCH_ROWS == 0 && store.health().queued > half {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    store.flush()?;
    let took = begun.elapsed();
    let lost = store.health().lost.values().sum();
    let path = store.path().to_owned();
    store.close()?;
    let bytes = std::fs::metadata(&path).map_err(|source| StoreError::File { what: "look at", path, source })?.len();
    Ok(Round { took, bytes, lost })
}

/// What a program that stores the same facts without much thought does.
fn bare_round(dir: &Path, signals: &[Signal]) -> Result<Duration, StoreError> {
    let failed = StoreError::sqlite;
    std::fs::create_dir_all(dir).map_err(|source| StoreError::File {
        what: "make the directory",
        path: dir.to_owned(),
        source,
    })?;
    let mut connection = Connection::open(dir.join("bare.db")).map_err(failed("open the bare database"))?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
             CREATE TABLE signals (id INTEGER PRIMARY KEY, at_ms INTEGER, type TEXT, measure TEXT, severity INTEGER,
                 pressure REAL, value REAL, entity TEXT, numbers TEXT, sentence TEXT, last_ms INTEGER, count INTEGER);
             CREATE INDEX by_type ON signals (type, at_ms);",
        )
        .map_err(failed("make the bare table"))?;
    let begun = Instant::now();
    for batch in signals.chunks(BATCH_ROWS) {
        let write = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            for signal in batch {
                transaction
                    .prepare_cached("INSERT INTO signals VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")?
                    .execute(params![
                        signal.id,
                        signal.first_seen_ms,
                        signal.signal_type.name(),
                        signal.measure,
                        signal.severity as i64,
                        signal.pressure,
                        signal.value,
                        signal.entity.key(),
                        serde_json::to_string(&signal.numbers).unwrap_or_default(),
                        signal.sentence,
                        signal.last_seen_ms,
                        signal.count as i64,
                    ])?;
            }
            transaction.commit()
        };
        write(&mut connection).map_err(failed("write to the bare table"))?;
    }
    Ok(begun.elapsed())
}

/// Time to tell the percentiles of an hour that had `readings` values of each of three types.
fn percentiles_ms(dir: &Path, readings: usize) -> Result<f64, StoreError> {
    let (store, _) = Store::open(dir, Limits { max_bytes: 4 << 30, ..Limits::default() })?;
    let types = [SignalType::MemoryPressure, SignalType::LoadMismatch, SignalType::Scheduler];
    for at in 0..readings {
        let at_ms = START_MS + (at as i64 * 3_600_000) / readings as i64;
        let value = noise(at) * 100.0;
        store.keep_reading(at_ms, types[at % types.len()], "psi_some_percent", &Entity::Node, value);
    }
    store.flush()?;
    let reader = store.reader()?;
    let mut took = Vec::with_capacity(QUESTIONS);
    for _ in 0..QUESTIONS {
        let begun = Instant::now();
        reader.percentiles(types[0], "psi_some_percent", START_MS, START_MS + 3_600_000)?;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    drop(reader);
    store.close()?;
    Ok(median(took))
}

/// A signal such as classifiers make, one of a hundred entities.
fn signal(at: usize) -> Signal {
    let value = (noise(at) * 1e4).round() / 100.0;
    let rss_bytes = (noise(at + 1) * 8e9).round();
    let pid = 1000 + (at % 100) as u32;
    let first_seen_ms = START_MS + at as i64 * 36;
    Signal {
        id: at as i64 + 1,
        signal_type: SignalType::ALL[at % SignalType::ALL.len()],
        measure: "psi_some_percent".into(),
        entity: Entity::Process {
            id: ProcessId { pid, start_ticks: 530_000 + u64::from(pid) },
            comm: Text::from("python3"),
        },
        severity: Severity::ALL[1 + at % 4],
        peak_severity: Severity::ALL[1 + at % 4],
        pressure: value / 100.0,
        value,
        numbers: numbers! { psi_some_percent: value, rss_bytes: rss_bytes, growth_bytes_per_s: 1_048_576.0 },
        sentence: format!("python3 (pid {pid}) waits for memory {value} % of the time and holds {rss_bytes} B"),
        first_seen_ms,
        last_seen_ms: first_seen_ms + 12_000,
        count: 12,
        closed_ms: Some(first_seen_ms + 13_000),
        lost_events: 0,
    }
}

/// Numbers that look random and are the same each time: 0 to 1 (SplitMix64).
fn noise(at: usize) -> f64 {
    let mut state = (at as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((state ^ (state >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// CPU time of this process, user and kernel.
fn cpu_s() -> f64 {
    nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).map_or(f64::NAN, |usage| {
        let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        seconds(usage.user_time()) + seconds(usage.system_time())
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
