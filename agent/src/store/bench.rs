//! A measurement of the store against bare rusqlite, in alternated rounds, for `bench-store`.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, params};
use serde::Serialize;

use super::{Limits, Reader, Store, StoreError, queue::BATCH_ROWS};
use crate::{
    numbers,
    observe::{Entity, ProcessId, Severity, Signal, SignalType},
    text::Text,
};

/// Rounds of each kind.
const ROUNDS: usize = 5;
/// Questions of each, in turns.
const QUESTIONS: usize = 25;
const START_MS: i64 = 1_700_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const TYPES: [SignalType; 3] = [SignalType::MemoryPressure, SignalType::LoadMismatch, SignalType::Scheduler];

/// A list has a value for each round.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BenchReport {
    /// Signals written in a round, by each.
    pub rows: usize,
    /// Signals a second.
    pub ours_per_s: Vec<f64>,
    /// The same rows into one table with one index by bare rusqlite, in batches of the same size. The goal is that ours
    /// are at least half as many.
    pub bare_per_s: Vec<f64>,
    /// CPU time of the bare rounds over that of ours: steadier than rates where others use the machine too.
    pub cpu_ratio: Vec<f64>,
    /// Size of the database a signal; the goal is at most 200.
    pub ours_bytes: Vec<f64>,
    pub bare_bytes: Vec<f64>,
    /// p50, p75, p95 and p99 of one type over an hour, with 10,000 readings in it and with 1,000,000; the goal is at
    /// most 5 ms, and at most 1.5 times as long.
    pub percentiles_10k_ms: Vec<f64>,
    pub percentiles_1m_ms: Vec<f64>,
    /// Signals lost in all rounds; the goal is none.
    pub lost: u64,
}

/// Writes `rows` signals a round below `dir`, which is made and left as it is.
///
/// # Errors
/// When a database cannot be made, written or read.
pub fn bench(dir: &Path, rows: usize) -> Result<BenchReport, StoreError> {
    let signals: Vec<Signal> = (0..rows).map(signal).collect();
    let mut report = BenchReport { rows, ..BenchReport::default() };
    for round in 0..ROUNDS {
        let ours = || our_round(&dir.join(format!("ours-{round}")), &signals);
        let bare = || bare_round(&dir.join(format!("bare-{round}")), &signals);
        let (ours, bare) = if round % 2 == 0 {
            let bare = bare()?;
            (ours()?, bare)
        } else {
            (ours()?, bare()?)
        };
        let per_s = |round: &Round| rows as f64 / round.took.as_secs_f64();
        let bytes = |round: &Round| round.bytes as f64 / rows.max(1) as f64;
        report.ours_per_s.push(per_s(&ours));
        report.bare_per_s.push(per_s(&bare));
        report.ours_bytes.push(bytes(&ours));
        report.bare_bytes.push(bytes(&bare));
        report.cpu_ratio.push(bare.cpu_s / ours.cpu_s);
        report.lost += ours.lost;
    }
    let few = Readings::make(&dir.join("readings-10k"), 10_000)?;
    let many = Readings::make(&dir.join("readings-1m"), 1_000_000)?;
    for _ in 0..QUESTIONS {
        report.percentiles_10k_ms.push(few.percentiles_ms()?);
        report.percentiles_1m_ms.push(many.percentiles_ms()?);
    }
    few.store.close()?;
    many.store.close()?;
    Ok(report)
}

struct Round {
    took: Duration,
    cpu_s: f64,
    bytes: u64,
    lost: u64,
}

fn our_round(dir: &Path, signals: &[Signal]) -> Result<Round, StoreError> {
    let limits = Limits { max_bytes: 4 << 30, ..Limits::default() };
    let half = limits.queue as u64 / 2;
    let (store, _) = Store::open(dir, limits)?;
    let (begun, cpu_begun_s) = (Instant::now(), cpu_s());
    for (at, signal) in signals.iter().enumerate() {
        store.keep_signal(signal);
        // A source that is faster than the disk would lose rows, which is not what is measured here.
        while at % BATCH_ROWS == 0 && store.health().queued > half {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    store.flush()?;
    let (took, cpu_s) = (begun.elapsed(), cpu_s() - cpu_begun_s);
    let lost = store.health().lost.values().sum();
    let path = store.path().to_owned();
    store.close()?;
    Ok(Round { took, cpu_s, bytes: size_bytes(&path)?, lost })
}

fn size_bytes(path: &Path) -> Result<u64, StoreError> {
    let failed = |source| StoreError::File { what: "look at", path: path.to_owned(), source };
    Ok(std::fs::metadata(path).map_err(failed)?.len())
}

/// What a program that stores the same facts without much thought does.
fn bare_round(dir: &Path, signals: &[Signal]) -> Result<Round, StoreError> {
    let failed = StoreError::sqlite;
    std::fs::create_dir_all(dir).map_err(|source| StoreError::File {
        what: "make the directory",
        path: dir.to_owned(),
        source,
    })?;
    let path = dir.join("bare.db");
    let mut connection = Connection::open(&path).map_err(failed("open the bare database"))?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
             CREATE TABLE signals (id INTEGER PRIMARY KEY, at_ms INTEGER, type TEXT, measure TEXT, severity INTEGER,
                 pressure REAL, value REAL, entity TEXT, numbers TEXT, sentence TEXT, last_ms INTEGER, count INTEGER);
             CREATE INDEX by_type ON signals (type, at_ms);",
        )
        .map_err(failed("make the bare table"))?;
    let (begun, cpu_begun_s) = (Instant::now(), cpu_s());
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
    let (took, cpu_s) = (begun.elapsed(), cpu_s() - cpu_begun_s);
    // Closing empties the log into the database, whose size is told.
    connection.close().map_err(|(_, source)| failed("close the bare database")(source))?;
    Ok(Round { took, cpu_s, bytes: size_bytes(&path)?, lost: 0 })
}

/// An hour of readings of three types.
struct Readings {
    store: Store,
    reader: Reader,
}

impl Readings {
    fn make(dir: &Path, readings: usize) -> Result<Self, StoreError> {
        let (store, _) = Store::open(dir, Limits { max_bytes: 4 << 30, ..Limits::default() })?;
        for at in 0..readings {
            let at_ms = START_MS + (at as i64 * HOUR_MS) / readings as i64;
            let value = noise(at) * 100.0;
            store.keep_reading(at_ms, TYPES[at % TYPES.len()], "psi_some_percent", &Entity::Node, value);
        }
        store.flush()?;
        let reader = store.reader()?;
        Ok(Self { store, reader })
    }

    /// Time to tell the percentiles of one type over that hour.
    fn percentiles_ms(&self) -> Result<f64, StoreError> {
        let begun = Instant::now();
        self.reader.percentiles(TYPES[0], "psi_some_percent", START_MS, START_MS + HOUR_MS)?;
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    }
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
